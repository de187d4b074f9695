// From the engine's order to the Console's WELCOME: dial, HELLO, attach.
#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/path_break.hpp"
#include "uplink/daemon/tunnel_client.hpp"
#include "uplink/daemon/tunnel_connection.hpp"
#include "uplink/io/link_kind.hpp"

namespace edge::uplink {

namespace {

/// What passes every path that carries IPv6 (MTU 1280): a path that swallows large packets, and
/// says nothing, falls silent at the first large frame, and would with every new connection.
constexpr int small_segment_bytes = 1200;

tunnel::PathClass class_of(const Config& config, const std::string& port) {
  switch (config.link_kind_of(port)) {
    case Config::LinkKind::wifi: return tunnel::PathClass::wifi;
    case Config::LinkKind::mobile: return tunnel::PathClass::mobile;
    case Config::LinkKind::unsaid: break;
  }
  switch (device_kind(port)) {
    case DeviceKind::wired: return tunnel::PathClass::wired;
    case DeviceKind::wifi: return tunnel::PathClass::wifi;
    case DeviceKind::mobile: return tunnel::PathClass::mobile;
  }
  return tunnel::PathClass::wired;
}

}  // namespace

std::shared_ptr<const tunnel::TlsContext> TunnelClient::tls(std::string& problem) {
  return identities_.context(clock_.options(config_.console.server_name), problem);
}

tunnel::DialRequest TunnelClient::request_of(const Port& port, const DialOrder& order) const {
  const PathKey& key = order.key;
  tunnel::DialRequest request;
  request.endpoint = *endpoint_of(key);
  request.binding.device = port.l3;
  if (port.lease_usable()) {
    request.binding.source4 = port.lease->address.address;
    request.gateway = port.lease->default_gateway();
    for (const IpAddress& server : port.lease->dns) { request.dns_servers.push_back({server}); }
  }
  for (const IpAddress& server : port.v6.dns) { request.dns_servers.push_back({server}); }
  request.binding.source6 = port.sources6.dial;
  request.last_good = memory_.addresses(key);
  // Or DNS that fails where others have the other family would look like that.
  std::erase_if(request.last_good, [&request](const IpAddress& address) {
    return !request.binding.allows(address.family);
  });
  if (const std::size_t own = memory_.own_addresses(key).size(); own > 0) {
    // A dial tries so many, and begins at another one each time: its own are always among them.
    const std::size_t bound = std::max(own, tunnel::DialLimits::addresses_max);
    if (request.last_good.size() > bound) { request.last_good.resize(bound); }
  } else {
    // What others have found cuts nothing off the time of its own resolvers: they end first.
    request.limits.dns_with_last_good = request.resolve.total + std::chrono::seconds(1);
  }
  if (const HttpUrl* proxy = config_.proxy_of(port.name)) {
    request.proxy = {.at = proxy->at, .credentials = {proxy->user, proxy->password}};
  }
  if (const auto& check = config_.tunnel.portal_check) {
    request.portal_check = {.at = check->at, .path = check->path};
  }
  if (order.small_segments && !proving_.contains(key.port)) {
    request.tcp.segment_bytes_max = small_segment_bytes;
  }
  return request;
}

tunnel::PathFacts TunnelClient::facts_of(const PathKey& key) const {
  const Port* port = ports_.find(key.port);
  tunnel::PathFacts facts;
  facts.label = path_name(key);
  facts.port = port == nullptr ? key.port : port->name;
  facts.endpoint = endpoint_name(key);
  facts.adapter = key.port;
  facts.path_class = class_of(config_, facts.port);
  facts.metered = config_.is_metered(facts.port);
  facts.rank = ranks_.contains(key.port) ? ranks_.at(key.port) : 0;
  return facts;
}

void TunnelClient::dial(const DialOrder& order) {
  const PathKey& key = order.key;
  const Port* port = ports_.find(key.port);
  if (port == nullptr || endpoint_of(key) == nullptr) {
    const PathBreak gone{.step = Step::carrier, .text = "the port is gone"};
    return paths_.on_dial_failed(order.path, {.why = gone}, mono_now());
  }
  std::string problem;
  const auto context = order.role == LinkRole::proof ? proving_identity_ : tls(problem);
  if (!context) {
    const PathBreak none{.step = Step::tls, .text = problem, .lasting = true};
    return paths_.on_dial_failed(order.path, {.why = none}, mono_now());
  }
  tunnel::DialRequest request = request_of(*port, order);
  if (order.role != LinkRole::proof) {
    clock_.before_dial(context->own_certificate());
    if (const auto invalid = context->own_validity()) {
      clock_.watch();
      paths_.on_dial_failed(order.path, {.why = invalid_break(*invalid)}, mono_now());
      identities_.reload();  // A new certificate may have been put there meanwhile.
      return;
    }
    request.attempt = attempts_[key]++;
  }
  auto connection = std::make_unique<Connection>();
  connection->key = key;
  connection->id = order.path;
  connection->role = order.role;
  connection->tls = context;
  connection->source4 = request.binding.source4;
  connection->source6 = request.binding.source6;
  connection->dial = std::make_unique<tunnel::Dial>(
      io_.get_executor(), context, std::move(request),
      [this, id = order.path](tunnel::DialResult result) { on_dialled(id, std::move(result)); });
  connections_[order.path] = std::move(connection);
}

void TunnelClient::on_dial_failed(const DialFailed& failed) {
  const PathBreak& why = failed.why;
  spdlog::info("path.dial_failed path={} step={} cause=\"{}\"", path_name(failed.key),
               to_string(why.step), why.text);
  if (why.step == Step::clock || why.step == Step::tls) { clock_.watch(); }
  if (why.step == Step::tcp || why.step == Step::dns || why.step == Step::proxy) {
    ports_.probe_gateway(failed.key.port);
  }
  hooks_.on_change();
}

/// What somebody at the site has to mend, and no cable: said once, until the path works again.
void TunnelClient::tell_of_barrier(const PathKey& key, const tunnel::PathError& error) {
  const std::string step(tunnel::classify(error.cause));
  if (step != "proxy" && step != "portal") { return; }
  if (!barriers_[key].insert(error.cause).second) { return; }
  events_.add("path." + step, {{"path", path_name(key)}, {"cause", error.text}});
}

void TunnelClient::on_dialled(PathId id, tunnel::DialResult result) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) { return; }
  Connection& c = *found->second;
  const PathKey key = c.key;
  if (!result) {
    const tunnel::PathError& error = result.error().error;
    if (c.role != LinkRole::proof) { tell_of_barrier(key, error); }
    return end_dial(c, error);
  }
  if (!result->dns_degraded.empty()) {
    spdlog::warn("path.dns_degraded path={} cause=\"{}\"", path_name(key), result->dns_degraded);
    events_.add("path.dns_degraded", {{"path", path_name(key)}, {"cause", result->dns_degraded}});
  }
  start_stream(c, std::move(*result));
}

void TunnelClient::start_stream(Connection& c, tunnel::DialSuccess success) {
  c.address = success.address;
  c.resolved = std::move(success.resolved);
  memory_.saw(c.key.endpoint, c.resolved);
  c.stream = std::move(success.stream);
  const PathId id = c.id;
  c.stream->start({.on_bytes =
                       [this, id](std::span<const std::byte> bytes) {
                         if (by_id(id) == nullptr) { return; }
                         paths_.on_bytes(id, bytes, mono_now());
                         pump();
                       },
                   .on_closed =
                       [this, id](const tunnel::PathError& error) {
                         Connection* alive = by_id(id);
                         if (alive == nullptr) { return; }
                         if (!paths_.attached(id)) { return end_dial(*alive, error); }
                         paths_.on_lost(id, session_cause(error.cause), error.text, mono_now());
                         pump();
                       }});
  say_hello(c);
}

void TunnelClient::say_hello(Connection& c) {
  const Port* port = ports_.find(c.key.port);
  Greeting greeting{
      .facts = facts_of(c.key),
      .wall = wall_now(),
      .source = c.address.family == Family::v4 ? c.source4 : c.source6,
  };
  // A resumed TLS handshake fits small packets, whatever MTU the change promised.
  const bool jumbo = port != nullptr && port->mtu > netmodel::mtu_low;
  if (jumbo && proving_.contains(c.key.port)) { greeting.fill = port->mtu; }
  paths_.greet(c.id, std::move(greeting), mono_now());
  pump();
}

/// The time is all that is taken from a connection that was judged within bounds; the next one is
/// judged by that time.
WelcomeVerdict TunnelClient::judge(PathId id, const tunnel::Welcome& welcome) {
  const ClockKeeper::Verdict verdict =
      clock_.on_welcome(connections_.at(id)->stream->peer(), welcome.time);
  switch (verdict.kind) {
    case ClockKeeper::Verdict::Kind::keep: return {};
    case ClockKeeper::Verdict::Kind::redial:
      return {.kind = WelcomeVerdict::Kind::dial_again, .why = {}};
    case ClockKeeper::Verdict::Kind::refuse: break;
  }
  return {.kind = WelcomeVerdict::Kind::refuse, .why = {.step = Step::clock, .text = verdict.why}};
}

void TunnelClient::on_path_up(const PathUp& up) {
  const Connection* c = by_id(up.path);
  if (c == nullptr) { return; }
  const PathKey& key = up.key;
  identities_.welcomed(*c->tls);
  if (labels_.size() > labels_max) {  // A standby that came and went while the active one stayed.
    std::erase_if(labels_, [this](const auto& item) { return by_id(item.first) == nullptr; });
  }
  labels_[up.path] = path_name(key);
  barriers_.erase(key);
  welcomes_[key] = ++welcome_count_;
  const Port* port = ports_.find(key.port);
  if (port != nullptr && config_.proxy_of(port->name) == nullptr) {  // Else it is the proxy's.
    memory_.keep_addresses(key, port->base_mac, endpoint_name(key), c->address, c->resolved);
  }
  events_.add("path.up", {{"path", path_name(key)}, {"address", edge::to_string(c->address)}});
  hooks_.on_change();
}

}  // namespace edge::uplink
