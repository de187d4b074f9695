// How much bulk a TCP connection may be given, so that what comes behind it does not wait long.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace edge::tunnel {

/// The kernel takes megabytes, and so do the queues of routers; whatever is in them cannot be
/// overtaken any more. So bulk is given only while less than a round trip and `queue_max` of the
/// connection's present rate is unacknowledged.
///
/// Time: passed in; asks the kernel (TCP_INFO, SIOCOUTQ). Threads: none.
/// Source: tcp(7); the pipe model of BBR, draft-cardwell-iccrg-bbr-congestion-control 2.
class SendGate {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t bytes_min = 8UZ * 1024;  ///< 65 ms at 1 Mbit/s.
  static constexpr std::chrono::milliseconds queue_max{40};
  static constexpr std::chrono::milliseconds refresh_period{5};

  /// Bytes of bulk that may be written to the socket now.
  std::size_t room(int fd, Clock::time_point now);
  /// When to ask again. Pre: room() was 0.
  std::chrono::microseconds wait() const;
  /// In the kernel and not acknowledged by the peer's, when room() was asked last.
  std::size_t unacked_bytes() const { return unacked_; }

 private:
  void refresh(int fd);

  Clock::time_point refreshed_at_{};
  std::size_t limit_ = bytes_min;
  std::uint64_t bytes_per_s_ = 0;
  std::size_t unacked_ = 0;
};

}  // namespace edge::tunnel
