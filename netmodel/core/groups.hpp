// Groups of adapters as layer-3 ports: who leads, who belongs, how its links are called.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netmodel/core/model.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// What a link of an infrastructure group has to run at.
inline constexpr std::uint32_t infrastructure_mbps = 10'000;

/// One layer-3 port: a group of the model, or an adapter that no group names (a group of one). It
/// is known by its leader, the first adapter: MAC address, bridge, lease, routing table and mark
/// are the leader's, also while that card is away.
struct GroupPort {
  std::string group{};                ///< Id in the model; empty: an adapter of its own.
  std::vector<MacAddress> members{};  ///< Here or not, in the order of the group; the leader first.
  std::vector<std::string> present{};  ///< Names of the members that are here, in that order.
  std::string bridge{};                ///< `br<hex of the leader>`
  std::string bond{};                  ///< `bo<hex of the leader>`; empty: one member, no bond.
  std::string l3{};  ///< The link of addresses and routes: the bridge, or `mv<hex>` above it.
  std::uint32_t mtu = 1500;  ///< Of everything from the members to the guests' taps.
  bool enabled = false;      ///< A member that is here is enabled in the model.
  /// A member carries traffic: enabled, not set down by a person, with carrier. Of a group whose
  /// members are all away: what the facts of its leader say.
  bool usable = false;

  const MacAddress& leader() const { return members.front(); }
  bool bonded() const { return !bond.empty(); }
  /// The bridge's way to the wire: the bond, or the adapter; empty: the only adapter is away.
  std::string uplink() const {
    if (bonded()) { return bond; }
    return present.empty() ? std::string() : present.front();
  }
  bool operator==(const GroupPort&) const = default;
};

/// One port per adapter of `adapters` that leads, in their order. A member that does not lead has
/// no port of its own, also while its leader is away and has no facts.
std::vector<GroupPort> ports_of(const Model& model, const std::vector<AdapterFacts>& adapters);

/// Leaders of groups that have a member in `adapters` and are not in there themselves: each needs
/// an AdapterFacts with `present` = false.
std::vector<MacAddress> absent_leaders(const Model& model,
                                       const std::vector<AdapterFacts>& adapters);

/// Of the group that names `adapter`; itself when none does.
MacAddress leader_of(const Model& model, const MacAddress& adapter);
/// The id of the group that names `adapter`; empty: none.
std::string group_of(const Model& model, const MacAddress& adapter);
/// The link that has the addresses and routes of the port: its bridge, or the device of its
/// management VLAN. `adapter` may be any member.
std::string port_l3_name(const Model& model, const MacAddress& adapter);

/// The leader of the group on whose bridge a network of kind untagged or vlan is, or whose implicit
/// untagged network `id` is. nullopt: a network with a bridge of its own, or none at all.
std::optional<MacAddress> bridged_network_leader(const Model& model, const std::string& id);

/// The leader of the port that has the host's static management address. nullopt: there is none, or
/// what it names does not exist.
std::optional<MacAddress> management_leader(const Model& model);

/// VLAN ids that pass the uplink of a port tagged, by its leader: of its vlan networks and of its
/// management. Sorted, without repeats.
std::map<MacAddress, std::vector<std::uint16_t>> tagged_vlans(const Model& model);

}  // namespace edge::netmodel
