// Links over rtnetlink: struct ifinfomsg and its IFLA_ attributes, encode beside decode.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "netmodel/core/operation.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// IFLA_GROUP of every link we make. The kernel takes it in the creating message but not the alias;
/// a link that has it and no alias is ours and was never finished (the process ended in between).
inline constexpr std::uint32_t our_link_group = 117;
/// The alias under which a dump shows such a link, so that it counts as ours and gets repaired.
inline constexpr std::string_view unfinished_alias = "gallium:unfinished";

/// As in a message: the master is still an index.
struct DecodedLink {
  ObservedLink observed;
  std::uint32_t master_index = 0;
  bool carrier_bit = false;  ///< IFLA_CARRIER: the bare bit, also while admin down.
  std::uint32_t carrier_up_count = 0;
  bool bridge_family = false;  ///< AF_BRIDGE: news of a bridge port, not of the link itself.
};

/// Source: rtnl_fill_ifinfo(), net/core/rtnetlink.c. nullopt: not a link message, or too short.
std::optional<DecodedLink> decode_link(const MessageView& message);

/// All links, without statistics.
NlMessage encode_link_dump();
/// One link by name or by index.
NlMessage encode_link_get(const std::string& name);
NlMessage encode_link_get(IfIndex index);
/// RTM_NEWLINK, exclusive, down: bridge with MAC, MTU, our group and its attributes. What the
/// kernel ignores at creation (alias, a binding MTU, master) is for encode_link_change.
NlMessage encode_bridge_create(const Link& link);
/// Only what is set. `master_index`: nullopt leave, 0 release.
NlMessage encode_link_change(IfIndex index, const ChangeLink& change,
                             std::optional<std::uint32_t> master_index, bool set_our_group);
NlMessage encode_link_delete(IfIndex index);

/// 1..15 bytes, no '/', no white space, not "." or "..". Source: dev_valid_name().
Result<void> check_link_name(const std::string& name);

}  // namespace edge::netmodel
