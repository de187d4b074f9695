// What TunnelClient keeps of one connection; for its own sources only.
#pragma once

#include <memory>
#include <vector>

#include "tunnel/io/dialer.hpp"
#include "uplink/daemon/tunnel_client.hpp"

namespace edge::uplink {

/// One dial and, if it succeeds, the connection it became.
struct TunnelClient::Connection {
  PathKey key;
  PathId id{0};
  LinkRole role = LinkRole::main;                 ///< When it was ordered.
  std::shared_ptr<const tunnel::TlsContext> tls;  ///< What is shown to the Console.
  std::unique_ptr<tunnel::Dial> dial;
  std::unique_ptr<tunnel::TlsStream> stream;
  IpAddress address;
  /// What it was bound to, by the family of `address`.
  std::optional<IpAddress> source4;
  std::optional<IpAddress> source6;
  std::vector<IpAddress> resolved;
};

}  // namespace edge::uplink
