#include "uplink/daemon/tunnel_client.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "tunnel/io/send_priority.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace json = boost::json;
using tunnel::Channel;

/// One dial and, if it succeeds, the connection it became.
struct TunnelClient::Connection {
  explicit Connection(boost::asio::io_context& io) : welcome_timer(io) {}

  PathKey key;
  std::uint64_t attempt = 0;
  PathId id{0};
  std::unique_ptr<tunnel::Dial> dial;
  std::unique_ptr<tunnel::TlsStream> stream;
  tunnel::FrameDecoder decoder;
  boost::asio::steady_timer welcome_timer;
  bool attached = false;
  IpAddress address;
  std::vector<IpAddress> resolved;
};

namespace {

Step step_of(tunnel::PathFailure cause) {
  const std::string_view name = tunnel::classify(cause);
  for (const Step step : {Step::carrier, Step::lease, Step::gateway, Step::dns, Step::tcp,
                          Step::clock, Step::tls, Step::console}) {
    if (to_string(step) == name) { return step; }
  }
  return Step::tcp;
}

PathBreak break_of(const tunnel::PathError& error) {
  const Step step = step_of(error.cause);
  return {.step = step,
          .text = error.text,
          .lasting = tunnel::is_lasting(error.cause),
          .refused = error.cause == tunnel::PathFailure::tcp_refused};
}

tunnel::PathCause session_cause(tunnel::PathFailure cause) {
  switch (cause) {
    case tunnel::PathFailure::carrier: return tunnel::PathCause::carrier;
    case tunnel::PathFailure::lease: return tunnel::PathCause::address;
    case tunnel::PathFailure::silence: return tunnel::PathCause::write_stall;
    case tunnel::PathFailure::tls_protocol: return tunnel::PathCause::reset;
    case tunnel::PathFailure::gateway:
    case tunnel::PathFailure::dns:
    case tunnel::PathFailure::tcp_refused:
    case tunnel::PathFailure::tcp_timeout:
    case tunnel::PathFailure::tcp_unreachable:
    case tunnel::PathFailure::tls_identity:
    case tunnel::PathFailure::tls_expired:
    case tunnel::PathFailure::clock:
    case tunnel::PathFailure::tls_rejected:
    case tunnel::PathFailure::tls_timeout:
    case tunnel::PathFailure::console:
    case tunnel::PathFailure::closed:
    case tunnel::PathFailure::local: return tunnel::PathCause::eof;
  }
  return tunnel::PathCause::eof;
}

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

tunnel::SessionOptions session_options(const Config& config, const TunnelIdentity& identity) {
  tunnel::SessionOptions options;
  options.role = tunnel::Role::host;
  options.host = identity.host_id;
  options.install_id = identity.install_id;
  options.boot_id = identity.boot_id;
  options.software = identity.software;
  options.heartbeat.active = std::chrono::milliseconds(config.tunnel.heartbeat_ms);
  options.heartbeat.standby = std::chrono::milliseconds(config.tunnel.heartbeat_ms * 4);
  options.heartbeat.dead_after = config.tunnel.dead_after;
  return options;
}

/// What passes every path that carries IPv6 (MTU 1280): a path that swallows large packets, and
/// says nothing, falls silent at the first large frame, and would with every new connection.
constexpr int small_segment_bytes = 1200;

std::string_view to_string(tunnel::PathState state) {
  switch (state) {
    case tunnel::PathState::standby: return "standby";
    case tunnel::PathState::active: return "active";
    case tunnel::PathState::suspect: return "suspect";
  }
  return "standby";
}

}  // namespace

TunnelClient::TunnelClient(boost::asio::io_context& io, const Config& config,
                           TunnelIdentity identity, Ports& ports, store::StoreWorker& store,
                           EventLog& events, Hooks hooks, std::uint64_t seed)
    : io_(io),
      config_(config),
      identity_(std::move(identity)),
      ports_(ports),
      store_(store),
      events_(events),
      hooks_(std::move(hooks)),
      random_(seed),
      engine_(config.console.endpoints.size(), random_.next()),
      session_(session_options(config, identity_), Random(random_.next())),
      streams_(io, config.tunnel.streams_allow, events, [this] { pump(); }),
      timer_(io) {}

TunnelClient::~TunnelClient() = default;

std::string TunnelClient::path_name(const PathKey& key) const {
  const Port* port = ports_.find(key.port);
  return fmt::format("{}/{}", port == nullptr ? key.port : port->name,
                     edge::to_string(config_.console.endpoints.at(key.endpoint)));
}

TunnelClient::Connection* TunnelClient::by_id(PathId id) {
  for (auto& [key, connection] : connections_) {
    if (connection->id == id && connection->stream) { return connection.get(); }
  }
  return nullptr;
}

void TunnelClient::on_port(const Port& port, unsigned rank) {
  if (stopping_) { return; }
  if (!port.live || !port.leads()) {
    on_port_gone(port);
    return;
  }
  const bool fresh = !ranks_.contains(port.key);
  ranks_[port.key] = rank;
  for (std::size_t e = 0; fresh && e < config_.console.endpoints.size(); ++e) {
    const PathKey key{port.key, e};
    store_.run([mac = port.base_mac, endpoint = edge::to_string(config_.console.endpoints[e])](
                   store::Store& s) { return s.good_addresses(mac, endpoint); },
               [this, key](Result<std::vector<IpAddress>> known) {
                 if (known && !last_good_.contains(key)) { last_good_[key] = std::move(*known); }
               });
  }
  if (fresh) { recall_reputation(port.key, port.base_mac); }
  engine_.set_port(ports_.path_facts(port, rank), mono_now());
  pump();
}

/// A restart of the daemon forgives an adapter nothing.
void TunnelClient::recall_reputation(const std::string& key, const MacAddress& mac) {
  store_.run([mac](store::Store& s) { return s.reputation(mac); },
             [this, key](Result<std::optional<std::string>> text) {
               if (!text || !*text) { return; }
               boost::system::error_code ec;
               const json::value parsed = json::parse(**text, ec);
               const json::object* known = ec ? nullptr : parsed.if_object();
               const auto number = [known](const char* name) -> std::int64_t {
                 const json::value* value = known == nullptr ? nullptr : known->if_contains(name);
                 return value != nullptr && value->is_int64() ? value->as_int64() : 0;
               };
               const auto age = wall_now() - WallTime(std::chrono::milliseconds(number("last_ms")));
               session_.restore(
                   {.adapter = key,
                    .failures = static_cast<int>(std::min<std::int64_t>(number("failures"), 64)),
                    .since_last = age},
                   mono_now());
               pump();
             });
}

void TunnelClient::keep_reputation(const tunnel::Reputation& reputation) {
  const Port* port = ports_.find(reputation.adapter);
  if (port == nullptr) { return; }
  const auto last = std::chrono::duration_cast<std::chrono::milliseconds>(
      (wall_now() - reputation.since_last).time_since_epoch());
  store_.run(
      [mac = port->base_mac, text = json::serialize(json::object{{"failures", reputation.failures},
                                                                 {"last_ms", last.count()}})](
          store::Store& s) { return s.put_reputation(mac, text); },
      [](const Result<void>&) {});  // Without it a restart forgives; the next failure tries again.
}

void TunnelClient::on_port_gone(const Port& port) {
  engine_.remove_port(port.key, mono_now());
  std::erase_if(fell_silent_, [&port](const PathKey& key) { return key.port == port.key; });
  ranks_.erase(port.key);
  pump();
}

void TunnelClient::on_carrier_lost(const Port& port) {
  session_.on_carrier_lost(port.key, mono_now());
  pump();
}

Result<void> TunnelClient::send(Channel channel, std::string_view text) {
  auto sent = session_.send(channel, tunnel::to_bytes(text), mono_now());
  pump();
  return sent;
}

void TunnelClient::stop() {
  stopping_ = true;
  session_.shutdown(mono_now());
  pump();
  timer_.cancel();
  connections_.clear();
  streams_.start(std::nullopt, {});
}

void TunnelClient::pump() {
  if (pumping_) { return; }  // An action may feed the engines; the loop below picks it up.
  pumping_ = true;
  bool more = true;
  while (more) {
    streams_.feed(session_, mono_now());
    const auto actions = session_.take_actions();
    for (const auto& action : actions) { run(action); }
    const auto orders = held_ ? std::vector<PathAction>{} : engine_.take_actions();
    for (const auto& order : orders) { run_path_action(order); }
    more = !actions.empty() || !orders.empty();
  }
  pumping_ = false;
  if (!graveyard_.empty()) {
    boost::asio::post(io_, [this] { graveyard_.clear(); });
  }
  arm_timer();
}

void TunnelClient::arm_timer() {
  std::optional<MonoTime> due = session_.next_deadline();
  const auto dial_due = engine_.next_deadline();
  if (dial_due && (!due || *dial_due < *due)) { due = dial_due; }
  if (!due || stopping_) { return; }
  if (timer_.expiry() == to_steady(*due) && timer_.expiry() > std::chrono::steady_clock::now()) {
    return;
  }
  timer_.expires_at(to_steady(*due));
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    const MonoTime now = mono_now();
    session_.on_deadline(now);
    engine_.on_deadline(now);
    pump();
  });
}

void TunnelClient::run(const tunnel::Action& action) {
  if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
    Connection* c = by_id(send->path);
    if (c == nullptr) { return; }
    if (!c->stream->send(send->bytes, tunnel::priority_of(send->kind))) {
      session_.on_path_lost(c->id, tunnel::PathCause::write_stall, "the write queue is full",
                            mono_now());
    }
  } else if (const auto* deliver = std::get_if<tunnel::Deliver>(&action)) {
    if (deliver->channel == Channel::streams) { return on_stream_frame(deliver->payload); }
    hooks_.on_message(deliver->channel, tunnel::as_text(deliver->payload));
  } else if (const auto* dead = std::get_if<tunnel::PathDead>(&action)) {
    Connection* c = by_id(dead->path);
    if (c == nullptr) { return; }
    const PathKey key = c->key;
    const PathBreak why = break_of(*dead);
    events_.add("path.down", {{"path", path_name(key)},
                              {"cause", std::string(to_string(dead->cause))},
                              {"detail", dead->detail},
                              {"by_peer", dead->by_peer}});
    const bool was_attached = c->attached;
    if (dead->cause == tunnel::PathCause::silence) { fell_silent_.insert(key); }
    drop(key);
    if (was_attached) {
      engine_.on_closed(key, why, mono_now());
    } else {
      engine_.on_dial_failed(key, why, mono_now());
    }
    if (why.step == Step::tcp) {  // The carrier stayed: is it the router, or what lies behind it?
      ports_.revalidate(key.port, "the path fell silent");
      ports_.probe_gateway(key.port);
    }
    hooks_.on_change();
  } else if (const auto* changed = std::get_if<tunnel::ActiveChanged>(&action)) {
    Connection* to = changed->to ? by_id(*changed->to) : nullptr;
    json::object data{
        {"to", to == nullptr ? json::value(nullptr) : json::value(path_name(to->key))},
        {"reason", std::string(to_string(changed->reason))}};
    if (changed->from && labels_.contains(*changed->from)) {
      data["from"] = labels_.at(*changed->from);
    }
    std::erase_if(labels_, [this](const auto& item) { return by_id(item.first) == nullptr; });
    events_.add("path.switch", std::move(data));
    ports_.set_active(to == nullptr ? "" : to->key.port);
    hooks_.on_change();
  } else if (const auto* started = std::get_if<tunnel::SessionStarted>(&action)) {
    events_.add("session.started",
                {{"session", tunnel::to_hex(started->session)}, {"reset", started->reset}});
    streams_.start(started->streams, started->session);
    hooks_.on_session_started();
  } else if (const auto* resumed = std::get_if<tunnel::SessionResumed>(&action)) {
    events_.add("session.resumed",
                {{"session", tunnel::to_hex(resumed->session)},
                 {"detached_ms", resumed->detached_for / std::chrono::milliseconds(1)}});
    hooks_.on_change();
  } else if (std::holds_alternative<tunnel::SessionDetached>(action)) {
    events_.add("session.detached", {});
    hooks_.on_change();
  } else if (const auto* goaway = std::get_if<tunnel::PeerGoaway>(&action)) {
    if (Connection* c = by_id(goaway->path); c != nullptr) {
      engine_.on_retry_later(c->key, goaway->goaway.reconnect_in, goaway->goaway.spread,
                             mono_now());
    }
  } else if (const auto* failed = std::get_if<tunnel::ReputationChanged>(&action)) {
    keep_reputation(failed->reputation);
  } else if (const auto* stall = std::get_if<tunnel::LocalStall>(&action)) {
    const auto late_ms = stall->lateness / std::chrono::milliseconds(1);
    spdlog::warn("local.stall late_ms={}", late_ms);
    events_.add("local.stall", {{"late_ms", late_ms}});
  } else if (const auto* gap = std::get_if<tunnel::DeliverGap>(&action)) {
    spdlog::warn("tunnel.gap channel={} dropped={}", static_cast<int>(gap->channel), gap->dropped);
  }
}

void TunnelClient::on_stream_frame(const tunnel::Bytes& payload) {
  const auto taken = streams_.on_frame(payload);
  if (taken) { return; }
  spdlog::error("stream.violation reason=\"{}\": no streams until the next session",
                taken.error().what);
  events_.add("stream.violation", {{"reason", taken.error().what}});
  session_.on_application_violation(mono_now());
}

void TunnelClient::run_path_action(const PathAction& action) {
  if (action.kind == PathAction::Kind::dial) {
    dial(action.key);
    return;
  }
  const auto found = connections_.find(action.key);
  if (found == connections_.end()) { return; }
  if (found->second->attached) {
    const bool on_purpose =
        action.reason.step == Step::disabled || action.reason.step == Step::none;
    const auto cause = action.reason.step == Step::carrier ? tunnel::PathCause::carrier
                       : on_purpose                        ? tunnel::PathCause::drained
                                                           : tunnel::PathCause::address;
    events_.add("path.down", {{"path", path_name(action.key)},
                              {"cause", std::string(to_string(cause))},
                              {"detail", action.reason.text}});
    session_.on_path_lost(found->second->id, cause, action.reason.text, mono_now());
    // Its PathDead finds no connection any more: the engine already knows why it closed it.
  }
  drop(action.key);
  hooks_.on_change();
}

void TunnelClient::drop(const PathKey& key) {
  const auto found = connections_.find(key);
  if (found == connections_.end()) { return; }
  Connection& c = *found->second;
  c.welcome_timer.cancel();
  c.dial.reset();
  if (c.stream) { c.stream->abort(); }
  // The stream may be the one that is calling us: free it from the loop.
  graveyard_.push_back(std::move(found->second));
  connections_.erase(found);
}

std::shared_ptr<const tunnel::TlsContext> TunnelClient::tls(std::string& problem) {
  if (config_.console.certificate.empty()) {
    problem = "no certificate: set console.certificate and console.key, or enrol this host";
    return nullptr;
  }
  if (!tls_) {
    tunnel::TlsOptions options;
    options.server_name = config_.console.server_name;
    options.clock_floor = identity_.clock_floor;
    auto opened = tunnel::TlsContext::open(
        tunnel::TlsRole::client,
        {config_.console.ca, config_.console.certificate, config_.console.key}, options);
    if (!opened) {
      problem = opened.error().what;
      return nullptr;
    }
    tls_ = *opened;
  }
  return tls_;
}

tunnel::DialRequest TunnelClient::request_of(const Port& port, const PathKey& key) const {
  tunnel::DialRequest request;
  request.endpoint = config_.console.endpoints.at(key.endpoint);
  request.binding.device = port.l3;
  if (port.lease_usable()) {
    request.binding.source4 = port.lease->address.address;
    request.gateway = port.lease->default_gateway();
    for (const IpAddress& server : port.lease->dns) { request.dns_servers.push_back({server}); }
  }
  for (const IpAddress& server : port.v6.dns) { request.dns_servers.push_back({server}); }
  if (!port.v6.owned.empty()) {
    request.binding.source6 = port.v6.owned.front().address;
  } else if (!port.v6.seen.empty()) {
    request.binding.source6 = port.v6.seen.front().address;
  }
  if (const auto known = last_good_.find(key); known != last_good_.end()) {
    request.last_good = known->second;
  }
  if (fell_silent_.contains(key) && !proving_.contains(key.port)) {
    request.tcp.segment_bytes_max = small_segment_bytes;
  }
  return request;
}

void TunnelClient::dial(const PathKey& key) {
  const Port* port = ports_.find(key.port);
  if (port == nullptr) { return; }
  drop(key);
  std::string problem;
  const auto context = tls(problem);
  if (!context) {
    engine_.on_dial_failed(key, {Step::tls, problem, true}, mono_now());
    return;
  }
  if (const auto invalid = context->own_validity()) {
    tls_.reset();  // A new certificate may have been put there meanwhile.
    engine_.on_dial_failed(key, break_of(*invalid), mono_now());
    return;
  }
  auto connection = std::make_unique<Connection>(io_);
  connection->key = key;
  connection->attempt = next_attempt_++;
  tunnel::DialRequest request = request_of(*port, key);
  request.attempt = attempts_[key]++;
  connection->dial = std::make_unique<tunnel::Dial>(
      io_.get_executor(), context, std::move(request),
      [this, key, attempt = connection->attempt](tunnel::DialResult result) {
        on_dialled(key, attempt, std::move(result));
      });
  connections_[key] = std::move(connection);
}

void TunnelClient::fail_dial(const PathKey& key, PathBreak why) {
  spdlog::info("path.dial_failed path={} step={} cause=\"{}\"", path_name(key), to_string(why.step),
               why.text);
  drop(key);
  if (why.step == Step::tcp || why.step == Step::dns) { ports_.probe_gateway(key.port); }
  engine_.on_dial_failed(key, std::move(why), mono_now());
  hooks_.on_change();
  pump();
}

void TunnelClient::on_dialled(const PathKey& key, std::uint64_t attempt,
                              tunnel::DialResult result) {
  const auto found = connections_.find(key);
  if (found == connections_.end() || found->second->attempt != attempt) { return; }
  if (!result) {
    fail_dial(key, break_of(result.error().error));
    return;
  }
  Connection& c = *found->second;
  c.id = PathId{next_path_id_++};
  c.address = result->address;
  c.resolved = std::move(result->resolved);
  c.stream = std::move(result->stream);
  if (!result->dns_degraded.empty()) {
    spdlog::warn("path.dns_degraded path={} cause=\"{}\"", path_name(key), result->dns_degraded);
  }
  const PathId id = c.id;
  c.stream->start({.on_bytes =
                       [this, id](std::span<const std::byte> bytes) {
                         if (Connection* alive = by_id(id); alive != nullptr) {
                           on_bytes(*alive, bytes);
                         }
                       },
                   .on_closed =
                       [this, id](const tunnel::PathError& error) {
                         Connection* alive = by_id(id);
                         if (alive == nullptr) { return; }
                         if (!alive->attached) {
                           fail_dial(alive->key, break_of(error));
                           return;
                         }
                         session_.on_path_lost(id, session_cause(error.cause), error.text,
                                               mono_now());
                         pump();
                       }});
  const Port* port = ports_.find(key.port);
  tunnel::PathFacts facts;
  facts.wire_id = id.value;
  facts.label = path_name(key);
  facts.port = port == nullptr ? key.port : port->name;
  facts.endpoint = edge::to_string(config_.console.endpoints.at(key.endpoint));
  facts.adapter = key.port;
  facts.rank = ranks_.contains(key.port) ? ranks_.at(key.port) : 0;
  std::string last_failure;
  for (const auto& status : engine_.status()) {
    if (status.key == key && status.last_failure) {
      last_failure = status.last_failure->text.substr(0, 200);
    }
  }
  auto hello = session_.hello(facts, wall_now(), last_failure);
  // A resumed TLS handshake fits small packets, whatever MTU the change promised.
  const bool jumbo = port != nullptr && port->mtu > netmodel::mtu_low;
  if (jumbo && proving_.contains(key.port)) { hello.fill = port->mtu; }
  if (!c.stream->send(std::make_shared<const tunnel::Bytes>(tunnel::encode(hello)))) {
    fail_dial(key, {Step::tcp, "the connection ended before HELLO"});
    return;
  }
  c.welcome_timer.expires_after(welcome_timeout);
  c.welcome_timer.async_wait([this, id](boost::system::error_code ec) {
    Connection* alive = by_id(id);
    if (ec || alive == nullptr || alive->attached) { return; }
    fail_dial(alive->key, {.step = Step::console,
                           .text = fmt::format("no WELCOME within {} s", welcome_timeout.count())});
  });
}

void TunnelClient::on_bytes(Connection& c, std::span<const std::byte> bytes) {
  const PathId id = c.id;
  std::vector<tunnel::Frame> frames;
  const auto fed = c.decoder.feed(bytes, frames);
  for (tunnel::Frame& frame : frames) {
    Connection* alive = by_id(id);  // An earlier frame may have ended it.
    if (alive == nullptr) { return; }
    if (alive->attached) {
      session_.on_frame(id, std::move(frame), mono_now());
      pump();
    } else {
      on_handshake_frame(*alive, frame);
    }
  }
  Connection* alive = by_id(id);
  if (fed && frames.empty() && alive != nullptr && alive->attached) {
    session_.on_bytes(id, mono_now());
  }
  if (fed || alive == nullptr) { return; }
  if (alive->attached) {
    session_.on_decode_error(id, fed.error(), mono_now());
    pump();
  } else {
    fail_dial(alive->key, {Step::console,
                           "the Console does not speak our protocol: " + fed.error().what, true});
  }
}

void TunnelClient::on_handshake_frame(Connection& c, const tunnel::Frame& frame) {
  const PathKey key = c.key;
  if (frame.header.type == tunnel::FrameType::welcome) {
    const auto welcome = tunnel::decode_welcome(frame.payload);
    if (welcome) {
      on_welcome(c, *welcome);
    } else {
      fail_dial(key, {Step::console, welcome.error().what, true});
    }
    return;
  }
  if (frame.header.type == tunnel::FrameType::error) {
    const auto error = tunnel::decode_error(frame.payload);
    const bool lasting = error && error->code != tunnel::ErrorCode::retry_later &&
                         error->code != tunnel::ErrorCode::protocol;
    fail_dial(key, {.step = Step::console,
                    .text = error ? fmt::format("the Console refused: {} ({})", error->what,
                                                to_string(error->code))
                                  : error.error().what,
                    .lasting = lasting,
                    .answered = true});
    return;
  }
  if (frame.header.type == tunnel::FrameType::goaway) {
    if (const auto goaway = tunnel::decode_goaway(frame.payload)) {
      drop(key);
      engine_.on_retry_later(key, goaway->reconnect_in, goaway->spread, mono_now());
      pump();
      return;
    }
  }
  fail_dial(key,
            {Step::console, fmt::format("expected WELCOME, got {}", to_string(frame.header.type))});
}

void TunnelClient::on_welcome(Connection& c, const tunnel::Welcome& welcome) {
  const PathKey key = c.key;
  const PathId id = c.id;
  c.welcome_timer.cancel();
  tunnel::PathFacts facts;
  const Port* port = ports_.find(key.port);
  facts.wire_id = id.value;
  facts.label = path_name(key);
  facts.port = port == nullptr ? key.port : port->name;
  facts.endpoint = edge::to_string(config_.console.endpoints.at(key.endpoint));
  facts.adapter = key.port;
  facts.rank = ranks_.contains(key.port) ? ranks_.at(key.port) : 0;
  c.attached = true;
  const auto attached = session_.attach(id, facts, welcome, mono_now());
  if (!attached) {
    c.attached = false;
    fail_dial(key, {Step::console, attached.error().what});
    return;
  }
  labels_[id] = facts.label;
  engine_.on_welcome(key, mono_now());
  welcomes_[key] = ++welcome_count_;
  std::vector<IpAddress> good = c.resolved;
  std::erase(good, c.address);
  good.insert(good.begin(), c.address);
  if (last_good_[key] != good && port != nullptr) {
    last_good_[key] = good;
    store_.run([mac = port->base_mac, endpoint = facts.endpoint, good, now = wall_now()](
                   store::Store& s) { return s.put_good_addresses(mac, endpoint, good, now); },
               [](const Result<void>&) {});  // Only a cache: the next WELCOME tries again.
  }
  hooks_.on_console_time(welcome.time);
  events_.add("path.up", {{"path", facts.label}, {"address", edge::to_string(c.address)}});
  hooks_.on_change();
  pump();
}

json::array TunnelClient::paths_json() const {
  const MonoTime now = mono_now();
  std::map<PathKey, tunnel::PathView> views;
  for (const auto& view : session_.paths(now)) {
    for (const auto& [key, connection] : connections_) {
      if (connection->id == view.path && connection->attached) { views.emplace(key, view); }
    }
  }
  json::array out;
  for (const PathStatus& status : engine_.status()) {
    const Port* port = ports_.find(status.key.port);
    json::object row{
        {"path", path_name(status.key)},
        {"port", port == nullptr ? status.key.port : port->name},
        {"endpoint", edge::to_string(config_.console.endpoints.at(status.key.endpoint))}};
    const auto view = views.find(status.key);
    if (view != views.end()) {
      row["state"] = std::string(to_string(view->second.state));
      row["broken_step"] = nullptr;
      row["cause"] = "";
      if (view->second.srtt) {
        row["rtt_ms"] = static_cast<double>(view->second.srtt->count() / 10000) / 100.0;
      }
      row["last_heard_ms"] = view->second.last_rx_age / std::chrono::milliseconds(1);
    } else {
      row["state"] = status.state == PathState::dialing ? "dialing" : "down";
      row["broken_step"] = std::string(to_string(status.broken));
      row["cause"] = status.cause;
      row["advice"] = std::string(advice(status.broken));
      if (status.next_dial) {
        row["retry_in_ms"] = (*status.next_dial - now) / std::chrono::milliseconds(1);
      }
    }
    row["since"] = to_iso8601(
        wall_now() - std::chrono::duration_cast<std::chrono::milliseconds>(now - status.since));
    row["dials"] = status.dials;
    if (status.last_failure) {
      row["last_failure"] =
          fmt::format("{}: {}", to_string(status.last_failure->step), status.last_failure->text);
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<PathSight> TunnelClient::sights() const {
  std::vector<PathSight> out;
  for (const PathStatus& status : engine_.status()) {
    out.push_back({.key = status.key,
                   .name = path_name(status.key),
                   .broken = status.broken,
                   .cause = status.cause,
                   .answered = status.answered,
                   .refused = status.refused,
                   .dialing = status.state == PathState::dialing,
                   .welcomes = welcomes_.contains(status.key) ? welcomes_.at(status.key) : 0});
  }
  return out;
}

std::optional<PathKey> TunnelClient::active_path() const {
  const auto active = session_.active();
  for (const auto& [key, connection] : connections_) {
    if (active && connection->id == *active) { return key; }
  }
  return std::nullopt;
}

void TunnelClient::redial(const PathKey& key) {
  engine_.redial(key, mono_now());
  pump();
}

void TunnelClient::release() {
  held_ = false;
  pump();
}

json::object TunnelClient::console_json() const {
  json::object out{{"state", online() ? "online" : "offline"},
                   {"session", tunnel::to_hex(session_.id())},
                   {"server_side", engine_.server_side()},
                   {"active_path", nullptr}};
  if (const auto active = active_path()) { out["active_path"] = path_name(*active); }
  const auto& stats = session_.stats();
  out["frames"] = json::object{{"sent", stats.sent},           {"mirrored", stats.mirrored},
                               {"copied", stats.copied},       {"resent", stats.resent},
                               {"delivered", stats.delivered}, {"duplicates", stats.duplicates}};
  out["streams"] = streams_.json();
  return out;
}

std::string TunnelClient::path_state(const std::string& port_key) const {
  std::string best = "none";
  for (const auto& value : paths_json()) {
    const auto& row = value.as_object();
    const Port* port = ports_.find(port_key);
    if (port == nullptr || row.at("port").as_string() != port->name) { continue; }
    const std::string state(row.at("state").as_string());
    if (state == "active" || best == "none" || (state == "standby" && best != "active")) {
      best = state;
    }
  }
  return best;
}

std::optional<PathStatus> TunnelClient::worst_status(const std::string& port_key) const {
  std::optional<PathStatus> worst;
  for (const PathStatus& status : engine_.status()) {
    if (status.key.port != port_key) { continue; }
    if (!worst || (status.broken != Step::none &&
                   (worst->broken == Step::none || status.broken < worst->broken))) {
      worst = status;
    }
  }
  return worst;
}

std::size_t TunnelClient::path_count() const { return engine_.status().size(); }

}  // namespace edge::uplink
