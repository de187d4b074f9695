#include "uplink/daemon/tunnel_client.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "tunnel/io/send_priority.hpp"
#include "tunnel/io/tcp_gaps.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/path_break.hpp"
#include "uplink/daemon/tunnel_connection.hpp"

namespace edge::uplink {

namespace json = boost::json;
using tunnel::Channel;

namespace {

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

}  // namespace

TunnelClient::TunnelClient(boost::asio::io_context& io, const Config& config,
                           TunnelIdentity identity, Identities& identities, Ports& ports,
                           store::StoreWorker& store, EventLog& events, ClockKeeper& clock,
                           Hooks hooks, std::uint64_t seed)
    : io_(io),
      config_(config),
      identity_(std::move(identity)),
      ports_(ports),
      memory_(store),
      events_(events),
      clock_(clock),
      hooks_(std::move(hooks)),
      random_(seed),
      paths_(session_options(config, identity_), Random(random_.next()),
             [this](PathId id, const tunnel::Welcome& welcome) { return judge(id, welcome); }),
      streams_(io, config.tunnel.streams_allow, events, [this] { pump(); }),
      timer_(io),
      identities_(identities) {
  use_endpoints({});
}

TunnelClient::~TunnelClient() = default;

std::string TunnelClient::path_name(const PathKey& key) const {
  const Port* port = ports_.find(key.port);
  return fmt::format("{}/{}", port == nullptr ? key.port : port->name, endpoint_name(key));
}

TunnelClient::Connection* TunnelClient::by_id(PathId id) {
  const auto found = connections_.find(id);
  const bool stands = found != connections_.end() && found->second->stream;
  return stands ? found->second.get() : nullptr;
}

const TunnelClient::Connection* TunnelClient::main_connection(const PathKey& key) const {
  const auto id = paths_.main_of(key);
  return id && paths_.attached(*id) ? connections_.at(*id).get() : nullptr;
}

void TunnelClient::on_port(const Port& port, unsigned rank) {
  if (stopping_) { return; }
  if (!port.live || !port.leads()) {
    on_port_gone(port);
    return;
  }
  const bool fresh = !ranks_.contains(port.key);
  ranks_[port.key] = rank;
  if (fresh) {
    for (const auto& [number, endpoint] : endpoints_) {
      memory_.recall_addresses({port.key, number}, port.base_mac, edge::to_string(endpoint));
    }
    memory_.recall_reputation(port.key, port.base_mac, [this](const tunnel::Reputation& known) {
      session().restore(known, mono_now());
      pump();
    });
  }
  engine().set_port(ports_.path_facts(port, rank), mono_now());
  pump();
}

void TunnelClient::on_port_gone(const Port& port) {
  paths_.remove_port(port.key, mono_now());
  std::erase_if(barriers_, [&port](const auto& told) { return told.first.port == port.key; });
  ranks_.erase(port.key);
  pump();
}

void TunnelClient::on_carrier_lost(const Port& port) {
  session().on_carrier_lost(port.key, mono_now());
  pump();
}

Result<void> TunnelClient::send(Channel channel, std::string_view text, tunnel::SendRoom room) {
  Result<void> sent;
  if (channel == Channel::telemetry) {
    snapshots_.offer(std::string(text));
  } else {
    sent = session().send(channel, tunnel::to_bytes(text), mono_now(), room);
  }
  pump();
  return sent;
}

void TunnelClient::stop() {
  stopping_ = true;
  session().shutdown(mono_now());
  pump();
  timer_.cancel();
  connections_.clear();
  streams_.start(std::nullopt, {});
}

void TunnelClient::pump() {
  if (pumping_) { return; }  // An order may feed the engines; the loop below picks it up.
  pumping_ = true;
  for (bool more = true; more;) {
    streams_.feed(session(), mono_now());
    snapshots_.feed(session(), mono_now());
    const std::vector<Order> orders = paths_.take_orders(mono_now());
    for (const Order& order : orders) { run(order); }
    more = !orders.empty();
  }
  pumping_ = false;
  forget_offers();
  if (!graveyard_.empty()) {
    boost::asio::post(io_, [this] { graveyard_.clear(); });
  }
  arm_timer();
}

void TunnelClient::arm_timer() {
  const std::optional<MonoTime> due = paths_.next_deadline();
  if (!due || stopping_) { return; }
  if (timer_.expiry() == to_steady(*due) && timer_.expiry() > std::chrono::steady_clock::now()) {
    return;
  }
  timer_.expires_at(to_steady(*due));
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    paths_.on_deadline(mono_now());
    pump();
  });
}

void TunnelClient::run(const Order& order) {
  if (const auto* action = std::get_if<tunnel::Action>(&order)) { return run(*action); }
  if (const auto* wish = std::get_if<DialOrder>(&order)) { return dial(*wish); }
  if (const auto* done = std::get_if<CloseOrder>(&order)) { return close(done->path); }
  if (const auto* up = std::get_if<PathUp>(&order)) { return on_path_up(*up); }
  if (const auto* down = std::get_if<PathDown>(&order)) { return on_path_down(*down); }
  if (const auto* failed = std::get_if<DialFailed>(&order)) { return on_dial_failed(*failed); }
  const auto& proof = std::get<ProofEnded>(order);
  end_proof({.welcomed = proof.welcomed, .rejected = proof.rejected, .what = proof.what});
}

void TunnelClient::run(const tunnel::Action& action) {
  if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
    Connection* c = by_id(send->path);
    if (c != nullptr && !c->stream->send(send->bytes, tunnel::priority_of(send->kind))) {
      paths_.on_write_refused(c->id, mono_now());
    }
  } else if (const auto* deliver = std::get_if<tunnel::Deliver>(&action)) {
    if (deliver->channel == Channel::streams) { return on_stream_frame(deliver->payload); }
    hooks_.on_message(deliver->channel, tunnel::as_text(deliver->payload));
  } else if (const auto* changed = std::get_if<tunnel::ActiveChanged>(&action)) {
    on_active_changed(*changed);
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
    on_goaway(goaway->goaway);
  } else if (const auto* failed = std::get_if<tunnel::ReputationChanged>(&action)) {
    if (const Port* port = ports_.find(failed->reputation.adapter); port != nullptr) {
      memory_.keep_reputation(port->base_mac, failed->reputation);
    }
  } else if (const auto* ask = std::get_if<tunnel::AskTransport>(&action)) {
    const Connection* c = by_id(ask->path);
    const int fd = c == nullptr ? -1 : c->stream->native_handle();
    session().on_waiting_segments(ask->path, tunnel::waiting_segments(fd), mono_now());
  } else if (const auto* stall = std::get_if<tunnel::LocalStall>(&action)) {
    const auto late_ms = stall->lateness / std::chrono::milliseconds(1);
    spdlog::warn("local.stall late_ms={}", late_ms);
    events_.add("local.stall", {{"late_ms", late_ms}});
  } else if (const auto* gap = std::get_if<tunnel::DeliverGap>(&action)) {
    spdlog::warn("tunnel.gap channel={} dropped={}", static_cast<int>(gap->channel), gap->dropped);
  }
}

void TunnelClient::on_path_down(const PathDown& down) {
  json::object data{{"path", path_name(down.key)},
                    {"cause", std::string(to_string(down.cause))},
                    {"detail", down.detail}};
  if (!down.ordered) { data["by_peer"] = down.by_peer; }
  events_.add("path.down", std::move(data));
  // The carrier stayed: is it the router, or what lies behind it?
  if (!down.ordered && down.why.step == Step::tcp) {
    ports_.revalidate(down.key.port, "the path fell silent");
    ports_.probe_gateway(down.key.port);
  }
  hooks_.on_change();
}

void TunnelClient::on_active_changed(const tunnel::ActiveChanged& changed) {
  Connection* to = changed.to ? by_id(*changed.to) : nullptr;
  json::object data{{"to", to == nullptr ? json::value(nullptr) : json::value(path_name(to->key))},
                    {"reason", std::string(to_string(changed.reason))}};
  if (changed.from && labels_.contains(*changed.from)) { data["from"] = labels_.at(*changed.from); }
  std::erase_if(labels_, [this](const auto& item) { return by_id(item.first) == nullptr; });
  events_.add("path.switch", std::move(data));
  ports_.set_active(to == nullptr ? "" : to->key.port);
  hooks_.on_change();
}

void TunnelClient::on_stream_frame(const tunnel::Bytes& payload) {
  const auto taken = streams_.on_frame(payload);
  if (taken) { return; }
  spdlog::error("stream.violation reason=\"{}\": no streams until the next session",
                taken.error().what);
  events_.add("stream.violation", {{"reason", taken.error().what}});
  session().on_application_violation(mono_now());
}

void TunnelClient::close(PathId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) { return; }
  Connection& c = *found->second;
  c.dial.reset();
  if (c.stream) { c.stream->abort(); }
  // The stream may be the one that is calling us: free it from the loop.
  graveyard_.push_back(std::move(found->second));
  connections_.erase(found);
}

void TunnelClient::redial(const PathKey& key) {
  engine().redial(key, mono_now());
  pump();
}

void TunnelClient::on_clock_set() {
  engine().on_clock_set(mono_now());
  pump();
}

void TunnelClient::release() {
  if (stopping_) { return; }
  paths_.hold(false);
  pump();
}

}  // namespace edge::uplink
