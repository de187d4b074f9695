#include "netmodel/core/json_fields.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json/serialize.hpp>

#include "netmodel/core/names.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

constexpr std::size_t shown_max = 64;

/// How an adapter may be named: its base MAC or a kernel name. Source: dev_valid_name(),
/// net/core/dev.c.
bool is_adapter_ref(std::string_view text) {
  if (text.find(':') != std::string_view::npos) { return parse_mac(text).has_value(); }
  if (text.empty() || text.size() > link_name_max || text == "." || text == "..") { return false; }
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '/'; });
}

}  // namespace

std::string described(const json::value& value) {
  switch (value.kind()) {
    case json::kind::array: return "a list";
    case json::kind::object: return "an object";
    case json::kind::string: return quoted(value.get_string());
    case json::kind::null:
    case json::kind::bool_:
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return json::serialize(value);
  }
  return "?";
}

std::string FieldReader::words(std::string_view key) const {
  if (key == "mtu") { return "MTU"; }
  if (key == "vlan_id") { return "VLAN id"; }
  return scope_.prefix + std::string(key);
}

void FieldReader::wrong(std::string_view field, std::string text) {
  problems_.add(
      {scope_.op, scope_.prefix + std::string(field), fmt::format("{}: {}", scope_.label, text)});
}

bool FieldReader::require(std::string_view key) {
  if (has(key)) { return true; }
  wrong(key, fmt::format("field \"{}{}\" is missing", scope_.prefix, key));
  return false;
}

const json::value* FieldReader::any(std::string_view key) {
  known_.push_back(key);
  return object_.if_contains(key);
}

const json::string* FieldReader::string(std::string_view key, std::string_view allowed) {
  const auto* value = any(key);
  if (value == nullptr) { return nullptr; }
  if (value->is_string()) { return &value->get_string(); }
  wrong(key, fmt::format("{} {} is not text; allowed: {}", words(key), described(*value), allowed));
  return nullptr;
}

std::optional<std::string> FieldReader::text(std::string_view key, std::size_t bytes_max) {
  const std::string allowed = fmt::format("1..{} characters A-Z a-z 0-9 . _ -", bytes_max);
  const auto* value = string(key, allowed);
  if (value == nullptr) { return std::nullopt; }
  const std::string_view view = *value;
  const bool plain = std::ranges::all_of(view, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  if (view.empty() || view.size() > bytes_max || !plain) {
    wrong(key, fmt::format("{} {} is not allowed; allowed: {}", words(key), quoted(view), allowed));
    return std::nullopt;
  }
  return std::string(view);
}

std::optional<std::string> FieldReader::id(std::string_view key) {
  const auto* value = string(key, id_form);
  if (value == nullptr) { return std::nullopt; }
  if (!is_id(*value)) {
    wrong(key, fmt::format("{} {} is not an id; allowed: {}", words(key), quoted(*value), id_form));
    return std::nullopt;
  }
  return std::string(*value);
}

std::optional<std::string> FieldReader::adapter(std::string_view key) {
  constexpr std::string_view allowed =
      "a base MAC (aa:bb:cc:dd:ee:ff) or a port name of 1..15 characters";
  const auto* value = string(key, allowed);
  if (value == nullptr) { return std::nullopt; }
  if (!is_adapter_ref(*value)) {
    wrong(key,
          fmt::format("{} {} names no adapter; allowed: {}", words(key), quoted(*value), allowed));
    return std::nullopt;
  }
  return std::string(*value);
}

std::optional<std::uint64_t> FieldReader::number(std::string_view key, std::uint64_t low,
                                                 std::uint64_t high) {
  const auto* value = any(key);
  if (value == nullptr) { return std::nullopt; }
  if (!value->is_int64() && !value->is_uint64()) {
    wrong(key, fmt::format("{} {} is not a whole number; allowed: {}..{}", words(key),
                           described(*value), low, high));
    return std::nullopt;
  }
  const bool negative = value->is_int64() && value->get_int64() < 0;
  const std::uint64_t number =
      value->is_uint64() ? value->get_uint64() : static_cast<std::uint64_t>(value->get_int64());
  if (negative || number < low || number > high) {
    wrong(key,
          fmt::format("{} {} is out of range {}..{}", words(key), described(*value), low, high));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> FieldReader::boolean(std::string_view key) {
  const auto* value = any(key);
  if (value == nullptr) { return std::nullopt; }
  if (value->is_bool()) { return value->get_bool(); }
  wrong(key, fmt::format("{} {} is neither true nor false", words(key), described(*value)));
  return std::nullopt;
}

std::optional<MacAddress> FieldReader::mac(std::string_view key) {
  const auto* value = string(key, "aa:bb:cc:dd:ee:ff");
  if (value == nullptr) { return std::nullopt; }
  if (const auto mac = parse_mac(*value)) { return *mac; }
  wrong(key, fmt::format("{} {} is not a MAC address; allowed: aa:bb:cc:dd:ee:ff", words(key),
                         quoted(*value)));
  return std::nullopt;
}

std::optional<IpAddress> FieldReader::ip(std::string_view key) {
  const auto* value = string(key, "an IPv4 or IPv6 address");
  if (value == nullptr) { return std::nullopt; }
  if (const auto address = parse_ip(*value)) { return *address; }
  wrong(key, fmt::format("{} {} is not an IPv4 or IPv6 address", words(key), quoted(*value)));
  return std::nullopt;
}

std::optional<IpPrefix> FieldReader::prefix(std::string_view key) {
  const auto* value = string(key, "ADDRESS/LENGTH");
  if (value == nullptr) { return std::nullopt; }
  if (const auto prefix = parse_prefix(*value)) { return *prefix; }
  wrong(key, fmt::format("{} {} is not a prefix; allowed: ADDRESS/LENGTH, e.g. 10.5.0.0/24",
                         words(key), quoted(*value)));
  return std::nullopt;
}

const json::array* FieldReader::array(std::string_view key, std::size_t count_max) {
  const auto* value = any(key);
  if (value == nullptr) { return nullptr; }
  if (!value->is_array()) {
    wrong(key, fmt::format("{} {} is not a list; allowed: a list of at most {}", words(key),
                           described(*value), count_max));
    return nullptr;
  }
  if (value->get_array().size() > count_max) {
    wrong(key, fmt::format("{} has {} entries; allowed: at most {}", words(key),
                           value->get_array().size(), count_max));
    return nullptr;
  }
  return &value->get_array();
}

const json::object* FieldReader::object(std::string_view key) {
  const auto* value = any(key);
  if (value == nullptr) { return nullptr; }
  if (value->is_object()) { return &value->get_object(); }
  wrong(key, fmt::format("{} {} is not an object", words(key), described(*value)));
  return nullptr;
}

std::optional<std::vector<IpAddress>> FieldReader::ip_list(std::string_view key,
                                                           std::size_t count_max) {
  const auto* list = array(key, count_max);
  if (list == nullptr) { return std::nullopt; }
  std::vector<IpAddress> out;
  for (const json::value& item : *list) {
    const auto address =
        item.is_string() ? parse_ip(item.get_string()) : fail(Errc::invalid_input, "");
    if (address) {
      out.push_back(*address);
    } else {
      wrong(key, fmt::format("{} {} is not an IPv4 or IPv6 address", words(key), described(item)));
    }
  }
  return out;
}

std::optional<std::vector<IpPrefix>> FieldReader::prefix_list(std::string_view key,
                                                              std::size_t count_max) {
  const auto* list = array(key, count_max);
  if (list == nullptr) { return std::nullopt; }
  std::vector<IpPrefix> out;
  for (const json::value& item : *list) {
    const auto prefix =
        item.is_string() ? parse_prefix(item.get_string()) : fail(Errc::invalid_input, "");
    if (prefix) {
      out.push_back(*prefix);
    } else {
      wrong(key, fmt::format("{} {} is not a prefix; allowed: ADDRESS/LENGTH", words(key),
                             described(item)));
    }
  }
  return out;
}

std::optional<std::vector<std::string>> FieldReader::adapter_list(std::string_view key,
                                                                  std::size_t count_max) {
  const auto* list = array(key, count_max);
  if (list == nullptr) { return std::nullopt; }
  std::vector<std::string> out;
  for (const json::value& item : *list) {
    if (item.is_string() && is_adapter_ref(item.get_string())) {
      out.emplace_back(item.get_string());
    } else {
      wrong(key, fmt::format("{} {} names no adapter; allowed: base MACs or port names", words(key),
                             described(item)));
    }
  }
  return out;
}

void FieldReader::wrong_choice(std::string_view key, const json::value& value,
                               const std::vector<std::string_view>& names) {
  wrong(key, fmt::format("{} {} is unknown; allowed: {}", words(key), described(value),
                         fmt::join(names, ", ")));
}

void FieldReader::finish() {
  for (const auto& item : object_) {
    const std::string_view key = item.key();
    if (std::ranges::find(known_, key) != known_.end()) { continue; }
    wrong(key.substr(0, shown_max),
          fmt::format("unknown field {}; allowed: {}", quoted(key), fmt::join(known_, ", ")));
  }
}

}  // namespace edge::netmodel
