// The difference between wanted and observed, as the fewest writes in a safe order.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netmodel/core/nft_state.hpp"
#include "netmodel/core/operation.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// A foreign thing stands where we want one of ours. It is left alone, and so is what depends on
/// it.
struct Conflict {
  std::string link;  ///< The name in question; may be empty.
  std::string what;
  bool operator==(const Conflict&) const = default;
};

struct Planned {
  Plan plan;  ///< Empty: the kernel shows what is wanted.
  std::vector<Conflict> conflicts;
};

/// Ours and not wanted goes, foreign is never touched. The order (each with its test):
/// nft table, global sysctls; MTU down (tap, VLAN device, bridge, bond, adapter) and up; bridges
/// with their sysctls before their ports; bonds that go give their place back, bonds that come are
/// filled before they take it; an adapter's IPv4 address moves to the bridge around the enslaving;
/// VLAN devices, taps; VLANs with the link that has them, filtering last, of a new bridge before
/// its first tap; addresses; routes; rules; and then what is stale: rules, routes, addresses,
/// links. Pre: `observed.sysctls` holds those of `desired.sysctls` that exist and, where
/// `ipv6_forwarding_path` is 1 by our doing, accept_ra_path() of foreign links.
Planned make_plan(const DesiredState& desired, const NftState& nft, const ObservedState& observed,
                  const std::optional<NftState>& observed_nft);

/// Removes all that is ours; adapters are released and up, foreign addresses that rode on a port
/// bridge go back.
Plan make_purge_plan(const ObservedState& observed, bool nft_table_present = true);

/// Where it is 1, a link whose accept_ra is 1 loses its advertised routes and gets no others.
inline constexpr std::string_view ipv6_forwarding_path = "net/ipv6/conf/all/forwarding";
std::string accept_ra_path(std::string_view link);

/// The sysctls that a plan for `desired` has to know, but for those of foreign links.
std::vector<std::string> sysctl_paths(const DesiredState& desired);

}  // namespace edge::netmodel
