// The port to our one nftables table; the rtnetlink kernel delegates to it.
#pragma once

#include <optional>

#include "base/error.hpp"
#include "netmodel/core/nft_state.hpp"

namespace edge::netmodel {

/// What a kernel must be able to do with the table `inet uplink`. Foreign tables are out of reach.
///
/// Time:    none. Calls block for the duration of one netlink batch.
/// Threads: any one thread at a time.
class NftPort {
 public:
  NftPort() = default;
  NftPort(const NftPort&) = delete;
  NftPort& operator=(const NftPort&) = delete;
  virtual ~NftPort() = default;

  /// Makes the table equal to `state` in one atomic batch: all of it or nothing.
  /// Errors: denied, unsupported, transient (a concurrent change of the ruleset: try again).
  virtual Result<void> commit(const NftState& state) = 0;
  /// What the table shows now, in canonical order; nullopt: there is no such table.
  virtual Result<std::optional<NftState>> dump() = 0;
  /// Removes the table. A table that is not there is success.
  virtual Result<void> remove() = 0;
};

}  // namespace edge::netmodel
