// Seeded faults: what strikes, for how long, and how it heals.
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/tunnel/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kinds_of_one_port = 18;  ///< Up to `proof`.
constexpr std::uint64_t kinds = 22;

}  // namespace

void TunnelWorld::plan_faults() {
  spared_ = random_.chance(50);
  victim_ = random_.below(ports_.size());
  constexpr std::array<std::uint64_t, 4> paces_ms{50, 200, 900, 5000};
  const std::uint64_t pace_ms = paces_ms[random_.below(paces_ms.size())];
  const std::size_t count = 1 + random_.below(7);
  MonoTime at = now_ + some_ms(300, 2500);
  for (std::size_t i = 0; i < count; ++i) {
    add_fault(at, random_.chance(50) ? some_ms(5, 300) : some_ms(300, 4000));
    at += random_.chance(30) ? some_ms(0, 20) : some_ms(20, pace_ms);
  }
  schedule(fault_at_.front(), What::fault, 0);
}

/// T64: alone, in crowds, and with hours between them; from a blink to ten minutes, of which a
/// session's memory at the Console is a part.
void TunnelWorld::plan_days() {
  MonoTime at = now_ + some_ms(300, 2500);
  const MonoTime until = now_ + lasts_;
  while (at < until) {
    const std::size_t crowd = random_.chance(60) ? 1 : 1 + random_.below(8);
    for (std::size_t i = 0; i < crowd; ++i) {
      const std::uint64_t how_long = random_.below(100);
      add_fault(at, how_long < 50   ? some_ms(5, 300)
                    : how_long < 90 ? some_ms(300, 4000)
                    : how_long < 99 ? some_ms(4000, 90'000)
                                    : some_ms(90'000, 900'000));
      at += some_ms(0, 900);
    }
    at += random_.chance(90) ? some_ms(1000, 60'000) : some_ms(60'000, 1'800'000);
  }
  schedule(fault_at_.front(), What::fault, 0);
}

void TunnelWorld::add_fault(MonoTime at, Duration lasts) {
  Fault fault;
  fault.kind = static_cast<FaultKind>(random_.below(spared_ ? kinds_of_one_port : kinds));
  fault.lasts = lasts;
  fault.port = spared_ ? victim_ : random_.below(ports_.size());
  faults_.push_back(fault);
  fault_at_.push_back(at);
  faults_end_ = std::max(faults_end_, at + fault.lasts + 1500ms);
}

/// What the daemon sees of the port: carrier and addresses, after the kernel said so.
void TunnelWorld::set_facts(Port& port) {
  if (!runs(0)) { return; }
  ends_[0].paths->engine().set_port(port.facts, now_);
  settle(0);
}

/// The carrier is seen by itself, and with the port's facts; either may come first.
void TunnelWorld::unplug(Port& port) {
  port.facts.carrier = false;
  port.unplugged_at = now_;
  const bool facts_first = random_.chance(50);
  if (facts_first) { set_facts(port); }
  if (runs(0)) {
    ends_[0].paths->session().on_carrier_lost(port.facts.port, now_);
    settle(0);
  }
  if (!facts_first) { set_facts(port); }
}

/// Bytes under way vanish when they would arrive. The acknowledgements go with the one direction,
/// and with them the other one's new bytes.
void TunnelWorld::set_cut(Port& port, bool up, bool down) {
  port.direction[0].cut = up;
  port.direction[1].cut = down;
  for (std::size_t i = 0; i < 2; ++i) {
    auto& from = port.direction[i].unacked_from;
    if (!port.direction[1 - i].cut) {
      from.reset();
    } else if (!from) {
      from = now_ + retransmit_first;
    }
  }
}

void TunnelWorld::mark(const Fault& fault) {
  const MonoTime until = now_ + fault.lasts + 1s;
  if (fault.kind >= FaultKind::goaway) {
    for (Port& port : ports_) { port.struck_until = std::max(port.struck_until, until); }
    const bool alive = fault.kind == FaultKind::goaway;
    if (!alive) { process_struck_until_ = std::max(process_struck_until_, until); }
    return;
  }
  if (fault.kind == FaultKind::proof) { return; }  // Costs nothing.
  Port& port = ports_[fault.port];
  port.struck_until = std::max(port.struck_until, until);
}

void TunnelWorld::strike(Fault& fault) {
  Port& port = ports_[fault.port];
  if (trace_) {
    fmt::print("{:.3f} fault {} on {} for {:.3f} s\n", seconds(), static_cast<int>(fault.kind),
               port.facts.port, std::chrono::duration<double>(fault.lasts).count());
  }
  ++outcome_.faults;
  mark(fault);
  if (fault.kind <= FaultKind::dns) {
    strike_port(fault, port);
  } else {
    strike_engine(fault);
  }
  schedule(now_ + fault.lasts, What::heal, static_cast<std::size_t>(&fault - faults_.data()));
}

void TunnelWorld::strike_port(const Fault& fault, Port& port) {
  const auto reset = [&] {
    for (std::size_t i = connections_.first_number(); i < connections_.end_number(); ++i) {
      Connection& one = connections_[i];
      if (one.port != fault.port || !one.accepted || !runs(1)) { continue; }
      ends_[1].session->on_path_lost(PathId{static_cast<std::uint32_t>(i + 1)},
                                     tunnel::PathCause::reset, {}, now_);
      settle(1);
    }
  };
  switch (fault.kind) {
    case FaultKind::cut: return set_cut(port, true, true);
    case FaultKind::cut_up: return set_cut(port, true, false);
    case FaultKind::cut_down: return set_cut(port, false, true);
    case FaultKind::pull:
    case FaultKind::flap: return unplug(port);
    case FaultKind::stall:
      for (LinkDirection& direction : port.direction) {
        direction.stalled_until = now_ + std::min(fault.lasts, Duration(900ms));
      }
      return;
    case FaultKind::step:
      for (LinkDirection& direction : port.direction) { direction.step = some_ms(50, 300); }
      return;
    case FaultKind::lossy:
      for (LinkDirection& direction : port.direction) {
        direction.loss_percent = 20;
        direction.loss_delay_max = 600ms;
      }
      return;
    case FaultKind::large_cut:
      for (LinkDirection& direction : port.direction) { direction.large_cut = true; }
      return;
    case FaultKind::reset: return reset();
    case FaultKind::address: port.facts.addresses = {fresh_address()}; return set_facts(port);
    case FaultKind::lease: port.facts.addresses.clear(); return set_facts(port);
    case FaultKind::disabled: port.facts.admin_up = false; return set_facts(port);
    case FaultKind::drained: port.facts.drained = true; return set_facts(port);
    case FaultKind::dns: port.dns_dead = true; return reset();
    case FaultKind::redial:
    case FaultKind::clock:
    case FaultKind::proof:
    case FaultKind::goaway:
    case FaultKind::retire:
    case FaultKind::restart_host:
    case FaultKind::restart_console: return;
  }
}

void TunnelWorld::strike_engine(const Fault& fault) {
  const bool host = runs(0);
  const bool console = runs(1);
  const uplink::PathKey key{ports_[fault.port].facts.port, random_.below(endpoints_)};
  const tunnel::Goaway later{.reason = "the Console restarts",
                             .reconnect_in = std::chrono::milliseconds(random_.below(300)),
                             .spread = std::chrono::milliseconds(random_.below(2000)),
                             .endpoints = {}};
  switch (fault.kind) {
    case FaultKind::clock: clock_unset_ = true; [[fallthrough]];
    case FaultKind::redial:
      if (host) { ends_[0].paths->engine().redial(key, now_); }
      break;
    case FaultKind::proof:
      // One at a time; where no path is up there is nothing to prove over.
      if (host && !proving_) { proving_ = ends_[0].paths->prove().has_value(); }
      break;
    case FaultKind::goaway:
      if (!console) { break; }
      if (random_.chance(30)) {
        tunnel::Goaway elsewhere = later;
        elsewhere.endpoints = {"console:other"};
        ends_[1].session->send_goaway(elsewhere, now_);
      } else {
        ends_[1].session->send_goaway(later, now_);
      }
      break;
    case FaultKind::retire:
      if (!console) { break; }
      ends_[1].session->shutdown(now_, later);
      settle(1);
      stop(1);
      break;
    case FaultKind::restart_host:
      if (host) { stop(0); }
      proving_ = false;
      break;
    case FaultKind::restart_console:
      if (console) { stop(1); }
      break;
    case FaultKind::cut:
    case FaultKind::cut_up:
    case FaultKind::cut_down:
    case FaultKind::pull:
    case FaultKind::flap:
    case FaultKind::stall:
    case FaultKind::step:
    case FaultKind::lossy:
    case FaultKind::large_cut:
    case FaultKind::reset:
    case FaultKind::address:
    case FaultKind::lease:
    case FaultKind::disabled:
    case FaultKind::drained:
    case FaultKind::dns: break;
  }
  for (const std::size_t end : {0UZ, 1UZ}) {
    if (runs(end)) { settle(end); }
  }
}

/// The last of several that are alike heals for all; until then what is healed may be struck anew.
void TunnelWorld::heal(const Fault& fault) {
  Port& port = ports_[fault.port];
  switch (fault.kind) {
    case FaultKind::cut:
    case FaultKind::cut_up:
    case FaultKind::cut_down: return set_cut(port, false, false);
    case FaultKind::pull: port.facts.carrier = true; return set_facts(port);
    case FaultKind::flap:
      port.facts.carrier = true;
      set_facts(port);
      if (now_ + 500ms < faults_end_ && random_.chance(80)) {
        mark(fault);
        const auto number = static_cast<std::size_t>(&fault - faults_.data());
        schedule(now_ + some_ms(1, 50), What::flap, number);
      }
      return;
    case FaultKind::step:
      for (LinkDirection& direction : port.direction) { direction.step = {}; }
      return;
    case FaultKind::lossy:
      for (LinkDirection& direction : port.direction) { direction.loss_percent = 0; }
      return;
    case FaultKind::large_cut:
      for (LinkDirection& direction : port.direction) { direction.large_cut = false; }
      return;
    case FaultKind::lease:
      if (port.facts.addresses.empty()) { port.facts.addresses = {fresh_address()}; }
      return set_facts(port);
    case FaultKind::disabled: port.facts.admin_up = true; return set_facts(port);
    case FaultKind::drained: port.facts.drained = false; return set_facts(port);
    case FaultKind::dns: port.dns_dead = false; return;
    case FaultKind::restart_host:
      if (!runs(0)) { start(0); }
      return;
    case FaultKind::retire:
    case FaultKind::restart_console:
      if (!runs(1)) { start(1); }
      return;
    case FaultKind::stall:
    case FaultKind::reset:
    case FaultKind::address:
    case FaultKind::redial:
    case FaultKind::clock:
    case FaultKind::proof:
    case FaultKind::goaway: return;
  }
}

}  // namespace edge::sim
