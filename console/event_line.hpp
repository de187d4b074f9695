// How the numbers of a host's events become those of this Console, also when its store was put
// back. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace edge::console {

/// A host whose whole disk was put back to an older state gives numbers again that other events
/// have here. From the first such number on its events are counted on from the highest one.
///
/// Time: none. Threads: none.
class EventLine {
 public:
  /// Of more the oldest goes: what is below the others was acknowledged long ago.
  static constexpr std::size_t branches_max = 16;
  struct Branch {
    std::int64_t from = 0;   ///< The number that was given again.
    std::int64_t shift = 0;  ///< Added to it and to all above, up to the next branch.
    WallTime time{};         ///< When this was noticed, by the Console's clock.
    bool operator==(const Branch&) const = default;
  };

  /// What the event with this number is counted as here.
  std::int64_t n_of(std::int64_t number) const;
  /// The number of the newest branch that is counted as `n`.
  std::int64_t number_of(std::int64_t n) const;
  /// `number` was given again: it and all above follow `last`, the highest n. Pre: n_of(number) <=
  /// last.
  void branch(std::int64_t number, std::int64_t last, WallTime now);
  /// By `from`, and so by `shift`.
  const std::vector<Branch>& branches() const { return branches_; }
  bool operator==(const EventLine&) const = default;

 private:
  friend EventLine parse_event_line(std::string_view text);
  std::vector<Branch> branches_;
};

/// "[[from,shift,ms],..]"; without a branch empty.
std::string to_text(const EventLine& line);
/// Damaged text is a line without branches: what comes is then compared anew.
EventLine parse_event_line(std::string_view text);

}  // namespace edge::console
