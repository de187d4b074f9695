// The life of one port's IPv4 lease.
#include "dhcp/core/lease_engine.hpp"

#include <algorithm>
#include <utility>

namespace edge::dhcp {
namespace {

constexpr std::chrono::seconds expiry_slack{1};  // dhcpcd's clock and ours may differ by so much.
/// chrono arithmetic on time points must not overflow: 10 years stand for ever.
constexpr std::chrono::hours life_max{24 * 3650};

/// Whether `deadline` has come; then it is cleared.
bool due(std::optional<MonoTime>& deadline, MonoTime now) {
  if (!deadline || now < *deadline) { return false; }
  deadline.reset();
  return true;
}

}  // namespace

LeaseEngine::LeaseEngine(LeaseLimits limits)
    : limits_(std::move(limits)), child_(limits_.child), start_patience_(limits_.start_patience) {}

LeaseActions LeaseEngine::take_actions() { return std::exchange(actions_, {}); }

// --- the child ---------------------------------------------------------------------------------

void LeaseEngine::apply(ChildAction action, std::string_view why, Now now) {
  switch (action) {
    case ChildAction::none: return;
    case ChildAction::start: on_child_started(now); return;
    case ChildAction::terminate: actions_.push_back(TerminateChild{}); return;
    case ChildAction::kill: actions_.push_back(KillChild{std::string(why)}); return;
  }
}

void LeaseEngine::on_child_started(Now now) {
  ++generation_;
  arp_check_runs_ = std::exchange(arp_check_next_, false);
  actions_.push_back(StartChild{
      .generation = generation_, .arp_check = arp_check_runs_, .forget_lease = arp_check_runs_});
  child_ready_ = false;
  child_link_down_ = false;
  child_saw_loss_ = false;
  hup_again_at_.reset();
  hung_at_.reset();
  burst_at_.reset();
  started_at_ = now.mono;
  start_deadline_ = now.mono + start_patience_;
  // It asks the server by itself; until the answer we watch as if we had asked.
  if (carrier_ && !asking_) {
    asking_ = true;
    silent_ = false;
    asked_at_ = now.mono;
  }
  schedule_kick(now);
}

LeaseActions LeaseEngine::start(std::optional<Lease> stored, bool carrier, Now now) {
  stopping_ = false;
  carrier_ = carrier;
  if (stored && validate(*stored)) {
    if (const auto left = remaining(*stored, now.wall)) {
      lease_ = std::move(stored);
      set_life(now, *left);
      enter(LeasePhase::held, LeaseCause::started);
    }
  }
  apply(child_.want(true, now.mono), "", now);
  if (carrier_) { ask_gateway(); }
  return take_actions();
}

LeaseActions LeaseEngine::stop(Now now) {
  stopping_ = true;
  stop_asking();
  for (auto* deadline : {&renew_at_, &start_deadline_, &expires_at_, &hup_again_at_, &hung_at_}) {
    deadline->reset();
  }
  actions_.push_back(CancelProbe{});
  apply(child_.want(false, now.mono), "", now);
  return take_actions();
}

LeaseActions LeaseEngine::on_child_exited(Now now) {
  child_ready_ = false;
  start_deadline_.reset();
  hup_again_at_.reset();
  hung_at_.reset();
  burst_at_.reset();
  apply(child_.on_exited(now.mono), "", now);
  return take_actions();
}

LeaseActions LeaseEngine::on_child_hung(std::string_view why, Now now) {
  apply(child_.replace(now.mono), why, now);
  return take_actions();
}

// --- the cable ---------------------------------------------------------------------------------

LeaseActions LeaseEngine::on_carrier(bool up, Now now) {
  if (up == carrier_) { return {}; }
  carrier_ = up;
  if (stopping_) { return {}; }
  if (!up) {
    stop_asking();
    probed_ = false;
    gateway_ = Gateway::unknown;
    gateway_mac_.reset();
    actions_.push_back(CancelProbe{});
    if (usable(phase_)) { enter(LeasePhase::held, LeaseCause::carrier_lost); }
    return take_actions();
  }
  child_saw_loss_ = false;
  // An answer that overtook this event leaves the lease bound; it is asked about all the same.
  ask_server(now);
  ask_gateway();
  return take_actions();
}

// --- events of dhcpcd --------------------------------------------------------------------------

LeaseActions LeaseEngine::on_hook(const HookEvent& event, Now now) {
  if (stopping_) { return {}; }
  if (event.generation != 0 && event.generation != generation_) { return {}; }
  if (conflicted_ == generation_) { return {}; }  // It may still confirm what another host uses.
  const bool first = !std::exchange(child_ready_, true);
  if (first) { start_took_ = now.mono - started_at_; }
  start_deadline_.reset();
  hung_at_.reset();
  if (first && asking_ && !arp_check_runs_ && !limits_.burst.empty()) {
    burst_index_ = 0;
    burst_at_ = now.mono + limits_.burst.front();
  }
  switch (event.reason) {
    case HookReason::carrier: child_link_down_ = false; break;
    case HookReason::no_carrier: child_link_down_ = child_saw_loss_ = true; break;
    case HookReason::reconfigure:
      hup_again_at_.reset();  // It heard us. The lease in it is the old one.
      break;
    case HookReason::bound:
    case HookReason::reboot:
    case HookReason::renew:
    case HookReason::rebind:
      child_link_down_ = false;
      hup_again_at_.reset();
      if (event.lease) { take_lease(*event.lease, now); }
      break;
    case HookReason::expire:
      if (!child_link_down_ && carrier_) { server_silent(now); }
      break;
    case HookReason::nak:
      lose_lease(LeaseCause::refused, "the server refused the address");
      if (!asking_) {
        asking_ = true;
        asked_at_ = now.mono;
      }
      schedule_kick(now);
      break;
    case HookReason::preinit:
    case HookReason::inform:
    case HookReason::timeout:
    case HookReason::stop:
    case HookReason::stopped:
    case HookReason::departed:
    case HookReason::router_advert:
    case HookReason::bound6:
    case HookReason::renew6:
    case HookReason::rebind6:
    case HookReason::reboot6:
    case HookReason::inform6:
    case HookReason::expire6:
    case HookReason::stop6:
    case HookReason::other: break;
  }
  return take_actions();
}

void LeaseEngine::set_life(Now now, std::chrono::milliseconds left) {
  if (left == std::chrono::milliseconds::max() || left > life_max) {
    expires_at_.reset();
  } else {
    expires_at_ = now.mono + left;
  }
}

void LeaseEngine::take_lease(Lease lease, Now now) {
  lease.acquired = now.wall;
  const bool same_place = lease_ && lease_->address == lease.address &&
                          lease_->default_gateway() == lease.default_gateway();
  if (same_place) { lease.gateway_mac = lease_->gateway_mac; }
  if (same_place && gateway_ == Gateway::answered) { lease.gateway_mac = gateway_mac_; }
  if (!same_place) { probed_ = false; }

  stop_asking();
  lease_ = std::move(lease);
  const bool endless = lease_->lease_time == Lease::forever;
  set_life(now, endless ? std::chrono::milliseconds::max()
                        : std::chrono::milliseconds(lease_->lease_time));
  renew_at_.reset();
  if (!endless && lease_->renewal_time < life_max) {
    const Duration floor = std::min<Duration>(limits_.renew_min, Duration(lease_->lease_time) / 2);
    renew_at_ = now.mono + std::max<Duration>(lease_->renewal_time, floor);
  }
  // Asked before the cable was pulled, heard after it: nothing is known of the wire that follows.
  const bool late = !carrier_ && !child_saw_loss_;
  if (late) {
    enter(LeasePhase::held, LeaseCause::carrier_lost);
    return;
  }
  enter(LeasePhase::bound, LeaseCause::server_answered);

  if (!probed_ && !arp_check_runs_) { actions_.push_back(ProbeConflict{lease_->address.address}); }
  probed_ = true;
  const bool ask = same_place ? gateway_ == Gateway::unknown : true;
  if (ask) { ask_gateway(); }
  // The careful child has done its work; a quick one takes the lease over from its file.
  if (arp_check_runs_) { apply(child_.replace(now.mono), "the probed lease is there", now); }
}

void LeaseEngine::lose_lease(LeaseCause cause, std::string detail) {
  if (!lease_) { return; }
  lease_.reset();
  expires_at_.reset();
  renew_at_.reset();
  foreign_at_.reset();
  gateway_ = Gateway::unknown;
  gateway_mac_.reset();
  actions_.push_back(CancelProbe{});
  enter(LeasePhase::none, cause, std::move(detail));
}

/// dhcpcd gave up its lease and sends DISCOVER; ours holds until its own end.
void LeaseEngine::server_silent(Now now) {
  silent_ = true;
  if (lease_ && expires_at_ && now.mono + expiry_slack >= *expires_at_) {
    lose_lease(LeaseCause::expired, "no server renewed it");
  }
  if (!asking_) {
    const bool renewing = renew_at_ && kicks_ > 0;
    if (!renewing) {
      asking_ = true;
      asked_at_ = now.mono;
      schedule_kick(now);
    }
    return;
  }
  if (lease_ && phase_ == LeasePhase::bound && gateway_ == Gateway::silent) {
    enter(LeasePhase::held, LeaseCause::gateway_silent);
  }
}

// --- time --------------------------------------------------------------------------------------

LeaseActions LeaseEngine::on_deadline(Now now) {
  apply(child_.on_deadline(now.mono), "it does not end on SIGTERM", now);
  if (due(start_deadline_, now.mono)) {
    // A machine under load may need longer than any patience; killing it again helps nobody.
    start_patience_ = std::min(2 * start_patience_, limits_.start_patience_max);
    apply(child_.replace(now.mono), "no event after its start", now);
  }
  if (due(hung_at_, now.mono)) {
    hup_again_at_.reset();
    apply(child_.replace(now.mono), "it does not answer SIGHUP", now);
  }
  if (due(expires_at_, now.mono)) {
    lose_lease(LeaseCause::expired, "no server renewed it");
    if (carrier_ && !asking_ && !stopping_) {
      asking_ = true;
      asked_at_ = now.mono;
      schedule_kick(now);
    }
  }
  if (due(foreign_at_, now.mono) && lease_ && phase_ == LeasePhase::held) {
    enter(LeasePhase::stored, LeaseCause::gateway_answered,
          "the gateway has another MAC than before, the server is silent");
  }
  if (due(burst_at_, now.mono) && asking_) {
    send_hup(now);
    if (++burst_index_ < limits_.burst.size()) {
      burst_at_ = now.mono + limits_.burst[burst_index_] - limits_.burst[burst_index_ - 1];
    } else {
      schedule_kick(now);
    }
  }
  if (due(kick_at_, now.mono) && asking_) { kick(now); }
  if (due(renew_at_, now.mono)) { renew(now); }
  if (due(hup_again_at_, now.mono)) { send_hup(now); }
  return take_actions();
}

std::optional<MonoTime> LeaseEngine::next_deadline() const {
  std::optional<MonoTime> next = child_.next_deadline();
  for (const auto& deadline : {start_deadline_, hung_at_, expires_at_, foreign_at_, burst_at_,
                               kick_at_, renew_at_, hup_again_at_}) {
    if (deadline && (!next || *deadline < *next)) { next = deadline; }
  }
  return next;
}

// --- what the owner hears ----------------------------------------------------------------------

void LeaseEngine::enter(LeasePhase phase, LeaseCause cause, std::string detail) {
  phase_ = phase;
  publish(cause, std::move(detail));
}

void LeaseEngine::publish(LeaseCause cause, std::string detail) {
  LeaseUpdate update{.phase = phase_, .cause = cause, .lease = lease_, .detail = std::move(detail)};
  update.effect_changed = phase_ != told_phase_ || lease_.has_value() != told_lease_.has_value() ||
                          (lease_ && !lease_->same_effect(*told_lease_));
  told_phase_ = phase_;
  told_lease_ = lease_;
  actions_.push_back(std::move(update));
}

}  // namespace edge::dhcp
