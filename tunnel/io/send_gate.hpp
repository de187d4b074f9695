// How much bulk a TCP connection may be given, so that what comes behind it does not wait long.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace edge::tunnel {

/// The kernel takes megabytes, and so do the queues of routers; whatever is in them cannot be
/// overtaken any more. So bulk is given only while less than a round trip and `queue_max` of the
/// rate at which the peer acknowledges is under way. (The kernel's own tcpi_delivery_rate will not
/// do: what is not limited by the network is taken into it only when it raises it.)
///
/// Time: passed in; asks the kernel (SIOCOUTQ, TCP_INFO). Threads: none.
/// Source: tcp(7); the pipe model of BBR, draft-cardwell-iccrg-bbr-congestion-control 2.
class SendGate {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t bytes_min =
      4UZ * 1024;  ///< 33 ms at 1 Mbit/s, and a command waits behind it on both ways.
  static constexpr std::size_t bytes_first = 16UZ * 1024;  ///< TCP's own first window.
  static constexpr std::chrono::milliseconds queue_max{40};
  static constexpr std::chrono::milliseconds sample_period{50};
  static constexpr std::chrono::milliseconds forget_after{1000};  ///< The path may be another now.

  /// Bytes of bulk that may be written to the socket now. `sent`: all that was ever written to it.
  std::size_t room(int fd, std::uint64_t sent, Clock::time_point now);
  /// When to ask again. Pre: room() was 0.
  std::chrono::microseconds wait() const;
  /// What the peer's kernel had of `sent`, when room() was asked last.
  std::uint64_t acked_bytes() const { return acked_; }

 private:
  void begin_sample(Clock::time_point now);
  void end_sample(int fd, Clock::time_point now);

  Clock::time_point asked_at_{};
  Clock::time_point sample_at_{};
  std::uint64_t sample_acked_ = 0;
  std::array<std::uint64_t, 4>
      samples_{};  ///< Bytes per second, the newest in place of the oldest.
  std::size_t next_sample_ = 0;
  std::uint64_t bytes_per_s_ = 0;  ///< The highest of them.
  std::size_t limit_ = bytes_first;
  std::uint64_t acked_ = 0;
  std::size_t unacked_ = 0;
};

}  // namespace edge::tunnel
