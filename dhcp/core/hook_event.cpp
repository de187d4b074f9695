// Parses the environment that dhcpcd's hook sends: bounded, hostile, nothing taken in part.
#include "dhcp/core/hook_event.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <utility>

namespace edge::dhcp {
namespace {

constexpr std::size_t list_entries_max = 32;
constexpr std::size_t interface_name_max = 15;
constexpr std::chrono::seconds lease_time_default{
    3600};  // As dhcpcd assumes when a server says none.
constexpr int ia_na_max = 4;
constexpr int ia_addr_max = 16;

constexpr std::array<std::pair<std::string_view, HookReason>, 23> reasons{{
    {"PREINIT", HookReason::preinit},
    {"CARRIER", HookReason::carrier},
    {"NOCARRIER", HookReason::no_carrier},
    {"BOUND", HookReason::bound},
    {"REBOOT", HookReason::reboot},
    {"RENEW", HookReason::renew},
    {"REBIND", HookReason::rebind},
    {"INFORM", HookReason::inform},
    {"TIMEOUT", HookReason::timeout},
    {"RECONFIGURE", HookReason::reconfigure},
    {"EXPIRE", HookReason::expire},
    {"NAK", HookReason::nak},
    {"STOP", HookReason::stop},
    {"STOPPED", HookReason::stopped},
    {"DEPARTED", HookReason::departed},
    {"ROUTERADVERT", HookReason::router_advert},
    {"BOUND6", HookReason::bound6},
    {"RENEW6", HookReason::renew6},
    {"REBIND6", HookReason::rebind6},
    {"REBOOT6", HookReason::reboot6},
    {"INFORM6", HookReason::inform6},
    {"EXPIRE6", HookReason::expire6},
    {"STOP6", HookReason::stop6},
}};

/// For messages: printable, at most 48 characters.
std::string shown(std::string_view value) {
  std::string out;
  for (const char c : value.substr(0, 48)) { out += (c >= 0x20 && c < 0x7f && c != '"') ? c : '?'; }
  if (value.size() > 48) { out += "..."; }
  return out;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) { out.push_back(text.substr(at, end - at)); }
    at = end + 1;
  }
  return out;
}

std::optional<std::uint64_t> decimal(std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) { return std::nullopt; }
  return value >= low && value <= high ? std::optional(value) : std::nullopt;
}

/// Letters, digits, '-', '_' and dots between labels; what resolv.conf and dnsmasq can take.
bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '.' || text.front() == '-') {
    return false;
  }
  std::size_t label = 0;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
    if (!plain && (c != '.' || label == 0)) { return false; }
    label = c == '.' ? 0 : label + 1;
    if (label > 63) { return false; }
  }
  return true;
}

bool is_interface_name(std::string_view text) {
  return !text.empty() && text.size() <= interface_name_max &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '/'; });
}

/// The variables of one event, sorted by name.
class Environment {
 public:
  static Result<Environment> parse(std::string_view datagram) {
    if (datagram.empty() || datagram.size() > hook_datagram_bytes_max) {
      return fail(Errc::invalid_input, fmt::format("hook message of {} bytes: 1..{} are allowed",
                                                   datagram.size(), hook_datagram_bytes_max));
    }
    Environment out;
    std::size_t at = 0;
    while (at < datagram.size()) {
      const std::size_t end = std::min(datagram.find('\0', at), datagram.size());
      const std::string_view entry = datagram.substr(at, end - at);
      const std::size_t equals = entry.find('=');
      if (equals == std::string_view::npos || equals == 0) {
        return fail(Errc::invalid_input,
                    fmt::format("hook entry \"{}\" is not NAME=VALUE", shown(entry)));
      }
      out.variables_.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
      at = end + 1;
    }
    std::ranges::sort(out.variables_);
    const auto twice = std::ranges::adjacent_find(out.variables_, {}, &Variable::first);
    if (twice != out.variables_.end()) {
      return fail(Errc::invalid_input,
                  fmt::format("hook variable {} is there twice", shown(twice->first)));
    }
    return out;
  }

  std::optional<std::string_view> find(std::string_view name) const {
    const auto at = std::ranges::lower_bound(variables_, name, {}, &Variable::first);
    if (at == variables_.end() || at->first != name) { return std::nullopt; }
    return at->second;
  }

 private:
  using Variable = std::pair<std::string_view, std::string_view>;
  std::vector<Variable> variables_;
};

/// Fields out of the environment; what is wrong becomes a note.
class Fields {
 public:
  Fields(const Environment& environment, std::vector<std::string>& notes)
      : environment_(environment), notes_(notes) {}

  void note(std::string_view name, std::string_view value, std::string_view allowed) {
    if (notes_.size() >= hook_notes_max) { return; }
    notes_.push_back(fmt::format("{}=\"{}\": dropped, {}", name, shown(value), allowed));
  }

  std::optional<std::string_view> find(std::string_view name) const {
    return environment_.find(name);
  }

  std::optional<IpAddress> address(std::string_view name, Family family) {
    const auto value = find(name);
    if (!value) { return std::nullopt; }
    return address_of(name, *value, family);
  }

  std::vector<IpAddress> addresses(std::string_view name, Family family) {
    std::vector<IpAddress> out;
    for (const std::string_view word : words(find(name).value_or(""))) {
      const auto one = address_of(name, word, family);
      if (!one || std::ranges::find(out, *one) != out.end()) { continue; }
      if (out.size() == list_entries_max) {
        note(name, word, fmt::format("at most {} addresses are taken", list_entries_max));
        break;
      }
      out.push_back(*one);
    }
    return out;
  }

  std::vector<std::string> domains(std::string_view name) {
    std::vector<std::string> out;
    for (const std::string_view word : words(find(name).value_or(""))) {
      if (!is_domain(word)) {
        note(name, word, "a domain name is letters, digits, '-', '_' and dots, at most 253");
      } else if (out.size() == list_entries_max) {
        note(name, word, fmt::format("at most {} domains are taken", list_entries_max));
        break;
      } else {
        out.emplace_back(word);
      }
    }
    return out;
  }

  std::optional<std::uint64_t> number(std::string_view name, std::uint64_t low,
                                      std::uint64_t high) {
    const auto value = find(name);
    if (!value) { return std::nullopt; }
    const auto parsed = decimal(*value, low, high);
    if (!parsed) { note(name, *value, fmt::format("must be {}..{}", low, high)); }
    return parsed;
  }

 private:
  std::optional<IpAddress> address_of(std::string_view name, std::string_view word, Family family) {
    const auto parsed = parse_ip(word);
    if (!parsed || parsed->family != family || parsed->is_unspecified() || parsed->is_multicast() ||
        parsed->is_loopback() || *parsed == IpAddress::v4(255, 255, 255, 255)) {
      note(name, word,
           family == Family::v4 ? "must be a unicast IPv4 address"
                                : "must be a unicast IPv6 address");
      return std::nullopt;
    }
    return *parsed;
  }

  const Environment& environment_;
  std::vector<std::string>& notes_;
};

/// 255.255.255.0 -> 24; nullopt when it has holes.
std::optional<std::uint8_t> length_of_mask(std::string_view text) {
  const auto mask = parse_ip(text);
  if (!mask || mask->family != Family::v4) { return std::nullopt; }
  const std::uint32_t bits = mask->v4_u32();
  const int length = std::countl_one(bits);
  if (length < 32 && (bits << length) != 0) { return std::nullopt; }
  return static_cast<std::uint8_t>(length);
}

std::vector<StaticRoute> routes_of(Fields& fields, std::string_view name, std::string_view value) {
  const auto parts = words(value);
  if (parts.size() % 2 != 0) {
    fields.note(name, value, "must be pairs of PREFIX and GATEWAY");
    return {};
  }
  std::vector<StaticRoute> out;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    const auto destination = parse_prefix(parts[i]);
    const auto gateway = parse_ip(parts[i + 1]);
    const bool good =
        destination && destination->address.family == Family::v4 &&
        (destination->length == 0 || !destination->network().address.is_multicast()) && gateway &&
        gateway->family == Family::v4 && !gateway->is_multicast() && !gateway->is_loopback();
    if (!good || out.size() == list_entries_max) {
      fields.note(name, fmt::format("{} {}", parts[i], parts[i + 1]),
                  good ? "too many routes" : "must be an IPv4 prefix and an IPv4 gateway");
      continue;
    }
    out.push_back({.destination = destination->network(),
                   .gateway = gateway->is_unspecified() ? std::nullopt : std::optional(*gateway)});
  }
  return out;
}

/// T1 and T2 that are absent or out of order get RFC 2131's defaults (section 4.4.5).
void set_times(Fields& fields, Lease& lease) {
  constexpr std::uint64_t seconds_max = 0xffffffff;
  const auto life = lease.lease_time;
  const auto t1 = fields.number("new_dhcp_renewal_time", 1, seconds_max);
  const auto t2 = fields.number("new_dhcp_rebinding_time", 1, seconds_max);
  lease.rebinding_time = std::max(std::chrono::seconds(1), life * 7 / 8);
  lease.renewal_time = std::max(std::chrono::seconds(1), life / 2);
  if (t2 && std::chrono::seconds(*t2) <= life) { lease.rebinding_time = std::chrono::seconds(*t2); }
  if (t1 && std::chrono::seconds(*t1) <= lease.rebinding_time) {
    lease.renewal_time = std::chrono::seconds(*t1);
  }
  lease.renewal_time = std::min(lease.renewal_time, lease.rebinding_time);
}

std::optional<Lease> lease_of(Fields& fields) {
  if (!fields.find("new_ip_address")) { return std::nullopt; }
  Lease lease;
  const auto address = fields.address("new_ip_address", Family::v4);
  if (!address) { return std::nullopt; }
  lease.address.address = *address;

  if (const auto cidr = fields.find("new_subnet_cidr")) {
    const auto length = decimal(*cidr, 1, 32);
    if (!length) {
      fields.note("new_subnet_cidr", *cidr, "and the lease with it, must be 1..32");
      return std::nullopt;
    }
    lease.address.length = static_cast<std::uint8_t>(*length);
  } else {
    const auto mask = fields.find("new_subnet_mask").value_or("");
    const auto length = length_of_mask(mask);
    if (!length || *length == 0) {
      fields.note("new_subnet_mask", mask, "and the lease with it, must be a netmask");
      return std::nullopt;
    }
    lease.address.length = *length;
  }

  lease.lease_time = lease_time_default;
  if (const auto life = fields.find("new_dhcp_lease_time")) {
    const auto seconds = decimal(*life, 1, 0xffffffff);
    if (!seconds) {
      fields.note("new_dhcp_lease_time", *life, "and the lease with it, must be 1..4294967295");
      return std::nullopt;
    }
    lease.lease_time = std::chrono::seconds(*seconds);
  }
  set_times(fields, lease);
  if (const auto valid = validate(lease); !valid) {
    fields.note("new_ip_address", to_string(lease.address), valid.error().what);
    return std::nullopt;
  }

  lease.routers = fields.addresses("new_routers", Family::v4);
  constexpr std::string_view routes_name = "new_classless_static_routes";
  if (const auto value = fields.find(routes_name); value && !words(*value).empty()) {
    lease.routes = routes_of(fields, routes_name, *value);
    lease.classless_routes_present = !lease.routes.empty();
  }
  lease.dns = fields.addresses("new_domain_name_servers", Family::v4);
  if (const auto domain = fields.find("new_domain_name"); domain && !domain->empty()) {
    if (is_domain(*domain)) {
      lease.domain = *domain;
    } else {
      fields.note("new_domain_name", *domain, "must be one domain name");
    }
  }
  lease.search = fields.domains("new_domain_search");
  if (const auto mtu = fields.number("new_interface_mtu", 576, 65535)) {
    lease.mtu = static_cast<std::uint32_t>(*mtu);
  }
  lease.ntp = fields.addresses("new_ntp_servers", Family::v4);
  lease.server = fields.address("new_dhcp_server_identifier", Family::v4);
  return lease;
}

std::string server_duid(Fields& fields) {
  const auto text = fields.find("new_dhcp6_server_id").value_or("");
  const bool hex = std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  if (hex && text.size() <= 260) { return std::string(text); }
  fields.note("new_dhcp6_server_id", text, "must be at most 260 hexadecimal digits");
  return {};
}

std::optional<Lease6> lease6_of(Fields& fields) {
  Lease6 lease;
  for (int ia = 1; ia <= ia_na_max; ++ia) {
    for (int i = 1; i <= ia_addr_max; ++i) {
      const std::string name = fmt::format("new_dhcp6_ia_na{}_ia_addr{}", ia, i);
      if (!fields.find(name)) { break; }
      const auto address = fields.address(name, Family::v6);
      const auto valid = fields.number(name + "_vltime", 1, 0xffffffff);
      const auto preferred = fields.number(name + "_pltime", 0, 0xffffffff);
      if (!address || !valid || !preferred || *preferred > *valid) {
        fields.note(name, *fields.find(name), "needs pltime <= vltime, both valid");
        continue;
      }
      lease.addresses.push_back({.address = *address,
                                 .preferred = std::chrono::seconds(*preferred),
                                 .valid = std::chrono::seconds(*valid)});
    }
  }
  lease.dns = fields.addresses("new_dhcp6_name_servers", Family::v6);
  lease.search = fields.domains("new_dhcp6_domain_search");
  lease.server_id = server_duid(fields);
  if (lease.addresses.empty() && lease.dns.empty() && lease.search.empty()) { return std::nullopt; }
  return lease;
}

}  // namespace

std::string_view to_string(HookReason reason) {
  for (const auto& [name, value] : reasons) {
    if (value == reason) { return name; }
  }
  return "OTHER";
}

Result<HookEvent> parse_hook_event(std::string_view datagram) {
  EDGE_ASSIGN(const Environment environment, Environment::parse(datagram));
  HookEvent event;
  Fields fields(environment, event.notes);

  const auto reason = fields.find("reason");
  if (!reason) { return fail(Errc::invalid_input, "hook message: variable reason is missing"); }
  const auto known =
      std::ranges::find(reasons, *reason, &std::pair<std::string_view, HookReason>::first);
  if (known != reasons.end()) { event.reason = known->second; }

  const auto interface = fields.find("interface");
  if (!interface || !is_interface_name(*interface)) {
    return fail(Errc::invalid_input,
                fmt::format("hook variable interface=\"{}\": must be a name of 1..15 characters",
                            shown(interface.value_or(""))));
  }
  event.interface = *interface;
  event.generation = fields.number("UPLINK_HOOK_CHILD", 1, ~std::uint64_t{0}).value_or(0);

  switch (event.reason) {
    case HookReason::bound:
    case HookReason::reboot:
    case HookReason::renew:
    case HookReason::rebind:
    case HookReason::inform:
    case HookReason::timeout:
    case HookReason::reconfigure: event.lease = lease_of(fields); break;
    case HookReason::bound6:
    case HookReason::renew6:
    case HookReason::rebind6:
    case HookReason::reboot6:
    case HookReason::inform6: event.lease6 = lease6_of(fields); break;
    case HookReason::preinit:
    case HookReason::carrier:
    case HookReason::no_carrier:
    case HookReason::expire:
    case HookReason::nak:
    case HookReason::stop:
    case HookReason::stopped:
    case HookReason::departed:
    case HookReason::router_advert:
    case HookReason::expire6:
    case HookReason::stop6:
    case HookReason::other: break;
  }
  return event;
}

}  // namespace edge::dhcp
