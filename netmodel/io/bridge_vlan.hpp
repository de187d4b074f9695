// VLAN ids of bridge ports and of the bridge itself: AF_BRIDGE messages with struct
// bridge_vlan_info in IFLA_AF_SPEC.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "netmodel/core/operation.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// Of one message: a port, or the bridge itself.
struct DecodedVlans {
  std::uint32_t link_index = 0;
  std::vector<BridgeVlan> vlans;  ///< As the message has them: see joined() of vlan_set.hpp.
};

/// Source: br_fill_ifvlaninfo_compressed(), net/bridge/br_netlink.c. nullopt: no link message of
/// family AF_BRIDGE, or one without VLANs.
std::optional<DecodedVlans> decode_vlans(const MessageView& message);

/// All ports of all bridges, and the bridges, with ranges (RTEXT_FILTER_BRVLAN_COMPRESSED). The
/// kernel answers also where vlan_filtering is off; 1,000 ids one by one are one message each.
NlMessage encode_vlan_dump();

enum class VlanSubject : std::uint8_t { port, bridge };

/// The writes of one SetVlans, in order: RTM_SETLINK per part of `add`, RTM_DELLINK per part of
/// `remove`. A part fits one message and covers at most vlans_per_message_max ids: 1,024 of them
/// held rtnl for 230 ms on a slow, loaded machine, and everybody else waits meanwhile.
inline constexpr std::size_t vlans_per_message_max = 256;
std::vector<NlMessage> encode_vlans(IfIndex index, VlanSubject subject, const SetVlans& change);

/// 1..4094, in order, a pvid alone. Errors: invalid_input naming the range.
Result<void> check_vlans(const SetVlans& change);

}  // namespace edge::netmodel
