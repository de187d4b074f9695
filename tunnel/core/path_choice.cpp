// Which path is the active one.
#include "tunnel/core/path_choice.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace edge::tunnel {
namespace {

/// What the operator prefers, whatever the speed.
auto preference(const PathCandidate& path) {
  return std::tuple(path.metered, path.path_class, path.rank);
}

auto order(const PathCandidate& path) {
  return std::tuple(path.silent, path.draining, path.suspect, path.unproven, preference(path),
                    path.srtt.value_or(Duration::max()), path.steady_since, path.path);
}

/// At once, without a hold.
bool gives_way_to(const PathCandidate& active, const PathCandidate& best) {
  if (active.silent) { return !best.suspect; }
  return active.draining && !best.draining;
}

const PathCandidate* find(std::span<const PathCandidate> paths, PathId id) {
  const auto it = std::ranges::find(paths, id, &PathCandidate::path);
  return it == paths.end() ? nullptr : &*it;
}

}  // namespace

bool better(const PathCandidate& a, const PathCandidate& b) { return order(a) < order(b); }

bool disjoint(const PathCandidate& a, const PathCandidate& b) { return a.adapter != b.adapter; }

std::optional<PathId> best_path(std::span<const PathCandidate> paths) {
  const auto it = std::ranges::min_element(paths, better);
  return it == paths.end() ? std::nullopt : std::optional(it->path);
}

std::optional<PathId> second_path(std::span<const PathCandidate> paths, PathId active) {
  const PathCandidate* first = find(paths, active);
  const auto rank = [first](const PathCandidate& path) {
    return std::tuple(path.silent, path.draining, path.suspect,
                      first != nullptr && !disjoint(*first, path), order(path));
  };
  const PathCandidate* best = nullptr;
  for (const PathCandidate& path : paths) {
    if (path.path == active) { continue; }
    if (best == nullptr || rank(path) < rank(*best)) { best = &path; }
  }
  return best == nullptr ? std::nullopt : std::optional(best->path);
}

std::vector<PathId> spread_over(std::vector<PathCandidate> paths, std::optional<PathId> active,
                                std::size_t limit, std::size_t turn) {
  std::vector<PathId> out;
  std::vector<std::string_view> adapters;
  const auto rank = [&](const PathCandidate& path) {
    const bool again = std::ranges::find(adapters, path.adapter) != adapters.end();
    return std::tuple(path.path != active, path.silent, path.suspect, again, order(path));
  };
  const bool all = paths.size() <= limit;
  while (!paths.empty() && (all || out.size() + 1 < limit)) {
    const auto best = std::ranges::min_element(
        paths, [&](const PathCandidate& a, const PathCandidate& b) { return rank(a) < rank(b); });
    out.push_back(best->path);
    adapters.push_back(best->adapter);
    paths.erase(best);
  }
  if (!paths.empty() && limit > 0) { out.push_back(paths[turn % paths.size()].path); }
  return out;
}

/// Where to go from a silent path. Unlike a copy of a frame, which another adapter carries at any
/// price: one that is metered, or has proven nothing, is not worth leaving a sound one for.
std::optional<PathId> refuge_from(std::span<const PathCandidate> paths,
                                  const PathCandidate& active) {
  const auto rank = [&active](const PathCandidate& path) {
    return std::tuple(path.silent, path.draining, path.suspect, path.metered && !active.metered,
                      path.unproven, !disjoint(active, path), order(path));
  };
  const PathCandidate* best = nullptr;
  for (const PathCandidate& path : paths) {
    if (path.path == active.path) { continue; }
    if (best == nullptr || rank(path) < rank(*best)) { best = &path; }
  }
  return best == nullptr ? std::nullopt : std::optional(best->path);
}

std::vector<PathId> succession(std::vector<PathCandidate> paths, std::optional<PathId> active) {
  std::ranges::sort(paths, [active](const PathCandidate& a, const PathCandidate& b) {
    return std::tuple(a.path != active, order(a)) < std::tuple(b.path != active, order(b));
  });
  std::vector<PathId> out;
  out.reserve(paths.size());
  for (const PathCandidate& path : paths) { out.push_back(path.path); }
  return out;
}

std::string_view to_string(SwitchReason reason) {
  switch (reason) {
    case SwitchReason::none: return "none";
    case SwitchReason::first: return "first";
    case SwitchReason::lost: return "lost";
    case SwitchReason::preferred: return "preferred";
    case SwitchReason::faster: return "faster";
    case SwitchReason::proven: return "proven";
    case SwitchReason::told: return "told";
  }
  return "unknown";
}

Choice PathChooser::choose(std::span<const PathCandidate> paths, MonoTime now) {
  deadline_.reset();
  const PathCandidate* active = active_ ? find(paths, *active_) : nullptr;
  // What is silent leaves another connection over the same adapter in doubt, though it is not
  // suspect yet: a standby's heartbeat is slow.
  const auto best = active != nullptr && active->silent
                        ? refuge_from(paths, *active).value_or(active->path)
                        : best_path(paths);
  const bool gives_way = active != nullptr && gives_way_to(*active, *find(paths, *best));
  if (active == nullptr || gives_way) {
    if (gives_way && active->silent) { on_active_failed(active->adapter, now); }
    const SwitchReason reason = active_ ? SwitchReason::lost : SwitchReason::first;
    faster_since_.clear();
    if (active_ == best) { return {active_, SwitchReason::none}; }
    active_ = best;
    first_ = reason == SwitchReason::first;
    return {active_, reason};
  }

  const PathCandidate* winner = nullptr;
  for (const PathCandidate& rival : paths) {
    const auto due = rival_due(rival, *active, now);
    if (!due) { continue; }
    if (*due > now) {
      deadline_ = deadline_ ? std::min(*deadline_, *due) : *due;
    } else if (winner == nullptr || better(rival, *winner)) {
      winner = &rival;
    }
  }
  std::erase_if(faster_since_,
                [&](const auto& lead) { return find(paths, lead.first) == nullptr; });
  if (winner == nullptr) { return {active_, SwitchReason::none}; }

  const bool proven = first_ && active->unproven && !winner->unproven;
  const bool preferred = preference(*winner) < preference(*active);
  active_ = winner->path;
  first_ = false;
  faster_since_.clear();
  deadline_.reset();
  return {active_, preferred ? SwitchReason::preferred
                   : proven  ? SwitchReason::proven
                             : SwitchReason::faster};
}

/// When `rival` may take over from a healthy active path, if it stays as it is; nullopt: never.
std::optional<MonoTime> PathChooser::rival_due(const PathCandidate& rival,
                                               const PathCandidate& active, MonoTime now) {
  const bool usable =
      rival.path != active.path && !rival.draining && !rival.suspect && !rival.silent;
  // Taken for want of another, at the start: not kept until it fails once more.
  if (usable && first_ && active.unproven && !rival.unproven) {
    return rival.steady_since + limits_.first_hold;
  }
  if (usable && preference(rival) < preference(active)) {
    return steady_since(rival.adapter, rival.steady_since) + failback_hold(rival.adapter, now);
  }
  if (!usable || preference(rival) != preference(active) || !faster(rival, active)) {
    faster_since_.erase(rival.path);
    return std::nullopt;
  }
  return faster_since_.try_emplace(rival.path, now).first->second + limits_.quality_hold;
}

bool PathChooser::faster(const PathCandidate& rival, const PathCandidate& active) const {
  if (!rival.srtt || !active.srtt) { return false; }
  return *rival.srtt * 100 <= *active.srtt * (100 - limits_.quality_percent) &&
         *rival.srtt + limits_.quality_margin <= *active.srtt;
}

PathChooser::Failures& PathChooser::failures_of(std::string_view adapter) {
  const auto it = failures_.find(adapter);
  if (it != failures_.end()) { return it->second; }
  if (failures_.size() >= failures_max_) {
    failures_.erase(std::ranges::min_element(failures_, {},
                                             [](const auto& entry) { return entry.second.last; }));
  }
  return failures_.emplace(adapter, Failures{}).first->second;
}

void PathChooser::on_active_failed(std::string_view adapter, MonoTime now) {
  Failures& failures = failures_of(adapter);
  if (now - failures.last > limits_.failback_hold_max) { failures.count = 0; }
  ++failures.count;
  failures.last = now;
  failures.changed = any_changed_ = true;
}

void PathChooser::restore(const Reputation& known, MonoTime now) {
  const Duration age = std::max(known.since_last, Duration{});
  if (known.failures <= 0 || age > limits_.failback_hold_max) { return; }
  Failures& failures = failures_of(known.adapter);
  failures.count = std::max(failures.count, known.failures);
  failures.last = std::max(failures.last, now - age);
}

std::vector<Reputation> PathChooser::take_changed(MonoTime now) {
  std::vector<Reputation> changed;
  if (!std::exchange(any_changed_, false)) { return changed; }
  for (auto& [adapter, failures] : failures_) {
    if (!std::exchange(failures.changed, false)) { continue; }
    changed.push_back({adapter, failures.count, now - failures.last});
  }
  return changed;
}

bool PathChooser::unproven(std::string_view adapter, MonoTime steady_since, MonoTime now) const {
  const auto it = failures_.find(adapter);
  if (it == failures_.end() || now - it->second.last > limits_.failback_hold_max) { return false; }
  return now - steady_since < failback_hold(adapter, now);
}

/// Another connection over an adapter that failed says nothing of the time before: a standby's
/// silence is noticed later.
MonoTime PathChooser::steady_since(std::string_view adapter, MonoTime path_since) const {
  const auto it = failures_.find(adapter);
  return it == failures_.end() ? path_since : std::max(path_since, it->second.last);
}

Duration PathChooser::failback_hold(std::string_view adapter, MonoTime now) const {
  const auto it = failures_.find(adapter);
  if (it == failures_.end()) { return limits_.first_hold; }
  const bool forgiven = now - it->second.last > limits_.failback_hold_max;
  const int doublings = forgiven ? 0 : std::min(it->second.count - 1, 16);
  return std::min(limits_.failback_hold * (1 << doublings), limits_.failback_hold_max);
}

}  // namespace edge::tunnel
