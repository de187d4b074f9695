// How a lease is asked for and proven: dhcpcd is kicked, the gateway is asked by ARP, the first
// answer counts.
#include <fmt/format.h>

#include <algorithm>

#include "dhcp/core/lease_engine.hpp"

namespace edge::dhcp {
namespace {

/// A hint that repeats faster than this asks nothing new.
constexpr std::chrono::milliseconds ask_again_min{800};
constexpr int kicks_between_restarts = 64;

}  // namespace

void LeaseEngine::send_hup(Now now) {
  if (!can_signal()) { return; }
  actions_.push_back(SendHup{});
  hup_again_at_ = now.mono + limits_.hup_answer;
  if (!hung_at_) { hung_at_ = now.mono + std::max(limits_.hung_after, start_took_); }
}

void LeaseEngine::schedule_kick(Now now) {
  if (!asking_ || !carrier_) {
    kick_at_.reset();
    return;
  }
  Duration interval = arp_check_runs_ ? limits_.kick_arp_check : limits_.kick;
  // A lease that is in use has no hurry; after a while its server is asked as for a renewal.
  if (phase_ == LeasePhase::bound && now.mono - asked_at_ > limits_.renew_retry_max) {
    interval = limits_.renew_retry_max;
  }
  kick_at_ = now.mono + interval;
}

/// Asks at once, again in a burst, then with each kick until an answer comes.
void LeaseEngine::ask_server(Now now) {
  asking_ = true;
  silent_ = false;
  asked_at_ = now.mono;
  kicks_ = 0;
  burst_index_ = 0;
  burst_at_.reset();
  if (can_signal() && !arp_check_runs_) {
    send_hup(now);
    if (!limits_.burst.empty()) { burst_at_ = now.mono + limits_.burst.front(); }
  }
  schedule_kick(now);
}

void LeaseEngine::ask_gateway() {
  gateway_ = Gateway::unknown;
  gateway_mac_.reset();
  foreign_at_.reset();
  if (!lease_) { return; }
  const auto gateway = lease_->default_gateway();
  if (!gateway) { return; }
  gateway_ = Gateway::asking;
  actions_.push_back(ProbeGateway{.gateway = *gateway,
                                  .source = lease_->address.address,
                                  .known_mac = lease_->gateway_mac,
                                  .timeout = limits_.gateway_timeout});
}

void LeaseEngine::stop_asking() {
  asking_ = false;
  silent_ = false;
  kicks_ = 0;
  burst_at_.reset();
  kick_at_.reset();
  foreign_at_.reset();
}

void LeaseEngine::kick(Now now) {
  ++kicks_;
  const bool restart =
      kicks_ == limits_.restart_after_kicks || kicks_ % kicks_between_restarts == 0;
  if (restart && child_ready_) {
    apply(child_.replace(now.mono), "no answer to repeated SIGHUP, a helper may be dead", now);
  } else {
    send_hup(now);
  }
  if (phase_ == LeasePhase::held && gateway_ != Gateway::asking && !foreign_at_) { ask_gateway(); }
  schedule_kick(now);
}

LeaseActions LeaseEngine::on_short_pull(Now now) {
  if (!carrier_ || stopping_) { return {}; }
  probed_ = false;
  ask_server(now);
  ask_gateway();
  return take_actions();
}

LeaseActions LeaseEngine::revalidate(Now now) {
  if (!carrier_ || stopping_) { return {}; }
  if (asking_ && now.mono - asked_at_ < ask_again_min) { return {}; }
  ask_server(now);
  ask_gateway();
  return take_actions();
}

void LeaseEngine::renew(Now now) {
  if (!lease_ || !carrier_) { return; }
  ++kicks_;
  if (kicks_ == limits_.restart_after_kicks && child_ready_) {
    apply(child_.replace(now.mono), "renewal unanswered, a helper may be dead", now);
  } else {
    send_hup(now);
  }
  Duration wait = limits_.renew_retry_max;
  if (expires_at_) { wait = std::min<Duration>(wait, (*expires_at_ - now.mono) / 4); }
  renew_at_ = now.mono + std::max(wait, limits_.renew_retry_min);
}

// --- answers of ARP ----------------------------------------------------------------------------

LeaseActions LeaseEngine::on_gateway_answer(const MacAddress& mac, Now now) {
  if (!lease_ || !carrier_ || stopping_) { return {}; }
  gateway_ = Gateway::answered;
  gateway_mac_ = mac;
  if (phase_ == LeasePhase::bound) {
    if (lease_->gateway_mac != mac) {
      lease_->gateway_mac = mac;
      publish(LeaseCause::gateway_answered, "");
    }
    return take_actions();
  }
  if (phase_ != LeasePhase::held) { return take_actions(); }
  if (lease_->gateway_mac == mac) {
    enter(LeasePhase::stored, LeaseCause::gateway_answered);
    return take_actions();
  }
  // Maybe another network with the same numbers: the server has the first word, and the address is
  // probed before it is used.
  actions_.push_back(ProbeConflict{lease_->address.address});
  foreign_at_ = std::max(now.mono, asked_at_ + limits_.foreign_gateway_wait);
  return take_actions();
}

LeaseActions LeaseEngine::on_gateway_silent(Now) {
  if (!lease_ || !carrier_ || stopping_) { return {}; }
  gateway_ = Gateway::silent;
  const bool unproven =
      phase_ == LeasePhase::stored || (phase_ == LeasePhase::bound && asking_ && silent_);
  if (unproven) { enter(LeasePhase::held, LeaseCause::gateway_silent); }
  return take_actions();
}

LeaseActions LeaseEngine::on_conflict(const MacAddress& mac, Now now) {
  if (!lease_ || stopping_) { return {}; }
  const std::string detail = fmt::format("address {} is also used by {}",
                                         to_string(lease_->address.address), to_string(mac));
  lose_lease(LeaseCause::conflict, detail);
  arp_check_next_ = true;
  conflicted_ = generation_;
  apply(child_.replace(now.mono), detail, now);
  return take_actions();
}

}  // namespace edge::dhcp
