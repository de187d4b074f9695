// One direction of a simulated TCP connection: reliable and ordered while alive, with a write
// queue.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "base/fifo.hpp"
#include "base/ids.hpp"
#include "base/random.hpp"
#include "tunnel/core/session.hpp"

namespace edge::sim {

/// What one direction of a link does to bytes. Changed by faults.
struct LinkDirection {
  Duration delay{};
  Duration jitter{};  ///< Uniform 0..jitter on top, order kept.
  std::uint64_t bytes_per_s = 12'500'000;
  bool large_cut = false;  ///< So do large packets; small ones pass (a broken path MTU).
  bool cut = false;        ///< Bytes vanish, and with them the connection's future.
  /// The other direction is cut, and so are the acknowledgements: from here on TCP only repeats.
  std::optional<MonoTime> unacked_from;
  MonoTime stalled_until{};     ///< Loss, as TCP shows it: nothing arrives before.
  Duration step{};              ///< On top of delay, for a while: a detour, a modem's queue.
  unsigned loss_percent = 0;    ///< Lost again and again, each time TCP waits twice as long,
  Duration loss_delay_max{};    ///< ... up to this.
  unsigned repeat_percent = 0;  ///< Of the frames, by their owner: TCP itself repeats none.
};

struct Arrival {
  MonoTime at{};
  tunnel::SharedBytes bytes;  ///< Null: a part of what comes later.
};

inline constexpr std::size_t write_queue_bytes_max = 4UZ << 20;  ///< As tunnel/io.
/// Unsent bytes that the socket buffer takes, as time on the line (TCP_NOTSENT_LOWAT).
inline constexpr Duration socket_buffer = std::chrono::milliseconds(5);
inline constexpr Duration retransmit_first = std::chrono::milliseconds(200);  ///< tcp(7): RTO_MIN.

/// Models what tunnel/io does: control frames overtake queued data, an ack replaces a queued ack.
class Pipe {
 public:
  /// False, and nothing is taken: the queue is full.
  bool write(tunnel::SendKind kind, tunnel::SharedBytes bytes);
  std::size_t queued_bytes() const { return queued_bytes_; }
  /// Nobody reads any more.
  void clear();
  /// Appends what the socket buffer admits now, taken from the queue.
  void pump(const LinkDirection& link, MonoTime now, Random& random, std::vector<Arrival>& out);
  /// When to pump again; nullopt: the queue is empty.
  std::optional<MonoTime> pump_at() const;
  /// Everything written so far has arrived at this time, if it arrives.
  MonoTime last_arrival() const { return last_arrival_; }
  /// A byte was lost: nothing behind it can ever be delivered.
  void break_off() { broken_ = true; }
  bool broken() const { return broken_; }

 private:
  struct Queued {
    tunnel::SendKind kind;
    tunnel::SharedBytes bytes;  ///< Null: a later acknowledgement took its place.
  };
  std::array<Fifo<Queued>, 3> queues_;  ///< By urgency.
  std::size_t queued_bytes_ = 0;
  MonoTime line_free_at_{};
  MonoTime last_arrival_{};
  bool broken_ = false;
};

}  // namespace edge::sim
