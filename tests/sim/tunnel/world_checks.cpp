// What must hold at every moment, whatever strikes.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/common/heap.hpp"
#include "tests/sim/common/promise.hpp"
#include "tests/sim/tunnel/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;
using tunnel::PathCause;
using tunnel::SwitchReason;
using uplink::PathState;
using uplink::Step;

namespace {

/// The longest detection of a path that gave up.
constexpr Duration memory = 15s;
constexpr std::uint64_t heap_ticks = 25;
/// What both applications remember of a command, or of a fault, for ever.
constexpr std::size_t kept_per_command = 256;

}  // namespace

void TunnelWorld::check_bounds() {
  for (std::size_t end = 0; end < 2; ++end) {
    if (!runs(end)) { continue; }
    const tunnel::Session& session = session_of(end);
    std::size_t held = 0;
    for (std::size_t i = 0; i < tunnel::channel_count; ++i) {
      const auto channel = static_cast<tunnel::Channel>(i);
      const bool streams = channel == tunnel::Channel::streams;
      const std::size_t queue = streams
                                    ? tunnel::streams_window_bytes + tunnel::stream_data_bytes_max
                                    : std::max<std::size_t>(options_.queue_bytes_max[i], 64 << 10);
      const std::size_t window = streams ? tunnel::streams_window_bytes : tunnel::window_bytes;
      if (session.queued_bytes(channel) > queue + tunnel::window_frames * 8) {
        problem("a send queue exceeds its limit");
      }
      if (session.reorder_bytes(channel) > window) { problem("reorder buffer too large"); }
      held += session.queued_bytes(channel) + session.reorder_bytes(channel);
    }
    if (session.queued_bytes(tunnel::Channel::commands) > crowd_bytes) { crowded_at_ = now_; }
    if (!ends_[end].endpoint->streams().within_bounds()) {
      problem("streams exceed their windows");
    }
    if (session.path_count() > ports_.size() * (endpoints_ + 1)) {
      problem("two connections of a path");
    }
    if (session.stats().violations > 0) { problem("a correct peer was accused"); }
    outcome_.windows.note(static_cast<std::int64_t>(held));
  }
  // A path's connection, its successor, a proof.
  if (runs(0) && ends_[0].paths->link_count() > 2 * ports_.size() * (endpoints_ + 1) + 1) {
    problem("more connections than paths can have");
  }
  if (ticks_ % heap_ticks != 0) { return; }
  const std::size_t now = heap_bytes();
  const std::size_t held = now - std::min(now, heap_before_);
  outcome_.heap.note(static_cast<std::int64_t>(held));
  if (held > heap_max + kept_per_command * console_app_.command_count()) {
    problem(fmt::format("{} bytes of memory are in use", held));
  }
}

/// The engine's phase of each path beside the connections that there are, and what it says is
/// broken beside what is.
void TunnelWorld::check_phases() {
  if (!runs(0)) { return; }
  const uplink::TunnelPaths& paths = *ends_[0].paths;
  const std::vector<tunnel::PathView> carried = paths.session().paths(now_);
  std::size_t standing = 0;
  for (const uplink::PathStatus& status : paths.engine().status()) {
    const std::string name = fmt::format("{}/{}", status.key.port, status.key.endpoint);
    const auto main = paths.main_of(status.key);
    const bool stands = main && paths.attached(*main);
    const auto in_session = std::ranges::count_if(carried, [&](const tunnel::PathView& view) {
      const auto number = number_of(view.path);
      return number && connections_[*number].key == status.key;
    });
    const auto dials = std::ranges::count_if(by_path_, [&](const auto& item) {
      return connections_[item.second].key == status.key && !paths.attached(item.first);
    });
    ++outcome_.phases.checks;
    if (stands) { ++standing; }
    if (in_session != (stands ? 1 : 0)) {
      problem(fmt::format("{}: {} connections in the session, {} in the glue", name, in_session,
                          stands ? 1 : 0));
    }
    switch (status.state) {
      case PathState::up:
        if (!stands) { problem(name + " is up, without a connection"); }
        if (dials > 1) { problem(name + " is up, and is dialled beside its proof"); }
        break;
      case PathState::dialing:
        if (dials != 1) { problem(fmt::format("{} is dialled by {} dials", name, dials)); }
        break;
      case PathState::waiting:
        if (dials > 0) { problem(name + " waits, and is dialled"); }
        if (!status.next_dial || *status.next_dial < now_) { problem(name + " waits for nothing"); }
        break;
      case PathState::down:
        if (dials > 0 || stands) { problem(name + " is down, and has a connection"); }
        break;
    }
    const Port& port =
        *std::ranges::find(ports_, status.key.port, [](const Port& one) { return one.facts.port; });
    const auto& facts = port.facts;
    ++outcome_.causes.checks;
    const bool up = status.state == PathState::up;
    if (up != (status.broken == Step::none)) { problem(name + ": up, and something is broken"); }
    const Step below = !facts.admin_up           ? Step::disabled
                       : facts.drained           ? status.broken
                       : !facts.carrier          ? Step::carrier
                       : facts.addresses.empty() ? Step::lease
                                                 : Step::none;
    const bool said_below = status.broken > Step::none && status.broken < Step::gateway;
    if (below != Step::none ? status.broken != below && !up : said_below && !port.flapped(now_)) {
      problem(fmt::format("{}: {} is said to be broken, not {}", name, to_string(status.broken),
                          to_string(below)));
    }
  }
  if (carried.size() != standing) {
    problem(
        fmt::format("the session has {} paths, {} connections stand", carried.size(), standing));
  }
}

/// Make before break: what is whole is closed as a path's end, or for the one that has its place.
void TunnelWorld::check_let_go() {
  for (const std::size_t number : let_go_) {
    const uplink::TunnelPaths& paths = *ends_[0].paths;
    const auto main = paths.main_of(connections_[number].key);
    if (main && paths.attached(*main)) { continue; }
    problem(connections_[number].key.port + ": closed before the next one is welcomed");
  }
}

bool TunnelWorld::intact(const Connection& connection) const {
  return connection.both_at && connection.open[0] && connection.open[1] &&
         !connection.pipe[0].broken() && !connection.pipe[1].broken();
}

/// Nothing has befallen it, or its port, since then; nor took it another one's place, which costs
/// what was under way to the former one a round trip more.
bool TunnelWorld::whole_since(const Connection& connection, MonoTime since) const {
  const Port& port = ports_[connection.port];
  return intact(connection) && !port.cut() && port.struck_until + settling <= since &&
         *connection.both_at + settling <= since && *connection.welcomed_at <= since;
}

/// Within the dead time both ends use the same path, as long as one is whole over which the one
/// can tell the other.
void TunnelWorld::check_agreement() {
  const bool judged = runs(0) && runs(1) && now_ > process_struck_until_ + settling &&
                      session_of(0).id() == session_of(1).id() &&
                      std::ranges::any_of(connections_, [this](const Connection& one) {
                        return whole_since(one, now_ - settling);
                      });
  if (!judged) { return disagree_since_.reset(); }
  const auto host = session_of(0).active();
  const auto number = host ? number_of(*host) : std::nullopt;
  const auto console = session_of(1).active();
  if (number && console && *number + 1 == console->value) {
    outcome_.agreement.note(Duration{});
    return disagree_since_.reset();
  }
  if (!disagree_since_) { disagree_since_ = now_; }
  outcome_.agreement.note(now_ - *disagree_since_);
  if (now_ - *disagree_since_ > options_.heartbeat.standby * options_.heartbeat.dead_after) {
    problem(fmt::format("for {} the ends have used different active paths",
                        in_ms(now_ - *disagree_since_)));
  }
}

/// What one end has given up the other one has, too, within the dead time of a path that was
/// active, as long as they hear each other over another one.
void TunnelWorld::check_lives() {
  constexpr Duration dead_max = 6s;
  for (std::size_t number = connections_.first_number(); number < connections_.end_number();
       ++number) {
    Connection& one = connections_[number];
    const bool host =
        runs(0) && number_of(one.path) == number && ends_[0].paths->attached(one.path);
    const bool console = runs(1) && one.accepted && one.open[1];
    if (host || console) { ports_[one.port].carried_until = now_; }
    if (host == console) {
      one.differ_since.reset();
      continue;
    }
    if (!one.differ_since) { one.differ_since = now_; }
    const Duration lasts = now_ - *one.differ_since;
    const bool judged = now_ > process_struck_until_ + dead_max &&
                        std::ranges::any_of(connections_, [&](const Connection& other) {
                          return other.port != one.port && whole_since(other, *one.differ_since);
                        });
    if (!judged) { continue; }
    outcome_.lives.note(lasts);
    if (lasts > dead_max) {
      problem(fmt::format("{}: alive for one end alone for {}", one.key.port, in_ms(lasts)));
    }
  }
}

/// A path is not blamed for what did not happen to it.
void TunnelWorld::check_down(const uplink::PathDown& down) {
  if (trace_) {
    fmt::print("{:.3f} down {} {}/{}: {} {}{}\n", seconds(), down.path.value, down.key.port,
               down.key.endpoint, to_string(down.cause), down.detail,
               down.by_peer ? " (by peer)" : "");
  }
  const Port& port =
      *std::ranges::find(ports_, down.key.port, [](const Port& one) { return one.facts.port; });
  ++outcome_.causes.checks;
  const bool struck = now_ < port.struck_until + memory || now_ < process_struck_until_ + memory;
  const auto number = number_of(down.path);
  const bool broken =
      number && (connections_[*number].pipe[0].broken() || connections_[*number].pipe[1].broken());
  if (!struck && !broken && down.cause != PathCause::superseded) {
    problem(fmt::format("{} that nothing struck is given up: {}", down.key.port,
                        to_string(down.cause)));
  }
  if (down.cause == PathCause::carrier && port.facts.carrier && !port.flapped(now_)) {
    problem(down.key.port + " has carrier, and is said to have none");
  }
  if (down.cause == PathCause::silence && down.why.step != Step::tcp) {
    problem("silence is said to be broken at " + std::string(to_string(down.why.step)));
  }
}

/// Away from what was struck at once, to what is better or faster only after its hold.
void TunnelWorld::check_switch(const tunnel::ActiveChanged& changed) {
  outcome_.switches.note(Duration{});
  const Duration since_last = now_ - std::exchange(switched_at_, now_);
  if (trace_) {
    fmt::print("{:.3f} active {} -> {} ({})\n", seconds(), changed.from ? changed.from->value : 0,
               changed.to ? changed.to->value : 0, to_string(changed.reason));
  }
  ++switches_;
  if (switches_ > 8 * (faults_.size() + ports_.size() * endpoints_)) { problem("it oscillates"); }
  if (changed.reason == SwitchReason::faster && since_last < options_.choice.quality_hold) {
    problem(fmt::format("to a faster path {} after the last switch", in_ms(since_last)));
  }
  if (changed.reason == SwitchReason::preferred) {
    const auto to = changed.to ? number_of(*changed.to) : std::nullopt;
    const auto welcomed = to ? connections_[*to].welcomed_at : std::nullopt;
    if (!welcomed || now_ - *welcomed < options_.choice.first_hold) {
      problem("to a preferred path before its hold");
    }
  }
}

/// The promise of mirroring, of ports.
void TunnelWorld::check_gap(const ConsoleApp::StoredReply& reply) {
  const MonoTime calm = std::max(process_struck_until_, crowded_at_) + settling;
  if (streams_ || calm > reply.sent_at) { return; }
  std::vector<Duration> whole;
  std::size_t struck = 0;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    const Port& port = ports_[i];
    std::size_t open = 0;
    std::size_t intact = 0;
    for (const Connection& one : connections_) {
      if (one.port != i || (!one.open[0] && !one.open[1])) { continue; }
      ++open;
      if (whole_since(one, reply.sent_at)) { ++intact; }
    }
    if (open > 0 && open == intact) {
      whole.push_back(port.direction[0].delay + port.direction[1].delay);
    } else if (port.carried_until + settling >= reply.sent_at) {
      ++struck;
    }
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
