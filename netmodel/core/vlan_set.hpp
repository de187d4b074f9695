// Sets of VLAN ids with flags, as a port of a bridge has them: joined, added to, compared.
#pragma once

#include <span>
#include <vector>

#include "netmodel/core/operation.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

inline constexpr std::uint16_t vlan_id_last = 4094;

/// The canonical form of Link::vlans: sorted, disjoint, neighbours with the same flags joined.
/// Where ranges overlap, the later one in the list counts. Ids outside 1..4094 are left out.
std::vector<BridgeVlan> joined(std::vector<BridgeVlan> vlans);

/// What a port has after `bridge vlan add` of each: new flags replace old ones, and a new pvid
/// takes that mark off the old one. Canonical. Source: __vlan_add_flags(), net/bridge/br_vlan.c.
std::vector<BridgeVlan> with_vlans(std::span<const BridgeVlan> have,
                                   std::span<const BridgeVlan> add);
/// ... and after `bridge vlan del`: the flags in `remove` do not matter.
std::vector<BridgeVlan> without_vlans(std::span<const BridgeVlan> have,
                                      std::span<const BridgeVlan> remove);

/// What makes `want` of `have`; nullopt: nothing to do. `link` and `self` are left to the caller.
std::optional<SetVlans> vlan_difference(std::span<const BridgeVlan> have,
                                        std::span<const BridgeVlan> want);

}  // namespace edge::netmodel
