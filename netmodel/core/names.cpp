#include "netmodel/core/names.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace edge::netmodel {
namespace {

bool is_id_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string short_name(std::string_view prefix, std::string_view id) {
  if (prefix.size() + id.size() <= link_name_max) { return fmt::format("{}{}", prefix, id); }
  const std::uint64_t low_24_bits = fnv1a64(id) & 0xffffffU;
  return fmt::format("{}{}-{:06x}", prefix, id.substr(0, 6), low_24_bits);
}

}  // namespace

bool is_id(std::string_view text) {
  if (text.empty() || text.size() > 32 || !is_id_char(text.front())) { return false; }
  return std::ranges::all_of(text, [](char c) { return is_id_char(c) || c == '-'; });
}

std::string port_bridge_name(const MacAddress& base_mac) { return "br" + to_hex(base_mac); }

std::string bond_name(const MacAddress& leader) { return "bo" + to_hex(leader); }

bool is_bond_name(std::string_view link) {
  return link.size() == 14 && link.starts_with("bo") &&
         std::ranges::all_of(link.substr(2), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string management_vlan_name(const MacAddress& leader) { return "mv" + to_hex(leader); }

std::string network_bridge_name(std::string_view network_id) {
  return short_name("n-", network_id);
}

std::string tap_name(std::string_view interface_id) { return short_name("t-", interface_id); }

std::string port_alias(const MacAddress& base_mac) { return "gallium:port:" + to_hex(base_mac); }

std::string bond_alias(const MacAddress& leader) { return "gallium:bond:" + to_hex(leader); }

std::string management_vlan_alias(const MacAddress& leader) {
  return "gallium:vlan:" + to_hex(leader);
}

std::string network_alias(std::string_view network_id) {
  return fmt::format("gallium:network:{}", network_id);
}

std::string interface_alias(std::string_view interface_id) {
  return fmt::format("gallium:interface:{}", interface_id);
}

std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

MacAddress generated_mac(std::string_view host_id, std::string_view kind, std::string_view id,
                         unsigned attempt) {
  std::uint64_t hash = fnv1a64(fmt::format("{}\n{}\n{}\n{}", host_id, kind, id, attempt));
  hash ^=
      hash >> 32;  // FNV mixes its high bits best: fold them into the three bytes that are used.
  return MacAddress{{0x52, 0x54, 0x00, static_cast<std::uint8_t>(hash >> 16),
                     static_cast<std::uint8_t>(hash >> 8), static_cast<std::uint8_t>(hash)}};
}

MacAddress tap_host_mac(const MacAddress& guest_mac) {
  MacAddress mac = guest_mac;
  mac.bytes[0] = guest_mac.bytes[0] == tap_mac_first ? tap_mac_first_of_fe : tap_mac_first;
  return mac;
}

}  // namespace edge::netmodel
