// Tells when someone else changed the nftables ruleset, so that drift in our table is repaired at
// once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"

namespace boost::asio {
class io_context;
}

namespace edge::netmodel {

/// One foreign transaction on the ruleset.
struct NftForeignChange {
  std::uint32_t generation = 0;  ///< 0: the kernel dropped notifications; assume anything.
  bool touches_ours =
      false;  ///< Something in table `inet uplink` was changed (or notifications were lost).
  std::string process;  ///< Name of the program that did it, where the kernel told; else empty.
};

/// Listens to NFNLGRP_NFTABLES in the network namespace in which start() was called.
/// Time: none. Threads: that of the io_context. Destroying it ends the listening; no callback
/// afterwards.
class NftMonitor {
 public:
  using IsOwn = std::function<bool(std::uint32_t generation)>;  ///< NftKernel::is_own_generation.
  using OnChange = std::function<void(const NftForeignChange&)>;

  /// `on_change` runs on the io_context once per foreign transaction, after it took effect.
  /// Errors: denied, or what the socket said.
  static Result<NftMonitor> start(boost::asio::io_context& io, IsOwn is_own, OnChange on_change);

  NftMonitor(NftMonitor&&) noexcept;
  NftMonitor& operator=(NftMonitor&&) noexcept;
  ~NftMonitor();

 private:
  struct Impl;
  explicit NftMonitor(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl>
      impl_;  ///< Shared with the read in flight, which may outlive us by one turn.
};

}  // namespace edge::netmodel
