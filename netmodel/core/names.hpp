// Names, marks and generated MAC addresses: the same id gives the same name on every run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/net.hpp"

namespace edge::netmodel {

inline constexpr std::size_t link_name_max = 15;  ///< IFNAMSIZ - 1.

/// Ids of the model: [a-z0-9][a-z0-9-]{0,31}.
bool is_id(std::string_view text);
inline constexpr std::string_view id_form = "[a-z0-9][a-z0-9-]{0,31}";

/// "br" and twelve hex digits; also the id of the implicit untagged network of that adapter.
std::string port_bridge_name(const MacAddress& base_mac);
/// "bo" and twelve hex digits of the leader's MAC.
std::string bond_name(const MacAddress& leader);
bool is_bond_name(std::string_view link);
/// "mv" and twelve hex digits: the VLAN device above the leader's bridge.
std::string management_vlan_name(const MacAddress& leader);
/// `n-<id>` if it fits into 15 characters, else `n-<first 6>-<6 hex of fnv1a64(id)>`.
std::string network_bridge_name(std::string_view network_id);
/// `t-<id>`, shortened the same way.
std::string tap_name(std::string_view interface_id);

std::string port_alias(const MacAddress& base_mac);           ///< gallium:port:<hex>
std::string bond_alias(const MacAddress& leader);             ///< gallium:bond:<hex>
std::string management_vlan_alias(const MacAddress& leader);  ///< gallium:vlan:<hex>
std::string network_alias(std::string_view network_id);       ///< gallium:network:<id>
std::string interface_alias(std::string_view interface_id);   ///< gallium:interface:<id>

/// 64-bit FNV-1a. Source: draft-eastlake-fnv, offset basis and prime of section 5.
std::uint64_t fnv1a64(std::string_view text);

/// 52:54:00 and three bytes of a hash; `attempt` moves on after a collision.
MacAddress generated_mac(std::string_view host_id, std::string_view kind, std::string_view id,
                         unsigned attempt = 0);

inline constexpr std::uint8_t tap_mac_first = 0xfe;
inline constexpr std::uint8_t tap_mac_first_of_fe = 0xfa;
/// The host's end of a tap: fe and the guest's other five bytes, so that a bridge never takes it as
/// its own; fa where the guest's begins with fe, since a bridge keeps frames to a MAC of its port
/// for the host. Source: libvirt, src/util/virnetdevtap.c.
MacAddress tap_host_mac(const MacAddress& guest_mac);

}  // namespace edge::netmodel
