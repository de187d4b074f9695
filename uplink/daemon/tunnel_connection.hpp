// What TunnelClient keeps of one connection; for its own sources only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "tunnel/core/frame.hpp"
#include "tunnel/io/dialer.hpp"
#include "uplink/daemon/tunnel_client.hpp"

namespace edge::uplink {

/// One dial and, if it succeeds, the connection it became.
struct TunnelClient::Connection {
  explicit Connection(boost::asio::io_context& io) : welcome_timer(io) {}

  PathKey key;
  std::uint64_t attempt = 0;
  PathId id{0};
  std::shared_ptr<const tunnel::TlsContext> tls;  ///< What is shown to the Console.
  std::unique_ptr<tunnel::Dial> dial;
  std::unique_ptr<tunnel::TlsStream> stream;
  tunnel::FrameDecoder decoder;
  boost::asio::steady_timer welcome_timer;
  bool attached = false;
  /// Ended while a proof over the same path waits for its WELCOME: most likely the Console has let
  /// it go for that.
  std::optional<tunnel::PathError> ended;
  IpAddress address;
  /// What it was bound to, by the family of `address`.
  std::optional<IpAddress> source4;
  std::optional<IpAddress> source6;
  std::vector<IpAddress> resolved;
};

}  // namespace edge::uplink
