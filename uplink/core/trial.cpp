#include "uplink/core/trial.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace edge::uplink {
namespace {

/// How far a path gets: the number of rungs below the first broken one.
int reach(const PathSight& sight) { return sight.up() ? 100 : static_cast<int>(sight.broken); }

/// Everything on our side works, the Console is not heard: no worse than "TCP", which a proxy has
/// to itself.
bool only_console_missing(const PathSight& sight) {
  return sight.broken == Step::tcp || sight.broken == Step::proxy || sight.broken == Step::console;
}

std::string told(const PathSight& sight) {
  return fmt::format("path {}: {}{}{}", sight.name, to_string(sight.broken),
                     sight.cause.empty() ? "" : ": ", sight.cause);
}

}  // namespace

struct Trial::Finding {
  std::vector<std::string> lost;     ///< Worse than before.
  std::vector<std::string> pending;  ///< Up, but on the connection from before the change.
  bool proof = false;                ///< A WELCOME after the change, over a path that it touches.
  bool any_up = false;
};

Trial::Trial(TrialTerms terms, MonoTime now)
    : terms_(std::move(terms)),
      begun_at_(now + std::min(terms_.begins_within, terms_.confirm_within / 4)),
      quiet_at_(now + std::min(quiet, terms_.confirm_within / 2)),
      settled_at_(std::min(begun_at_ + settle_max, now + terms_.confirm_within / 2)),
      deadline_(now + terms_.confirm_within),
      alike_until_(now + alike_max) {
  for (const PathSight& sight : terms_.before) {
    before_.emplace(sight.key, sight);
    any_was_up_ = any_was_up_ || sight.up();
    any_had_link_ = any_had_link_ || reach(sight) > static_cast<int>(Step::carrier);
    affected_was_up_ = affected_was_up_ || (sight.up() && terms_.affected.contains(sight.key.port));
  }
}

bool Trial::fresh(const PathSight& sight) const {
  const auto before = before_.find(sight.key);
  return sight.up() && (before == before_.end() || sight.welcomes > before->second.welcomes);
}

Trial::Finding Trial::look(const std::vector<PathSight>& sights) const {
  Finding out;
  std::set<PathKey> seen;
  for (const PathSight& sight : sights) {
    seen.insert(sight.key);
    if (sight.replaced) {
      auto without = unreplaced(sight, sights);
      if (without && std::ranges::find(out.lost, *without) == out.lost.end()) {
        out.lost.push_back(std::move(*without));
      }
      continue;
    }
    out.any_up = out.any_up || sight.up();
    const bool touched = terms_.affected.contains(sight.key.port);
    const auto before = before_.find(sight.key);
    // No affected path was up: then it is enough that one the change does not touch stayed.
    const bool stayed = !touched && before != before_.end() && before->second.up() && sight.up();
    if ((touched && fresh(sight)) || (stayed && !affected_was_up_)) { out.proof = true; }
    if (before == before_.end() || terms_.leaving.contains(sight.key.port)) { continue; }
    const bool was_up = before->second.up();
    const bool lower = touched && reach(sight) < static_cast<int>(Step::tcp) &&
                       reach(sight) < reach(before->second);
    if (was_up ? !sight.up() : lower) {
      out.lost.push_back(told(sight));
    } else if (touched && sight.up() && !fresh(sight)) {
      out.pending.push_back(fmt::format("path {}: to be dialled anew", sight.name));
    }
  }
  for (const auto& [key, before] : before_) {
    if (before.up() && !seen.contains(key) && !terms_.leaving.contains(key.port)) {
      out.lost.push_back(fmt::format("path {}: its port is gone", before.name));
    }
  }
  return out;
}

/// The port of a path that the change replaces was on it at the Console and is by no other: how far
/// the best of those gets.
std::optional<std::string> Trial::unreplaced(const PathSight& old,
                                             const std::vector<PathSight>& sights) const {
  const auto before = before_.find(old.key);
  const bool counts = before != before_.end() && before->second.up();
  if (!counts || terms_.leaving.contains(old.key.port)) { return std::nullopt; }
  const PathSight* best = nullptr;
  for (const PathSight& sight : sights) {
    if (sight.replaced || sight.key.port != old.key.port) { continue; }
    if (best == nullptr || reach(sight) > reach(*best)) { best = &sight; }
  }
  if (best == nullptr) { return told(old); }
  return best->up() ? std::nullopt : std::optional(told(*best));
}

/// What a path that was up and is broken above its own way says of the Console.
Trial::Away Trial::away_by(const PathSight& sight) const {
  const std::string& port = sight.key.port;
  const bool way_as_before = !terms_.affected.contains(port) || terms_.readdressed.contains(port);
  if (sight.answered) { return Away::surely; }
  if (way_as_before) { return Away::alike; }  // Or its way broke by itself, at the same time.
  return sight.refused ? Away::perhaps : Away::no;
}

/// The same where no path was up. A person at the machine does not wait for it.
Trial::Away Trial::away_as_before(const PathSight& before, const PathSight& sight) const {
  if (!terms_.needs_confirm || !only_console_missing(before)) { return Away::no; }
  return sight.answered ? Away::surely : Away::alike;
}

Trial::Away Trial::console_is_away(const std::vector<PathSight>& sights) const {
  Away away = Away::no;
  for (const PathSight& sight : sights) {
    if (sight.up()) { return Away::no; }
    const auto before = before_.find(sight.key);
    if (before == before_.end() || terms_.leaving.contains(sight.key.port)) { continue; }
    const bool counts = any_was_up_ ? before->second.up() : only_console_missing(before->second);
    if (!counts) { continue; }
    if (!only_console_missing(sight)) { return Away::no; }
    away = std::max(away, any_was_up_ ? away_by(sight) : away_as_before(before->second, sight));
  }
  return away;
}

Judgement Trial::judge(const std::vector<PathSight>& sights, MonoTime now) {
  if (aborted_) { return {Verdict::take_back, {*aborted_}}; }
  begun_ = now >= begun_at_;
  const Finding found = look(sights);
  const Away away = console_is_away(sights);
  const bool waits = away == Away::surely || (away == Away::alike && now < alike_until_);
  const bool was_away = std::exchange(away_, waits);
  if (was_away && !away_) {  // It is back: the clock runs from its return.
    settled_at_ = now + std::min(settle_max, terms_.confirm_within / 2);
    deadline_ = now + terms_.confirm_within;
    returned_ = true;
  }
  if (away_) {
    deadline_ = std::max(deadline_, now + terms_.confirm_within);
    return {Verdict::wait, {"the Console is away over every path: waiting for its return"}};
  }
  const bool heard = confirmed_ || !terms_.needs_confirm;
  // Nothing was up before: what can be asked is that no path gets less far than it did.
  const bool as_far = !any_was_up_ && (!any_had_link_ || now >= quiet_at_);
  const bool proven = found.proof || as_far;
  const bool whole = found.lost.empty() && found.pending.empty();
  if (whole && proven && heard && begun_) { return {Verdict::keep, {}}; }
  if (now >= settled_at_ && !found.lost.empty() && away == Away::no) {
    if (!terms_.accept_regression) { return {Verdict::take_back, found.lost}; }
    if (heard && found.any_up && found.pending.empty()) { return {Verdict::keep, found.lost}; }
  }
  std::vector<std::string> reasons = found.lost;
  reasons.insert(reasons.end(), found.pending.begin(), found.pending.end());
  if (!proven) { reasons.emplace_back("no WELCOME over an affected path after the change"); }
  if (!heard) { reasons.emplace_back("the Console has not confirmed"); }
  if (!begun_) { reasons.emplace_back("what was changed may not stand yet"); }
  if (now < deadline_) { return {Verdict::wait, std::move(reasons)}; }
  reasons.insert(
      reasons.begin(),
      fmt::format("not confirmed within {} s",
                  std::chrono::duration_cast<std::chrono::seconds>(terms_.confirm_within).count()));
  return {Verdict::take_back, std::move(reasons)};
}

MonoTime Trial::next_deadline(MonoTime now) const {
  if (now < begun_at_) { return now < quiet_at_ ? std::min(begun_at_, quiet_at_) : begun_at_; }
  if (now < quiet_at_) { return quiet_at_; }
  if (now < settled_at_) { return settled_at_; }
  const bool until = away_ && now < alike_until_;
  return std::max(until ? std::min(deadline_, alike_until_) : deadline_, now);
}

std::vector<PathKey> Trial::to_redial(const std::vector<PathSight>& sights) const {
  std::vector<PathKey> out;
  if (!begun_) { return out; }
  for (const PathSight& sight : sights) {
    const bool touched = terms_.affected.contains(sight.key.port) && !sight.replaced;
    if (touched && sight.up() && !fresh(sight)) { out.push_back(sight.key); }
  }
  return out;
}

std::vector<PathKey> Trial::take_awaited(const std::vector<PathSight>& sights) {
  std::vector<PathKey> out;
  if (!std::exchange(returned_, false)) { return out; }
  for (const PathSight& sight : sights) {
    const auto before = before_.find(sight.key);
    const bool was_up = before != before_.end() && before->second.up();
    if (was_up && !sight.up() && !sight.replaced && !terms_.leaving.contains(sight.key.port)) {
      out.push_back(sight.key);
    }
  }
  return out;
}

}  // namespace edge::uplink
