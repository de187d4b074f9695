// From the engine's order to the Console's WELCOME: dial, HELLO, attach.
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

tunnel::DialRequest TunnelClient::request_of(const Port& port, const PathKey& key) const {
  tunnel::DialRequest request;
  request.endpoint = endpoints_.at(key.endpoint);
  request.binding.device = port.l3;
  if (port.lease_usable()) {
    request.binding.source4 = port.lease->address.address;
    request.gateway = port.lease->default_gateway();
    for (const IpAddress& server : port.lease->dns) { request.dns_servers.push_back({server}); }
  }
  for (const IpAddress& server : port.v6.dns) { request.dns_servers.push_back({server}); }
  request.binding.source6 = port.sources6.dial;
  request.last_good = memory_.addresses(key);
  if (const HttpUrl* proxy = config_.proxy_of(port.name)) {
    request.proxy = {.at = proxy->at, .credentials = {proxy->user, proxy->password}};
  }
  if (const auto& check = config_.tunnel.portal_check) {
    request.portal_check = {.at = check->at, .path = check->path};
  }
  if (small_segments_.contains(key) && !proving_.contains(key.port)) {
    request.tcp.segment_bytes_max = small_segment_bytes;
  }
  return request;
}

tunnel::PathFacts TunnelClient::facts_of(const PathKey& key, PathId id) const {
  const Port* port = ports_.find(key.port);
  tunnel::PathFacts facts;
  facts.wire_id = id.value;
  facts.label = path_name(key);
  facts.port = port == nullptr ? key.port : port->name;
  facts.endpoint = endpoint_name(key);
  facts.adapter = key.port;
  facts.path_class = class_of(config_, facts.port);
  facts.metered = config_.is_metered(facts.port);
  facts.rank = ranks_.contains(key.port) ? ranks_.at(key.port) : 0;
  return facts;
}

void TunnelClient::dial(const PathKey& key) {
  const Port* port = ports_.find(key.port);
  if (port == nullptr || !endpoints_.contains(key.endpoint)) { return; }
  drop(key);
  std::string problem;
  const auto context = tls(problem);
  if (!context) {
    engine_.on_dial_failed(key, {Step::tls, problem, true}, mono_now());
    return;
  }
  clock_.before_dial(context->own_certificate());
  if (const auto invalid = context->own_validity()) {
    clock_.watch();
    engine_.on_dial_failed(key, invalid_break(*invalid), mono_now());
    identities_.reload();  // A new certificate may have been put there meanwhile.
    return;
  }
  auto connection = std::make_unique<Connection>(io_);
  connection->key = key;
  connection->attempt = next_attempt_++;
  connection->tls = context;
  tunnel::DialRequest request = request_of(*port, key);
  request.attempt = attempts_[key]++;
  connection->source4 = request.binding.source4;
  connection->source6 = request.binding.source6;
  connection->dial = std::make_unique<tunnel::Dial>(
      io_.get_executor(), context, std::move(request),
      [this, key, attempt = connection->attempt](tunnel::DialResult result) {
        on_dialled(key, attempt, std::move(result));
      });
  connections_[key] = std::move(connection);
}

void TunnelClient::fail_dial(const PathKey& key, const PathBreak& why) {
  spdlog::info("path.dial_failed path={} step={} cause=\"{}\"", path_name(key), to_string(why.step),
               why.text);
  drop(key);
  if (why.step == Step::clock || why.step == Step::tls) { clock_.watch(); }
  if (why.step == Step::tcp || why.step == Step::dns || why.step == Step::proxy) {
    ports_.probe_gateway(key.port);
  }
  engine_.on_dial_failed(key, why, mono_now());
  hooks_.on_change();
  pump();
}

/// What somebody at the site has to mend, and no cable: said once, until the path works again.
void TunnelClient::tell_of_barrier(const PathKey& key, const tunnel::PathError& error) {
  const std::string step(tunnel::classify(error.cause));
  if (step != "proxy" && step != "portal") { return; }
  if (!barriers_[key].insert(error.cause).second) { return; }
  events_.add("path." + step, {{"path", path_name(key)}, {"cause", error.text}});
}

void TunnelClient::on_dialled(const PathKey& key, std::uint64_t attempt,
                              tunnel::DialResult result) {
  const auto found = connections_.find(key);
  if (found == connections_.end() || found->second->attempt != attempt) { return; }
  if (!result) {
    tell_of_barrier(key, result.error().error);
    // The SYN came through and the Console's certificate did not.
    if (result.error().error.cause == tunnel::PathFailure::tls_timeout) {
      small_segments_.insert(key);
    }
    end_dial(*found->second, result.error().error);
    return;
  }
  if (!result->dns_degraded.empty()) {
    spdlog::warn("path.dns_degraded path={} cause=\"{}\"", path_name(key), result->dns_degraded);
    events_.add("path.dns_degraded", {{"path", path_name(key)}, {"cause", result->dns_degraded}});
  }
  start_stream(*found->second, std::move(*result));
}

void TunnelClient::start_stream(Connection& c, tunnel::DialSuccess success) {
  c.id = PathId{next_path_id_++};
  c.address = success.address;
  c.resolved = std::move(success.resolved);
  memory_.saw(c.key.endpoint, c.resolved);
  c.stream = std::move(success.stream);
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
                           end_dial(*alive, error);
                           return;
                         }
                         if (proof_ && proof_->key == alive->key && proof_->stream) {
                           alive->ended = error;  // Its place is about to be taken.
                           return;
                         }
                         session_.on_path_lost(id, session_cause(error.cause), error.text,
                                               mono_now());
                         pump();
                       }});
  say_hello(c);
}

void TunnelClient::say_hello(Connection& c) {
  const PathKey key = c.key;
  const PathId id = c.id;
  const Port* port = ports_.find(key.port);
  std::string last_failure;
  for (const auto& status : engine_.status()) {
    if (status.key == key && status.last_failure) {
      last_failure = status.last_failure->text.substr(0, 200);
    }
  }
  auto hello = session_.hello(facts_of(key, id), wall_now(), last_failure);
  hello.heartbeat = tunnel::heartbeat_of(hello.path, hello.heartbeat);
  // A resumed TLS handshake fits small packets, whatever MTU the change promised.
  const bool jumbo = port != nullptr && port->mtu > netmodel::mtu_low;
  if (jumbo && proving_.contains(key.port)) { hello.fill = port->mtu; }
  if (!c.stream->send(std::make_shared<const tunnel::Bytes>(tunnel::encode(hello)))) {
    end_dial(c, {Step::tcp, "the connection ended before HELLO"});
    return;
  }
  c.welcome_timer.expires_after(welcome_timeout);
  c.welcome_timer.async_wait([this, id](boost::system::error_code ec) {
    Connection* alive = by_id(id);
    if (ec || alive == nullptr || alive->attached) { return; }
    end_dial(*alive, {.step = Step::console,
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
    end_dial(*alive,
             {Step::console, "the Console does not speak our protocol: " + fed.error().what, true});
  }
}

void TunnelClient::on_handshake_frame(Connection& c, const tunnel::Frame& frame) {
  const PathKey key = c.key;
  if (frame.header.type == tunnel::FrameType::welcome) {
    const auto welcome = tunnel::decode_welcome(frame.payload);
    if (welcome) {
      on_welcome(c, *welcome);
    } else {
      end_dial(c, {Step::console, welcome.error().what, true});
    }
    return;
  }
  if (frame.header.type == tunnel::FrameType::error) {
    const auto error = tunnel::decode_error(frame.payload);
    const bool lasting = error && error->code != tunnel::ErrorCode::retry_later &&
                         error->code != tunnel::ErrorCode::protocol;
    const std::string why =
        !error ? error.error().what
        : error->code == tunnel::ErrorCode::revoked
            ? error->what  // It says so itself.
            : fmt::format("the Console refused: {} ({})", error->what, to_string(error->code));
    end_dial(c, {.step = Step::console, .text = why, .lasting = lasting, .answered = true},
             error && error->code == tunnel::ErrorCode::identity);
    return;
  }
  if (frame.header.type == tunnel::FrameType::goaway) {
    if (const auto goaway = tunnel::decode_goaway(frame.payload)) {
      if (&c == proof_.get()) { return end_proof({.what = "the Console asked to come later"}); }
      drop(key);
      engine_.on_retry_later(key, goaway->reconnect_in, goaway->spread, mono_now());
      pump();
      return;
    }
  }
  end_dial(c,
           {Step::console, fmt::format("expected WELCOME, got {}", to_string(frame.header.type))});
}

/// False: the path does not stand. The time is all that is taken from a connection that was judged
/// within bounds; the next one is judged by that time.
bool TunnelClient::settle_clock(Connection& c, WallTime said) {
  const PathKey key = c.key;
  const ClockKeeper::Verdict verdict = clock_.on_welcome(c.stream->peer(), said);
  switch (verdict.kind) {
    case ClockKeeper::Verdict::Kind::keep: return true;
    case ClockKeeper::Verdict::Kind::redial:
      if (&c == proof_.get()) {
        end_proof({.what = "the time became known meanwhile"});
        break;
      }
      dial(key);  // The engine is still waiting for the outcome of its dial.
      pump();
      break;
    case ClockKeeper::Verdict::Kind::refuse:
      end_dial(c, {.step = Step::clock, .text = verdict.why});
      break;
  }
  hooks_.on_change();
  return false;
}

void TunnelClient::on_welcome(Connection& c, const tunnel::Welcome& welcome) {
  const PathKey key = c.key;
  const PathId id = c.id;
  c.welcome_timer.cancel();
  if (!settle_clock(c, welcome.time)) { return; }
  const tunnel::PathFacts facts = facts_of(key, id);
  if (&c == proof_.get()) {
    take_place(c);
    if (!connections_.contains(key) || connections_.at(key).get() != &c) { return; }
  }
  c.attached = true;
  const auto attached = session_.attach(id, facts, welcome, mono_now());
  if (!attached) {
    c.attached = false;
    // Of a path that was up, when this was the proof of an identity.
    engine_.on_closed(key, {Step::console, attached.error().what}, mono_now());
    fail_dial(key, {Step::console, attached.error().what});
    return;
  }
  identities_.welcomed(*c.tls);
  labels_[id] = facts.label;
  engine_.on_welcome(key, mono_now(), c.address.family == Family::v4 ? c.source4 : c.source6);
  barriers_.erase(key);
  welcomes_[key] = ++welcome_count_;
  const Port* port = ports_.find(key.port);
  if (port != nullptr && config_.proxy_of(port->name) == nullptr) {  // Else it is the proxy's.
    memory_.keep_addresses(key, port->base_mac, facts.endpoint, c.address, c.resolved);
  }
  events_.add("path.up", {{"path", facts.label}, {"address", edge::to_string(c.address)}});
  hooks_.on_change();
  pump();
}

}  // namespace edge::uplink
