#include "uplink/core/path_engine.hpp"

#include <algorithm>
#include <numeric>

#include "base/assert.hpp"

namespace edge::uplink {

using namespace std::chrono_literals;

PathEngine::PathEngine(std::size_t endpoint_count, std::uint64_t seed)
    : endpoints_(endpoint_count), random_(seed) {
  std::iota(endpoints_.begin(), endpoints_.end(), std::size_t{0});
}

PathEngine::Path* PathEngine::find(const PathKey& key) {
  const auto found = paths_.find(key);
  return found == paths_.end() ? nullptr : &found->second;
}

PathEngine::Path& PathEngine::add_path(const Port& port, std::size_t endpoint, MonoTime now) {
  Path& path = paths_[PathKey{port.facts.port, endpoint}];
  path.status.key = PathKey{port.facts.port, endpoint};
  path.status.since = now;
  return path;
}

void PathEngine::set_endpoints(std::vector<std::size_t> endpoints, MonoTime now) {
  const bool stood = any_stands();
  const auto had = std::exchange(endpoints_, std::move(endpoints));
  const auto in = [](const std::vector<std::size_t>& list, std::size_t e) {
    return std::ranges::find(list, e) != list.end();
  };
  for (const auto& [key, path] : paths_) {
    const bool open = path.status.state == PathState::dialing ||
                      path.status.state == PathState::up || path.leaving;
    if (in(endpoints_, key.endpoint) || !open) { continue; }
    actions_.push_back({PathAction::Kind::close,
                        key,
                        {.step = Step::none, .text = "the Console is not to be reached there"}});
  }
  std::erase_if(paths_, [&](const auto& item) { return !in(endpoints_, item.first.endpoint); });
  std::erase_if(offered_, [&](const auto& item) { return !in(endpoints_, item.first); });
  for (const auto& [name, port] : ports_) {
    for (const std::size_t e : endpoints_) {
      if (in(had, e)) { continue; }
      Path& path = add_path(port, e, now);
      if (usable(port)) {
        dial(path, now);
      } else {
        tell(path, blocker(port));
      }
    }
  }
  return_rested(now);
  settle_drained(now);
  if (stood) { hasten(now); }
}

void PathEngine::tell(Path& path, const PathBreak& why) {
  path.status.broken = why.step;
  path.status.cause = why.text;
  path.status.answered = why.answered;
  path.status.refused = why.refused;
}

void PathEngine::close_all(const std::string& port, const PathBreak& why, MonoTime now) {
  for (const std::size_t e : endpoints_) { close(paths_.at(PathKey{port, e}), why, now); }
}

void PathEngine::close(Path& path, const PathBreak& why, MonoTime now) {
  const bool open = path.status.state == PathState::dialing || path.status.state == PathState::up;
  const bool left = std::exchange(path.leaving, false);
  if (open || left) {
    actions_.push_back({PathAction::Kind::close, path.status.key, why});
    path.status.last_failure = why;
    path.status.last_failure_at = now;
  }
  const bool changed = path.status.state != PathState::down || path.status.broken != why.step;
  if (changed) { path.status.since = now; }
  path.status.state = PathState::down;
  tell(path, why);
  path.status.next_dial.reset();
  path.dial_at.reset();
  path.up_since.reset();
  path.source.reset();
  path.proving = false;
}

void PathEngine::dial(Path& path, MonoTime now) {
  path.dial_at.reset();
  path.source.reset();
  path.told = path.rests = false;
  path.status.next_dial.reset();
  path.status.state = PathState::dialing;
  // Nothing is dialled without carrier and address: what was broken there is so no more.
  if (!path.status.last_failure || path.status.broken < Step::gateway) {
    tell(path, {Step::tcp, "dialling"});
  }
  ++path.status.dials;
  path.status.since = now;
  actions_.push_back({PathAction::Kind::dial, path.status.key, {}});
}

void PathEngine::schedule(Path& path, const PathBreak& why, MonoTime now) {
  path.status.state = PathState::waiting;
  tell(path, why);
  path.status.last_failure = why;
  path.status.last_failure_at = now;
  path.status.since = now;
  path.up_since.reset();
  path.source.reset();
  Backoff& backoff = why.lasting ? path.lasting : path.backoff;
  backoff.set_cap(why.lasting ? lasting_cap : up_count() > 0 ? Duration(30s) : Duration(15s));
  path.dial_at = now + backoff.next(random_);
  path.told = path.proving = path.rests = false;
  path.status.next_dial = path.dial_at;
}

void PathEngine::on_dial_failed(const PathKey& key, const PathBreak& why, MonoTime now) {
  Path* path = find(key);
  if (path == nullptr || path->status.state != PathState::dialing) { return; }
  const bool stood = any_stands();
  schedule(*path, why, now);
  constexpr int attempts_to_cap = 6;  // It is down now, and no longer one that comes and goes.
  if (path->backoff.attempts() > attempts_to_cap) { path->brief = false; }
  settle_offers(now);
  settle_drained(now);
  if (stood) { hasten(now, &key); }  // It was a proof.
}

void PathEngine::on_welcome(const PathKey& key, MonoTime now, std::optional<IpAddress> source) {
  Path* path = find(key);
  if (path == nullptr || path->status.state != PathState::dialing) { return; }
  if (up_count() == 0) { hurry(now); }
  path->status.state = PathState::up;
  tell(*path, {.step = Step::none, .text = {}});
  path->status.since = now;
  path->up_since = now;
  path->source = source;
  path->proving = path->leaving = false;
  if (offered(key.endpoint)) { leave_for(key); }
  leave_sources(now);
  settle_drained(now);
}

/// Nothing is put off by it.
void PathEngine::bring_forward(Path& path, Duration within, MonoTime now) {
  const auto jitter =
      static_cast<Duration::rep>(random_.unit() * static_cast<double>(within.count()));
  path.dial_at = std::min(path.dial_at.value_or(MonoTime::max()), now + Duration(jitter));
  path.status.next_dial = path.dial_at;
}

/// The Console is back: what only waits for it need not wait for its back-off. But a path that fell
/// as soon as it was up may do so again.
void PathEngine::hurry(MonoTime now) {
  for (auto& [key, path] : paths_) {
    const bool its = path.status.broken == Step::tcp || path.status.broken == Step::proxy ||
                     path.status.broken == Step::console;
    const bool lasting = path.status.last_failure && path.status.last_failure->lasting;
    if (!path.dial_at || !its || lasting || path.told || path.brief) { continue; }
    bring_forward(path, hurry_spread, now);
  }
}

bool PathEngine::any_stands() const {
  return std::ranges::any_of(paths_, [](const auto& item) { return item.second.stands(); });
}

/// For callers that took the last path: what the others drew while it lived is too long now. Not
/// so for `lost` itself, nor for a port or a path that flaps: their back-off is what bounds them. A
/// Console that takes each connection and drops it would see all paths return in turn, for ever.
/// And what the Console said stands.
void PathEngine::hasten(MonoTime now, const PathKey* lost) {
  if (any_stands()) { return; }
  for (auto& [key, path] : paths_) {
    const bool bounded = path.told || path.brief || path.status.broken == Step::carrier;
    if (!path.dial_at || bounded || (lost != nullptr && key == *lost)) { continue; }
    const bool lasting = path.status.last_failure && path.status.last_failure->lasting;
    bring_forward(path, lasting ? hasten_lasting : hurry_spread, now);
  }
}

void PathEngine::redial(const PathKey& key, MonoTime now) {
  Path* path = find(key);
  if (path == nullptr) { return; }
  if (path->status.state == PathState::waiting && path->dial_at && !path->told) {
    return bring_forward(*path, hurry_spread, now);
  }
  if (path->status.state == PathState::up) { dial_anew(*path, "dialled anew for a proof", now); }
}

void PathEngine::dial_anew(Path& path, std::string_view why, MonoTime now) {
  const PathBreak reason{.step = Step::none, .text = std::string(why)};
  actions_.push_back({PathAction::Kind::close, path.status.key, reason});
  path.up_since.reset();
  path.forgive();  // A failed proof is tried again soon, whatever the last outage had grown.
  tell(path, {Step::tcp, reason.text});
  dial(path, now);
  path.proving = true;
}

void PathEngine::on_clock_set(MonoTime now) {
  for (auto& [key, path] : paths_) {
    const bool by_dates = path.status.broken == Step::clock || path.status.broken == Step::tls;
    if (!path.dial_at || !by_dates) { continue; }
    path.forgive();
    dial(path, now);
  }
}

void PathEngine::on_closed(const PathKey& key, const PathBreak& why, MonoTime now) {
  Path* path = find(key);
  if (path == nullptr) { return; }
  const bool stood = any_stands();
  path->leaving = false;
  // It waits for the moment that the Console gave it: others do not go around that.
  const bool told = path->told && path->dial_at;
  if (path->status.state == PathState::up) {
    path->brief = true;
    if (path->up_since && now - *path->up_since >= stable_after) { path->forgive(); }
    schedule(*path, why, now);
  }
  settle_offers(now);
  settle_drained(now);
  if (stood && !told) { hasten(now, &key); }
}

void PathEngine::on_retry_later(const PathKey& key, Duration after, Duration spread, MonoTime now) {
  Path* path = find(key);
  if (path == nullptr) { return; }
  const Duration moment = moment_in(*path, spread);
  path->leaving |= path->status.state == PathState::up;
  schedule(
      *path,
      {.step = Step::console, .text = "the Console asked to come back later", .answered = true},
      now);
  path->dial_at = now + after + moment;
  path->told = true;
  path->status.next_dial = path->dial_at;
  settle_offers(now);
  settle_drained(now);
}

/// Each of the paths that come back has its own slice of the spread, the preferred one the first:
/// so every host of a fleet has a path early, and the arrivals of all are as even as without.
/// Nobody waits for anybody, nor longer than the Console said.
Duration PathEngine::moment_in(const Path& path, Duration spread) {
  const auto order = [this](const Path& one) {
    const PathKey& key = one.status.key;
    return std::tuple(ports_.at(key.port).facts.rank, key.port,
                      std::ranges::find(endpoints_, key.endpoint) - endpoints_.begin());
  };
  const bool was_up = path.status.state == PathState::up;
  std::size_t count = 1;
  std::size_t before = 0;
  for (const auto& [key, other] : paths_) {
    const bool told = other.told && other.dial_at;
    const bool dialing = !was_up && other.status.state == PathState::dialing;
    const bool comes = told || dialing || other.status.state == PathState::up;
    if (&other == &path || !comes) { continue; }
    ++count;
    if (order(other) < order(path)) { ++before; }
  }
  const double part = (static_cast<double>(before) + random_.unit()) / static_cast<double>(count);
  return Duration(static_cast<Duration::rep>(part * static_cast<double>(spread.count())));
}

std::vector<PathAction> PathEngine::take_actions() { return std::exchange(actions_, {}); }

std::optional<MonoTime> PathEngine::next_deadline() const {
  std::optional<MonoTime> earliest;
  for (const auto& [key, path] : paths_) {
    if (path.dial_at && (!earliest || *path.dial_at < *earliest)) { earliest = path.dial_at; }
  }
  for (const auto& [endpoint, until] : offered_) {
    if (until != MonoTime::max() && (!earliest || until < *earliest)) { earliest = until; }
  }
  return earliest;
}

void PathEngine::on_deadline(MonoTime now) {
  end_offers(now);
  for (auto& [key, path] : paths_) {
    if (path.dial_at && *path.dial_at <= now) { dial(path, now); }
  }
}

std::vector<PathStatus> PathEngine::status() const {
  std::vector<PathStatus> out;
  out.reserve(paths_.size());
  for (const auto& [key, path] : paths_) {
    PathStatus status = path.status;
    const PortFacts& facts = ports_.at(key.port).facts;
    // A gateway that does not answer is below everything that a dial can say.
    const bool above_gateway =
        status.broken == Step::tcp || status.broken == Step::dns || status.broken == Step::proxy;
    if (above_gateway && facts.gateway_reachable == false) {
      status.broken = Step::gateway;
      status.cause = "the gateway of " + facts.name + " does not answer ARP";
      status.answered = status.refused = false;
    }
    out.push_back(std::move(status));
  }
  return out;
}

bool PathEngine::server_side() const {
  std::size_t refused = 0;
  for (const PathStatus& status : status()) {
    if (!usable(ports_.at(status.key.port))) { continue; }
    const bool theirs =
        status.last_failure && (status.broken == Step::tcp || status.broken == Step::console);
    if (!theirs) { return false; }
    ++refused;
  }
  return refused > 0;
}

std::size_t PathEngine::up_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      paths_, [](const auto& item) { return item.second.status.state == PathState::up; }));
}

}  // namespace edge::uplink
