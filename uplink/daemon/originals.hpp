// The file that remembers the machine's own sysctls; written before the first change, read by
// purge.
#pragma once

#include <string>
#include <vector>

#include "netmodel/core/operation.hpp"
#include "netmodel/io/kernel.hpp"
#include "uplink/core/sysctl_originals.hpp"

namespace edge::uplink {

/// Threads: one at a time; the daemon's kernel thread, or purge.
class OriginalsFile {
 public:
  /// Reads what an earlier run of this boot left.
  static OriginalsFile open(const std::string& state_folder);

  /// Keeps the values that `plan` is about to change. A file that cannot be written is logged: the
  /// network matters more than a tidy end. See write_again().
  void before(const netmodel::Plan& plan, const netmodel::ObservedState& observed);

  /// Writes what the file lacks since a write failed. Why it still does; empty: it lacks nothing.
  std::string write_again();

  /// Adds to the wish what we changed once and want no longer: its own value.
  /// Pre: `observed` was dumped with paths_beside().
  void give_back(netmodel::DesiredState& wanted, const netmodel::ObservedState& observed) const;
  /// Those of `wanted`, the machine-wide ones that we have changed and, where IPv6 forwarding is
  /// our doing, accept_ra of every other link in this network namespace; each once, sorted.
  std::vector<std::string> paths_beside(const netmodel::DesiredState& wanted) const;

  /// Writes back what we changed and nobody else since, then forgets it.
  /// Returns the writes as text. Errors: the first that the kernel refused.
  Result<std::vector<std::string>> restore(netmodel::Kernel& kernel);

 private:
  void save();
  Result<void> join_file();
  OriginalsFile(std::string path, SysctlOriginals originals)
      : path_(std::move(path)), originals_(std::move(originals)) {}
  std::string path_;
  SysctlOriginals originals_;
  bool joined_ = false;  ///< `originals_` knows what the file says.
  std::string lacking_;  ///< Why the file is behind `originals_`; empty: it is not.
};

}  // namespace edge::uplink
