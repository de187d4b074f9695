// Seeded faults: what strikes, for how long, and how it heals.
#include <algorithm>

#include "tests/sim/session/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;

void World::plan_faults() {
  const std::size_t count = 1 + random_.below(5);
  MonoTime at = now_ + some_ms(300, 1000);
  MonoTime last_end = at;
  for (std::size_t i = 0; i < count; ++i) {
    Fault fault;
    fault.kind =
        static_cast<FaultKind>(random_.below(static_cast<std::uint64_t>(FaultKind::lossy) + 1));
    fault.link = random_.below(links_.size());
    fault.lasts = random_.chance(50) ? some_ms(5, 300) : some_ms(300, 2000);
    faults_.push_back(fault);
    schedule_at(at, What::fault, i, 0, nullptr);
    last_end = std::max(last_end, at + fault.lasts);
    at += random_.chance(30) ? some_ms(0, 20) : some_ms(20, 900);
  }
  faults_end_ = last_end + 200ms;
}

void World::disturb(std::size_t link, Duration extra) {
  links_[link].disturbed_until = std::max(links_[link].disturbed_until, now_ + extra);
}

/// Silence that must not cost a connection: a beat less than a standby's patience.
Duration World::never_death() const {
  return options_.heartbeat.standby * (options_.heartbeat.dead_after - 1) - 50ms;
}

/// What leaves a connection whole, however bad.
bool World::only_hampers(FaultKind kind) {
  switch (kind) {
    case FaultKind::jitter:
    case FaultKind::slow:
    case FaultKind::step:
    case FaultKind::lossy: return true;
    case FaultKind::cut:
    case FaultKind::cut_up:
    case FaultKind::cut_down:
    case FaultKind::pull:
    case FaultKind::flap:
    case FaultKind::stall:
    case FaultKind::restart_host:
    case FaultKind::restart_console:
    case FaultKind::freeze_host:
    case FaultKind::freeze_console:
    case FaultKind::close:
    case FaultKind::drain:
    case FaultKind::goaway:
    case FaultKind::cut_all:
    case FaultKind::large_cut: return false;
  }
  return false;
}

/// Bytes under way vanish when they would arrive; see arrive().
void World::set_cut(std::size_t index, bool up, bool down, bool on) {
  Link& link = links_[index];
  link.cuts += on ? 1 : -1;
  if (up && (on || link.cuts == 0)) { link.direction[0].cut = on; }
  if (down && (on || link.cuts == 0)) { link.direction[1].cut = on; }
  if (link.cuts == 0) { link.direction[0].cut = link.direction[1].cut = false; }
  for (std::size_t i = 0; i < 2; ++i) {
    auto& from = link.direction[i].unacked_from;
    if (!link.direction[1 - i].cut) {
      from.reset();
    } else if (!from) {
      from = now_ + retransmit_first;
    }
  }
  disturb(index, 0ms);
}

void World::strike(const Fault& fault) {
  const auto number = static_cast<std::size_t>(&fault - faults_.data());
  if (trace_) {
    fmt::print("              {:.3f} fault {} kind {} link {} for {} ms\n",
               static_cast<double>((now_.time_since_epoch() - 1h).count()) / 1e6, number,
               static_cast<int>(fault.kind), fault.link,
               std::chrono::duration_cast<std::chrono::milliseconds>(fault.lasts).count());
  }
  ++outcome_.strikes;
  Link& link = links_[fault.link];
  const auto freeze = [&](End end) {
    process(end).frozen_until = std::max(process(end).frozen_until, now_ + fault.lasts);
    process_disturbed_at_ = std::max(process_disturbed_at_, process(end).frozen_until);
  };
  const auto restart = [&](End end) {
    if (process(end).endpoint != nullptr) { stop(end); }
    process_disturbed_at_ = std::max(process_disturbed_at_, now_ + fault.lasts);
  };
  const auto present = [&]() -> std::optional<PathId> {
    if (!link.connection || !connections_[*link.connection].attached[0]) { return std::nullopt; }
    return PathId{static_cast<std::uint32_t>(*link.connection)};
  };
  const bool host_runs =
      process(End::host).endpoint != nullptr && now_ >= process(End::host).frozen_until;
  const bool console_runs =
      process(End::console).endpoint != nullptr && now_ >= process(End::console).frozen_until;
  switch (fault.kind) {
    case FaultKind::cut: set_cut(fault.link, true, true, true); break;
    case FaultKind::cut_up: set_cut(fault.link, true, false, true); break;
    case FaultKind::cut_down: set_cut(fault.link, false, true, true); break;
    case FaultKind::flap:
    case FaultKind::pull:
      set_cut(fault.link, true, true, true);
      if (host_runs) {
        process(End::host).endpoint->session().on_carrier_lost(link.adapter, now_);
        run_actions(End::host);
      }
      break;
    case FaultKind::cut_all:
      for (std::size_t i = 0; i < links_.size(); ++i) { set_cut(i, true, true, true); }
      break;
    case FaultKind::stall:
      for (LinkDirection& direction : link.direction) {
        if (random_.chance(70)) {
          direction.stalled_until = now_ + std::min(fault.lasts, Duration(900ms));
        }
      }
      break;
    case FaultKind::jitter:
      for (LinkDirection& direction : link.direction) { direction.jitter += some_ms(50, 300); }
      break;
    case FaultKind::large_cut:
      for (LinkDirection& direction : link.direction) { direction.large_cut = true; }
      break;
    case FaultKind::step:
      for (LinkDirection& direction : link.direction) {
        if (random_.chance(70)) {
          direction.step =
              Duration(random_.below(static_cast<std::uint64_t>(never_death().count())));
        }
      }
      break;
    case FaultKind::lossy:
      for (LinkDirection& direction : link.direction) {
        direction.loss_percent = 20;
        direction.loss_delay_max = never_death() - 200ms;
      }
      break;
    case FaultKind::slow:
      for (LinkDirection& direction : link.direction) { direction.bytes_per_s = 20'000; }
      break;
    case FaultKind::restart_host: restart(End::host); break;
    case FaultKind::restart_console: restart(End::console); break;
    case FaultKind::freeze_host: freeze(End::host); break;
    case FaultKind::freeze_console: freeze(End::console); break;
    case FaultKind::close:
      if (console_runs && present()) {
        process(End::console)
            .endpoint->session()
            .on_path_lost(*present(), tunnel::PathCause::reset, {}, now_);
        run_actions(End::console);
      }
      break;
    case FaultKind::drain:
      measure_gaps_ = false;  // A drained path carries no mirror, as the operator wished.
      if (host_runs && present()) {
        process(End::host).endpoint->session().drain(*present(), true, now_);
        run_actions(End::host);
      }
      break;
    case FaultKind::goaway:
      measure_gaps_ = false;
      if (console_runs) {
        process(End::console)
            .endpoint->session()
            .send_goaway({.reason = "test", .endpoints = {}}, now_);
        run_actions(End::console);
      }
      break;
  }
  // Everything a disturbance delayed has arrived a second after it.
  if (fault.kind == FaultKind::cut_all) {
    for (std::size_t i = 0; i < links_.size(); ++i) {
      disturb(i, fault.lasts + 1s);
      links_[i].harmed_until = links_[i].disturbed_until;
    }
  }
  disturb(fault.link, fault.lasts + 1s);
  if (!only_hampers(fault.kind)) { link.harmed_until = link.disturbed_until; }
  schedule(fault.lasts, What::heal, number);
}

void World::heal(const Fault& fault) {
  ++outcome_.strikes;
  Link& link = links_[fault.link];
  switch (fault.kind) {
    case FaultKind::cut: set_cut(fault.link, true, true, false); break;
    case FaultKind::cut_up: set_cut(fault.link, true, false, false); break;
    case FaultKind::cut_down: set_cut(fault.link, false, true, false); break;
    case FaultKind::pull: set_cut(fault.link, true, true, false); break;
    case FaultKind::flap: {
      set_cut(fault.link, true, true, false);
      const auto number = static_cast<std::size_t>(&fault - faults_.data());
      if (now_ + 20ms < faults_end_ - fault.lasts) {
        schedule(some_ms(1, 20), What::fault, number);
      }
      break;
    }
    case FaultKind::cut_all:
      for (std::size_t i = 0; i < links_.size(); ++i) { set_cut(i, true, true, false); }
      break;
    case FaultKind::jitter:
      for (LinkDirection& direction : link.direction) { direction.jitter = some_ms(0, 5); }
      break;
    case FaultKind::large_cut:
      for (LinkDirection& direction : link.direction) { direction.large_cut = false; }
      break;
    case FaultKind::step:
      for (LinkDirection& direction : link.direction) { direction.step = {}; }
      break;
    case FaultKind::lossy:
      for (LinkDirection& direction : link.direction) { direction.loss_percent = 0; }
      break;
    case FaultKind::slow:
      for (LinkDirection& direction : link.direction) { direction.bytes_per_s = 12'500'000; }
      break;
    case FaultKind::restart_host:
      if (process(End::host).endpoint == nullptr) { start(End::host); }
      break;
    case FaultKind::restart_console:
      if (process(End::console).endpoint == nullptr) { start(End::console); }
      break;
    case FaultKind::stall:
    case FaultKind::freeze_host:
    case FaultKind::freeze_console:
    case FaultKind::close:
    case FaultKind::drain:
    case FaultKind::goaway: break;
  }
}

}  // namespace edge::sim
