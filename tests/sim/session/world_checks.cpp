// What must hold at every moment, whatever strikes.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/common/heap.hpp"
#include "tests/sim/common/promise.hpp"
#include "tests/sim/session/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;
using tunnel::SwitchReason;

namespace {

/// The longest detection of a path that gave up.
constexpr Duration memory = 15s;
/// A stream's frame on a path that has just become active: what has begun is not overtaken.
constexpr std::size_t begun_bytes = tunnel::StreamPace::allowed_first / 16;

}  // namespace

void World::check_bounds() {
  for (const Process& owner : processes_) {
    if (owner.endpoint == nullptr) { continue; }
    const tunnel::Session& session = owner.endpoint->session();
    std::size_t held = 0;
    for (std::size_t i = 0; i < tunnel::channel_count; ++i) {
      const auto channel = static_cast<tunnel::Channel>(i);
      // A single frame is always admitted into an empty queue; gap markers come on top.
      const bool streams = channel == tunnel::Channel::streams;
      const std::size_t limit =
          streams ? tunnel::streams_window_bytes : options_.queue_bytes_max[i];
      const std::size_t window = streams ? tunnel::streams_window_bytes : tunnel::window_bytes;
      const std::size_t bound = std::max<std::size_t>(limit, 64 << 10) +
                                tunnel::window_frames * sizeof(std::uint64_t) +
                                (streams ? tunnel::stream_data_bytes_max : 0);
      if (session.queued_bytes(channel) > bound) { problem("a send queue exceeds its limit"); }
      if (session.reorder_bytes(channel) > window) { problem("reorder buffer too large"); }
      held += session.queued_bytes(channel) + session.reorder_bytes(channel);
    }
    if (!owner.endpoint->streams().within_bounds()) { problem("streams exceed their windows"); }
    if (session.path_count() > links_.size()) { problem("two paths over one adapter"); }
    if (session.stats().violations > 0) {
      problem("a correct peer was accused of breaking the protocol");
    }
    outcome_.windows.note(static_cast<std::int64_t>(held));
    if (session.queued_bytes(tunnel::Channel::commands) > crowd_bytes) { crowded_at_ = now_; }
  }
}

void World::check_heap() {
  const std::size_t now = heap_bytes();
  const std::size_t held = now - std::min(now, heap_before_);
  outcome_.heap.note(static_cast<std::int64_t>(held));
  if (held > heap_max) { problem(fmt::format("{} bytes of memory are in use", held)); }
}

/// Nothing has befallen the link, its connection or a process since then.
bool World::whole_since(const Link& link, MonoTime since) const {
  if (!link.connection || link.cut() || link.disturbed_until + settling > since) { return false; }
  const Connection& connection = connections_[*link.connection];
  const auto attached = connection.both_attached_at;
  if (!attached || *attached + settling > since || connection.drained) { return false; }
  // A byte of it was lost: it is a corpse that is kept for the time a slow path may take.
  return !connection.pipe[0].broken() && !connection.pipe[1].broken();
}

Duration World::round_trip(const Link& link) const {
  Duration sum{};
  for (const LinkDirection& direction : link.direction) {
    sum += direction.delay + direction.jitter;
    if (streams_) {
      sum += socket_buffer + Duration(begun_bytes * 1'000'000'000 / direction.bytes_per_s);
    }
  }
  return sum;
}

/// Within the dead time both ends use the same path, as long as one is whole over which the one
/// can tell the other. Both name it by the connection's number here.
void World::check_agreement() {
  const Process& host = process(End::host);
  const Process& console = process(End::console);
  const bool judged = host.endpoint != nullptr && console.endpoint != nullptr &&
                      now_ > process_disturbed_at_ + settling &&
                      host.endpoint->session().id() == console.endpoint->session().id() &&
                      std::ranges::any_of(links_, [this](const Link& link) {
                        return whole_since(link, now_ - settling);
                      });
  if (!judged) {
    disagree_since_.reset();
    return;
  }
  if (host.endpoint->session().active() == console.endpoint->session().active()) {
    disagree_since_.reset();
    outcome_.agreement.note(Duration{});
    return;
  }
  if (!disagree_since_) { disagree_since_ = now_; }
  outcome_.agreement.note(now_ - *disagree_since_);
  const Duration dead = options_.heartbeat.standby * options_.heartbeat.dead_after;
  if (now_ - *disagree_since_ > dead) {
    problem(fmt::format("for {} the ends have used different active paths",
                        in_ms(now_ - *disagree_since_)));
  }
}

/// Did anything befall it that it may be left for?
bool World::struck_lately(std::size_t index) const {
  const Connection& connection = connections_[index];
  const Link& link = links_[connection.link];
  return link.cut() || now_ < link.disturbed_until + memory ||
         now_ < process_disturbed_at_ + memory || connection.pipe[0].broken() ||
         connection.pipe[1].broken() || connection.drained;
}

/// The host's active path: away from one that was struck at once, back to a better or a faster one
/// only after the hold, which is longer each time that one fails.
void World::check_switch(const tunnel::ActiveChanged& changed) {
  outcome_.switches.note(Duration{});
  const Duration since_last = now_ - std::exchange(switched_at_, now_);
  const auto& limits = options_.choice;
  switch (changed.reason) {
    case SwitchReason::none:
    case SwitchReason::told: return problem("the host was told its active path");
    case SwitchReason::first:
      if (changed.from) { problem("a first path after another one"); }
      proven_since_first_ = false;
      return;
    case SwitchReason::lost: {
      if (!struck_lately(changed.from->value)) { problem("a path was left that nothing struck"); }
      const Connection& left = connections_[changed.from->value];
      if (left.drained || now_ < process_disturbed_at_ + memory) { return; }
      Link& link = links_[left.link];
      if (now_ - link.failed_at > limits.failback_hold_max) { link.failures = 0; }
      ++link.failures;
      link.failed_at = now_;
      return;
    }
    case SwitchReason::proven:
      if (std::exchange(proven_since_first_, true)) { problem("left for a proven path twice"); }
      return;
    case SwitchReason::preferred: {
      const Connection& chosen = connections_[changed.to->value];
      const Link& link = links_[chosen.link];
      const Duration steady = now_ - std::max(chosen.attached_at, link.failed_at);
      const bool fresh = now_ - link.failed_at <= limits.failback_hold_max;
      const Duration hold = link.failures == 0 || !fresh
                                ? limits.first_hold
                                : std::min(limits.failback_hold * (1 << (link.failures - 1)),
                                           limits.failback_hold_max);
      if (steady < hold) {
        problem(fmt::format("back after {}, the hold is {}", in_ms(steady), in_ms(hold)));
      }
      return;
    }
    case SwitchReason::faster:
      if (since_last < limits.quality_hold) {
        problem(fmt::format("to a faster path {} after the last switch", in_ms(since_last)));
      }
      return;
  }
}

/// The promise of mirroring.
void World::check_gap(const ConsoleApp::StoredReply& reply) {
  if (!measure_gaps_ || std::max(process_disturbed_at_, crowded_at_) + settling > reply.sent_at) {
    return;
  }
  std::vector<Duration> whole;
  std::size_t struck = 0;
  for (const Link& link : links_) {
    if (whole_since(link, reply.sent_at)) {
      whole.push_back(round_trip(link));
      continue;
    }
    if (link.attached > 0 || link.carried_until + settling >= reply.sent_at) { ++struck; }
  }
  const auto bound = promised_round_trip(std::move(whole), struck);
  if (!bound) { return; }
  const Duration took = now_ - reply.sent_at;
  outcome_.gaps.note(took - *bound);
  if (took - *bound > gap_max) {
    problem(fmt::format("the answer to command {} took {} with a whole path of {}", reply.id,
                        in_ms(took), in_ms(*bound)));
  }
}

}  // namespace edge::sim
