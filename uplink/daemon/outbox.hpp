// Durable events to the Console over channel 2, in order, until it has them; snapshots over
// channel 3.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "store/io/store_worker.hpp"
#include "tunnel/core/snapshot_parts.hpp"

namespace edge::uplink {

/// Role: reads events from the store behind a cursor, so that memory does not grow while offline.
/// Time: steady timers. Threads: the io_context's.
class Outbox {
 public:
  using Send = std::function<Result<void>(tunnel::Channel, std::string_view)>;
  using Snapshot = std::function<boost::json::object()>;

  static constexpr std::size_t in_flight_max = 256;
  static constexpr std::size_t batch = 64;
  static constexpr std::chrono::milliseconds snapshot_delay{100};  ///< Changes come in bursts.
  static constexpr std::chrono::seconds snapshot_period{
      10};  ///< RTT and counters move without events.
  static constexpr std::size_t snapshot_bytes_max = tunnel::PartJoiner::text_bytes_max;

  Outbox(boost::asio::io_context& io, store::StoreWorker& store, Send send, Snapshot snapshot);

  /// An event was stored, or room may be there again.
  void pump();
  /// A new session: everything above what the Console acknowledged goes out again.
  void restart();
  /// A message of channel 2 from the Console: {"type":"event_ack","n":N}.
  void on_message(std::string_view text);
  void snapshot_soon();
  void stop();

 private:
  /// One that the tunnel never takes, as it is too large, goes without its data.
  Result<void> send_event(const store::EventRecord& event);
  void arm_period();
  void send_snapshot();

  store::StoreWorker& store_;
  Send send_;
  Snapshot snapshot_;
  boost::asio::steady_timer snapshot_timer_;
  boost::asio::steady_timer period_timer_;
  boost::asio::steady_timer retry_timer_;
  std::int64_t acked_ = 0;
  std::int64_t sent_ = 0;
  bool fetching_ = false;
  bool again_ = false;
  bool snapshot_armed_ = false;
  std::uint64_t generation_ =
      0;  ///< Grows with each session: a fetch of the former one is dropped.
};

}  // namespace edge::uplink
