// What a member of an 802.3ad bond knows of the switch behind it, read from sysfs.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.hpp"

namespace edge::netmodel {

struct LacpState {
  bool partner = false;          ///< LACPDUs arrive: the actor's state is not "defaulted".
  std::uint16_t aggregator = 0;  ///< Which aggregate this member is in.
  std::uint16_t active = 0;      ///< The one that carries, of the whole bond.
};

/// Blocks for three reads of sysfs. Pre: `member` is the name of a link.
/// Errors: not_found: it is no member of an 802.3ad bond (any more).
/// Source: drivers/net/bonding/bond_sysfs_slave.c; AD_STATE_DEFAULTED in bond_3ad.h (IEEE 802.1AX).
Result<LacpState> read_lacp(const std::string& member);

}  // namespace edge::netmodel
