// Blinks the light of a port, for whoever stands before the rack.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>

#include "base/error.hpp"

namespace edge::uplink {

/// Role: one thread per blinking port, since the ioctl sleeps as long as the light blinks.
/// Time: steady timer. Threads: the io_context's; its own for the ioctl.
/// Source: ETHTOOL_PHYS_ID of linux/ethtool.h; the kernel gives rtnl back while it blinks.
class PortLight {
 public:
  static constexpr std::size_t lights_max = 16;
  /// A driver that cannot says so at once; one that is still at it after this long blinks.
  static constexpr std::chrono::milliseconds proof{200};

  explicit PortLight(boost::asio::io_context& io) : io_(io) {}
  ~PortLight();
  PortLight(const PortLight&) = delete;
  PortLight& operator=(const PortLight&) = delete;

  /// Begins to blink, and calls `done` once: when the light blinks, or with what the driver said.
  /// A port that blinks already goes on for the longer of both times.
  /// Errors: unsupported (the driver has no such light), not_found, no_space (lights_max), else
  /// the ioctl's errno.
  void blink(const std::string& link, std::chrono::seconds duration,
             std::function<void(Result<void>)> done);

 private:
  struct Light;
  void forget(const std::string& link);

  boost::asio::io_context& io_;
  std::map<std::string, std::shared_ptr<Light>> lights_;
};

/// The name of the driver behind a link ("veth", "ixgbe"); empty: unknown.
std::string driver_of(const std::string& link);

}  // namespace edge::uplink
