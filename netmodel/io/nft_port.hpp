// The boundary to nftables: one table of ours, committed as a whole, read back as the same value.
#pragma once

#include <optional>

#include "base/error.hpp"
#include "netmodel/core/nft_state.hpp"

namespace edge::netmodel {

/// Real: NftKernel. Fake: inside the stateful fake kernel of the unit tests.
/// Time: calls block for one netlink exchange. Threads: none; one caller.
class NftPort {
 public:
  virtual ~NftPort() = default;

  /// Makes table `inet uplink` show `state`, atomically: after an error the table is as it was.
  /// Writes only the difference; an unchanged state writes nothing.
  /// Errors: invalid_input (normalise() of nft_text.hpp), denied, transient (the ruleset changed
  /// under three attempts, or no buffer), else what the kernel said with the element or rule it
  /// said it about.
  virtual Result<void> commit(const NftState& state) = 0;

  /// What the kernel holds, normalised; nullopt: no such table. Equal to a committed state exactly
  /// when chains, rules, sets and elements are those that commit writes; else `foreign_edits` says
  /// what differs.
  virtual Result<std::optional<NftState>> dump() = 0;

  /// Deletes our table; a missing table is success.
  virtual Result<void> remove() = 0;
};

}  // namespace edge::netmodel
