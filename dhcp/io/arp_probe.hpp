// Asks by ARP who has an address on an interface: the gateway check and duplicate detection.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::dhcp {

struct ArpQuestion {
  std::string interface;
  IpAddress target;
  /// Our address for the gateway check; 0.0.0.0 for duplicate detection (RFC 5227 section 2.1.1).
  IpAddress source;
  Duration timeout = std::chrono::milliseconds(2500);
  /// Answers from this MAC do not count (our own).
  std::optional<MacAddress> ignore;
};

struct ArpAnswer {
  MacAddress mac;
  Duration elapsed{};
};

/// One question at a time. Requests go out at once and again at growing intervals, from 20 to 500
/// ms, since a switch swallows the first after link up. Threads: that of the io_context.
class ArpProbe {
 public:
  using Handler = std::function<void(Result<ArpAnswer>)>;

  explicit ArpProbe(boost::asio::io_context& io);
  ~ArpProbe();
  ArpProbe(const ArpProbe&) = delete;
  ArpProbe& operator=(const ArpProbe&) = delete;

  /// Ends a running question without calling its handler. The handler is called from the
  /// io_context. Errors (handler): transient with ETIMEDOUT: nobody answered; not_found: no such
  /// interface; denied: no CAP_NET_RAW; transient with ENETDOWN: the interface is down.
  void ask(ArpQuestion question, Handler handler);
  void cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::dhcp
