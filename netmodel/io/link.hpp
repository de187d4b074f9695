// Links over rtnetlink: struct ifinfomsg and its IFLA_ attributes, encode beside decode.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "netmodel/core/operation.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/bond.hpp"
#include "netmodel/io/link_names.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// IFLA_GROUP of every link we make. The kernel takes it in the creating message but not the alias;
/// a link that has it and no alias is ours and was never finished (the process ended in between).
inline constexpr std::uint32_t our_link_group = 117;
/// The alias under which a dump shows such a link, so that it counts as ours and gets repaired.
inline constexpr std::string_view unfinished_alias = "gallium:unfinished";

/// As in a message: other links are still indexes.
struct DecodedLink {
  ObservedLink observed;
  std::uint32_t master_index = 0;
  std::uint32_t parent_index = 0;     ///< IFLA_LINK: of a VLAN device, its parent.
  std::optional<DecodedBond> bond{};  ///< Of a bond.
  bool bond_member = false;           ///< The master is a bond.
  bool carrier_bit = false;           ///< IFLA_CARRIER: the bare bit, also while admin down.
  std::uint32_t carrier_up_count = 0;
  bool bridge_family = false;  ///< AF_BRIDGE: news of a bridge port, not of the link itself.
};

/// Source: rtnl_fill_ifinfo(), net/core/rtnetlink.c. nullopt: not a link message, or too short.
std::optional<DecodedLink> decode_link(const MessageView& message);

/// Fills in master, parent, primary and active member.
ObservedLink resolved(DecodedLink decoded, const LinkNames& names);

/// All links, without statistics; of one master only its ports or members.
NlMessage encode_link_dump(std::optional<IfIndex> master = std::nullopt);
/// One link by name or by index.
NlMessage encode_link_get(const std::string& name);
NlMessage encode_link_get(IfIndex index);
/// RTM_NEWLINK, exclusive, down: bridge, bond or VLAN device with MAC, MTU, our group and all of
/// its attributes. What the kernel ignores at creation (alias, a bridge's binding MTU, master) is
/// for encode_link_change. `other_index`: a VLAN device's parent, or a bond's primary (0: none).
NlMessage encode_link_create(const Link& link, std::uint32_t other_index);

/// What a change refers to, looked up before.
struct ChangeReferences {
  std::optional<std::uint32_t> master_index{};  ///< nullopt: leave; 0: release.
  std::optional<DecodedBond> present_bond{};    ///< Only what differs from it is written.
  std::uint32_t primary_index = 0;
  bool set_our_group = false;
};
/// Only what is set.
NlMessage encode_link_change(IfIndex index, const ChangeLink& change,
                             const ChangeReferences& references);
/// The active member of a bond: a planned switch.
NlMessage encode_bond_switch(IfIndex bond, IfIndex member);
NlMessage encode_link_delete(IfIndex index);

/// 1..15 bytes, no '/', no white space, not "." or "..". Source: dev_valid_name().
Result<void> check_link_name(const std::string& name);

}  // namespace edge::netmodel
