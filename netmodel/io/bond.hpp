// Bonds over rtnetlink: IFLA_BOND_ attributes in IFLA_INFO_DATA of kind "bond", and what its
// members show in IFLA_INFO_SLAVE_DATA.
#pragma once

#include <cstdint>
#include <optional>

#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {

/// As in a message: members are still indexes.
struct DecodedBond {
  BondAttributes bond;              ///< `primary` is left empty.
  std::uint32_t primary_index = 0;  ///< 0: none, or not a member yet (the kernel hides it).
  std::uint32_t active_index = 0;   ///< 0: none, or a mode without one.
};

/// An option that means nothing in the bond's mode reads as the default of BondAttributes, whatever
/// the kernel shows, so that it never differs from what is wanted. Source: bond_fill_info(),
/// drivers/net/bonding/bond_netlink.c.
DecodedBond decode_bond(Bytes info_data);

/// IFLA_BOND_SLAVE_PERM_HWADDR: the member's MAC before it joined; for drivers without a permanent
/// address the only trace of it. Source: bond_fill_slave_info().
std::optional<MacAddress> decode_bond_member_mac(Bytes info_slave_data);

/// The options that mean something in the wanted mode and differ from `present` (nullopt: a new
/// bond, all of them). The kernel refuses to change mode and fail_over_mac while there are members
/// (ENOTEMPTY), mode and lacp_rate while the bond is up (EBUSY). `primary_index`: of
/// `wanted.primary`, 0 for none. Source: bond_changelink(), bond_opts[].
void encode_bond(MessageBuilder& message, const BondAttributes& wanted,
                 const std::optional<DecodedBond>& present, std::uint32_t primary_index);

/// IFLA_BOND_ACTIVE_SLAVE alone: a planned switch.
void encode_bond_active(MessageBuilder& message, std::uint32_t member_index);

}  // namespace edge::netmodel
