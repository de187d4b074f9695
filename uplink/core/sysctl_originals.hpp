// What the machine's own sysctls were before we first changed them, so that purge can give them
// back.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "netmodel/core/state.hpp"

namespace edge::uplink {

/// Role: a value, kept as a small JSON file. Only of one boot: the next one starts from the
/// machine's own configuration again. Time: none. Threads: none.
class SysctlOriginals {
 public:
  explicit SysctlOriginals(std::string boot_id) : boot_id_(std::move(boot_id)) {}

  /// What to_json wrote. A text of another boot, or one that cannot be read, is as none at all.
  static SysctlOriginals from_json(std::string_view text, std::string boot_id);
  std::string to_json() const;
  /// What to_json wrote in an earlier life is known as well: what a value was then counts, what we
  /// wrote since stays.
  void join(std::string_view text);

  /// We are about to write `ours` where `was` stands. The first value counts, the last wish too; a
  /// wish that is the first value gives it back: from then on it is the machine's own again.
  /// Returns true when there is something new to keep. Pre: belongs_to_machine(path).
  bool remember(const std::string& path, const std::string& was, const std::string& ours);

  /// What to write so that it is as before us. `now`: the present values; a path that is gone, or
  /// that somebody else has set since, is left alone.
  std::vector<netmodel::Sysctl> to_restore(const std::vector<netmodel::Sysctl>& now) const;

  /// The same for machine-wide values that `wanted` does not name any more: our last IPv6 network
  /// went, so does forwarding.
  std::vector<netmodel::Sysctl> no_longer_wanted(const std::vector<netmodel::Sysctl>& wanted,
                                                 const std::vector<netmodel::Sysctl>& now) const;

  /// A link that is gone takes its values with it; one of that name that comes later has its own.
  void forget_gone(const netmodel::ObservedState& observed);

  std::vector<std::string> paths() const;
  /// We have changed it, and not given it back.
  bool knows(const std::string& path) const { return known_.contains(path); }
  bool empty() const { return known_.empty(); }

 private:
  struct Known {
    std::string was;
    std::string ours;
  };
  std::string boot_id_;
  std::map<std::string, Known> known_;
};

/// True for values that belong to no link.
bool is_machine_wide(std::string_view path);

/// True for what outlives us: machine-wide values and those of links that are not ours.
bool belongs_to_machine(std::string_view path, const netmodel::ObservedState& observed);

}  // namespace edge::uplink
