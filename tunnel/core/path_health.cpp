// Heartbeats of one path.
#include "tunnel/core/path_health.hpp"

#include <algorithm>

namespace edge::tunnel {
namespace {

constexpr std::chrono::seconds unknown_round_trip{1};
/// A silent path is kept for a standby's patience, but with slow heartbeats for no longer than
/// this: 3 s of a modem's queue and a heartbeat.
constexpr std::chrono::seconds kept_max{4};
constexpr std::chrono::seconds worst_rtt_max{10};

}  // namespace

PathHealth::PathHealth(const HeartbeatTimers& timers, MonoTime now)
    : timers_(timers), heard_at_(now), waits_from_(now), ping_at_(now) {
  update_limits();
}

void PathHealth::set_active(bool active, MonoTime now) {
  if (active == active_) { return; }
  // The Console leaves it because it was told to, perhaps long before it would have been suspect
  // here: a standby's patience would then keep for seconds what went into it (1.8 s seen).
  // Its variance does not count for this; that it is slow does.
  const Duration quiet_after =
      std::max<Duration>(interval() * 3 / 2, interval() + srtt_.value_or(Duration{}));
  left_ = left_ || (active_ && now - waits_from_ >= std::min(quiet_after, silent_after_));
  active_ = active;
  waits_from_ = now;
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
  worst_rtt_ = std::clamp(rtt, worst_rtt_, Duration(worst_rtt_max));
  // TCP delivers after an outage what was sent in it: 1.2 s seen for a way of 1 ms, and copies and
  // suspicion waited by it. The like of RFC 6298 3 (Karn's algorithm).
  if (srtt_ && sent.at < silent_until_) { return; }
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
  waits_from_ = std::min(now, waits_from_ + lateness);
}

/// A path whose round trips vary much is given up to twice the time: a stall of a lossy TCP
/// connection is not a death. Before the first round trip nothing is known of the path: the peer
/// may not even have our WELCOME yet. Source of the second: RFC 6298 2.1.
Duration PathHealth::patience(Duration interval) const {
  const Duration silent = interval * timers_.dead_after;
  return silent + (srtt_ ? std::min(4 * rttvar_, silent) : Duration(unknown_round_trip));
}

void PathHealth::update_limits() {
  const Duration beat = interval();
  silent_after_ = patience(beat);
  const Duration kept =
      std::min(patience(timers_.standby), std::max<Duration>(silent_after_, kept_max));
  dead_after_ = active_ ? silent_after_ + kept : silent_after_;
  const Duration patient = std::max(beat + 4 * rttvar_, beat * 3 / 2);
  suspect_after_ = std::min(patient, silent_after_ - beat / 4);
}

Verdict PathHealth::judge(MonoTime now, PeerElsewhere peer) const {
  const Duration quiet = now - waits_from_;
  const Duration limit = dead_after(peer);
  if (quiet >= 2 * limit || (quiet >= limit && !is_carried(now))) { return Verdict::dead; }
  if (left_ || quiet >= silent_after_) { return Verdict::silent; }
  return quiet >= suspect_after_ ? Verdict::suspect : Verdict::alive;
}

MonoTime PathHealth::next_deadline(MonoTime now, PeerElsewhere peer) const {
  const Duration limit = dead_after(peer);
  if (now - waits_from_ >= limit && is_carried(now)) {
    return std::min({ping_at_, carried_until(), waits_from_ + 2 * limit});
  }
  const auto until_next = [&] {
    switch (judge(now, peer)) {
      case Verdict::alive: return suspect_after_;
      case Verdict::suspect: return silent_after_;
      case Verdict::silent:
      case Verdict::dead: return limit;
    }
    return suspect_after_;
  };
  return std::min(ping_at_, waits_from_ + until_next());
}

}  // namespace edge::tunnel
