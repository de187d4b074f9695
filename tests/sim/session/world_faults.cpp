// Seeded faults: what strikes, for how long, and how it heals.
#include <algorithm>

#include "tests/sim/session/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;

void World::plan_faults() {
  const auto draw = random_.below(100);
  weather_ = draw < 50 ? Weather::storm : draw < 90 ? Weather::spared : Weather::hampered;
  spare_link_ = random_.below(links_.size());
  if (links_.size() > 2 && random_.chance(50)) {
    only_victim_ = (spare_link_ + 1 + random_.below(links_.size() - 1)) % links_.size();
  }
  constexpr std::array<std::uint64_t, 4> paces_ms{50, 150, 400, 900};
  const std::uint64_t pace_ms = paces_ms[random_.below(paces_ms.size())];
  const std::size_t count = 1 + random_.below(2 * run_.faults_mean - 1);
  MonoTime at = now_ + some_ms(300, 1000);
  MonoTime last_end = at;
  for (std::size_t i = 0; i < count; ++i) {
    faults_.push_back(draw_fault());
    faults_.back().at = at;
    last_end = std::max(last_end, at + faults_.back().lasts);
    at += random_.chance(30) ? some_ms(0, 20) : some_ms(20, pace_ms);
  }
  faults_end_ = last_end + 200ms;
  schedule_at(faults_.front().at, What::fault, 0, 0, nullptr);
}

World::Fault World::draw_fault() {
  const auto any = [this](FaultKind last) {
    return static_cast<FaultKind>(random_.below(static_cast<std::uint64_t>(last) + 1));
  };
  Fault fault;
  fault.lasts = random_.chance(50) ? some_ms(5, 300) : some_ms(300, 2000);
  fault.link = random_.below(links_.size());
  switch (weather_) {
    case Weather::storm: fault.kind = any(FaultKind::repeat); break;
    case Weather::spared:
      fault.kind = any(FaultKind::repeat);
      while (!strikes_one_link(fault.kind)) { fault.kind = any(FaultKind::repeat); }
      fault.link = (spare_link_ + 1 + random_.below(links_.size() - 1)) % links_.size();
      if (only_victim_) { fault.link = *only_victim_; }
      break;
    case Weather::hampered:
      fault.kind = any(FaultKind::repeat);
      while (!only_hampers(fault.kind)) { fault.kind = any(FaultKind::repeat); }
      break;
  }
  return fault;
}

void World::begin_fault(std::size_t number) {
  if (number + 1 < faults_.size()) {
    schedule_at(faults_[number + 1].at, What::fault, number + 1, 0, nullptr);
  }
  Fault& fault = faults_[number];
  if (run_.trace) {
    fmt::print("              {:.3f} fault {} kind {} link {} for {} ms\n",
               static_cast<double>((now_.time_since_epoch() - 1h).count()) / 1e6, number,
               static_cast<int>(fault.kind), fault.link,
               std::chrono::duration_cast<std::chrono::milliseconds>(fault.lasts).count());
  }
  if (strike(fault)) { ++outcome_.faults; }
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
    case FaultKind::lossy:
    case FaultKind::repeat: return true;
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

/// What leaves both processes and all other links alone.
bool World::strikes_one_link(FaultKind kind) {
  switch (kind) {
    case FaultKind::restart_host:
    case FaultKind::restart_console:
    case FaultKind::freeze_host:
    case FaultKind::freeze_console:
    case FaultKind::goaway:
    case FaultKind::cut_all: return false;
    case FaultKind::cut:
    case FaultKind::cut_up:
    case FaultKind::cut_down:
    case FaultKind::pull:
    case FaultKind::flap:
    case FaultKind::stall:
    case FaultKind::close:
    case FaultKind::drain:
    case FaultKind::large_cut:
    case FaultKind::jitter:
    case FaultKind::slow:
    case FaultKind::step:
    case FaultKind::lossy:
    case FaultKind::repeat: return true;
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

/// True when there was something to strike.
bool World::strike(Fault& fault) {
  bool struck = true;
  switch (fault.kind) {
    case FaultKind::restart_host:
    case FaultKind::restart_console:
    case FaultKind::freeze_host:
    case FaultKind::freeze_console: struck = strike_process(fault); break;
    case FaultKind::close:
    case FaultKind::drain:
    case FaultKind::goaway: struck = strike_session(fault); break;
    case FaultKind::jitter:
    case FaultKind::slow:
    case FaultKind::step:
    case FaultKind::lossy:
    case FaultKind::repeat:
      // One at a time: together they would make the silence of a cut.
      struck = now_ >= links_[fault.link].hampered_until;
      if (struck) { strike_link(fault); }
      break;
    case FaultKind::cut:
    case FaultKind::cut_up:
    case FaultKind::cut_down:
    case FaultKind::pull:
    case FaultKind::flap:
    case FaultKind::stall:
    case FaultKind::cut_all:
    case FaultKind::large_cut: strike_link(fault); break;
  }
  if (!struck) { return false; }
  mark_disturbed(fault);
  schedule(fault.lasts, What::heal, static_cast<std::size_t>(&fault - faults_.data()));
  return true;
}

bool World::strike_process(Fault& fault) {
  const bool at_host =
      fault.kind == FaultKind::restart_host || fault.kind == FaultKind::freeze_host;
  const End end = at_host ? End::host : End::console;
  Process& struck = process(end);
  if (struck.endpoint == nullptr) { return false; }
  process_disturbed_at_ = std::max(process_disturbed_at_, now_ + fault.lasts);
  if (fault.kind == FaultKind::restart_host || fault.kind == FaultKind::restart_console) {
    stop(end);
  } else {
    struck.frozen_until = std::max(struck.frozen_until, now_ + fault.lasts);
  }
  return true;
}

bool World::strike_session(Fault& fault) {
  const bool at_host = fault.kind == FaultKind::drain;
  const End end = at_host ? End::host : End::console;
  Process& struck = process(end);
  if (struck.endpoint == nullptr || now_ < struck.frozen_until) { return false; }
  tunnel::Session& session = struck.endpoint->session();
  if (fault.kind == FaultKind::goaway) {
    if (session.path_count() == 0) { return false; }
    for (const Link& link : links_) {
      if (link.connection) { connections_[*link.connection].drained = true; }
    }
    session.send_goaway({.reason = "test", .endpoints = {}}, now_);
    run_actions(end);
    return true;
  }
  const auto at = links_[fault.link].connection;
  if (!at || !connections_[*at].attached[index_of(end)]) { return false; }
  const PathId path{static_cast<std::uint32_t>(*at)};
  fault.connection = at;
  if (fault.kind == FaultKind::drain) {
    connections_[*at].drained = true;
    session.drain(path, true, now_);
  } else {
    session.on_path_lost(path, tunnel::PathCause::reset, {}, now_);
  }
  run_actions(end);
  return true;
}

void World::strike_link(const Fault& fault) {
  Link& link = links_[fault.link];
  const auto now_and_then = [&](auto change) {
    for (LinkDirection& direction : link.direction) {
      if (random_.chance(70)) { change(direction); }
    }
  };
  switch (fault.kind) {
    case FaultKind::cut: set_cut(fault.link, true, true, true); break;
    case FaultKind::cut_up: set_cut(fault.link, true, false, true); break;
    case FaultKind::cut_down: set_cut(fault.link, false, true, true); break;
    case FaultKind::flap:
    case FaultKind::pull: {
      set_cut(fault.link, true, true, true);
      Process& host = process(End::host);
      if (host.endpoint != nullptr && now_ >= host.frozen_until) {
        host.endpoint->session().on_carrier_lost(link.adapter, now_);
        run_actions(End::host);
      }
      break;
    }
    case FaultKind::cut_all:
      for (std::size_t i = 0; i < links_.size(); ++i) { set_cut(i, true, true, true); }
      break;
    case FaultKind::stall:
      now_and_then([&](LinkDirection& direction) {
        direction.stalled_until = now_ + std::min(fault.lasts, Duration(900ms));
      });
      break;
    case FaultKind::jitter:
      for (LinkDirection& direction : link.direction) { direction.jitter += some_ms(50, 300); }
      break;
    case FaultKind::large_cut:
      for (LinkDirection& direction : link.direction) { direction.large_cut = true; }
      break;
    case FaultKind::step:
      now_and_then([&](LinkDirection& direction) {
        direction.step = Duration(random_.below(static_cast<std::uint64_t>(never_death().count())));
      });
      break;
    case FaultKind::lossy:
      for (LinkDirection& direction : link.direction) {
        direction.loss_percent = 20;
        direction.loss_delay_max = never_death() - 200ms;
      }
      break;
    case FaultKind::repeat:
      now_and_then([](LinkDirection& direction) { direction.repeat_percent = 50; });
      break;
    case FaultKind::slow:
      for (LinkDirection& direction : link.direction) { direction.bytes_per_s = 20'000; }
      break;
    case FaultKind::restart_host:
    case FaultKind::restart_console:
    case FaultKind::freeze_host:
    case FaultKind::freeze_console:
    case FaultKind::close:
    case FaultKind::drain:
    case FaultKind::goaway: break;
  }
}

/// Everything a disturbance delayed has arrived a second after it.
void World::mark_disturbed(const Fault& fault) {
  Link& link = links_[fault.link];
  if (!strikes_one_link(fault.kind)) {
    if (fault.kind != FaultKind::cut_all) { return; }
    for (std::size_t i = 0; i < links_.size(); ++i) {
      disturb(i, fault.lasts + 1s);
      links_[i].harmed_until = links_[i].disturbed_until;
    }
    return;
  }
  disturb(fault.link, fault.lasts + 1s);
  if (only_hampers(fault.kind)) {
    link.hampered_until = link.disturbed_until;
  } else {
    link.harmed_until = link.disturbed_until;
  }
}

void World::heal(const Fault& fault) {
  Link& link = links_[fault.link];
  switch (fault.kind) {
    case FaultKind::cut: set_cut(fault.link, true, true, false); break;
    case FaultKind::cut_up: set_cut(fault.link, true, false, false); break;
    case FaultKind::cut_down: set_cut(fault.link, false, true, false); break;
    case FaultKind::pull: set_cut(fault.link, true, true, false); break;
    case FaultKind::flap: {
      set_cut(fault.link, true, true, false);
      const auto number = static_cast<std::size_t>(&fault - faults_.data());
      if (now_ < fault.at + 1s && now_ + 20ms < faults_end_ - fault.lasts) {
        schedule(some_ms(1, 20), What::strike_again, number);
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
    case FaultKind::repeat:
      for (LinkDirection& direction : link.direction) { direction.repeat_percent = 0; }
      break;
    case FaultKind::slow:
      for (std::size_t i = 0; i < 2; ++i) { link.direction[i].bytes_per_s = link.bytes_per_s[i]; }
      break;
    case FaultKind::restart_host:
      if (process(End::host).endpoint == nullptr) { start(End::host); }
      break;
    case FaultKind::restart_console:
      if (process(End::console).endpoint == nullptr) { start(End::console); }
      break;
    case FaultKind::drain:
    case FaultKind::goaway: heal_session(fault); break;
    case FaultKind::stall:
    case FaultKind::freeze_host:
    case FaultKind::freeze_console:
    case FaultKind::close: break;
  }
}

/// A drain ends; after a GOAWAY the host comes over new connections.
void World::heal_session(const Fault& fault) {
  Process& host = process(End::host);
  if (host.endpoint == nullptr || now_ < host.frozen_until) { return; }
  tunnel::Session& session = host.endpoint->session();
  if (fault.kind == FaultKind::drain) {
    session.drain(PathId{static_cast<std::uint32_t>(*fault.connection)}, false, now_);
    connections_[*fault.connection].drained = false;
    disturb(fault.link, 0ms);
    return run_actions(End::host);
  }
  for (const Link& link : links_) {
    if (!link.connection || !connections_[*link.connection].drained) { continue; }
    const PathId path{static_cast<std::uint32_t>(*link.connection)};
    session.on_path_lost(path, tunnel::PathCause::drained, {}, now_);
  }
  run_actions(End::host);
}

}  // namespace edge::sim
