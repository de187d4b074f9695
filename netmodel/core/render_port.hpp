// One port as kernel state: its links, addresses, routes, rules, sysctls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {

inline constexpr std::uint32_t rule_nat = 9000;  ///< to <nat subnet> lookup main
/// iif <bridge> lookup main: what is forwarded and is none of ours (a container's answer, a subnet
/// behind the host) goes where the machine's own routes say, not out again by the port's.
inline constexpr std::uint32_t rule_forwarded = 9500;
inline constexpr std::uint32_t rule_mark = 10000;    ///< fwmark <table> lookup <table>
inline constexpr std::uint32_t rule_oif = 11000;     ///< oif <bridge> lookup <table>
inline constexpr std::uint32_t rule_source = 12000;  ///< from <own address> lookup <table>
inline constexpr std::uint32_t metric_first = 2000;
inline constexpr std::uint32_t metric_step = 10;
inline constexpr std::uint32_t metric_drained = 10000;  ///< Added while a port is drained.
inline constexpr std::uint32_t metric_v6 = 1024;  ///< IP6_RT_PRIO_USER, what the kernel makes of 0.

/// A port and what its rendering needs to know.
struct PortScene {
  const Model& model;
  const RenderFacts& facts;
  const GroupPort& port;
  const AdapterFacts& leader;           ///< Here or not; lease, table and mark are its own.
  std::size_t rank = 0;                 ///< Its preference; 0 is best.
  std::vector<std::uint16_t> tagged{};  ///< VLAN ids of its guests and its management. Sorted.
};

/// Adds everything of a port to `out`.
void render_port(const PortScene& scene, Rendered& out);

/// Members, bond, bridge and management VLAN device with their VLANs; the sysctls that keep IPv6
/// off what only carries frames.
void render_group_links(const PortScene& scene, Rendered& out);

/// Standing warnings about groups: an infrastructure for evaluation only.
void note_groups(const Model& model, const RenderFacts& facts, std::vector<Note>& notes);

/// `group "lan"` for a bond, else `port "eth0"`.
std::string port_label(const GroupPort& port, const AdapterFacts& leader);

/// The VLAN of a guest's tap: untagged to the guest, `id` in the bridge.
std::vector<BridgeVlan> access_vlan(std::uint16_t id);

/// Carries traffic now: enabled, not set down by a person, with carrier.
bool is_usable(const AdapterSettings& settings, const AdapterFacts& adapter);

/// A lease that can be put on an interface. Leases come from the wire.
bool is_sound(const LeaseFacts& lease);

/// An address that can be a router or a resolver.
bool is_unicast_host(const IpAddress& address);

}  // namespace edge::netmodel
