// Polls the carrier of the watched links, each at its own interval, and calls back on a change.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "netmodel/io/carrier_reader.hpp"
#include "netmodel/io/link_event.hpp"

namespace edge::netmodel {

/// A change of the carrier, in either direction.
struct CarrierChange {
  std::string link;
  IfIndex index{0};
  bool carrier = false;
  bool admin_up = false;
  bool gone = false;  ///< The link vanished and is no longer watched.
  bool short_pull =
      false;  ///< Carrier is back (or never seen away), but it was lost since the last reading.
  std::uint32_t down_count = 0;
  bool operator==(const CarrierChange&) const = default;
};

/// One timer for all links, due at the earliest of their deadlines. Cost: about 3 µs per reading.
///
/// Time: steady_timer of the executor. Threads: the executor's.
class CarrierPoller {
 public:
  static constexpr std::chrono::milliseconds active_interval{50};
  static constexpr std::chrono::milliseconds standby_interval{250};
  static constexpr std::size_t links_max = 256;

  /// Called on the executor; it may watch() and forget(), but not destroy the poller.
  using Callback = std::function<void(const CarrierChange&)>;

  CarrierPoller(boost::asio::any_io_executor executor, Callback on_change);
  ~CarrierPoller();
  CarrierPoller(const CarrierPoller&) = delete;
  CarrierPoller& operator=(const CarrierPoller&) = delete;

  /// Begins or changes the watch of a link; the same name with another index is opened anew.
  /// A new watch asks netlink once, which may wait for rtnl; later readings never do.
  /// Returns the first reading (no callback for it; for a known link: the last one).
  /// Errors: not_found; no_space above links_max.
  Result<CarrierReading> watch(const std::string& link, IfIndex index,
                               std::chrono::milliseconds interval);
  void forget(const std::string& link);
  /// The truth at this moment, for whoever holds an older statement: a dump or an event that was
  /// queued may still say "carrier" after a cable was pulled. Changes nothing: what is new is still
  /// called back at the next tick. nullopt: not watched, or the link is gone.
  std::optional<CarrierReading> read(const std::string& link);
  /// Every LinkEvent of the monitor may be passed in: corrects the reader, and calls back at once
  /// when the carrier is another than last reported.
  void on_link_event(const LinkEvent& event);
  /// Reads all links now, for instance after a send failed; changes call back before it returns.
  void poll_now();

 private:
  struct State;
  std::shared_ptr<State> state_;  ///< Shared with the pending timer wait.
};

}  // namespace edge::netmodel
