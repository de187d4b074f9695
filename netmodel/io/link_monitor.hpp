// Netlink notifications of links, addresses, routes, rules and neighbours, on the daemon's loop.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "netmodel/io/link_event.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// All are called on the executor, none may destroy the monitor. An empty handler is skipped.
struct LinkMonitorHandlers {
  std::function<void(const LinkEvent&)> on_link;
  std::function<void(const KernelChange&)> on_change;  ///< Something is dirty: dump and compare.
  std::function<void(const NeighbourEvent&)> on_neighbour;
  /// Notifications were lost (ENOBUFS): only a full dump tells the truth. The monitor itself
  /// re-reads the links and reports as events what it missed.
  std::function<void()> on_overrun;
  /// The first full list of links was delivered through on_link (appeared == true).
  std::function<void()> on_ready;
};

struct LinkMonitorOptions {
  std::uint32_t own_port = 0;          ///< RtnetlinkKernel::port_id(): marks events as by_us.
  int receive_buffer_bytes = 8 << 20;  ///< 170..280 networks of creation (facts/apply.md F).
  bool neighbours = true;
};

/// Subscribes, then dumps the links on the same socket, so that no change falls between the two.
/// Reads at most 64 datagrams or 5 ms per turn of the loop.
///
/// A carrier loss of a physical NIC may be reported up to a second late (linkwatch): CarrierPoller
/// is the fast way. Time: none. Threads: the executor's.
class LinkMonitor {
 public:
  /// Errors: the errno of the socket or of joining a group.
  static Result<std::unique_ptr<LinkMonitor>> open(boost::asio::any_io_executor executor,
                                                   LinkMonitorHandlers handlers,
                                                   LinkMonitorOptions options = {});
  ~LinkMonitor();
  LinkMonitor(const LinkMonitor&) = delete;
  LinkMonitor& operator=(const LinkMonitor&) = delete;

  /// Begins to deliver. Call once.
  void start();
  /// No handler is called afterwards.
  void stop();

  std::uint64_t overruns() const;

 private:
  struct State;
  explicit LinkMonitor(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  ///< Shared with the pending read, which may outlive the monitor.
};

}  // namespace edge::netmodel
