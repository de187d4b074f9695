// Which path is the active one, and which is the best to copy to. Pure.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {

/// One attached path as the choice sees it.
struct PathCandidate {
  PathId path{0};
  std::string_view adapter;  ///< Disjointness key.
  PathClass path_class = PathClass::wired;
  std::uint32_t rank = 0;
  bool metered = false;
  bool draining = false;
  bool suspect = false;
  bool silent = false;    ///< Nothing gets through: it is left for any other that is not.
  bool unproven = false;  ///< Its adapter failed while active and has not been steady since.
  std::optional<Duration> srtt;
  MonoTime steady_since{};  ///< Attached, and not suspect, since then.
};

/// Strict weak order for a choice made now: not silent, not draining, not suspect, not unproven,
/// not metered, class, rank, srtt (unknown last), then the older path, then the id.
bool better(const PathCandidate& a, const PathCandidate& b);

/// The best of all; nullopt when there is none.
std::optional<PathId> best_path(std::span<const PathCandidate> paths);

/// The best path to carry copies of what goes over `active`: one on another adapter if there is
/// one, a metered one last; otherwise another connection over the same adapter.
std::optional<PathId> second_path(std::span<const PathCandidate> paths, PathId active);
bool disjoint(const PathCandidate& a, const PathCandidate& b);

/// Over which paths to say what each of them may lose: all of them when they are `limit` at most.
/// Else the active one, then the best, each over another adapter while there is one; and in the
/// last place one of those that are left, by `turn`, which grows from call to call: so all of them
/// have their turn, and a good one is among them soon whatever is thought of it.
std::vector<PathId> spread_over(std::vector<PathCandidate> paths, std::optional<PathId> active,
                                std::size_t limit, std::size_t turn);

/// The active one, then the others in the order in which each would follow when all before it are
/// gone, if nothing else changes.
std::vector<PathId> succession(std::vector<PathCandidate> paths, std::optional<PathId> active);

/// Hysteresis. Source: facts/tunnel.md 5.5.
struct ChoiceLimits {
  unsigned quality_percent = 20;  ///< A rival's srtt must be that much lower
  Duration quality_margin = std::chrono::milliseconds(10);  ///< ... and by at least this,
  Duration quality_hold = std::chrono::seconds(30);         ///< ... without a break for so long.
  Duration first_hold = std::chrono::seconds(3);      ///< Preferred adapter that never failed.
  Duration failback_hold = std::chrono::seconds(60);  ///< Doubles with each failure while active,
  Duration failback_hold_max =
      std::chrono::minutes(15);  ///< ... up to this; steady for so long: forgiven.
};

enum class SwitchReason : std::uint8_t {
  none,
  first,      ///< There was no active path.
  lost,       ///< The active path is gone, silent or draining.
  preferred,  ///< A path of a better class or rank was steady for long enough.
  faster,     ///< A path of the same class and rank was faster for long enough.
  proven,     ///< The first path had failed before; one against which nothing is held came.
  told,       ///< Console only: the host said so.
};
std::string_view to_string(SwitchReason reason);

struct Choice {
  std::optional<PathId> active;
  SwitchReason reason = SwitchReason::none;  ///< none exactly when `active` did not change.
  bool operator==(const Choice&) const = default;
};

/// What is held against an adapter. Kept by the application over a restart, which forgives nothing.
struct Reputation {
  std::string adapter;
  int failures = 0;  ///< While active, since the last forgiveness.
  Duration since_last{};
  bool operator==(const Reputation&) const = default;
};

/// Picks the active path: after a failure at once, for preference or speed only after a hold.
///
/// Time: passed in. Threads: none.
class PathChooser {
 public:
  explicit PathChooser(ChoiceLimits limits = {}) : limits_(limits) {}

  /// Judges the paths as they are now. Call it at every change and at next_deadline().
  Choice choose(std::span<const PathCandidate> paths, MonoTime now);
  /// The active path over this adapter failed: its next fail-back waits longer.
  void on_active_failed(std::string_view adapter, MonoTime now);
  /// What was known before a restart. What has happened since counts if it is more.
  void restore(const Reputation& known, MonoTime now);
  /// The reputations that on_active_failed() has changed since the last call.
  std::vector<Reputation> take_changed(MonoTime now);
  /// When a hold ends; nullopt: no timer needed. Valid until the next choose().
  std::optional<MonoTime> next_deadline() const { return deadline_; }
  std::optional<PathId> active() const { return active_; }
  /// How long a path over this adapter must be steady before the tunnel returns to it.
  Duration failback_hold(std::string_view adapter, MonoTime now) const;
  /// It failed while active, and has not been steady for its hold since: any other is chosen first.
  bool unproven(std::string_view adapter, MonoTime steady_since, MonoTime now) const;

 private:
  struct Failures {
    int count = 0;
    MonoTime last{};
    bool changed = false;
  };
  Failures& failures_of(std::string_view adapter);
  std::optional<MonoTime> rival_due(const PathCandidate& rival, const PathCandidate& active,
                                    MonoTime now);
  bool faster(const PathCandidate& rival, const PathCandidate& active) const;
  MonoTime steady_since(std::string_view adapter, MonoTime path_since) const;

  ChoiceLimits limits_;
  std::optional<PathId> active_;
  bool first_ = false;  ///< Nothing but the first path has been active.
  std::optional<MonoTime> deadline_;
  bool any_changed_ = false;
  std::map<std::string, Failures, std::less<>> failures_;  ///< By adapter; at most failures_max_.
  std::map<PathId, MonoTime> faster_since_;                ///< Unbroken lead over the active path.
  static constexpr std::size_t failures_max_ = 64;
};

}  // namespace edge::tunnel
