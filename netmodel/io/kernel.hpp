// The port to the host's network: read everything, write one operation.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/error.hpp"
#include "netmodel/core/operation.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// One network namespace. Implemented by RtnetlinkKernel and, for tests, by FakeKernel
/// (tests/fake); both pass the contract suite in tests/contract/kernel.
///
/// Time:    none. Calls block; most take well below 1 ms, DeleteLink of a bridge 17..60 ms (RCU).
/// Threads: any one thread at a time; the daemon uses one worker thread.
class Kernel {
 public:
  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  virtual ~Kernel() = default;

  /// Links, addresses, routes of all tables but `local`, rules of both families, and the value of
  /// each sysctl path asked for. A sysctl that does not exist (its link is gone) is left out.
  /// Routes of other types than RouteType knows (local, broadcast, multicast, throw..) are left
  /// out. Errors: transient when the dump was interrupted by changes 8 times in a row.
  virtual Result<ObservedState> dump(std::span<const std::string> sysctls) = 0;

  /// Those of `paths` that exist, in their order. Errors: invalid_input for a path outside net/.
  virtual Result<std::vector<Sysctl>> read_sysctls(std::span<const std::string> paths) = 0;

  /// The content of our nftables table; nullopt: there is none.
  virtual Result<std::optional<NftState>> dump_nft() = 0;

  /// Writes one operation and waits for the kernel's answer. Nothing is read back: "applied" is
  /// said only after a dump showed it.
  /// Errors: the errno's reaction (errc_of_errno) with the operation's text, the errno's words and
  /// the kernel's own message: `ip link add br0 type bridge: File exists; kernel: ...`.
  ///   conflict: link, address or rule of that name or key exists (EEXIST, EBUSY);
  ///   not_found: link, address, route or rule is absent; transient: ENETDOWN, ENETUNREACH (the
  ///   link is not up, the gateway is not reachable yet).
  virtual Result<void> apply(const Operation& operation) = 0;
};

}  // namespace edge::netmodel
