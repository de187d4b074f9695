// Asks over one path whether a captive portal sits in it: one plain HTTP request, as browsers do.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "tunnel/io/resolver.hpp"
#include "tunnel/io/socket_options.hpp"

namespace edge::tunnel {

/// What is asked for: an operator's page that answers 204 wherever no portal is in between.
struct PortalCheck {
  HostPort at;
  std::string path = "/";
};

struct PortalProbeRequest {
  PortalCheck check;
  PathBinding binding;
  std::vector<DnsServer> dns_servers;  ///< Of this port's lease.
  ResolveLimits resolve{};
  Duration deadline = std::chrono::seconds(2);  ///< For all of it: a dial that failed waits for it.
};

/// One probe. Destroying it cancels at once, without callback. Whatever fails is no sign of a
/// portal. Time: executor's timers. Threads: the executor's one thread.
class PortalProbe {
 public:
  /// Once, never from inside the constructor. What the portal does, for people; nullopt: no sign.
  using Done = std::function<void(std::optional<std::string>)>;
  PortalProbe(asio::any_io_executor executor, PortalProbeRequest request, Done done);
  ~PortalProbe();
  PortalProbe(const PortalProbe&) = delete;
  PortalProbe& operator=(const PortalProbe&) = delete;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::tunnel
