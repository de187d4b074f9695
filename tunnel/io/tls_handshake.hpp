// Turns a connected socket into a TlsStream, or says within a deadline why not.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>

#include "base/ids.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/tls_context.hpp"
#include "tunnel/io/tls_stream.hpp"

namespace edge::tunnel {

struct HandshakeLimits {
  Duration deadline = std::chrono::seconds(5);
  Duration refusal_drain = std::chrono::seconds(1);
};

/// One TLS handshake. Destroying it closes the socket at once, without callback; after a failure
/// was reported, the socket lives on for refusal_drain at most, so that our alert reaches the peer
/// (a close with unread input would send RST, which overtakes it).
///
/// Time: executor's timers. Threads: the executor's one thread.
class Handshake {
 public:
  /// Once, never from inside start().
  using Done = std::function<void(PathResult<std::unique_ptr<TlsStream>>)>;

  Handshake(asio::ip::tcp::socket socket, std::shared_ptr<const TlsContext> context,
            HandshakeLimits limits, StreamLimits stream);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  /// `drained` (optional): the refused socket is closed at last; not called after a success.
  void start(Done done, std::function<void()> drained = {});

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::tunnel
