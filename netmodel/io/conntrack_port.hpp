// The boundary to conntrack: removes exactly the flows that a change made wrong, never the table.
#pragma once

#include <span>

#include "base/error.hpp"
#include "netmodel/core/nft_state.hpp"

namespace edge::netmodel {

/// Real: ConntrackKernel. Time: calls block for two filtered dumps or more, with a break
/// after each. Threads: none; one caller.
class ConntrackPort {
 public:
  ConntrackPort() = default;
  ConntrackPort(const ConntrackPort&) = delete;
  ConntrackPort& operator=(const ConntrackPort&) = delete;
  virtual ~ConntrackPort() = default;

  /// Flows sent to `address` or masqueraded to it (original or reply destination): for an uplink
  /// address that is gone. Returns how many were removed; 0 is success.
  virtual Result<unsigned> remove_for_address(const IpAddress& address) = 0;

  /// Flows that came by `uplink` on a publication's transport and port: translated ones, whatever
  /// address they came to, and to `uplink`'s addresses those that are not (a UDP flow that began
  /// before the publication keeps missing it) and hairpins. Flows that arrived on another uplink
  /// with the same address stay: the mark tells them apart. Call it after a publication was added,
  /// changed (with the old one) or withdrawn. Returns how many were removed.
  /// One dump by the mark and one per address of the uplink, however many publications: a dump
  /// walks the whole table, tens of milliseconds, and a command may publish thousands of ports.
  virtual Result<unsigned> remove_for_publications(std::span<const Publication> publications,
                                                   const UplinkPort& uplink) = 0;

  Result<unsigned> remove_for_publication(const Publication& publication,
                                          const UplinkPort& uplink) {
    return remove_for_publications({&publication, 1}, uplink);
  }
};

}  // namespace edge::netmodel
