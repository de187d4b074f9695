// Heartbeats of one path: when to ping, how long a round trip takes, and whether the path lives.
#pragma once

#include <array>
#include <optional>

#include "base/ids.hpp"
#include "base/random.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {

enum class Verdict : std::uint8_t {
  alive,
  suspect,  ///< Silent for about 1.5 heartbeats: worth a copy, not worth a switch.
  dead,     ///< Silent for dead_after heartbeats.
};

/// Any received frame is life. A heartbeat lost in our own stall is forgiven with forgive().
///
/// Time: passed in. Threads: none.
class PathHealth {
 public:
  PathHealth(const HeartbeatTimers& timers, MonoTime now);

  void on_received(MonoTime now) { heard_at_ = now; }
  /// Active paths ping faster. A change pings at once and starts the silence anew, because the peer
  /// may have kept the slow pace until now.
  void set_active(bool active, MonoTime now);
  /// A round trip ended. Nonces that were never sent, or sent too long ago, are ignored.
  void on_pong(std::uint64_t nonce, MonoTime now);
  /// The nonce of the PING that is due now; nullopt: not yet.
  std::optional<std::uint64_t> ping_due(MonoTime now, Random& random);
  /// The process stood still for `lateness`: nobody could have been heard.
  void forgive(Duration lateness, MonoTime now);

  Verdict judge(MonoTime now) const;
  std::optional<Duration> srtt() const { return srtt_; }
  Duration rttvar() const { return rttvar_; }
  Duration silence(MonoTime now) const { return now - heard_at_; }
  /// The next moment at which ping_due() or judge() gives another answer.
  MonoTime next_deadline(MonoTime now) const;
  /// Silence after which judge() says suspect, and dead.
  Duration suspect_after() const { return suspect_after_; }
  Duration dead_after() const { return dead_after_; }

 private:
  Duration interval() const { return active_ ? timers_.active : timers_.standby; }
  /// After every change of what they depend on: they are asked for with every frame.
  void update_limits();

  HeartbeatTimers timers_;
  bool active_ = false;
  MonoTime heard_at_;
  MonoTime ping_at_;
  std::uint64_t nonce_ = 0;  ///< Of the last PING sent.
  struct Sent {
    std::uint64_t nonce = 0;
    MonoTime at{};
  };
  std::array<Sent, 16> sent_{};  ///< Ring by nonce: RTTs up to about 16 heartbeats are measured.
  std::optional<Duration> srtt_;
  Duration rttvar_{};
  Duration suspect_after_{};
  Duration dead_after_{};
};

}  // namespace edge::tunnel
