// The Console's door: accepts, shakes hands within bounds, hands over authenticated hosts.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/socket_options.hpp"
#include "tunnel/io/tls_context.hpp"
#include "tunnel/io/tls_stream.hpp"

namespace edge::tunnel {

struct ListenerLimits {
  /// Handshakes begun per second; 0: as they come. The rest waits in the kernel's backlog, which
  /// should hold no more than is done within two seconds: who waits longer gives up, and comes
  /// again spread by its back-off. So a whole fleet at once costs no handshake that nobody waits
  /// for any more.
  unsigned handshakes_per_s = 0;
  std::size_t handshaking_max = 512;  ///< Beyond, connections wait in the kernel's backlog...
  /// ... until one ends, or the oldest is so old: it is dropped, so that half-open ones do not
  /// shut the door. A good one takes two round trips.
  Duration stale_after = std::chrono::seconds(2);
  std::size_t handshaking_per_source_max = 64;  ///< Beyond, the connection is reset.
  Duration tls = std::chrono::seconds(5);
  Duration refusal_drain =
      std::chrono::seconds(1);  ///< So that our alert is not lost behind a RST.
  int backlog = 1024;
};

/// Each of several doors' part of limits that hold for all of them together: no rate below one, no
/// fewer unfinished handshakes than one source may have.
ListenerLimits share_of(ListenerLimits all, std::size_t doors);

struct ListenerCallbacks {
  /// An authenticated host: peer().host_id is set. Not started.
  std::function<void(std::unique_ptr<TlsStream>)> on_stream;
  /// Optional admission before any TLS work; false resets the connection.
  std::function<bool(const IpAddress&)> admit;
  /// Optional: a handshake failed or a limit was hit; for logs and counters.
  std::function<void(const IpAddress&, const PathError&)> on_refused;
};

struct ListenerOptions {
  IpAddress address;       ///< 0.0.0.0 or :: for all; :: takes IPv6 only.
  std::uint16_t port = 0;  ///< 0: the kernel chooses; see port().
  ListenerLimits limits{};
  StreamLimits stream{};
  TcpTuning tcp{};
};

/// Time: executor's timers. Threads: the executor's one thread. Destroying it closes the socket
/// and all unfinished handshakes; streams handed over live on. A callback may destroy it.
class Listener {
 public:
  /// Errors: of bind and listen with address and port. Pre: tls->role() == server.
  static Result<std::unique_ptr<Listener>> open(asio::any_io_executor executor,
                                                std::shared_ptr<const TlsContext> tls,
                                                ListenerOptions options,
                                                ListenerCallbacks callbacks);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const;
  /// Connections in the TLS handshake or draining after a refusal.
  std::size_t handshaking() const;
  /// Unfinished handshakes that had to make room for others, since the start.
  std::uint64_t dropped_stale() const;
  /// Connections whose host had gone before their turn came, since the start.
  std::uint64_t left_before_turn() const;
  /// New handshakes use this one (renewed certificate).
  void set_context(std::shared_ptr<const TlsContext> tls);

 private:
  class Impl;
  explicit Listener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::tunnel
