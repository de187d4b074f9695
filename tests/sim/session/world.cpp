// The world's clock, its construction from the seed, and what must hold.
#include "tests/sim/session/world.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/common/heap.hpp"

namespace edge::sim {
using namespace std::chrono_literals;

namespace {

constexpr Duration tick_period = 20ms;
constexpr Duration calm_max = 60s;  ///< Time to converge after the last fault.
constexpr std::uint64_t heap_ticks = 25;

}  // namespace

World::World(const WorldOptions& options)
    : run_(options),
      random_(Random(options.seed).next()),
      report_([this](std::string what) { problem(std::move(what)); }),
      host_app_(report_),
      console_app_(report_) {}

template <class... Args>
void World::trace(fmt::format_string<Args...> format, Args&&... args) {
  if (!run_.trace) { return; }
  const auto at_us =
      std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch() - 1h);
  fmt::print("{:10.3f} ms  {}\n", static_cast<double>(at_us.count()) / 1000.0,
             fmt::format(format, std::forward<Args>(args)...));
}

void World::problem(std::string what) {
  trace("PROBLEM {}", what);
  if (problems_.size() < 8) { problems_.push_back(std::move(what)); }
}

void World::schedule_at(MonoTime at, What what, std::size_t a, std::uint64_t b,
                        tunnel::SharedBytes bytes) {
  events_.push({at, ++order_, what, a, b, std::move(bytes)});
}

void World::schedule(Duration after, What what, std::size_t a, std::uint64_t b,
                     tunnel::SharedBytes bytes) {
  schedule_at(now_ + after, what, a, b, std::move(bytes));
}

void World::build() {
  const std::size_t link_count = random_.chance(40) ? 2 : 2 + random_.below(5);
  for (std::size_t i = 0; i < link_count; ++i) {
    Link link{.adapter = fmt::format("eth{}", i), .direction = {}, .connection = std::nullopt};
    link.path_class = static_cast<tunnel::PathClass>(random_.chance(25) ? random_.below(3) : 0);
    link.rank = static_cast<std::uint32_t>(random_.chance(50) ? i : 0);
    const Duration delay = some_ms(0, random_.chance(20) ? 150 : 20);
    for (LinkDirection& direction : link.direction) {
      direction.delay = delay + Duration(random_.below(1'000'000));
      if (random_.chance(30)) { direction.jitter = some_ms(1, 20); }
      if (random_.chance(20)) { direction.bytes_per_s = 100'000 + random_.below(1'000'000); }
      link.bytes_per_s[static_cast<std::size_t>(&direction - link.direction.data())] =
          direction.bytes_per_s;
    }
    links_.push_back(std::move(link));
  }
  std::uint64_t slowest = UINT64_MAX;
  for (const Link& link : links_) {
    slowest = std::min(slowest, std::ranges::min(link.bytes_per_s));
  }
  const bool default_timers = random_.chance(20);
  if (!default_timers) {
    options_.heartbeat = {.active = 100ms, .standby = 300ms, .dead_after = 3};
  }
  options_.choice = {
      .quality_hold = 1s, .first_hold = 200ms, .failback_hold = 500ms, .failback_hold_max = 5s};
  options_.mirror.enabled = random_.chance(70);
  if (random_.chance(20)) {
    options_.mirror.frames_per_s = 20;
    options_.mirror.burst = 5;
  }
  options_.detach_ttl = std::chrono::seconds(random_.chance(20) ? 1 : 600);
  if (random_.chance(10)) { options_.queue_bytes_max = {2000, 2000, 2000, 2000, 2000}; }

  // What comes in must go out: a queue of 2000 bytes takes that much in a round trip, and the
  // slowest line must keep up, also with what waited in an outage.
  const bool large_queue = options_.queue_bytes_max[1] > 2000;
  command_period_ = random_.chance(4) && large_queue ? Duration(5ms) : some_ms(50, 250);
  if (random_.chance(15)) {
    command_period_ = std::max(command_period_, Duration(large_queue ? 100ms : 2000ms));
    command_bytes_ = 1 + random_.below(std::min<std::uint64_t>(30'000, slowest / 100));
  }
  if (random_.chance(20)) { bulk_bytes_ = 100 + random_.below(4000); }
  streams_ = random_.chance(50);
  if (random_.chance(10)) { options_.streams.reset(); }  // As an older peer.
  measure_gaps_ = bulk_bytes_ == 0 && command_bytes_ == 100 && options_.mirror.enabled &&
                  options_.mirror.frames_per_s >= 1000 && options_.queue_bytes_max[1] > 2000;
}

Outcome World::run() {
  heap_before_ = heap_bytes();
  build();
  plan_faults();
  trace("seed {}: {} links, {} faults, mirror {}, command each {}", run_.seed, links_.size(),
        faults_.size(), options_.mirror.enabled,
        std::chrono::duration_cast<std::chrono::milliseconds>(command_period_));
  start(End::console);
  start(End::host);
  schedule(0ms, What::tick);
  while (!events_.empty() && problems_.empty()) {
    const Event event = std::move(const_cast<Event&>(events_.top()));  // Popped at once.
    events_.pop();
    now_ = event.at;
    ++outcome_.steps;
    handle(event);
    if (event.what == What::tick && now_ > faults_end_) {
      const std::string missing = unfinished();
      if (missing.empty()) { break; }
      if (now_ > faults_end_ + calm_max) { problem("not converged: " + missing); }
    }
  }
  finish();
  return outcome_;
}

void World::finish() {
  outcome_.ends.note(now_ - faults_end_);
  outcome_.executions.checks = host_app_.executed_count();
  outcome_.commands = console_app_.command_count();
  outcome_.events = console_app_.events_stored();
  for (const Process& owner : processes_) {
    if (owner.endpoint) {
      outcome_.stream_bytes.checks += owner.endpoint->streams().bytes_received();
    }
  }
  if (problems_.empty() && host_app_.executed_count() != outcome_.commands) {
    problem(fmt::format("{} commands, {} executed", outcome_.commands, host_app_.executed_count()));
  }
  outcome_.worlds = 1;
  outcome_.failed = problems_.empty() ? 0 : 1;
  outcome_.simulated_s = static_cast<std::uint64_t>((now_.time_since_epoch() - 1h) / 1s);
}

void World::handle(const Event& event) {
  switch (event.what) {
    case What::arrival: arrive(event); break;
    case What::repeated: arrive_again(event); break;
    case What::closed: on_closed(event); break;
    case What::pump: pump(static_cast<End>(event.b), event.a); break;
    case What::timer: on_timer(event); break;
    case What::dial: dial(event); break;
    case What::connected: connected(event.a); break;
    case What::welcome_timeout:
      if (connections_[event.a].open[0] && !connections_[event.a].attached[0]) {
        close(End::host, event.a);
      }
      break;
    case What::execute: on_execute(event); break;
    case What::tick: tick(); break;
    case What::fault: begin_fault(event.a); break;
    case What::strike_again: strike(faults_[event.a]); break;
    case What::heal: heal(faults_[event.a]); break;
    case What::start: start(static_cast<End>(event.a)); break;
    case What::thaw: thaw(static_cast<End>(event.a)); break;
  }
}

bool World::defer(End end, const Event& event) {
  Process& owner = process(end);
  if (now_ >= owner.frozen_until) { return false; }
  if (owner.inbox.empty()) {
    schedule_at(owner.frozen_until, What::thaw, index_of(end), 0, nullptr);
  }
  owner.inbox.push_back(event);
  return true;
}

void World::thaw(End end) {
  Process& owner = process(end);
  if (now_ < owner.frozen_until) {
    schedule_at(owner.frozen_until, What::thaw, index_of(end), 0, nullptr);
    return;
  }
  for (const Event& event : std::exchange(owner.inbox, {})) { handle(event); }
}

void World::on_closed(const Event& event) {
  const auto end = static_cast<End>(event.b);
  if (defer(end, event) || !connections_[event.a].open[index_of(end)]) { return; }
  if (connections_[event.a].attached[index_of(end)]) {
    process(end).endpoint->session().on_path_lost(PathId{static_cast<std::uint32_t>(event.a)},
                                                  tunnel::PathCause::eof, {}, now_);
  }
  run_actions(end);
  close(end, event.a);
}

void World::on_timer(const Event& event) {
  const auto end = static_cast<End>(event.a);
  Process& owner = process(end);
  if (owner.endpoint == nullptr || event.b != owner.generation || defer(end, event)) { return; }
  if (owner.timer_at && *owner.timer_at > now_) { return; }  // Another event was armed instead.
  owner.timer_at.reset();
  const auto due = owner.endpoint->session().next_deadline();
  if (due && *due <= now_) { owner.endpoint->session().on_deadline(now_); }
  run_actions(end);
}

void World::on_execute(const Event& event) {
  Process& owner = process(End::host);
  if (owner.endpoint == nullptr || event.b != owner.generation || defer(End::host, event)) {
    return;
  }
  for (const std::uint64_t id : host_app_.stored_not_executed()) { host_app_.execute(id); }
  host_app_.pump(*owner.endpoint, now_);
  run_actions(End::host);
}

/// Load, and the checks that hold at every moment.
void World::tick() {
  schedule(tick_period, What::tick);
  check_bounds();
  check_agreement();
  if (++ticks_ % heap_ticks == 0) { check_heap(); }
  const bool busy = now_ < faults_end_;
  Process& console = process(End::console);
  const bool console_runs = console.endpoint != nullptr && now_ >= console.frozen_until;
  while (busy && next_command_at_ <= now_) {
    console_app_.add_command(command_bytes_);
    next_command_at_ = std::max(next_command_at_ + command_period_, now_ - tick_period);
  }
  if (console_runs) {
    console.endpoint->streams().tick(busy && streams_);
    console_app_.pump(*console.endpoint, now_);
    if (busy && random_.chance(2)) { console_app_.repeat_last(*console.endpoint, now_); }
    run_actions(End::console);
  }
  Process& host = process(End::host);
  if (host.endpoint == nullptr || now_ < host.frozen_until) { return; }
  if (busy && random_.chance(10)) { host_app_.raise_event(); }
  if (busy && bulk_bytes_ > 0) {
    host.endpoint->send(tunnel::Channel::telemetry, Kind::telemetry, 1, bulk_bytes_, now_);
    host.endpoint->send(tunnel::Channel::bulk, Kind::telemetry, 1, bulk_bytes_ * 2, now_);
  }
  host.endpoint->streams().tick(busy && streams_);
  host_app_.pump(*host.endpoint, now_);
  run_actions(End::host);
}

std::string World::unfinished() {
  if (process(End::host).endpoint == nullptr) { return "the host is down"; }
  if (process(End::console).endpoint == nullptr) { return "the Console is down"; }
  const tunnel::Session& host = process(End::host).endpoint->session();
  const tunnel::Session& console = process(End::console).endpoint->session();
  if (!console_app_.all_done()) { return "commands without a result"; }
  if (!host_app_.all_acked()) { return "results or events that are not acknowledged"; }
  if (console_app_.events_stored() != host_app_.events_raised()) { return "events not stored"; }
  if (!host.established() || host.id() != console.id()) { return "no common session"; }
  if (host.paths(now_).size() != links_.size()) { return "paths missing at the host"; }
  if (console.paths(now_).size() != links_.size()) { return "paths missing at the Console"; }
  // Both ends name their paths by the connection's number here.
  if (!host.active() || host.active() != console.active()) { return "different active paths"; }
  for (const Process& owner : processes_) {
    if (owner.endpoint->streams().busy()) { return "streams that are not over"; }
  }
  for (std::size_t i = 0; i < tunnel::channel_count; ++i) {
    const auto channel = static_cast<tunnel::Channel>(i);
    if (host.queued_bytes(channel) > 0) { return "unacknowledged frames at the host"; }
    if (console.queued_bytes(channel) > 0) { return "unacknowledged frames at the Console"; }
  }
  return {};
}

}  // namespace edge::sim
