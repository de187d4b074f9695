#include "uplink/daemon/core/tunnel_paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace edge::uplink {

PathBreak break_of(const tunnel::PathDead& dead) {
  const std::string text = dead.detail.empty() ? std::string(to_string(dead.cause)) : dead.detail;
  switch (dead.cause) {
    case tunnel::PathCause::carrier: return {Step::carrier, text};
    case tunnel::PathCause::address: return {Step::lease, text};
    case tunnel::PathCause::silence: return {Step::tcp, "silence: " + text};
    case tunnel::PathCause::eof:
    case tunnel::PathCause::reset:
    case tunnel::PathCause::write_stall:
    case tunnel::PathCause::local_stall: return {Step::tcp, text};
    case tunnel::PathCause::protocol:
    case tunnel::PathCause::peer_error:
    case tunnel::PathCause::superseded:
    case tunnel::PathCause::drained:
    case tunnel::PathCause::shutdown: return {Step::console, text};
  }
  return {Step::tcp, text};
}

bool may_have_been_too_large(tunnel::PathCause cause) {
  return cause == tunnel::PathCause::silence || cause == tunnel::PathCause::write_stall ||
         cause == tunnel::PathCause::local_stall;
}

Duration wait_of(const tunnel::Goaway& goaway) {
  constexpr std::chrono::seconds offer_first{5};
  const Duration wait = goaway.reconnect_in;
  return goaway.endpoints.empty() ? wait : wait + goaway.spread + offer_first;
}

TunnelPaths::TunnelPaths(tunnel::SessionOptions options, Random random, Judge judge)
    : engine_(0, random.next()),
      session_(std::move(options), Random(random.next())),
      judge_(std::move(judge)) {}

const TunnelPaths::Link* TunnelPaths::find(PathId path) const {
  const auto found = links_.find(path);
  return found == links_.end() ? nullptr : &found->second;
}

TunnelPaths::Link* TunnelPaths::find(PathId path) {
  return const_cast<Link*>(std::as_const(*this).find(path));
}

bool TunnelPaths::attached(PathId path) const {
  const Link* link = find(path);
  return link != nullptr && link->attached;
}

std::optional<PathId> TunnelPaths::in_role(const PathKey& key, LinkRole role) const {
  const auto found = std::ranges::find_if(
      links_, [&](const auto& item) { return item.second.role == role && item.second.key == key; });
  return found == links_.end() ? std::nullopt : std::optional(found->first);
}

std::optional<PathId> TunnelPaths::main_of(const PathKey& key) const {
  return in_role(key, LinkRole::main);
}

std::optional<PathKey> TunnelPaths::active_path() const {
  const auto active = session_.active();
  const Link* link = active ? find(*active) : nullptr;
  return link == nullptr ? std::nullopt : std::optional(link->key);
}

/// Is a connection about to take the place of the path's present one?
bool TunnelPaths::greeted(const PathKey& key) const {
  return std::ranges::any_of(links_, [&](const auto& item) {
    return item.second.key == key && item.second.welcome_due.has_value();
  });
}

PathId TunnelPaths::begin(const PathKey& key, LinkRole role) {
  const PathId path{next_path_++};
  Link& link = links_[path];
  link.key = key;
  link.role = role;
  orders_.emplace_back(DialOrder{path, key, role, small_segments_.contains(key)});
  return path;
}

void TunnelPaths::drop(PathId path) {
  const auto found = links_.find(path);
  if (found == links_.end()) { return; }
  const Link gone = std::move(found->second);
  links_.erase(found);
  orders_.emplace_back(CloseOrder{path});
  const auto heir = in_role(gone.key, LinkRole::successor);
  if (gone.role == LinkRole::main && heir) { find(*heir)->role = LinkRole::main; }
}

void TunnelPaths::set_endpoints(std::vector<std::size_t> endpoints, MonoTime now) {
  std::erase_if(small_segments_, [&endpoints](const PathKey& key) {
    return std::ranges::find(endpoints, key.endpoint) == endpoints.end();
  });
  engine_.set_endpoints(std::move(endpoints), now);
}

void TunnelPaths::remove_port(const std::string& port, MonoTime now) {
  std::erase_if(small_segments_, [&port](const PathKey& key) { return key.port == port; });
  engine_.remove_port(port, now);
}

void TunnelPaths::run(const PathAction& action, MonoTime now) {
  if (action.kind == PathAction::Kind::close) { return close(action, now); }
  if (const auto former = in_role(action.key, LinkRole::successor)) { drop(*former); }
  const auto main = main_of(action.key);
  const bool stands = main && find(*main)->attached;
  if (main && !stands) { drop(*main); }
  begin(action.key, stands ? LinkRole::successor : LinkRole::main);
}

void TunnelPaths::close(const PathAction& action, MonoTime now) {
  if (const auto successor = in_role(action.key, LinkRole::successor)) { drop(*successor); }
  end_proof_of(action.key, "its path was closed", now);
  const auto main = main_of(action.key);
  if (!main) { return; }
  const bool stood = find(*main)->attached;
  drop(*main);
  if (!stood) { return; }
  const bool on_purpose = action.reason.step == Step::disabled || action.reason.step == Step::none;
  const auto cause = action.reason.step == Step::carrier ? tunnel::PathCause::carrier
                     : on_purpose                        ? tunnel::PathCause::drained
                                                         : tunnel::PathCause::address;
  orders_.emplace_back(PathDown{.path = *main,
                                .key = action.key,
                                .cause = cause,
                                .detail = action.reason.text,
                                .ordered = true,
                                .why = action.reason});
  // Its PathDead finds no connection any more: the engine already knows why it closed it.
  session_.on_path_lost(*main, cause, action.reason.text, now);
}

void TunnelPaths::run(tunnel::Action action, MonoTime now) {
  if (const auto* dead = std::get_if<tunnel::PathDead>(&action)) { return on_dead(*dead, now); }
  if (const auto* goaway = std::get_if<tunnel::PeerGoaway>(&action)) {
    const Link* link = find(goaway->path);
    if (link != nullptr && link->role == LinkRole::main) {
      come_later(link->key, goaway->goaway, now);
    }
  }
  if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
    const Link* link = find(send->path);
    if (link == nullptr || link->ended) { return; }
  }
  orders_.emplace_back(std::move(action));
}

void TunnelPaths::on_dead(const tunnel::PathDead& dead, MonoTime now) {
  const Link* link = find(dead.path);
  if (link == nullptr) { return; }
  const PathKey key = link->key;
  const bool counted = link->role == LinkRole::main;
  drop(dead.path);
  if (!counted) { return; }
  end_proof_of(key, "its path ended", now);
  const PathBreak why = break_of(dead);
  if (may_have_been_too_large(dead.cause)) { small_segments_.insert(key); }
  orders_.emplace_back(PathDown{.path = dead.path,
                                .key = key,
                                .cause = dead.cause,
                                .detail = dead.detail,
                                .by_peer = dead.by_peer,
                                .why = why});
  engine_.on_closed(key, why, now);
}

/// Of a path that stands the connection stays until the next one is welcomed.
void TunnelPaths::come_later(const PathKey& key, const tunnel::Goaway& goaway, MonoTime now) {
  if (const auto successor = in_role(key, LinkRole::successor)) { drop(*successor); }
  end_proof_of(key, "the Console asked to come later", now);
  engine_.on_retry_later(key, wait_of(goaway), goaway.spread, now);
}

void TunnelPaths::greet(PathId path, Greeting greeting, MonoTime now) {
  Link* link = find(path);
  if (link == nullptr) { return; }
  std::string last_failure;
  for (const PathStatus& status : engine_.status()) {
    if (status.key == link->key && status.last_failure) {
      last_failure = status.last_failure->text.substr(0, 200);
    }
  }
  greeting.facts.wire_id = path.value;
  tunnel::Hello hello = session_.hello(greeting.facts, greeting.wall, last_failure);
  hello.heartbeat = tunnel::heartbeat_of(hello.path, hello.heartbeat);
  hello.fill = greeting.fill;
  link->greeting = std::move(greeting);
  link->welcome_due = now + welcome_timeout;
  orders_.emplace_back(tunnel::Action(
      tunnel::SendBytes{path, tunnel::SendKind::control,
                        std::make_shared<const tunnel::Bytes>(tunnel::encode(hello))}));
}

void TunnelPaths::on_dial_failed(PathId path, const DialEnd& end, MonoTime now) {
  const Link* link = find(path);
  if (link != nullptr && !link->attached) { fail(path, end, now); }
}

void TunnelPaths::fail(PathId path, const DialEnd& end, MonoTime now) {
  const PathKey key = find(path)->key;
  if (find(path)->role == LinkRole::proof) {
    return end_proof({.rejected = end.rejected, .what = end.why.text}, now);
  }
  if (end.too_large) { small_segments_.insert(key); }
  drop(path);
  orders_.emplace_back(DialFailed{key, end.why});
  engine_.on_dial_failed(key, end.why, now);
  settle_ended(key, now);
}

/// The Console let a connection go for one that then did not come to be.
void TunnelPaths::settle_ended(const PathKey& key, MonoTime now) {
  const auto main = main_of(key);
  if (!main || !find(*main)->ended || greeted(key)) { return; }
  const Ended ended = *find(*main)->ended;
  session_.on_path_lost(*main, ended.cause, ended.detail, now);
}

std::optional<PathId> TunnelPaths::prove() {
  const auto active = active_path();
  std::optional<PathKey> over;
  for (const PathStatus& status : engine_.status()) {
    if (status.state != PathState::up) { continue; }
    if (!over || *over == active) { over = status.key; }
  }
  if (!over || held_) { return std::nullopt; }
  return begin(*over, LinkRole::proof);
}

void TunnelPaths::end_proof(ProofEnded outcome, MonoTime now) {
  const auto proof =
      std::ranges::find(links_, LinkRole::proof, [](const auto& item) { return item.second.role; });
  if (proof == links_.end()) { return; }
  const PathKey key = proof->second.key;
  drop(proof->first);
  orders_.emplace_back(std::move(outcome));
  settle_ended(key, now);
}

void TunnelPaths::end_proof_of(const PathKey& key, std::string what, MonoTime now) {
  if (in_role(key, LinkRole::proof)) { end_proof({.what = std::move(what)}, now); }
}

void TunnelPaths::on_write_refused(PathId path, MonoTime now) {
  const Link* link = find(path);
  if (link == nullptr) { return; }
  if (!link->attached) {
    const PathBreak why{.step = Step::tcp, .text = "the connection ended before HELLO"};
    return fail(path, {.why = why}, now);
  }
  session_.on_path_lost(path, tunnel::PathCause::write_stall, "the write queue is full", now);
}

std::vector<Order> TunnelPaths::take_orders(MonoTime now) {
  for (bool more = true; more;) {
    std::vector<tunnel::Action> actions = session_.take_actions();
    for (tunnel::Action& action : actions) { run(std::move(action), now); }
    const auto wishes = held_ ? std::vector<PathAction>{} : engine_.take_actions();
    for (const PathAction& wish : wishes) { run(wish, now); }
    more = !actions.empty() || !wishes.empty();
  }
  return std::exchange(orders_, {});
}

std::optional<MonoTime> TunnelPaths::next_deadline() const {
  std::optional<MonoTime> earliest = session_.next_deadline();
  const auto consider = [&earliest](std::optional<MonoTime> due) {
    if (due && (!earliest || *due < *earliest)) { earliest = due; }
  };
  consider(engine_.next_deadline());
  for (const auto& [path, link] : links_) { consider(link.welcome_due); }
  return earliest;
}

void TunnelPaths::on_deadline(MonoTime now) {
  std::vector<PathId> unheard;
  for (const auto& [path, link] : links_) {
    if (link.welcome_due && *link.welcome_due <= now) { unheard.push_back(path); }
  }
  for (const PathId path : unheard) {
    if (find(path) == nullptr) { continue; }
    const std::string why = fmt::format("no WELCOME within {} s", welcome_timeout.count());
    find(path)->welcome_due.reset();
    fail(path, {.why = {.step = Step::console, .text = why}}, now);
  }
  session_.on_deadline(now);
  engine_.on_deadline(now);
}

}  // namespace edge::uplink
