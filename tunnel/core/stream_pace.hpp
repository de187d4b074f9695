// How many bytes of streams may be under way, so that they fill a fast path and do not pile up in
// front of a slow one.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/ids.hpp"
#include "tunnel/core/stream_frame.hpp"

namespace edge::tunnel {

/// Watches how much longer than a PING a frame takes to be acknowledged: that is the time it stood
/// in our own queue. Keeps it between half and all of `queue_max`. A keystroke in one stream waits
/// at most about that long behind another stream's bulk. (Commands do not wait: they overtake.)
///
/// Time: passed in. Threads: none.
/// Source: the delay-based control of LEDBAT, RFC 6817 2.4, with doubling as in TCP's slow start.
class StreamPace {
 public:
  static constexpr std::size_t allowed_min = 8UZ * 1024;
  static constexpr std::size_t allowed_first = 64UZ * 1024;
  static constexpr std::size_t frame_min = 2UZ * 1024;
  static constexpr Duration queue_max = std::chrono::milliseconds(100);

  explicit StreamPace(std::size_t allowed_max) : allowed_max_(allowed_max) {}

  /// Unacknowledged bytes that may exist.
  std::size_t allowed() const { return allowed_; }
  /// Small where a frame takes long: what comes behind a begun frame waits for its end.
  std::size_t frame_bytes() const {
    return std::clamp(allowed_ / 16, frame_min, stream_data_bytes_max);
  }
  /// `bytes` were acknowledged, the newest `took` after it was first sent. `full`: more would have
  /// been sent, had it been allowed.
  void on_acked(std::size_t bytes, Duration took, Duration srtt, bool full, MonoTime now) {
    const Duration queued = took - srtt;
    if (queued > queue_max) {
      if (now - shrunk_at_ < took) { return; }  // What was sent before the last cut says it again.
      shrunk_at_ = now;
      allowed_ = std::max(allowed_min, allowed_ / 4 * 3);
    } else if (full && queued < queue_max / 2) {
      allowed_ = std::min(allowed_max_, allowed_ + bytes);
    }
  }

 private:
  std::size_t allowed_max_;
  std::size_t allowed_ = allowed_first;
  MonoTime shrunk_at_{};
};

}  // namespace edge::tunnel
