// The session's paths: coming, going, beating, and which of them is active.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <tuple>

#include "base/assert.hpp"
#include "tunnel/core/session.hpp"

namespace edge::tunnel {
namespace {

/// PINGs come every 15 ms at the very fastest setting; the burst covers what a peer that may not
/// know better sends into a path, or to a process, that stands still, and that then arrives at
/// once: it gives up after some 5 s (PathHealth::dead_after).
constexpr std::uint32_t control_frames_per_s = 60;
constexpr std::uint32_t control_burst = 5 * control_frames_per_s;
constexpr std::uint32_t view_burst = 120;  ///< Two of each of 32 paths, and as many again.

/// Reasons that speak against the adapter, for the damping of fail-back.
bool is_failure(PathCause cause) {
  switch (cause) {
    case PathCause::silence:
    case PathCause::carrier:
    case PathCause::address:
    case PathCause::eof:
    case PathCause::reset:
    case PathCause::write_stall: return true;
    case PathCause::protocol:
    case PathCause::peer_error:
    case PathCause::superseded:
    case PathCause::local_stall:
    case PathCause::drained:
    case PathCause::shutdown: return false;
  }
  return false;
}

/// What a stall of our own looks like from the network's side.
bool may_be_our_stall(PathCause cause) {
  return cause == PathCause::silence || cause == PathCause::eof || cause == PathCause::reset;
}

}  // namespace

std::string_view to_string(PathState state) {
  switch (state) {
    case PathState::standby: return "standby";
    case PathState::active: return "active";
    case PathState::suspect: return "suspect";
  }
  return "unknown";
}

const Session::Path* Session::find(PathId path) const {
  const auto it = std::ranges::find(paths_, path, &Path::id);
  return it == paths_.end() ? nullptr : &*it;
}

Session::Path* Session::find(PathId path) {
  return const_cast<Path*>(std::as_const(*this).find(path));
}

std::uint32_t Session::bit_of(PathId path) const {
  const Path* found = find(path);
  return found == nullptr ? 0 : found->bit;
}

/// Pre: fewer than paths_max paths.
std::uint32_t Session::free_bit() const {
  std::uint32_t used = 0;
  for (const Path& path : paths_) { used |= path.bit; }
  return std::uint32_t{1} << std::countr_one(used);
}

/// A new connection is never refused because of an old one: over the same adapter and endpoint the
/// old one is half-open or being replaced; beyond the limit the one that is needed least goes.
void Session::make_room_for(const PathFacts& facts, MonoTime now) {
  std::optional<PathId> same;
  for (const Path& path : paths_) {
    if (path.facts.adapter == facts.adapter && path.facts.endpoint == facts.endpoint) {
      same = path.id;
    }
  }
  if (same) {
    remove_path(*same, PathCause::superseded, false, "a newer connection over the same adapter",
                now);
  } else if (paths_.size() == paths_max) {
    const Path& leaving = least_needed(facts, now);
    const std::size_t over_port = paths_over(leaving.facts.adapter);
    std::string why = fmt::format("more than {} paths: ", paths_max);
    why += leaving.suspect ? "this was the quietest"
                           : fmt::format("the least needed, one of {} over its port", over_port);
    remove_path(leaving.id, PathCause::superseded, false, std::move(why), now);
  }
}

std::size_t Session::paths_over(std::string_view adapter) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      paths_, [adapter](const Path& path) { return path.facts.adapter == adapter; }));
}

/// Of those that are hardly heard the one that has been quiet for longest. Else one of the adapter
/// that has most, the newcomer counted, so that each port keeps one: of the newcomer's own rather
/// than of another; the least preferred, then the newest. That is said by what both ends know, so
/// that they let the same one go. Never the active one.
/// Pre: two paths at least.
const Session::Path& Session::least_needed(const PathFacts& newcomer, MonoTime now) const {
  const auto need = [&](const Path& path) {
    const PathFacts& facts = path.facts;
    const bool own = facts.adapter == newcomer.adapter;
    const std::size_t spare = paths_max + 1 - paths_over(facts.adapter) - (own ? 1 : 0);
    return std::tuple(path.id == active_, !path.suspect,
                      path.suspect ? -path.health.silence(now) : Duration{}, spare, !own,
                      !facts.metered, -static_cast<int>(facts.path_class), ~facts.rank,
                      ~facts.wire_id);
  };
  return *std::ranges::min_element(paths_,
                                   [&](const Path& a, const Path& b) { return need(a) < need(b); });
}

void Session::add_path(PathId id, PathFacts facts, const HeartbeatTimers& timers, MonoTime now) {
  EDGE_ASSERT(find(id) == nullptr);
  EDGE_ASSERT(paths_.size() < paths_max);
  paths_.push_back({.id = id,
                    .bit = free_bit(),
                    .facts = std::move(facts),
                    .health = PathHealth(negotiate(timers, timers), now),
                    .control_budget = TokenBucket(control_frames_per_s, control_burst, now),
                    .view_budget = TokenBucket(control_frames_per_s, view_burst, now),
                    .attached_at = now,
                    .steady_since = now});
  if (detached_at_) {
    emit(SessionResumed{session_, now - *detached_at_});
    detached_at_.reset();
  }
  for (std::size_t i = 0; i <= index_of(Channel::events); ++i) {
    for (InFlight& entry : send_[i].in_flight()) {
      if (entry.sacked() || entry.carriers == 0 || entry.copy_at) { continue; }
      entry.copy_at = std::max(now, entry.sent_at + tail_copy_after());  // Overdue ones at once.
      copy_due_[i] = std::min(copy_due_[i].value_or(MonoTime::max()), *entry.copy_at);
    }
  }
  if (std::ranges::any_of(paths_, &Path::suspect)) { copy_off_suspects(now); }
  choice_dirty_ = true;
}

void Session::on_path_lost(PathId path, PathCause cause, std::string detail, MonoTime now) {
  observe(now);
  remove_path(path, cause, false, std::move(detail), now);
  settle(now);
}

void Session::on_carrier_lost(std::string_view adapter, MonoTime now) {
  observe(now);
  for (auto it = paths_.begin(); it != paths_.end();) {
    const Path& path = *it++;
    if (path.facts.adapter == adapter) { remove_path(path.id, PathCause::carrier, false, {}, now); }
  }
  settle(now);
}

void Session::drain(PathId path, bool draining, MonoTime now) {
  observe(now);
  if (Path* found = find(path)) {
    found->draining = draining;
    choice_dirty_ = true;
  }
  settle(now);
}

void Session::remove_path(PathId id, PathCause cause, bool by_peer, std::string detail,
                          MonoTime now) {
  Path* path = find(id);
  if (path == nullptr) { return; }
  if (stalled_at_ && may_be_our_stall(cause)) { cause = PathCause::local_stall; }
  const PathStatus status{.wire_id = path->facts.wire_id,
                          .state = PathStatus::State::down,
                          .cause = cause,
                          .last_rx_age = std::chrono::duration_cast<std::chrono::milliseconds>(
                              path->health.silence(now))};
  const std::string adapter = path->facts.adapter;
  copy_widowed(path->bit, now);
  const auto gone = ~path->bit;
  for (SendChannel& channel : send_) {
    for (InFlight& entry : channel.in_flight()) { entry.carriers &= gone; }
  }
  std::erase_if(paths_, [id](const Path& leaving) { return leaving.id == id; });
  emit(PathDead{id, cause, by_peer, std::move(detail)});
  if (active_ == id && is_failure(cause)) { chooser_.on_active_failed(adapter, now); }
  choice_dirty_ = true;
  resend_pending_ = true;
  if (paths_.empty()) {
    detached_at_ = now;
    emit(SessionDetached{});
  } else if (!by_peer && cause != PathCause::superseded && cause != PathCause::shutdown) {
    const auto bytes = std::make_shared<const Bytes>(encode(status));
    for (const Path& survivor : paths_) { write(survivor.id, SendKind::control, bytes); }
  }
}

void Session::remove_all(PathCause cause, MonoTime now) {
  while (!paths_.empty()) { remove_path(paths_.front().id, cause, false, {}, now); }
  choose_active(now);
}

void Session::violate(PathId path, std::string what, MonoTime now) {
  const bool quarantined = note_violation(now);
  if (quarantined) { what += " (quarantined for 10 minutes)"; }
  write(path, SendKind::control,
        std::make_shared<const Bytes>(encode(ErrorMessage{ErrorCode::protocol, what})));
  remove_path(path, PathCause::protocol, false, std::move(what), now);
  if (!quarantined || options_.role != Role::console) { return; }
  const auto bytes = std::make_shared<const Bytes>(
      encode(ErrorMessage{ErrorCode::quarantined, "too many protocol errors"}));
  for (const Path& other : paths_) { write(other.id, SendKind::control, bytes); }
  remove_all(PathCause::protocol, now);
}

void Session::judge_paths(MonoTime now) {
  for (auto it = paths_.begin(); it != paths_.end();) {
    Path& path = *it++;
    const Verdict verdict = path.health.judge(now, peer_elsewhere(path));
    if (auto why = given_up(path, verdict, now)) {
      remove_path(path.id, PathCause::silence, false, std::move(*why), now);
      continue;
    }
    judge(path, verdict, now);
  }
  for (Path& path : paths_) {
    if (const auto nonce = path.health.ping_due(now, random_)) {
      ping(path, *nonce, now);
      if (path.verdict != Verdict::alive) { emit(AskTransport{path.id}); }
    }
  }
}

/// Why it is dead; nullopt: it lives.
std::optional<std::string> Session::given_up(const Path& path, Verdict verdict,
                                             MonoTime now) const {
  const auto in_ms = [](Duration time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  };
  if (verdict == Verdict::dead) {
    return fmt::format("nothing heard for {} ms", in_ms(path.health.silence(now)));
  }
  if (path.frame_began && now - *path.frame_began >= options_.frame_time_max) {
    return fmt::format("a frame that began {} ms ago is not whole, {} ms are allowed",
                       in_ms(now - *path.frame_began), in_ms(options_.frame_time_max));
  }
  return std::nullopt;
}

/// What an end does not hear only it knows: its verdict goes to the other with a PING at once, and
/// a bad one over all other paths too, so that a cut in one direction is left as quickly as one in
/// both.
void Session::judge(Path& path, Verdict verdict, MonoTime now) {
  if (verdict != path.verdict) {
    path.verdict = verdict;
    path.health.ping_now(now);
    if (verdict != Verdict::alive) { tell_view(path); }
  }
  const bool silent = verdict == Verdict::silent || (path.peer_view & view_silent) != 0;
  const bool suspect =
      silent || verdict == Verdict::suspect || (path.peer_view & view_suspect) != 0;
  const bool news = silent != path.silent || suspect != path.suspect;
  if (!news) { return; }
  choice_dirty_ = true;
  if (suspect && !path.suspect) {
    path.suspect_since = now;
    for (Path& other : paths_) {
      if (other.id != path.id) { other.health.ping_now(now); }  // Does the peer live?
    }
  }
  path.suspect = suspect;
  path.silent = silent;
  if (suspect) {
    copy_off_suspects(now);
  } else {
    path.steady_since = now;
  }
}

/// Was it heard over another path after the last frame of this one, and since this one is suspect?
PeerElsewhere Session::peer_elsewhere(const Path& path) const {
  const MonoTime since = std::max(path.suspect_since, path.health.heard_at());
  const bool heard = path.suspect && std::ranges::any_of(paths_, [&](const Path& other) {
                       return other.id != path.id && other.health.heard_at() > since;
                     });
  return heard ? PeerElsewhere::heard : PeerElsewhere::unheard;
}

std::uint8_t Session::view_of(const Path& path) const {
  std::uint8_t view = 0;
  if (path.id == active_) { view |= view_active; }
  if (path.verdict != Verdict::alive) { view |= view_suspect; }
  if (path.verdict == Verdict::silent) { view |= view_silent; }
  return view;
}

/// Not over those that are quiet themselves: their TCP would deliver all of it at once, later.
void Session::tell_view(const Path& about) {
  const auto bytes = std::make_shared<const Bytes>(encode(ViewOfPath{
      .wire_id = about.facts.wire_id, .view = view_of(about), .nonce = about.health.last_nonce()}));
  for (const Path& path : paths_) {
    if (path.id != about.id && !path.suspect) { write(path.id, SendKind::control, bytes); }
  }
}

void Session::ping(Path& path, std::uint64_t nonce, MonoTime now) {
  const auto since_start =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  write(path.id, SendKind::control,
        std::make_shared<const Bytes>(
            encode(Ping{.nonce = nonce,
                        .send_time_us = static_cast<std::uint64_t>(since_start.count()),
                        .active_serial = active_serial_,
                        .view = view_of(path)})));
}

std::vector<PathCandidate> Session::candidates() const {
  std::vector<PathCandidate> out;
  out.reserve(paths_.size());
  for (const Path& path : paths_) {
    out.push_back({.path = path.id,
                   .adapter = path.facts.adapter,
                   .path_class = path.facts.path_class,
                   .rank = path.facts.rank,
                   .metered = path.facts.metered,
                   .draining = path.draining,
                   .suspect = path.suspect,
                   .silent = path.silent,
                   .unproven = chooser_.unproven(path.facts.adapter, path.steady_since, last_now_),
                   .srtt = path.health.srtt(),
                   .steady_since = path.steady_since});
  }
  return out;
}

/// The host chooses. The Console follows what it was told, and picks by itself only while the path
/// it was told is gone.
void Session::choose_active(MonoTime now) {
  choice_dirty_ = false;
  const auto paths = candidates();
  if (options_.role == Role::host) {
    const Choice choice = chooser_.choose(paths, now);
    if (choice.reason != SwitchReason::none) { set_active(choice.active, choice.reason, now); }
    return;
  }
  if (active_ && find(*active_) != nullptr) { return; }
  const auto best = best_path(paths);
  if (best != active_) {
    set_active(best, active_ ? SwitchReason::lost : SwitchReason::first, now);
  }
}

void Session::set_active(std::optional<PathId> path, SwitchReason reason, MonoTime now) {
  const auto from = std::exchange(active_, path);
  // What a fast path took at once would stand in a slow one for seconds, a command behind each of
  // its large frames.
  pace_ = StreamPace(streams_window_bytes);
  send_[index_of(Channel::streams)].set_allowance(pace_.allowed());
  for (Path& candidate : paths_) { candidate.health.set_active(candidate.id == active_, now); }
  emit(ActiveChanged{from, active_, reason});
  if (options_.role != Role::host || !active_) { return; }
  ++active_serial_;
  for (const Path& candidate : paths_) { announce_active(candidate.id); }
}

/// Pre: role host, there is an active path.
void Session::announce_active(PathId over) {
  if (options_.role != Role::host) { return; }
  write(over, SendKind::control,
        std::make_shared<const Bytes>(encode(PathStatus{.wire_id = find(*active_)->facts.wire_id,
                                                        .state = PathStatus::State::active,
                                                        .active_serial = active_serial_})));
}

/// Serials order the host's choices, which arrive over several paths.
void Session::adopt_active(PathId path, std::uint32_t serial, MonoTime now) {
  if (options_.role != Role::console || serial <= active_serial_) { return; }
  active_serial_ = serial;
  if (active_ != path) { set_active(path, SwitchReason::told, now); }
}

std::vector<PathView> Session::paths(MonoTime now) const {
  std::vector<PathView> out;
  for (const Path& path : paths_) {
    const PathState healthy = path.id == active_ ? PathState::active : PathState::standby;
    out.push_back({.path = path.id,
                   .facts = path.facts,
                   .state = path.suspect ? PathState::suspect : healthy,
                   .draining = path.draining,
                   .srtt = path.health.srtt(),
                   .last_rx_age = path.health.silence(now),
                   .heartbeat = path.health.interval(),
                   .attached_at = path.attached_at,
                   .rx_frames = path.rx_frames,
                   .tx_frames = path.tx_frames});
  }
  return out;
}

}  // namespace edge::tunnel
