// Adapters are remembered as they were found, before the first write to them, and given back so.
#pragma once

#include <string>
#include <vector>

#include "netmodel/core/operation.hpp"
#include "netmodel/io/kernel.hpp"
#include "uplink/core/machine_before.hpp"

namespace edge::uplink {

/// Threads: one at a time; the daemon's kernel thread, or purge.
class HandBack {
 public:
  /// Reads what an earlier run of this boot left.
  static HandBack open(const std::string& state_folder);

  /// Keeps every adapter that `plan` is about to change for the first time. One that is in a bridge
  /// of ours already is not as it was found. A file that cannot be written is logged: see
  /// write_again().
  void before(const netmodel::Plan& plan, const netmodel::ObservedState& observed);

  /// Writes what the file lacks since a write failed. Why it still does; empty: it lacks nothing.
  std::string write_again();

  /// Of adapters that are released: MTU, addresses, routes, whether they are up.
  /// Returns what was done as text. Errors: what could not be put back; the rest is done.
  Result<std::vector<std::string>> restore_links(netmodel::Kernel& kernel);
  /// After machine-wide sysctls are back: what those changed along the way. Forgets everything
  /// then.
  Result<std::vector<std::string>> restore_sysctls(netmodel::Kernel& kernel);

 private:
  HandBack(std::string path, MachineBefore before)
      : path_(std::move(path)), before_(std::move(before)) {}
  void keep_link(const netmodel::ObservedLink& link);
  void keep_sysctls(const netmodel::ObservedState& observed);
  void save();
  Result<void> join_file();

  std::string path_;
  MachineBefore before_;
  bool joined_ = false;  ///< `before_` knows what the file says.
  std::string lacking_;  ///< Why the file is behind `before_`; empty: it is not.
};

}  // namespace edge::uplink
