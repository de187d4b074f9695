// What a fleet costs this Console, and what it asks of the hosts so that it can bear it. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "tunnel/core/messages.hpp"

namespace edge::console {

/// `fastest` for as many hosts as `heartbeats_per_s` PINGs of ours allow, slower for more: each
/// host has one active path, and the others beat like one standby path. A slow heartbeat delays the
/// detection of a silent cut, never that of a lost carrier, and no command: those are mirrored.
inline tunnel::HeartbeatTimers timers_for(const tunnel::HeartbeatTimers& fastest, std::size_t hosts,
                                          unsigned heartbeats_per_s) {
  using Seconds = std::chrono::duration<double>;
  const double per_host =
      1.0 / Seconds(fastest.active).count() + 1.0 / Seconds(fastest.standby).count();
  const double factor =
      std::max(1.0, static_cast<double>(hosts) * per_host / static_cast<double>(heartbeats_per_s));
  const auto slower = [factor](std::chrono::milliseconds interval) {
    const auto ms =
        static_cast<std::chrono::milliseconds::rep>(static_cast<double>(interval.count()) * factor);
    return std::min(std::chrono::milliseconds(ms),
                    std::chrono::milliseconds(std::chrono::minutes(1)));
  };
  return {.active = slower(fastest.active),
          .standby = slower(fastest.standby),
          .dead_after = fastest.dead_after};
}

/// The time over which so many connections come back, with a quarter of slack: those that come by
/// chance at the same moment need not wait long.
inline std::chrono::milliseconds spread_for(std::size_t connections, unsigned handshakes_per_s) {
  return std::chrono::milliseconds(connections * 1250 / handshakes_per_s);
}

}  // namespace edge::console
