#include "tests/sim/paths/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace edge::sim {

using namespace std::chrono_literals;
using uplink::PathAction;
using uplink::PathKey;
using uplink::PathState;
using uplink::Step;

namespace {

constexpr unsigned faults_per_world = 60;
/// A dial that nobody answers: the product's own patience.
constexpr Duration silent_dial = 10s;
/// Facts that change more often than this are a flap, which the back-off rules.
constexpr Duration flap_window = 30s;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

PathWorld::PathWorld(std::uint64_t seed, PathTally& tally, bool trace)
    : seed_(seed), tally_(tally), trace_(trace), random_(seed), engine_(1 + seed % 3, seed) {
  for (std::size_t e = 0; e < 1 + seed % 3; ++e) { endpoints_.push_back(e); }
  next_endpoint_ = endpoints_.size();
  const std::size_t count = 1 + random_.below(6);
  for (std::size_t i = 0; i < count; ++i) {
    Port& port = ports_[fmt::format("p{}", i)];
    port.facts.port = port.facts.name = fmt::format("p{}", i);
    port.facts.rank = static_cast<unsigned>(i);
    port.facts.carrier = random_.chance(80);
    if (random_.chance(80)) { port.facts.addresses = {fresh_address()}; }
  }
  next_fault_ = now_;
}

bool PathWorld::usable(const Port& port) const {
  return port.present && port.facts.admin_up && port.facts.carrier && !port.facts.addresses.empty();
}

/// Drained, and another one carries the host.
bool PathWorld::rests(const Port& port) const {
  return port.facts.drained && std::ranges::any_of(paths_, [this](const auto& item) {
           return (item.second.up || item.second.proving) &&
                  !ports_.at(item.first.port).facts.drained;
         });
}

void PathWorld::fail(std::string what) {
  if (!failure_) { failure_ = fmt::format("{:.3f} s: {}", seconds(now_.time_since_epoch()), what); }
}

/// What was whole so far has to be whole anew: something about the port, or its ways, changed.
void PathWorld::touch(const std::string& port) {
  for (auto& [key, path] : paths_) {
    if (key.port == port) { path.whole_since = now_; }
  }
}
void PathWorld::touch_all() {
  for (auto& [key, path] : paths_) { path.whole_since = now_; }
}

void PathWorld::tell(Port& port, bool was_usable) {
  const std::string& name = port.facts.port;
  port.recent = now_ - port.told < flap_window ? port.recent + 1 : 1;
  port.told = now_;
  for (const std::size_t e : endpoints_) {
    paths_.try_emplace({name, e}).first->second.whole_since = now_;
  }
  if (!port.present) {
    engine_.remove_port(name, now_);
    act();
    std::erase_if(paths_, [&](const auto& item) { return item.first.port == name; });
    return;
  }
  engine_.set_port(port.facts, now_);
  act();
  // Its tokens go with every dial at once, those of a drained port that comes and goes included.
  const bool flaps = port.recent > 3 || std::ranges::any_of(paths_, [&](const auto& item) {
                       return item.first.port == name &&
                              std::ranges::count_if(item.second.dials, [this](MonoTime at) {
                                return now_ - at < flap_window;
                              }) > uplink::PathEngine::immediate_burst;
                     });
  const bool becomes = usable(port) && !was_usable && !rests(port) && !flaps;
  if (!becomes) { return; }
  for (const std::size_t e : endpoints_) {
    ++tally_.prompt;
    const Path& path = paths_.at({name, e});
    if (!path.ends && !path.up) {
      fail(fmt::format("{}/{} became usable and was not dialled at once", name, e));
    }
  }
}

void PathWorld::change(Port& port) {
  const bool was_usable = usable(port);
  switch (random_.below(7)) {
    case 0: port.facts.carrier = !port.facts.carrier; break;
    case 1:
      if (port.facts.addresses.empty()) {
        port.facts.addresses = {fresh_address()};
      } else {
        port.facts.addresses.clear();
      }
      break;
    case 2: port.facts.addresses = {fresh_address()}; break;
    case 3: port.facts.admin_up = !port.facts.admin_up; break;
    case 4:
      port.facts.drained = !port.facts.drained;
      touch_all();
      break;
    case 5: port.present = !port.present; break;
    default:  // A short pull: away and back before anybody dialled.
      port.facts.carrier = false;
      tell(port, was_usable);
      now_ += 10ms;
      port.facts.carrier = true;
      tell(port, false);
      return;
  }
  tell(port, was_usable);
}

void PathWorld::strike() {
  ++tally_.faults;
  auto port = ports_.begin();
  std::advance(port, static_cast<std::ptrdiff_t>(random_.below(ports_.size())));
  const std::uint64_t what = random_.below(12);
  if (trace_) {
    fmt::print("{:.3f} fault {} on {}\n", seconds(now_.time_since_epoch()), what, port->first);
  }
  if (what < 6) {
    change(port->second);
  } else if (what < 9) {
    for (auto& [key, path] : paths_) {
      if (key.port != port->first) { continue; }
      path.way = static_cast<Way>(random_.chance(50) ? 0 : 1 + random_.below(3));
      path.whole_since = now_;
    }
  } else if (what == 9) {
    console_up_ = !console_up_;
    touch_all();
  } else if (what == 10) {
    if (endpoints_.size() > 1 && random_.chance(50)) {
      endpoints_.erase(endpoints_.begin());
    } else if (endpoints_.size() < 4) {
      endpoints_.push_back(next_endpoint_++);
    }
    engine_.set_endpoints(endpoints_, now_);
    for (auto& [name, owner] : ports_) {
      for (const std::size_t e : endpoints_) {
        if (owner.present) { paths_.try_emplace({name, e}).first->second.whole_since = now_; }
      }
    }
    act();
    std::erase_if(paths_, [this](const auto& item) {
      return std::ranges::find(endpoints_, item.first.endpoint) == endpoints_.end();
    });
  } else {
    engine_.on_clock_set(now_);
    act();
    for (auto& [key, path] : paths_) {
      if (!path.up || !random_.chance(30)) { continue; }
      engine_.redial(key, now_);
      act();
      path.proving = path.ends.has_value();  // Not lost so far.
      path.whole_since = now_;
      break;
    }
  }
  act();
  close_struck();
}

/// What the shell does with the engine's orders. A dial replaces what was open for its key.
void PathWorld::act() {
  for (const PathAction& action : engine_.take_actions()) {
    const auto found = paths_.find(action.key);
    if (found == paths_.end()) {
      if (action.kind == PathAction::Kind::dial) { fail("a dial of a path that there is not"); }
      continue;
    }
    Path& path = found->second;
    path.up = false;
    path.ends.reset();
    path.source.reset();
    path.proving = false;
    if (action.kind == PathAction::Kind::close) { continue; }
    ++tally_.dials;
    if (trace_) {
      fmt::print("{:.3f} dial {}/{}\n", seconds(now_.time_since_epoch()), action.key.port,
                 action.key.endpoint);
    }
    const Port& port = ports_.at(action.key.port);
    const std::string name = fmt::format("{}/{}", action.key.port, action.key.endpoint);
    ++tally_.usable;
    if (!usable(port)) { fail(name + " dialled over a port that cannot be used"); }
    if (rests(port)) { fail(name + " dialled over a drained port while another one is up"); }
    if (std::ranges::find(endpoints_, action.key.endpoint) == endpoints_.end()) {
      fail(name + " dialled to an address that is no more");
    }
    std::erase_if(path.dials, [this](MonoTime at) { return now_ - at > 60s; });
    path.dials.push_back(now_);
    if (path.dials.size() > dials_max) {
      fail(fmt::format("{} dialled {} times in a minute", name, path.dials.size()));
    }
    const Duration latency =
        std::chrono::milliseconds(1 + random_.below(random_.chance(80) ? 60 : 900));
    path.ends = now_ + (path.way == Way::silent ? silent_dial : latency);
    if (!port.facts.addresses.empty()) { path.source = port.facts.addresses.front(); }
  }
}

void PathWorld::end_dial(const PathKey& key, Path& path) {
  path.ends.reset();
  path.proving = false;
  const bool refused = path.way == Way::refused || !console_up_;
  if (path.way == Way::bad_identity && console_up_) {
    engine_.on_dial_failed(key, {.step = Step::tls, .text = "identity", .lasting = true}, now_);
  } else if (path.way == Way::silent || refused) {
    engine_.on_dial_failed(key, {.step = Step::tcp, .text = "tcp", .refused = refused}, now_);
  } else {
    path.up = true;  // Before the engine looks at the others.
    const Duration took = now_ - path.whole_since;
    tally_.slowest_s = std::max(tally_.slowest_s, seconds(took));
    engine_.on_welcome(key, now_, path.source);
  }
  act();
}

/// What is open over a way that was struck ends: by a reset, or when the silence is noticed.
void PathWorld::close_struck() {
  for (auto& [key, path] : paths_) {
    if (!path.up || (path.way == Way::whole && console_up_)) { continue; }
    path.up = false;
    engine_.on_closed(key, {.step = Step::tcp, .text = "closed"}, now_);
    act();
    return close_struck();
  }
}

/// The engine's own view beside what there is.
void PathWorld::look() {
  std::size_t up = 0;
  for (const uplink::PathStatus& status : engine_.status()) {
    ++tally_.status;
    const auto found = paths_.find(status.key);
    const std::string name = fmt::format("{}/{}", status.key.port, status.key.endpoint);
    if (found == paths_.end()) {
      fail(name + " is known and there is none");
      continue;
    }
    Path& path = found->second;
    up += path.up ? 1 : 0;
    if ((status.state == PathState::up) != path.up) { fail(name + ": up in one view only"); }
    if ((status.state == PathState::dialing) != path.ends.has_value()) {
      fail(name + ": dialled in one view only");
    }
    if ((status.broken == Step::none) != (status.state == PathState::up)) {
      fail(name + ": broken and up");
    }
    if (status.state == PathState::waiting && !status.next_dial) {
      fail(name + " waits for nothing");
    }
    const Port& port = ports_.at(status.key.port);
    const bool lasting = status.last_failure && status.last_failure->lasting;
    const bool whole =
        usable(port) && !rests(port) && console_up_ && path.way == Way::whole && !lasting;
    if (!std::exchange(path.was_whole, whole)) { path.whole_since = now_; }
    if (!whole) { continue; }
    ++tally_.whole;
    if (!path.up && now_ - path.whole_since > whole_after) {
      fail(fmt::format("{} is whole since {:.1f} s and not up: {}, {}, next dial in {:.1f} s", name,
                       seconds(now_ - path.whole_since), to_string(status.broken), status.cause,
                       status.next_dial ? seconds(*status.next_dial - now_) : -1.0));
    }
  }
  if (up != engine_.up_count()) {
    fail(fmt::format("{} are up, the engine counts {}", up, engine_.up_count()));
  }
  if (const auto due = engine_.next_deadline(); due && *due <= now_) {
    fail("a deadline that is over");
  }
}

MonoTime PathWorld::next_step() const {
  MonoTime next = next_fault_;
  for (const auto& [key, path] : paths_) {
    if (path.ends) { next = std::min(next, *path.ends); }
  }
  if (const auto due = engine_.next_deadline()) { next = std::min(next, *due); }
  return std::max(next, now_);
}

std::optional<std::string> PathWorld::run() {
  ++tally_.worlds;
  for (auto& [name, port] : ports_) { tell(port, false); }
  unsigned faults = 0;
  bool mended = false;
  const MonoTime began = now_;
  while (!failure_) {
    now_ = next_step();
    if (now_ >= next_fault_) {
      if (mended) { break; }
      if (faults++ < faults_per_world) {
        // In bursts, and now and then long enough that everything has to be up.
        next_fault_ =
            now_ + std::chrono::milliseconds(random_.below(random_.chance(70)   ? 3'000
                                                           : random_.chance(80) ? 40'000
                                                                                : 200'000));
        strike();
      } else {  // All is mended: in the end all is up, lasting failures included.
        mended = true;
        next_fault_ = now_ + uplink::PathEngine::lasting_cap + whole_after;
        console_up_ = true;
        for (auto& [key, path] : paths_) { path.way = Way::whole; }
        touch_all();
        for (auto& [name, port] : ports_) {
          const bool was_usable = usable(port);
          port.present = port.facts.admin_up = port.facts.carrier = true;
          port.facts.drained = false;
          if (port.facts.addresses.empty()) { port.facts.addresses = {fresh_address()}; }
          tell(port, was_usable);
        }
      }
    }
    for (bool again = true; again;) {
      again = false;
      for (auto& [key, path] : paths_) {
        if (!path.ends || *path.ends > now_) { continue; }
        end_dial(key, path);
        again = true;
        break;
      }
    }
    engine_.on_deadline(now_);
    act();
    close_struck();
    look();
  }
  if (!failure_) {
    for (const auto& [key, path] : paths_) {
      if (!path.up) { fail(fmt::format("{}/{} is not up in the end", key.port, key.endpoint)); }
    }
  }
  tally_.simulated_s += seconds(now_ - began);
  tally_.failed += failure_ ? 1 : 0;
  return failure_;
}

}  // namespace edge::sim
