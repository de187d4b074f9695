// Which of a port's IPv6 addresses a dial begins with, and by which router it leaves. Pure.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "netmodel/core/state.hpp"

namespace edge::uplink {

/// A global IPv6 address of the port, as the kernel shows it.
struct Address6 {
  IpAddress address{};
  netmodel::AddressState state = netmodel::AddressState::ready;
  bool leased = false;  ///< From DHCPv6, so that somebody keeps it for us.
  bool operator==(const Address6&) const = default;
};

struct Sources6 {
  std::optional<IpAddress> dial{};   ///< What a dial begins with.
  std::vector<IpAddress> others{};   ///< What is open on one of them goes on.
  std::vector<IpAddress> leaving{};  ///< As well, but `dial` is better: deprecated.
  bool operator==(const Sources6&) const = default;
};

/// Not deprecated before deprecated (RFC 6724, 5, rule 3), a leased one before one of an
/// advertisement, then the order given. One that is not usable is none of them.
Sources6 choose_sources(const std::vector<Address6>& addresses);

/// The present one, as long as it is advertised and answers its neighbours (RFC 4861, 6.3.6); else
/// the first that has not failed; where all have, the present one, or the first.
std::optional<IpAddress> choose_router(const std::vector<IpAddress>& advertised,
                                       const std::optional<IpAddress>& present,
                                       const std::set<IpAddress>& failed);

}  // namespace edge::uplink
