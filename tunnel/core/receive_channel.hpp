// The receiving half of one channel: drop duplicates, hold what came early, release in order.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/error.hpp"
#include "tunnel/core/messages.hpp"
#include "tunnel/core/send_channel.hpp"

namespace edge::tunnel {

/// Time: none. Threads: none.
class ReceiveChannel {
 public:
  enum class Outcome : std::uint8_t { released, held, duplicate };
  explicit ReceiveChannel(std::size_t held_bytes_max = window_bytes)
      : held_bytes_max_(held_bytes_max) {}

  /// Appends to `ready` what can be delivered now, in order.
  /// Errors: corrupt (sequence 0, or outside the window); nothing is changed then.
  Result<Outcome> accept(Frame frame, std::vector<Frame>& ready);

  std::uint64_t next_expected() const { return next_expected_; }
  /// The ranges held out of order, lowest first, at most sack_ranges_max.
  std::vector<SackRange> sacks() const;
  std::size_t held_bytes() const { return held_bytes_; }
  std::size_t held_frames() const { return held_.size(); }

 private:
  std::size_t held_bytes_max_;
  std::uint64_t next_expected_ = 1;
  std::map<std::uint64_t, Frame> held_;
  std::size_t held_bytes_ = 0;
};

}  // namespace edge::tunnel
