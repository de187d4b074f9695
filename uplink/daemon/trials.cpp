#include "uplink/daemon/trials.hpp"

#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;

Trials::Trials(asio::io_context& io, Hooks hooks) : hooks_(std::move(hooks)), timer_(io) {}

asio::awaitable<void> Trials::steady(bool from_console) {
  const MonoTime until = mono_now() + steady_max;
  boost::system::error_code ec;
  waiting_ = true;
  while (!stopped_ && !aborted_ && mono_now() < until) {
    const std::vector<PathSight> sights = hooks_.sights();
    // Up again, or broken by something that no change of ours brought: a cable, a person.
    const auto up = [&](const PathKey& key) {
      return std::ranges::none_of(sights, [&](const auto& s) {
        return s.key == key && !s.up() && s.broken > Step::carrier;
      });
    };
    const bool one_up = std::ranges::any_of(sights, [](const auto& s) { return s.up(); });
    const bool all_back = std::ranges::all_of(were_up_, up);
    if (all_back && (one_up || !from_console || sights.empty())) { break; }
    timer_.expires_at(to_steady(until));
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  }
  waiting_ = false;
  were_up_.clear();
}

asio::awaitable<Judgement> Trials::run(std::string command_id, TrialTerms terms) {
  command_id_ = std::move(command_id);
  for (const PathSight& sight : terms.before) {
    if (sight.up()) { were_up_.push_back(sight.key); }
  }
  trial_.emplace(std::move(terms), mono_now());
  if (aborted_) { trial_->on_abort(*aborted_); }
  Judgement judgement;
  boost::system::error_code ec;
  while (!stopped_) {
    poked_ = false;
    const std::vector<PathSight> sights = hooks_.sights();
    judgement = trial_->judge(sights, mono_now());
    if (judgement.verdict != Verdict::wait) { break; }
    waits_for_ = judgement.reasons;
    hooks_.changed();
    redial_next(sights);
    if (poked_) { continue; }
    const MonoTime reminder = mono_now() + remind_after;
    timer_.expires_at(to_steady(std::min(trial_->next_deadline(mono_now()), reminder)));
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    if (!stopped_ && !trial_->confirmed() && mono_now() >= reminder) { hooks_.remind(); }
  }
  if (judgement.verdict != Verdict::take_back) { were_up_.clear(); }
  forget();
  trial_.reset();
  command_id_.clear();
  waits_for_.clear();
  hooks_.changed();
  co_return judgement;
}

/// Standby paths first and the active one last, so that the session always has one to go on.
void Trials::redial_next(const std::vector<PathSight>& sights) {
  const std::vector<PathKey> stale = trial_->to_redial(sights);
  const auto active = hooks_.active();
  for (const PathKey& key : trial_->take_awaited(sights)) { hooks_.redial(key); }
  for (const PathKey& key : stale) {
    if (key != active) { hooks_.redial(key); }
  }
  const bool others_stand = std::ranges::all_of(sights, [&](const PathSight& sight) {
    return sight.key == active ||
           (!sight.dialing && std::ranges::find(stale, sight.key) == stale.end());
  });
  if (others_stand && active && std::ranges::find(stale, *active) != stale.end()) {
    hooks_.redial(*active);
  }
}

bool Trials::confirm(std::string_view command_id) {
  if (!trial_ || command_id != command_id_) { return false; }
  trial_->on_confirm();
  poke();
  return true;
}

void Trials::abort(std::string why) {
  if (trial_) { trial_->on_abort(why); }
  aborted_ = std::move(why);
  poke();
}

void Trials::poke() {
  if (!trial_ && !waiting_) { return; }
  poked_ = true;
  timer_.cancel();
}

json::object Trials::view() const {
  if (!trial_) { return {}; }
  json::array waits;
  for (const std::string& line : waits_for_) { waits.emplace_back(line); }
  return {{"command", command_id_},
          {"seconds_left",
           std::max<std::int64_t>(0, (trial_->deadline() - mono_now()) / std::chrono::seconds(1))},
          {"confirmed", trial_->confirmed()},
          {"console_away", trial_->console_away()},
          {"waits_for", std::move(waits)}};
}

void Trials::stop() {
  stopped_ = true;
  timer_.cancel();
}

}  // namespace edge::uplink
