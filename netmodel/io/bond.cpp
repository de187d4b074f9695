// Bonds over rtnetlink: IFLA_BOND_ attributes in IFLA_INFO_DATA of kind "bond", and what its
// members show in IFLA_INFO_SLAVE_DATA.
#include "netmodel/io/bond.hpp"

#include <linux/if_bonding.h>
#include <linux/if_link.h>

namespace edge::netmodel {
namespace {

BondMode mode_of(std::uint8_t value) {
  switch (value) {
    case BOND_MODE_ACTIVEBACKUP: return BondMode::active_backup;
    case BOND_MODE_XOR: return BondMode::balance_xor;
    case BOND_MODE_8023AD: return BondMode::lacp;
    default: return BondMode::other;
  }
}

bool has_primary(BondMode mode) { return mode == BondMode::active_backup; }
bool has_hash(BondMode mode) { return mode == BondMode::balance_xor || mode == BondMode::lacp; }
bool has_lacp(BondMode mode) { return mode == BondMode::lacp; }

void forget_what_means_nothing(BondAttributes& bond) {
  const BondAttributes defaults;
  if (!has_primary(bond.mode)) { bond.reselect = defaults.reselect; }
  if (!has_hash(bond.mode)) { bond.xmit_hash_policy = defaults.xmit_hash_policy; }
  if (!has_lacp(bond.mode)) { bond.lacp_fast = defaults.lacp_fast; }
}

}  // namespace

DecodedBond decode_bond(Bytes info_data) {
  DecodedBond decoded;
  BondAttributes& bond = decoded.bond;
  bond.mode = BondMode::other;
  for_each_attribute(info_data, [&](std::uint16_t type, Bytes value) {
    switch (type) {
      case IFLA_BOND_MODE: bond.mode = mode_of(read_or_zero<std::uint8_t>(value)); break;
      case IFLA_BOND_MIIMON: bond.miimon_ms = read_or_zero<std::uint32_t>(value); break;
      case IFLA_BOND_FAIL_OVER_MAC: bond.fail_over_mac = read_or_zero<std::uint8_t>(value); break;
      case IFLA_BOND_PRIMARY: decoded.primary_index = read_or_zero<std::uint32_t>(value); break;
      case IFLA_BOND_PRIMARY_RESELECT:
        bond.reselect = static_cast<BondReselect>(read_or_zero<std::uint8_t>(value) % 3);
        break;
      case IFLA_BOND_ACTIVE_SLAVE: decoded.active_index = read_or_zero<std::uint32_t>(value); break;
      case IFLA_BOND_XMIT_HASH_POLICY:
        bond.xmit_hash_policy = read_or_zero<std::uint8_t>(value);
        break;
      case IFLA_BOND_AD_LACP_RATE: bond.lacp_fast = read_or_zero<std::uint8_t>(value) != 0; break;
      default: break;  // Some twenty-five more that nobody here asks for.
    }
  });
  forget_what_means_nothing(bond);
  return decoded;
}

std::optional<MacAddress> decode_bond_member_mac(Bytes info_slave_data) {
  std::optional<MacAddress> mac;
  for_each_attribute(info_slave_data, [&](std::uint16_t type, Bytes value) {
    if (type == IFLA_BOND_SLAVE_PERM_HWADDR) { mac = read_mac(value); }
  });
  return mac;
}

void encode_bond(MessageBuilder& message, const BondAttributes& wanted,
                 const std::optional<DecodedBond>& present, std::uint32_t primary_index) {
  const auto differs = [&](auto BondAttributes::* field) {
    return !present || present->bond.*field != wanted.*field;
  };
  if (differs(&BondAttributes::mode)) {
    message.u8(IFLA_BOND_MODE, static_cast<std::uint8_t>(wanted.mode));
  }
  if (differs(&BondAttributes::miimon_ms)) { message.u32(IFLA_BOND_MIIMON, wanted.miimon_ms); }
  if (differs(&BondAttributes::fail_over_mac)) {
    message.u8(IFLA_BOND_FAIL_OVER_MAC, wanted.fail_over_mac);
  }
  if (has_primary(wanted.mode)) {
    if (primary_index != (present ? present->primary_index : 0)) {
      message.u32(IFLA_BOND_PRIMARY, primary_index);
    }
    if (differs(&BondAttributes::reselect)) {
      message.u8(IFLA_BOND_PRIMARY_RESELECT, static_cast<std::uint8_t>(wanted.reselect));
    }
  }
  if (has_hash(wanted.mode) && differs(&BondAttributes::xmit_hash_policy)) {
    message.u8(IFLA_BOND_XMIT_HASH_POLICY, wanted.xmit_hash_policy);
  }
  if (has_lacp(wanted.mode) && differs(&BondAttributes::lacp_fast)) {
    message.u8(IFLA_BOND_AD_LACP_RATE, wanted.lacp_fast ? 1 : 0);
  }
}

void encode_bond_active(MessageBuilder& message, std::uint32_t member_index) {
  message.u32(IFLA_BOND_ACTIVE_SLAVE, member_index);
}

}  // namespace edge::netmodel
