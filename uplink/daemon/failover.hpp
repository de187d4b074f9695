// A group carries on another adapter: the switches are told where its guests are.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "netmodel/core/model.hpp"
#include "netmodel/io/announce.hpp"
#include "uplink/core/announce.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/kernel_worker.hpp"
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

/// Role: when guests are behind another cable (a bond's active member changed, a bond came into the
/// bridge or left it, a command moved them to another port), a RARP frame for each guest, thrice:
/// those of the model at once, those that the bridge has learned as soon as they are read. Bonding
/// itself announces only the addresses of the host (facts: netmodel T2). Time: steady timers.
/// Threads: the io_context's; the bridge is read on the kernel's.
class Failover {
 public:
  static constexpr std::array<std::chrono::milliseconds, 3> moments{
      std::chrono::milliseconds(0), std::chrono::milliseconds(100),
      std::chrono::milliseconds(1000)};
  static constexpr std::size_t running_max = 64;  ///< The oldest gives way.

  Failover(boost::asio::io_context& io, KernelWorker& kernel, EventLog& events)
      : io_(io), kernel_(kernel), events_(events) {}

  /// `to` empty: no member carries; nothing can be announced. A bond outside of its bridge has no
  /// guests yet: they are announced when it enters, see rewired().
  void moved(const Port& port, const Port* from, const std::string& from_name,
             const std::string& to, const netmodel::Model& model);
  /// Another link leads out of the port's bridge: Port::wire.
  void rewired(const Port& port, const netmodel::Model& model);
  /// The kernel shows the model: guests that a command has put behind another port are announced
  /// there.
  void seated(const Ports& ports, const netmodel::Model& model);
  void stop();

 private:
  struct Series {
    explicit Series(boost::asio::io_context& io) : timer(io) {}
    std::string port;
    std::string link;
    std::vector<netmodel::Announcement> list;
    std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
    std::size_t rounds = 0;
    boost::asio::steady_timer timer;
  };
  std::size_t announce_all(const Port& port, const netmodel::Model& model);
  void announce(const std::string& port, const std::string& link,
                const std::vector<GuestMac>& guests);
  void forget(const std::string& wire, std::vector<GuestMac> guests);
  void go_on(const std::shared_ptr<Series>& series);

  boost::asio::io_context& io_;
  KernelWorker& kernel_;
  EventLog& events_;
  std::optional<netmodel::Announcer> announcer_;  ///< Opened at the first failover, then kept.
  std::vector<std::shared_ptr<Series>> running_;
  std::map<std::string, std::string> links_;  ///< By port: where its guests were announced last.
  std::map<MacAddress, Seat> seats_;          ///< Of the model that the kernel showed last.
};

}  // namespace edge::uplink
