// DHCP and DNS for the VM networks: one dnsmasq child per NAT network, as the last render says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dhcp/io/dnsmasq.hpp"
#include "netmodel/core/render.hpp"
#include "uplink/core/config.hpp"
#include "uplink/daemon/events.hpp"

namespace edge::uplink {

/// Threads: the io_context's.
class Services {
 public:
  Services(boost::asio::io_context& io, const Config& config, EventLog& events)
      : io_(io), config_(config), events_(events) {}

  /// Starts, reloads, restarts and ends children so that exactly `wanted` runs.
  void apply(const std::vector<netmodel::NetworkService>& wanted);
  /// Addresses that guests got, by network and MAC: one that moved may hold two leases.
  std::map<std::pair<std::string, MacAddress>, dhcp::GuestLease> guests() const;
  /// One line per network that has trouble.
  std::vector<std::string> problems() const;
  bool running(const std::string& network) const;
  /// The children serve on while the daemon is away; its next start replaces them.
  void leave();

 private:
  void end_leftovers(const std::vector<netmodel::NetworkService>& wanted);

  struct Service {
    std::unique_ptr<dhcp::Dnsmasq> child;
    netmodel::NetworkService wanted;
    std::string trouble;
    bool refused = false;  ///< `trouble` is of the last apply().
  };
  boost::asio::io_context& io_;
  const Config& config_;
  EventLog& events_;
  std::map<std::string, Service> services_;
  bool looked_back_ = false;  ///< What an earlier run left for networks of the past was ended.
};

}  // namespace edge::uplink
