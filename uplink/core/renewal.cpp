#include "uplink/core/renewal.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace edge::uplink {

std::string_view to_string(RenewalStep step) {
  switch (step) {
    case RenewalStep::rest: return "rest";
    case RenewalStep::asking: return "asking";
    case RenewalStep::keeping: return "keeping";
    case RenewalStep::proving: return "proving";
    case RenewalStep::adopting: return "adopting";
  }
  return "unknown";
}

void Renewal::set_identity(std::optional<RenewalFacts> facts, MonoTime now, WallTime wall) {
  if (facts == facts_) { return look(now, wall); }
  facts_ = std::move(facts);
  due_.reset();
  moment_.reset();
  if (facts_) {
    const auto lifetime = facts_->not_after - facts_->not_before;
    const double tenth = random_.unit() * 0.2 - 0.1;
    const double part = 2.0 / 3.0 * (1.0 + tenth);
    due_ = facts_->not_before + std::chrono::milliseconds(static_cast<std::int64_t>(
                                    part * static_cast<double>(lifetime.count())));
  }
  look(now, wall);
}

void Renewal::on_session(MonoTime now, WallTime wall) {
  offer_.reset();
  if (step_ == RenewalStep::asking) {
    step_ = RenewalStep::rest;
    ordered_ = true;
  }
  look(now, wall);
}

void Renewal::on_online(bool online, MonoTime now, WallTime wall) {
  if (online_ == online) { return; }
  online_ = online;
  switch (step_) {
    case RenewalStep::asking:  // A resumed session brings the answer by itself.
      deadline_ = online ? std::optional(now + answer_within) : std::nullopt;
      return;
    case RenewalStep::proving:
      if (!online) { return; }
      if (!deadline_) { return; }  // A proof is under way.
      deadline_ = now;
      return;
    case RenewalStep::keeping:
    case RenewalStep::adopting: return;
    case RenewalStep::rest: look(now, wall); return;
  }
}

void Renewal::on_offer(std::string generation, Duration spread, bool now_please, MonoTime now,
                       WallTime wall) {
  offer_ = Offer{std::move(generation), spread};
  moment_.reset();
  if (now_please && step_ == RenewalStep::rest) { ordered_ = true; }
  look(now, wall);
}

Result<void> Renewal::order(MonoTime now, WallTime wall) {
  if (step_ != RenewalStep::rest) {
    return fail(Errc::conflict, fmt::format("a renewal is under way: {}", to_string(step_)));
  }
  if (!online_) { return fail(Errc::transient, "the Console is not reached now"); }
  if (!offer_) {
    return fail(Errc::unsupported, "this Console signs no certificates (it has no signer)");
  }
  ordered_ = true;
  look(now, wall);
  return {};
}

bool Renewal::wanted(WallTime wall) const {
  if (!facts_) { return false; }
  const bool another = offer_->generation != facts_->generation && offer_->generation != asked_for_;
  return ordered_ || another || wall >= *due_;
}

/// A whole fleet may want it at once; who has little time left does not wait.
Duration Renewal::spread_left(WallTime wall) const {
  const Duration left = std::max<Duration>(facts_->not_after - wall, Duration{0});
  return std::min(offer_->spread, left / 4);
}

void Renewal::look(MonoTime now, WallTime wall) {
  if (step_ != RenewalStep::rest) { return; }
  deadline_.reset();
  if (!online_ || !offer_ || !facts_) { return; }
  if (!wanted(wall)) {
    deadline_ = now + std::min<Duration>(look_again, *due_ - wall);
    return;
  }
  if (ordered_) { return begin(now); }
  if (!moment_) {
    moment_ = now + Duration(static_cast<Duration::rep>(
                        random_.unit() * static_cast<double>(spread_left(wall).count())));
  }
  const MonoTime at = std::max(*moment_, retry_at_.value_or(*moment_));
  if (now >= at) { return begin(now); }
  deadline_ = at;
}

void Renewal::begin(MonoTime now) {
  ordered_ = false;
  moment_.reset();
  asked_for_ = offer_->generation;
  proofs_ = 0;
  step_ = RenewalStep::asking;
  deadline_ = now + answer_within;
  actions_.push_back(Action::ask);
}

bool Renewal::on_answer() {
  if (step_ != RenewalStep::asking) { return false; }
  step_ = RenewalStep::keeping;
  deadline_.reset();
  actions_.push_back(Action::keep);
  return true;
}

void Renewal::on_kept() {
  step_ = RenewalStep::proving;
  deadline_.reset();
  actions_.push_back(Action::prove);
}

void Renewal::on_proved() {
  step_ = RenewalStep::adopting;
  deadline_.reset();
  actions_.push_back(Action::adopt);
}

void Renewal::on_adopted(WallTime wall) {
  step_ = RenewalStep::rest;
  failures_ = 0;
  retry_at_.reset();
  last_ = RenewalEnd{.at = wall, .good = true, .what = {}};
}

Duration Renewal::back_off() {
  Duration cap = retry_max;
  if (facts_) {
    const Duration lifetime = facts_->not_after - facts_->not_before;
    cap = std::clamp<Duration>(lifetime / 30, retry_min, retry_max);
  }
  const Duration first = std::min(retry_first, cap);
  const Duration grown = first * (std::int64_t{1} << std::min(failures_, 12U));
  ++failures_;
  const Duration delay = std::min(grown, cap);
  return delay / 2 + Duration(static_cast<Duration::rep>(random_.unit() *
                                                         static_cast<double>((delay / 2).count())));
}

void Renewal::on_failed(std::string_view what, MonoTime now, WallTime wall) {
  last_ =
      RenewalEnd{.at = wall, .good = false, .what = fmt::format("{}: {}", to_string(step_), what)};
  step_ = RenewalStep::rest;
  retry_at_ = now + back_off();
  asked_for_.clear();  // It was not renewed for that.
  look(now, wall);
}

void Renewal::on_unproved(std::string_view what, MonoTime now, WallTime wall) {
  if (step_ != RenewalStep::proving) { return; }
  if (++proofs_ >= proofs_max) { return on_failed(what, now, wall); }
  deadline_ = now + prove_again;
}

std::vector<Renewal::Action> Renewal::take_actions() { return std::exchange(actions_, {}); }

std::optional<MonoTime> Renewal::next_deadline() const { return deadline_; }

void Renewal::on_deadline(MonoTime now, WallTime wall) {
  if (!deadline_ || now < *deadline_) { return; }
  deadline_.reset();
  switch (step_) {
    case RenewalStep::asking:
      on_failed(fmt::format("no answer within {} s", answer_within / std::chrono::seconds(1)), now,
                wall);
      return;
    case RenewalStep::proving:
      if (online_) {
        actions_.push_back(Action::prove);
      } else {
        deadline_ = now + prove_again;  // Offline it proves nothing; on_online() asks earlier.
      }
      return;
    case RenewalStep::rest: look(now, wall); return;
    case RenewalStep::keeping:
    case RenewalStep::adopting: return;
  }
}

}  // namespace edge::uplink
