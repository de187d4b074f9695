// Addresses that the Console offers in the place of those that the host knows.
#include <algorithm>

#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

void PathEngine::offer(const std::vector<std::size_t>& endpoints, Duration after, Duration spread,
                       MonoTime until, MonoTime now) {
  std::vector<Path*> fresh;
  for (const std::size_t e : endpoints) {
    const bool known = std::ranges::find(endpoints_, e) != endpoints_.end();
    if (known && !offered(e)) { continue; }  // One of the host's own.
    offered_[e] = until;
    if (known) { continue; }
    endpoints_.push_back(e);
    for (const auto& [name, port] : ports_) { fresh.push_back(&add_path(port, e, now)); }
  }
  for (Path* path : fresh) {
    const Port& port = ports_.at(path->status.key.port);
    if (!usable(port)) {
      tell(*path, blocker(port));
      continue;
    }
    path->status.state = PathState::waiting;
    tell(*path, {.step = Step::console, .text = "the Console asked to come here"});
    path->told = true;
    path->dial_at = now + after;
  }
  for (Path* path : fresh) {  // Each knows of the others: the spread is shared among them.
    if (path->dial_at) { path->dial_at = now + after + moment_in(*path, spread); }
    path->status.next_dial = path->dial_at;
  }
}

/// What the Console wants to be rid of is let go, now that there is something else.
void PathEngine::leave_for(const PathKey& offered_key) {
  const MonoTime until = offered_.at(offered_key.endpoint);
  if (until == MonoTime::max()) { return; }  // The host's own were dialled when it ended.
  for (auto& [key, path] : paths_) {
    const bool told = path.told && path.dial_at;
    if (key.port != offered_key.port || offered(key.endpoint) || !told) { continue; }
    if (std::exchange(path.leaving, false)) {
      const PathBreak why{.step = Step::none,
                          .text = "the Console asked to come to another address"};
      actions_.push_back({PathAction::Kind::close, key, why});
    }
    path.dial_at = path.status.next_dial = until;
    path.rests = true;
  }
}

/// Back to those that the host knows, where nothing that was offered stands any more.
void PathEngine::return_rested(MonoTime now) {
  const auto carried_on = [this](const std::string& port) {
    return std::ranges::any_of(paths_, [&](const auto& item) {
      return item.first.port == port && offered(item.first.endpoint) && item.second.stands();
    });
  };
  for (auto& [key, path] : paths_) {
    if (!path.rests || !path.dial_at || carried_on(key.port)) { continue; }
    path.rests = path.told = false;
    bring_forward(path, hurry_spread, now);
  }
}

void PathEngine::end_offers(MonoTime now) {
  std::vector<std::size_t> left = endpoints_;
  for (auto& [endpoint, until] : offered_) {
    if (until > now && until != MonoTime::max()) { continue; }
    const bool stands = std::ranges::any_of(paths_, [&](const auto& item) {
      return item.first.endpoint == endpoint && item.second.stands();
    });
    if (stands) {
      until = MonoTime::max();
    } else {
      std::erase(left, endpoint);
    }
  }
  if (left.size() != endpoints_.size()) { set_endpoints(std::move(left), now); }
}

/// After whatever may have ended a path. May forget paths: pointers to them end here.
void PathEngine::settle_offers(MonoTime now) {
  if (offered_.empty()) { return; }
  return_rested(now);
  end_offers(now);
}

}  // namespace edge::uplink
