// The real nftables: table `inet uplink` through libnftnl and libmnl, one atomic batch per commit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "netmodel/io/nft_port.hpp"

namespace edge::netmodel {

/// What the last commit did; for logs, tests and benches.
struct NftCommitReport {
  bool wrote = false;    ///< False: nothing differed, nothing was sent.
  bool rebuilt = false;  ///< The table was deleted and made anew within the batch.
  std::size_t elements_added = 0;
  std::size_t elements_removed = 0;
};

/// Owns one netlink socket in the network namespace in which create() was called. Remembers what it
/// last committed or dumped together with the ruleset generation; while the generation stands, a
/// commit sends the difference without reading back. Time: commit of one element 0.1 ms, of 10,000
/// some 20 ms. Threads: none.
class NftKernel final : public NftPort {
 public:
  /// Errors: denied without CAP_NET_ADMIN, unsupported without nf_tables.
  static Result<std::unique_ptr<NftKernel>> create();

  /// Errors also: invalid_input with the entry (canonical() of nft_text.hpp); else what the kernel
  /// said with the element or rule that it said it about.
  Result<void> commit(const NftState& state) override;
  /// Canonical; see NftState::foreign_edits for what someone else changed.
  Result<std::optional<NftState>> dump() override;
  Result<void> remove() override;

  const NftCommitReport& last_commit() const;
  /// True for a ruleset generation that a commit or remove of this object made (the last 64 are
  /// known). NftMonitor uses it to tell our changes from those of others.
  bool is_own_generation(std::uint32_t generation) const;

  ~NftKernel() override;

 private:
  struct Impl;
  explicit NftKernel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edge::netmodel
