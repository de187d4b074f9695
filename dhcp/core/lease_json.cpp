// The text of a lease in the store.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <limits>

#include "dhcp/core/lease.hpp"

namespace edge::dhcp {
namespace {

namespace json = boost::json;

constexpr std::size_t text_bytes_max = 16UL * 1024;
constexpr std::size_t entries_max = 64;
/// The year 9999; keeps sums with a lease time far from overflow.
constexpr std::int64_t wall_ms_max = 253402300799000;

template <class T>
json::array list(const std::vector<T>& values) {
  json::array out;
  for (const T& value : values) { out.emplace_back(to_string(value)); }
  return out;
}

json::array list(const std::vector<std::string>& values) {
  json::array out;
  for (const std::string& value : values) { out.emplace_back(value); }
  return out;
}

/// Reads one object and remembers the first thing wrong.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  Result<void> result() const {
    if (problem_.empty()) { return {}; }
    return fail(Errc::corrupt, "stored lease: " + problem_);
  }

  std::string text(std::string_view key) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) { return {}; }
    if (!value->is_string() || value->get_string().size() > 1024) {
      wrong(key, *value, "a string of at most 1024 bytes");
      return {};
    }
    return std::string(value->get_string());
  }

  std::int64_t number(std::string_view key, std::int64_t low, std::int64_t high) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || !value->is_int64() || value->get_int64() < low ||
        value->get_int64() > high) {
      wrong(key, value == nullptr ? json::value() : *value,
            fmt::format("a number {}..{}", low, high));
      return low;
    }
    return value->get_int64();
  }

  bool flag(std::string_view key) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) { return false; }
    if (!value->is_bool()) {
      wrong(key, *value, "true or false");
      return false;
    }
    return value->get_bool();
  }

  bool has(std::string_view key) const { return object_.if_contains(key) != nullptr; }

  template <class T, class Parse>
  std::optional<T> parsed(std::string_view key, Parse parse) {
    if (!has(key)) { return std::nullopt; }
    auto value = parse(text(key));
    if (!value) {
      wrong(key, value.error().what);
      return std::nullopt;
    }
    return *value;
  }

  std::optional<IpAddress> address(std::string_view key, Family family) {
    const auto value = parsed<IpAddress>(key, [](const std::string& t) { return parse_ip(t); });
    if (value && value->family != family) {
      wrong(key, "the other address family is wanted");
      return std::nullopt;
    }
    return value;
  }

  /// Each entry as an own Reader for objects, or by `take(value)` for strings.
  template <class Take>
  void each(std::string_view key, Take take) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) { return; }
    if (!value->is_array() || value->get_array().size() > entries_max) {
      wrong(key, fmt::format("must be a list of at most {} entries", entries_max));
      return;
    }
    for (const json::value& entry : value->get_array()) { take(entry); }
  }

  std::vector<IpAddress> addresses(std::string_view key, Family family) {
    std::vector<IpAddress> out;
    each(key, [&](const json::value& entry) {
      const auto parsed_entry =
          parse_ip(entry.is_string() ? std::string_view(entry.get_string()) : std::string_view());
      if (parsed_entry && parsed_entry->family == family) {
        out.push_back(*parsed_entry);
      } else {
        wrong(key, entry, family == Family::v4 ? "IPv4 addresses" : "IPv6 addresses");
      }
    });
    return out;
  }

  std::vector<std::string> texts(std::string_view key) {
    std::vector<std::string> out;
    each(key, [&](const json::value& entry) {
      if (entry.is_string() && entry.get_string().size() <= 253) {
        out.emplace_back(entry.get_string());
      } else {
        wrong(key, entry, "strings of at most 253 bytes");
      }
    });
    return out;
  }

  void wrong(std::string_view key, const json::value& value, std::string_view allowed) {
    wrong(key, fmt::format("{} is not allowed, {} is",
                           std::string_view(json::serialize(value)).substr(0, 64), allowed));
  }
  void wrong(std::string_view key, std::string_view what) {
    if (problem_.empty()) { problem_ = fmt::format("key \"{}\": {}", key, what); }
  }

 private:
  const json::object& object_;
  std::string problem_;
};

Result<json::object> parse_object(std::string_view text) {
  if (text.size() > text_bytes_max) {
    return fail(Errc::corrupt, fmt::format("stored lease: {} bytes, at most {} are allowed",
                                           text.size(), text_bytes_max));
  }
  boost::system::error_code error;
  json::value value =
      json::parse(json::string_view(text.data(), text.size()), error, {}, {.max_depth = 4});
  if (error) { return fail(Errc::corrupt, "stored lease: not JSON: " + error.message()); }
  if (!value.is_object()) { return fail(Errc::corrupt, "stored lease: not a JSON object"); }
  return std::move(value.get_object());
}

std::vector<StaticRoute> read_routes(Reader& reader) {
  std::vector<StaticRoute> out;
  reader.each("routes", [&](const json::value& entry) {
    if (!entry.is_object()) {
      reader.wrong("routes", entry, "objects with \"to\" and \"via\"");
      return;
    }
    Reader route(entry.get_object());
    const auto to =
        route.parsed<IpPrefix>("to", [](const std::string& t) { return parse_prefix(t); });
    const auto via = route.address("via", Family::v4);
    const auto result = route.result();
    if (!to || to->address.family != Family::v4 || !result) {
      reader.wrong("routes", entry, "an IPv4 prefix \"to\" and an IPv4 address \"via\"");
      return;
    }
    out.push_back({.destination = to->network(), .gateway = via});
  });
  return out;
}

WallTime read_acquired(Reader& reader) {
  return WallTime(std::chrono::milliseconds(reader.number("acquired_ms", 0, wall_ms_max)));
}

}  // namespace

std::string to_json(const Lease& lease) {
  json::array routes;
  for (const StaticRoute& route : lease.routes) {
    json::object entry{{"to", to_string(route.destination)}};
    if (route.gateway) { entry["via"] = to_string(*route.gateway); }
    routes.push_back(std::move(entry));
  }
  json::object out{{"address", to_string(lease.address)},
                   {"routers", list(lease.routers)},
                   {"classless_routes_present", lease.classless_routes_present},
                   {"routes", std::move(routes)},
                   {"dns", list(lease.dns)},
                   {"domain", lease.domain},
                   {"search", list(lease.search)},
                   {"ntp", list(lease.ntp)},
                   {"lease_time_s", lease.lease_time.count()},
                   {"renewal_time_s", lease.renewal_time.count()},
                   {"rebinding_time_s", lease.rebinding_time.count()},
                   {"acquired_ms", lease.acquired.time_since_epoch().count()}};
  if (lease.mtu) { out["mtu"] = *lease.mtu; }
  if (lease.server) { out["server"] = to_string(*lease.server); }
  if (lease.gateway_mac) { out["gateway_mac"] = to_string(*lease.gateway_mac); }
  return json::serialize(out);
}

Result<Lease> lease_from_json(std::string_view text) {
  EDGE_ASSIGN(const json::object object, parse_object(text));
  Reader reader(object);
  Lease lease;
  const auto address =
      reader.parsed<IpPrefix>("address", [](const std::string& t) { return parse_prefix(t); });
  if (!address) {
    reader.wrong("address", "must be there, an IPv4 address with its prefix length");
  }
  lease.address = address.value_or(IpPrefix{});
  lease.routers = reader.addresses("routers", Family::v4);
  lease.classless_routes_present = reader.flag("classless_routes_present");
  lease.routes = read_routes(reader);
  lease.dns = reader.addresses("dns", Family::v4);
  lease.domain = reader.text("domain");
  lease.search = reader.texts("search");
  if (reader.has("mtu")) {
    lease.mtu = static_cast<std::uint32_t>(reader.number("mtu", 576, 65535));
  }
  lease.ntp = reader.addresses("ntp", Family::v4);
  lease.server = reader.address("server", Family::v4);
  constexpr std::int64_t seconds_max = Lease::forever.count();
  lease.lease_time = std::chrono::seconds(reader.number("lease_time_s", 1, seconds_max));
  lease.renewal_time = std::chrono::seconds(reader.number("renewal_time_s", 1, seconds_max));
  lease.rebinding_time = std::chrono::seconds(reader.number("rebinding_time_s", 1, seconds_max));
  lease.acquired = read_acquired(reader);
  lease.gateway_mac =
      reader.parsed<MacAddress>("gateway_mac", [](const std::string& t) { return parse_mac(t); });
  EDGE_TRY(reader.result());
  if (auto valid = validate(lease); !valid) {
    return fail(Errc::corrupt, "stored lease: " + valid.error().what);
  }
  return lease;
}

std::string to_json(const Lease6& lease) {
  json::array addresses;
  for (const Lease6Address& address : lease.addresses) {
    addresses.push_back(json::object{{"address", to_string(address.address)},
                                     {"preferred_s", address.preferred.count()},
                                     {"valid_s", address.valid.count()}});
  }
  return json::serialize(json::object{{"addresses", std::move(addresses)},
                                      {"dns", list(lease.dns)},
                                      {"search", list(lease.search)},
                                      {"server_id", lease.server_id},
                                      {"acquired_ms", lease.acquired.time_since_epoch().count()}});
}

Result<Lease6> lease6_from_json(std::string_view text) {
  EDGE_ASSIGN(const json::object object, parse_object(text));
  Reader reader(object);
  Lease6 lease;
  reader.each("addresses", [&](const json::value& entry) {
    if (!entry.is_object()) {
      reader.wrong("addresses", entry, "objects");
      return;
    }
    Reader one(entry.get_object());
    const auto address = one.address("address", Family::v6);
    const Lease6Address value{
        .address = address.value_or(IpAddress{}),
        .preferred = std::chrono::seconds(one.number("preferred_s", 0, Lease::forever.count())),
        .valid = std::chrono::seconds(one.number("valid_s", 1, Lease::forever.count()))};
    if (!address || !one.result()) {
      reader.wrong("addresses", entry, "an IPv6 address with preferred_s and valid_s");
      return;
    }
    lease.addresses.push_back(value);
  });
  lease.dns = reader.addresses("dns", Family::v6);
  lease.search = reader.texts("search");
  lease.server_id = reader.text("server_id");
  lease.acquired = read_acquired(reader);
  EDGE_TRY(reader.result());
  return lease;
}

}  // namespace edge::dhcp
