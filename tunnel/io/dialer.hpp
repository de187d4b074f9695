// From "port and endpoint" to an authenticated connection over exactly that port, or to the first
// broken step.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "tunnel/core/http_answer.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/portal_probe.hpp"
#include "tunnel/io/resolver.hpp"
#include "tunnel/io/socket_options.hpp"
#include "tunnel/io/tls_context.hpp"
#include "tunnel/io/tls_stream.hpp"

namespace edge::tunnel {

struct DialLimits {
  Duration connect = std::chrono::seconds(3);  ///< Per address.
  Duration tls = std::chrono::seconds(5);
  Duration proxy = std::chrono::seconds(10);  ///< For its answer: it has to reach the Console.
  Duration happy_eyeballs =
      std::chrono::milliseconds(250);  ///< Between attempts. Source: RFC 8305 section 5.
  /// With remembered addresses at hand, DNS gets only this long.
  Duration dns_with_last_good = std::chrono::seconds(1);
  static constexpr std::size_t addresses_max = 4;  ///< Tried per dial.
};

/// An HTTP proxy, asked by CONNECT (RFC 9110 section 9.3.6). It finds the endpoint by itself.
struct ProxyServer {
  HostPort at;
  ProxyCredentials credentials;
};

struct DialRequest {
  HostPort endpoint;
  PathBinding binding;
  std::optional<ProxyServer> proxy;         ///< In the way of this path; nullopt: none.
  std::optional<PortalCheck> portal_check;  ///< Asked when a dial without proxy fails.
  std::vector<DnsServer> dns_servers;       ///< Of this port's lease.
  std::vector<IpAddress> last_good;  ///< Of this path; used when DNS, or what it names, fails.
  std::optional<IpAddress> gateway;  ///< IPv4: a failed connect looks whether it answers ARP.
  unsigned attempt = 0;  ///< Rotates the address list, so that one bad address is not the end.
  DialLimits limits{};
  StreamLimits stream{};
  ResolveLimits resolve{};
  TcpTuning tcp{};
};

struct DialTimes {
  Duration resolve{};
  Duration connect{};
  Duration tls{};
};

struct DialSuccess {
  std::unique_ptr<TlsStream>
      stream;         ///< Not started; the Console may still refuse us (tls_rejected).
  IpAddress address;  ///< That answered; the proxy's where there is one. Without a proxy: remember
                      ///< it as last good once WELCOME came.
  std::vector<IpAddress> resolved;  ///< All addresses of the name now; empty when DNS was no help.
  std::string dns_degraded;         ///< Why DNS was no help although we got here; empty: it was.
  DialTimes times;
};

struct DialFailure {
  PathError error;
  std::optional<IpAddress> address;  ///< That the error is about.
  std::string dns_degraded;
};

using DialResult = std::expected<DialSuccess, DialFailure>;

/// One dial. Destroying it cancels at once: sockets closed, no callback.
///
/// Resolve, then TCP with happy eyeballs, then TLS to the first address that connects; if that
/// fails, the same with the last good addresses that DNS does not name. With a proxy: its name, TCP
/// to it, CONNECT, then TLS to the Console inside; last good addresses play no part. The HELLO and
/// WELCOME exchange is the owner's.
/// Time: executor's timers. Threads: the executor's one thread.
class Dial {
 public:
  using Done = std::function<void(DialResult)>;
  /// `done` is called once, never from inside the constructor; it may destroy the Dial.
  Dial(asio::any_io_executor executor, std::shared_ptr<const TlsContext> tls, DialRequest request,
       Done done);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

/// The same as a coroutine. Terminal cancellation of the awaiting coroutine cancels the dial.
asio::awaitable<DialResult> dial(std::shared_ptr<const TlsContext> tls, DialRequest request);

}  // namespace edge::tunnel
