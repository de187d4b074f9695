// Socket options that tie a socket to one path and bound how long a dead one lives.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::tunnel {

/// Where a path's packets leave. Empty members leave that choice to the kernel.
struct PathBinding {
  std::string device;                ///< SO_BINDTODEVICE: the layer-3 port (its bridge), or a VRF.
  std::optional<IpAddress> source4;  ///< bind() for IPv4. IPv6 is not tried when only this is set.
  std::optional<IpAddress> source6;
  std::uint32_t fwmark = 0;  ///< SO_MARK (needs CAP_NET_ADMIN); 0: none.

  /// True when this family may be used: its source is set, or neither is.
  bool allows(Family family) const;
};

/// SO_BINDTODEVICE, SO_MARK, bind(source, port 0). Works for TCP and UDP sockets.
/// Errors: of setsockopt and bind with the value in the text; os_errno is kept.
Result<void> bind_to_path(int fd, Family family, const PathBinding& binding);

/// How long a TCP connection may look alive without being so.
struct TcpTuning {
  std::chrono::milliseconds user_timeout{10'000};
  int keepalive_idle_s = 10;
  int keepalive_interval_s = 5;
  int keepalive_count = 3;
  int notsent_lowat_bytes = 16 * 1024;
  int syn_count = 2;
  /// TCP_MAXSEG, for both ends when set before connect(); 0: by the interface's MTU.
  int segment_bytes_max = 0;
};

/// TCP_NODELAY, keepalive, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT, TCP_SYNCNT, DSCP CS6.
/// Keepalive and user timeout together: each alone misses a case (facts: uplink 5.1).
Result<void> tune_tcp(int fd, Family family, const TcpTuning& tuning = {});

}  // namespace edge::tunnel
