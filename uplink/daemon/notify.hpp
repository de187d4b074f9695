// Tells systemd that the daemon is ready, reloading or stopping, and that its loop turns.
#pragma once

#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/ids.hpp"

namespace edge::uplink {

/// Sends one datagram to $NOTIFY_SOCKET; nothing happens without it. Never waits: false when the
/// manager has not read what came before, and the state is not said (net.unix.max_dgram_qlen: 10).
/// Source: sd_notify(3).
bool notify_systemd(std::string_view state);

/// What says that a reload begins; READY=1 ends it. Source: sd_notify(3), RELOADING=1.
std::string reloading_state();

/// Says READY=1, now or as soon as the manager reads again. From then on it says WATCHDOG=1 in
/// every half of the time that $WATCHDOG_USEC allows, as long as the loop turns: one that hangs is
/// ended by systemd and started again. Without that variable, or when $WATCHDOG_PID is another
/// process, it says nothing. Not before, because a start may wait for a disk, and neither in a
/// reload, to which reloading_state() gives an hour. Source: sd_notify(3), sd_watchdog_enabled(3).
class ReadyNote {
 public:
  explicit ReadyNote(boost::asio::io_context& io) : timer_(io) {}
  void say();

 private:
  void alive();
  void after(Duration wait, void (ReadyNote::*then)());
  boost::asio::steady_timer timer_;
};

}  // namespace edge::uplink
