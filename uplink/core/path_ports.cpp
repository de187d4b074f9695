// What facts about ports mean for their paths: which may be dialled, which are closed, who rests.
#include <algorithm>

#include "base/assert.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

using namespace std::chrono_literals;

namespace {

bool has(const std::vector<IpAddress>& list, const IpAddress& address) {
  return std::ranges::find(list, address) != list.end();
}

}  // namespace

bool PathEngine::usable(const Port& port) {
  const PortFacts& facts = port.facts;
  return !port.resting && facts.admin_up && facts.carrier && !facts.addresses.empty();
}

PathBreak PathEngine::blocker(const Port& port) {
  const PortFacts& facts = port.facts;
  if (!facts.admin_up) {
    return {Step::disabled, facts.name + " is disabled locally (admin down)"};
  }
  if (port.resting) {
    return {Step::disabled, facts.name + " is drained: used only when no other port is up"};
  }
  if (!facts.carrier) { return {Step::carrier, facts.name + " has no carrier"}; }
  return {Step::lease, facts.name + " has carrier, but no lease"};
}

/// A port that is not drained reaches the Console, but for a proof that is under way or for the
/// Console's own wish.
bool PathEngine::carried() const {
  return std::ranges::any_of(paths_, [this](const auto& item) {
    const Path& path = item.second;
    const bool told = path.told && path.dial_at && !offered(item.first.endpoint);
    const bool stands = path.status.state == PathState::up || path.proving || told;
    return stands && !ports_.at(item.first.port).facts.drained;
  });
}

/// Drained ports are dialled when the last other path is lost, and left when one is back.
void PathEngine::settle_drained(MonoTime now) {
  const bool resting = carried();
  for (auto& [name, port] : ports_) {
    if (!port.facts.drained || port.resting == resting) { continue; }
    port.resting = resting;
    if (usable(port)) {
      dial_at_once(port, now);
    } else {
      close_all(name, blocker(port), now);
    }
  }
}

void PathEngine::set_port(const PortFacts& facts, MonoTime now) {
  EDGE_ASSERT(ports_.size() < ports_max || ports_.contains(facts.port));
  const bool known = ports_.contains(facts.port);
  Port& port = ports_[facts.port];
  if (!known) { port.tokens_at = now; }
  const bool was_usable = known && usable(port);
  const PortFacts before = known ? std::exchange(port.facts, facts) : PortFacts{};
  if (!known) { port.facts = facts; }
  if (known && before == facts) { return; }

  const bool stood = any_stands();
  for (const std::size_t e : endpoints_) {
    if (!known) { add_path(port, e, now); }
  }
  port.resting = facts.drained && carried();
  if (usable(port)) {
    use_port(port, was_usable ? &before : nullptr, now);
  } else {
    close_all(facts.port, blocker(port), now);
  }
  settle_drained(now);
  if (stood) { hasten(now); }
}

/// `before`: the facts by which it was used so far; nullptr: it was not.
void PathEngine::use_port(Port& port, const PortFacts* before, MonoTime now) {
  const PortFacts& facts = port.facts;
  if (before != nullptr) { close_lost(port, *before, now); }
  const bool closed = std::ranges::any_of(endpoints_, [&](std::size_t e) {
    return paths_.at(PathKey{facts.port, e}).status.state == PathState::down;
  });
  if (closed || before == nullptr || before->addresses != facts.addresses ||
      before->router6 != facts.router6) {
    dial_at_once(port, now);
  }
  leave_sources(now);
}

/// Paths whose own address is not there any more, and dials that may have begun with one.
void PathEngine::close_lost(const Port& port, const PortFacts& before, MonoTime now) {
  const PortFacts& facts = port.facts;
  const auto gone = [&facts](const IpAddress& address) {
    return !has(facts.addresses, address) && !has(facts.others, address) &&
           !has(facts.leaving, address);
  };
  for (const std::size_t e : endpoints_) {
    Path& path = paths_.at(PathKey{facts.port, e});
    const bool lost =
        path.source ? gone(*path.source) : std::ranges::any_of(before.addresses, gone);
    if (lost) { close(path, {Step::lease, facts.name + ": address changed"}, now); }
  }
}

/// One after the other: each waits until the one before is welcomed, or another path is up.
void PathEngine::leave_sources(MonoTime now) {
  for (auto& [key, path] : paths_) {
    if (path.status.state != PathState::up || !path.source || up_count() < 2) { continue; }
    Port& port = ports_.at(key.port);
    if (!has(port.facts.leaving, *path.source) || !take_token(port, now)) { continue; }
    dial_anew(path, "dialled anew: its address is deprecated", now);
  }
}

void PathEngine::remove_port(const std::string& port, MonoTime now) {
  const auto found = ports_.find(port);
  if (found == ports_.end()) { return; }
  const bool stood = any_stands();
  close_all(port, {Step::carrier, found->second.facts.name + " is gone"}, now);
  std::erase_if(paths_, [&](const auto& item) { return item.first.port == port; });
  ports_.erase(found);
  settle_drained(now);
  if (stood) { hasten(now); }
}

bool PathEngine::take_token(Port& port, MonoTime now) {
  const auto earned = static_cast<unsigned>(
      std::min<std::int64_t>((now - port.tokens_at) / immediate_refill, immediate_burst));
  if (earned > 0) {
    port.immediate_tokens = std::min(immediate_burst, port.immediate_tokens + earned);
    port.tokens_at = now;
  }
  if (port.immediate_tokens == 0) { return false; }
  --port.immediate_tokens;
  return true;
}

void PathEngine::dial_at_once(Port& port, MonoTime now) {
  const bool free = take_token(port, now);
  for (const std::size_t e : endpoints_) {
    Path& path = paths_.at(PathKey{port.facts.port, e});
    // One more address is no reason to leave the one that it has. A dial keeps to the addresses
    // of its start: the new one may be of the family that works.
    const PathState state = path.status.state;
    if (state == PathState::up || (state == PathState::dialing && !free)) { continue; }
    if (free) {
      path.forgive();
      dial(path, now);
    } else {
      path.status.state = PathState::waiting;
      tell(path, {Step::carrier, port.facts.name + " flaps: dialled once it rests"});
      const auto jitter =
          static_cast<Duration::rep>(random_.unit() * static_cast<double>(Duration(1s).count()));
      path.dial_at = now + 1s + Duration(jitter);
      path.status.next_dial = path.dial_at;
    }
  }
}

}  // namespace edge::uplink
