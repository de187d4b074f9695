// Heartbeats of one path.
#include "tunnel/core/path_health.hpp"

#include <algorithm>

namespace edge::tunnel {
namespace {

constexpr std::chrono::seconds unknown_round_trip{1};

}  // namespace

PathHealth::PathHealth(const HeartbeatTimers& timers, MonoTime now)
    : timers_(timers), heard_at_(now), ping_at_(now) {
  update_limits();
}

void PathHealth::set_active(bool active, MonoTime now) {
  if (active == active_) { return; }
  active_ = active;
  heard_at_ = now;
  ping_at_ = now;
  update_limits();
}

std::optional<std::uint64_t> PathHealth::ping_due(MonoTime now, Random& random) {
  if (now < ping_at_) { return std::nullopt; }
  // Jitter of -0..25 % keeps a fleet from beating in step. Source: RFC 5880 6.8.7.
  const auto nominal = static_cast<double>(interval().count());
  ping_at_ = now + Duration(static_cast<Duration::rep>(nominal * (1.0 - 0.25 * random.unit())));
  ++nonce_;
  sent_[nonce_ % sent_.size()] = {nonce_, now};
  return nonce_;
}

void PathHealth::on_pong(std::uint64_t nonce, MonoTime now) {
  Sent& sent = sent_[nonce % sent_.size()];
  if (nonce == 0 || sent.nonce != nonce) { return; }
  sent.nonce = 0;  // One sample per PING.
  const Duration rtt = now - sent.at;
  // Source: RFC 6298 2.2, 2.3.
  if (!srtt_) {
    srtt_ = rtt;
    rttvar_ = rtt / 2;
  } else {
    const Duration deviation = *srtt_ > rtt ? *srtt_ - rtt : rtt - *srtt_;
    rttvar_ = (3 * rttvar_ + deviation) / 4;
    srtt_ = (7 * *srtt_ + rtt) / 8;
  }
  update_limits();
}

void PathHealth::forgive(Duration lateness, MonoTime now) {
  heard_at_ = std::min(now, heard_at_ + lateness);
}

/// A path whose round trips vary much is given up to twice the time: a stall of a lossy TCP
/// connection is not a death. Before the first round trip nothing is known of the path: the peer
/// may not even have our WELCOME yet. Source of the second: RFC 6298 2.1.
void PathHealth::update_limits() {
  const Duration beat = interval();
  const Duration silent = beat * timers_.dead_after;
  dead_after_ = silent + (srtt_ ? std::min(4 * rttvar_, silent) : Duration(unknown_round_trip));
  const Duration patient = std::max(beat + 4 * rttvar_, beat * 3 / 2);
  suspect_after_ = std::min(patient, dead_after_ - beat / 4);
}

Verdict PathHealth::judge(MonoTime now) const {
  const Duration quiet = silence(now);
  if (quiet >= dead_after_) { return Verdict::dead; }
  return quiet >= suspect_after_ ? Verdict::suspect : Verdict::alive;
}

MonoTime PathHealth::next_deadline(MonoTime now) const {
  const bool suspect = judge(now) != Verdict::alive;
  return std::min(ping_at_, heard_at_ + (suspect ? dead_after_ : suspect_after_));
}

}  // namespace edge::tunnel
