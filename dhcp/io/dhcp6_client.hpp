// DHCPv6 on one interface, only while router advertisements ask for it: a second dhcpcd child.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "dhcp/io/dhcp_client.hpp"

namespace edge::dhcp {

/// The kernel does router advertisements and SLAAC. dhcpcd sets accept_ra and addr_gen_mode of the
/// interface and never restores them (facts/dhcpcd.md section 6); this class writes them back after
/// each event of the child. Threads: that of the io_context.
class Dhcp6Client {
 public:
  /// Options as of DhcpClient; on_lease6 and on_trouble are used, called from the io_context.
  static Result<std::unique_ptr<Dhcp6Client>> create(boost::asio::io_context& io,
                                                     DhcpClientOptions options,
                                                     DhcpClientHandlers handlers);
  ~Dhcp6Client();
  Dhcp6Client(const Dhcp6Client&) = delete;
  Dhcp6Client& operator=(const Dhcp6Client&) = delete;

  /// RA flags M and O; both false ends the child and the lease.
  void want(bool managed, bool other);
  void carrier_changed(bool up);
  void stop(std::function<void()> done);

 private:
  struct Impl;
  explicit Dhcp6Client(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::dhcp
