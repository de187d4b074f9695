// The world's clock, its construction from the seed, and its end.
#include "tests/sim/tunnel/world.hpp"

#include <fmt/format.h>

#include "tests/sim/common/heap.hpp"

namespace edge::sim {
using namespace std::chrono_literals;

namespace {

constexpr Duration tick_period = 20ms;
/// A world of days: what is checked at moments is checked at fewer.
constexpr Duration tick_period_of_days = 100ms;
/// Nothing that was under way to or from a connection comes later than that.
constexpr Duration echo_max = 120s;
/// Twice the cap of the back-off, and a dial that ends in silence: see sim_paths.
constexpr Duration calm_max = 75s;

}  // namespace

TunnelWorld::TunnelWorld(std::uint64_t seed, Duration lasts, TunnelOutcome& outcome, bool trace)
    : seed_(seed),
      lasts_(lasts),
      outcome_(outcome),
      trace_(trace),
      random_(Random(seed).next()),
      report_([this](std::string what) { problem(std::move(what)); }),
      host_app_(report_),
      console_app_(report_) {}

void TunnelWorld::problem(std::string what) {
  if (trace_) { fmt::print("{:.3f} PROBLEM {}\n", seconds(), what); }
  if (problems_.size() < 4) { problems_.push_back(fmt::format("{:.3f} s: {}", seconds(), what)); }
}

void TunnelWorld::schedule(MonoTime at, What what, std::size_t a, std::uint64_t b,
                           tunnel::SharedBytes bytes) {
  events_.push({at, ++order_, what, a, b, std::move(bytes)});
}

void TunnelWorld::build() {
  endpoints_ = random_.chance(25) ? 2 : 1;
  const std::size_t count = endpoints_ == 2 ? 1 + random_.below(3) : 2 + random_.below(5);
  for (std::size_t i = 0; i < count; ++i) {
    Port& port = ports_.emplace_back();
    port.facts.port = port.facts.name = fmt::format("p{}", i);
    port.facts.rank = static_cast<unsigned>(random_.chance(50) ? i : 0);
    port.facts.carrier = true;
    port.facts.addresses = {fresh_address()};
    const Duration delay = some_ms(0, random_.chance(20) ? 150 : 20);
    for (LinkDirection& direction : port.direction) {
      direction.delay = delay + Duration(random_.below(1'000'000));
      if (random_.chance(20)) { direction.bytes_per_s = 200'000 + random_.below(1'000'000); }
    }
  }
  options_.heartbeat = {.active = 100ms, .standby = 300ms, .dead_after = 3};
  options_.choice = {
      .quality_hold = 1s, .first_hold = 200ms, .failback_hold = 500ms, .failback_hold_max = 5s};
  command_period_ = some_ms(50, 250);
  streams_ = random_.chance(20);
  tick_period_ = tick_period;
  if (lasts_ == Duration{}) { return; }
  tick_period_ = tick_period_of_days;
  command_period_ *= 20;
}

std::vector<std::string> TunnelWorld::run() {
  heap_before_ = heap_bytes();
  build();
  (lasts_ == Duration{} ? plan_faults() : plan_days());
  start(1);
  start(0);
  schedule(now_, What::tick);
  while (!events_.empty() && problems_.empty()) {
    const Event event = std::move(const_cast<Event&>(events_.top()));  // Popped at once.
    events_.pop();
    now_ = event.at;
    handle(event);
    if (event.what != What::tick || now_ <= faults_end_) { continue; }
    const std::string missing = unfinished();
    if (missing.empty()) { break; }
    if (now_ > faults_end_ + calm_max) { problem("not converged: " + missing); }
  }
  outcome_.ends.note(now_ - faults_end_);
  outcome_.commands += console_app_.command_count();
  if (problems_.empty() && host_app_.executed_count() != console_app_.command_count()) {
    problem(fmt::format("{} commands, {} executed", console_app_.command_count(),
                        host_app_.executed_count()));
  }
  ++outcome_.worlds;
  if (!problems_.empty()) { ++outcome_.failed; }
  outcome_.simulated_s += seconds();
  return problems_;
}

void TunnelWorld::handle(const Event& event) {
  switch (event.what) {
    case What::arrival: return arrive(event);
    case What::closed: return on_closed(event.b, event.a);
    case What::pump: return pump(event.b, event.a);
    case What::dialled: return on_dialled(event.a);
    case What::tick: return tick();
    case What::fault: {
      if (event.a + 1 < faults_.size()) {
        schedule(fault_at_[event.a + 1], What::fault, event.a + 1);
      }
      return strike(faults_[event.a]);
    }
    case What::flap: {
      Port& port = ports_[faults_[event.a].port];
      unplug(port);
      return schedule(now_ + some_ms(1, 100), What::heal, event.a);
    }
    case What::heal: return heal(faults_[event.a]);
    case What::execute:
      if (!runs(0) || event.b != ends_[0].generation) { return; }
      for (const std::uint64_t id : host_app_.stored_not_executed()) { host_app_.execute(id); }
      host_app_.pump(*ends_[0].endpoint, now_);
      return settle(0);
    case What::timer: {
      End& end = ends_[event.a];
      if (!runs(event.a) || event.b != end.generation || end.timer_at > now_) { return; }
      end.timer_at.reset();
      if (event.a == 0) {
        end.paths->on_deadline(now_);
      } else {
        end.session->on_deadline(now_);
      }
      return settle(event.a);
    }
  }
}

/// Load, and the checks that hold at every moment.
void TunnelWorld::tick() {
  schedule(now_ + tick_period_, What::tick);
  const bool busy = now_ < faults_end_;
  while (busy && next_command_at_ <= now_) {
    console_app_.add_command(100);
    next_command_at_ = std::max(next_command_at_ + command_period_, now_ - tick_period_);
  }
  if (runs(1)) {
    ends_[1].endpoint->streams().tick(busy && streams_);
    console_app_.pump(*ends_[1].endpoint, now_);
    if (busy && random_.chance(2)) { console_app_.repeat_last(*ends_[1].endpoint, now_); }
    settle(1);
  }
  if (runs(0)) {
    if (busy && random_.chance(10)) { host_app_.raise_event(); }
    ends_[0].endpoint->streams().tick(busy && streams_);
    host_app_.pump(*ends_[0].endpoint, now_);
    settle(0);
  }
  check_bounds();
  check_phases();
  check_agreement();
  check_lives();
  if (lasts_ != Duration{}) { let_go_of_the_past(); }
  ++ticks_;
}

void TunnelWorld::let_go_of_the_past() {
  for (Connection& one : connections_) {
    if (one.open[0] || one.open[1]) {
      one.over_since.reset();
    } else if (!one.over_since) {
      one.over_since = now_;
    }
  }
  connections_.retire([this](const Connection& one) {
    return one.over_since && now_ - *one.over_since > echo_max;
  });
}

std::string TunnelWorld::unfinished() const {
  if (!runs(0) || !runs(1)) { return "a process is down"; }
  const uplink::TunnelPaths& paths = *ends_[0].paths;
  const tunnel::Session& host = paths.session();
  const tunnel::Session& console = *ends_[1].session;
  if (!host.established() || host.id() != console.id()) { return "no common session"; }
  const std::vector<uplink::PathStatus> known = paths.engine().status();
  // The host's own rest while one that the Console offered is up on their port.
  const auto rests = [&](const uplink::PathStatus& own) {
    return !paths.engine().offered(own.key.endpoint) &&
           std::ranges::any_of(known, [&](const uplink::PathStatus& other) {
             return other.key.port == own.key.port && paths.engine().offered(other.key.endpoint) &&
                    other.state == uplink::PathState::up;
           });
  };
  std::size_t resting = 0;
  for (const uplink::PathStatus& status : known) {
    if (status.state != uplink::PathState::up) {
      if (rests(status)) {
        ++resting;
        continue;
      }
      return fmt::format("{}/{} is not up: {} {}", status.key.port, status.key.endpoint,
                         to_string(status.broken), status.cause);
    }
  }
  if (console.path_count() != known.size() - resting) { return "paths missing at the Console"; }
  if (!console_app_.all_done()) { return "commands without a result"; }
  if (!host_app_.all_acked()) { return "results or events that are not acknowledged"; }
  if (console_app_.events_stored() != host_app_.events_raised()) { return "events not stored"; }
  for (const End& end : ends_) {
    if (end.endpoint->streams().busy()) { return "streams that are not over"; }
  }
  return {};
}

}  // namespace edge::sim
