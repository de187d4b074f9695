// Name resolution of one path: its own servers, over its own device and source address.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/socket_options.hpp"

namespace edge::tunnel {

namespace asio = boost::asio;

struct DnsServer {
  IpAddress address;
  std::uint16_t port = 53;
};

struct ResolveLimits {
  Duration try_timeout =
      std::chrono::seconds(1);  ///< First try of one server; the second waits twice that.
  int tries = 2;
  /// The next server is asked as well when the one before has not answered for this long.
  Duration server_stagger = std::chrono::milliseconds(300);
  /// How long A waits for AAAA, or the reverse. Source: RFC 8305 section 3.
  Duration family_delay = std::chrono::milliseconds(50);
  Duration total = std::chrono::seconds(4);
  static constexpr std::size_t servers_max = 4;     ///< Further servers are ignored.
  static constexpr std::size_t addresses_max = 16;  ///< Further addresses are ignored.
};

struct ResolveRequest {
  std::string host;  ///< Name, or an address, which is returned as it is.
  std::vector<DnsServer> servers;
  PathBinding binding;
  ResolveLimits limits{};
};

/// How one server did: "192.168.1.1: no answer within 3000 ms".
struct DnsServerReport {
  DnsServer server;
  std::string text;  ///< "ok", "NXDOMAIN", "SERVFAIL", "no answer within N ms", "refused the
                     ///< connection", ...
};

struct Resolved {
  std::vector<IpAddress> addresses;      ///< Not empty; IPv6 and IPv4 in turn, IPv6 first.
  std::vector<DnsServerReport> servers;  ///< Those asked so far; empty for a literal.
};

/// One resolution. Destroying it cancels at once, without a callback.
///
/// /etc/hosts, /etc/resolv.conf, search domains and caches play no part: another path's resolver
/// must not answer for this one. Time: executor's timers. Threads: the executor's one thread.
class Resolve {
 public:
  using Done = std::function<void(PathResult<Resolved>)>;
  /// `done` is called once, never from inside the constructor. Errors: dns, the text lists every
  /// server with how it failed; carrier, lease when the binding failed; local.
  Resolve(asio::any_io_executor executor, ResolveRequest request, Done done);
  ~Resolve();
  Resolve(const Resolve&) = delete;
  Resolve& operator=(const Resolve&) = delete;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::tunnel
