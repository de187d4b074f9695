// The sending half of one channel: waiting payloads, frames in flight, the peer's acknowledgements.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/fifo.hpp"
#include "base/ids.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {

/// The receiver holds at most this much out of order, so the sender keeps within it.
inline constexpr std::uint64_t window_frames = 256;
inline constexpr std::size_t window_bytes = 256UZ * 1024;
/// The streams' own: the credit of a whole session, so that one stream fills a long path.
inline constexpr std::size_t streams_window_bytes = 1024UZ * 1024;

/// A frame that was sent and is not acknowledged cumulatively yet.
struct InFlight {
  std::uint64_t seq = 0;
  SharedBytes bytes;  ///< Header and payload; null once selectively acknowledged.
  std::size_t payload_bytes = 0;
  std::uint32_t carriers = 0;  ///< Slots of live paths it was written to. No path carries it twice.
  std::uint8_t copies = 0;     ///< Made after a wait; each doubles the next wait.
  bool repeated = false;       ///< Sent more than once: its age says nothing of the path.
  MonoTime sent_at{};
  std::optional<MonoTime> copy_at;  ///< When to try another path; nullopt: never, or none is left.
  bool sacked() const { return bytes == nullptr; }
};

/// What happens when the queue is full.
enum class Overflow : std::uint8_t { refuse, drop_oldest };

/// Which part of a queue a payload may fill.
enum class SendRoom : std::uint8_t {
  shared,
  reserved,  ///< Also what is kept for short words of what is under way, whatever fills the rest.
};

/// Sequence numbers are given at the first transmission, so a dropped payload leaves no hole; a gap
/// marker with the number of dropped payloads takes its place.
///
/// Time: passed in. Threads: none.
class SendChannel {
 public:
  struct Limits {
    std::size_t payload_bytes_max = frame_bytes_max;
    std::size_t queue_bytes_max = 1 << 20;  ///< Gap markers in flight (8 bytes each) come on top.
    std::size_t queue_frames_max = 4096;
    Overflow overflow = Overflow::refuse;
    std::size_t window_bytes_max = window_bytes;
    std::size_t reserved_bytes = 0;   ///< On top, for SendRoom::reserved,
    std::size_t reserved_frames = 0;  ///< ... and the same of queue_frames_max.
  };
  /// What an acknowledgement freed.
  struct Freed {
    std::size_t bytes = 0;
    std::optional<MonoTime> sent_at;  ///< Of the newest frame that was sent only once.
  };
  SendChannel(Channel channel, Limits limits) : channel_(channel), limits_(limits) {}

  /// Errors: invalid_input (too large), no_space (full and Overflow::refuse).
  Result<void> push(Bytes payload, SendRoom room = SendRoom::shared);
  bool can_launch() const;
  /// Moves the next payload into flight if the window allows; nullptr otherwise.
  InFlight* launch(MonoTime now);
  /// Forgets what the peer has.
  /// Errors: corrupt, when the peer acknowledges what was never sent; nothing is changed then.
  Result<Freed> on_ack(std::uint64_t next_expected, std::span<const SackRange> sacks);
  /// Keeps less in flight than the window permits.
  void set_allowance(std::size_t bytes) { allowance_bytes_ = bytes; }

  Fifo<InFlight>& in_flight() { return in_flight_; }
  /// One past the highest sequence number that was sent.
  std::uint64_t next_seq() const { return next_seq_; }
  std::size_t held_bytes() const { return waiting_bytes_ + in_flight_bytes_; }
  std::size_t held_frames() const { return waiting_.size() + in_flight_.size(); }
  std::size_t in_flight_bytes() const { return in_flight_bytes_; }

 private:
  struct Waiting {
    Bytes payload;
    std::uint64_t dropped_before = 0;
  };
  bool fits(std::size_t bytes, SendRoom room) const;
  void drop_oldest();
  std::size_t next_payload_bytes() const;

  Channel channel_;
  Limits limits_;
  Fifo<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t dropped_ = 0;  ///< Dropped since the last payload that is still waiting.
  Fifo<InFlight> in_flight_;
  std::size_t in_flight_bytes_ = 0;
  std::uint64_t next_seq_ = 1;
  std::size_t allowance_bytes_ = SIZE_MAX;
};

}  // namespace edge::tunnel
