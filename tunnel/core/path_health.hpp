// Heartbeats of one path: when to ping, how long a round trip takes, and whether the path lives.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "base/ids.hpp"
#include "base/random.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {

enum class Verdict : std::uint8_t {
  alive,
  suspect,  ///< Silent for about 1.5 heartbeats: worth a copy, not worth a switch.
  silent,   ///< Active and silent for dead_after heartbeats: left at once, kept for a while.
  dead,     ///< Silent for so long that no slow path is.
};

/// Is the peer known to live, because another path heard it while this one did not?
enum class PeerElsewhere : std::uint8_t { heard, unheard };

/// Any received frame is life. A heartbeat lost in our own stall is forgiven with forgive().
/// Silence alone does not tell a dead path from one that has just become slow (a round trip of
/// 800 ms, a queue of 3 s before a modem): the active path is therefore left early and closed late.
///
/// Time: passed in. Threads: none.
class PathHealth {
 public:
  PathHealth(const HeartbeatTimers& timers, MonoTime now);

  void on_received(MonoTime now) {
    if (left_ || now - waits_from_ >= silent_after_) { silent_until_ = now; }
    heard_at_ = waits_from_ = now;
    left_ = false;
  }
  /// Active paths ping faster. A change pings at once and starts the wait anew, because the peer
  /// may have kept the slow pace until now. A path that was quiet for longer than a heartbeat and a
  /// half, or a heartbeat and its round trip, when it was left is silent until it is heard.
  void set_active(bool active, MonoTime now);
  /// A round trip ended. Nonces that were never sent, or sent too long ago, are ignored.
  void on_pong(std::uint64_t nonce, MonoTime now);
  /// The nonce of the PING that is due now; nullopt: not yet.
  std::optional<std::uint64_t> ping_due(MonoTime now, Random& random);
  /// Of the PING sent last; 0: none yet.
  std::uint64_t last_nonce() const { return nonce_; }
  /// The next PING is due at once: the peer is to learn, or to prove, something.
  void ping_now(MonoTime now) { ping_at_ = std::min(ping_at_, now); }
  /// The process stood still for `lateness`: nobody could have been heard.
  void forgive(Duration lateness, MonoTime now);

  /// So many segments of the peer's TCP came behind one that is missing, since the connection
  /// began: their bytes wait in the kernel. A way with 3 s of queue needs twice that to repair a
  /// loss; such a path is kept silent, for twice as long at most: a packet that is too large never
  /// comes.
  void on_waiting_segments(std::uint32_t count, MonoTime now) {
    if (count > waiting_segments_) { transport_at_ = now; }
    waiting_segments_ = count;
  }

  Verdict judge(MonoTime now, PeerElsewhere peer) const;
  std::optional<Duration> srtt() const { return srtt_; }
  Duration rttvar() const { return rttvar_; }
  Duration silence(MonoTime now) const { return now - heard_at_; }
  /// The next moment at which ping_due() or judge() gives another answer.
  MonoTime next_deadline(MonoTime now, PeerElsewhere peer) const;
  MonoTime heard_at() const { return heard_at_; }
  /// Silence after which judge() says suspect, silent and dead.
  Duration suspect_after() const { return suspect_after_; }
  Duration silent_after() const { return silent_after_; }
  /// Where nothing proves that the peer lives, by the worst round trip more.
  Duration dead_after(PeerElsewhere peer) const {
    return peer == PeerElsewhere::heard ? dead_after_ : dead_after_ + worst_rtt_;
  }
  /// Between PINGs, without their jitter.
  Duration interval() const { return active_ ? timers_.active : timers_.standby; }

 private:
  /// What is missing of the peer's bytes is on its way, as far as the kernel can tell.
  bool is_carried(MonoTime now) const {
    return transport_at_ > waits_from_ && now < carried_until();
  }
  MonoTime carried_until() const {
    return transport_at_ + std::max<Duration>(2 * timers_.standby, repair_max);
  }
  /// A sender whose retransmission is lost too waits twice as long each time, and sends nothing
  /// else meanwhile: the fifth comes after 3.2 s (RFC 6298 5.5, 200 ms at first; seen as a silence
  /// of 4.1 s at a loss of 20 %).
  static constexpr std::chrono::seconds repair_max{4};
  /// Silence of dead_after such intervals, and more where round trips vary or are unknown.
  Duration patience(Duration interval) const;
  /// After every change of what they depend on: they are asked for with every frame.
  void update_limits();

  HeartbeatTimers timers_;
  bool active_ = false;
  MonoTime heard_at_;
  MonoTime waits_from_;  ///< Silence is judged from here: heard, or the role changed.
  std::uint32_t waiting_segments_ = 0;
  MonoTime transport_at_{};  ///< They were more than before.
  bool left_ = false;        ///< Was quiet when it ceased to be active, and is since.
  MonoTime silent_until_{};  ///< A PING from before tells how long the outage was, not the way.
  MonoTime ping_at_;
  std::uint64_t nonce_ = 0;  ///< Of the last PING sent.
  struct Sent {
    std::uint64_t nonce = 0;
    MonoTime at{};
  };
  std::array<Sent, 16> sent_{};  ///< Ring by nonce: RTTs up to about 16 heartbeats are measured.
  std::optional<Duration> srtt_;
  Duration rttvar_{};
  Duration worst_rtt_{};
  Duration suspect_after_{};
  Duration silent_after_{};
  Duration dead_after_{};
};

}  // namespace edge::tunnel
