#include "tests/bench/swarm/swarm_host.hpp"

#include <boost/json.hpp>

#include "console/clock.hpp"
#include "tunnel/io/send_priority.hpp"

namespace edge::swarm {

namespace json = boost::json;
using console::mono_now;
using console::to_steady;
using console::wall_now;
using tunnel::Channel;

namespace {

constexpr std::chrono::seconds welcome_timeout{3};  // As the daemon's.
constexpr std::size_t events_max = 256;

tunnel::SessionOptions session_options(const SwarmHostOptions& options) {
  tunnel::SessionOptions out;
  out.role = tunnel::Role::host;
  out.host = options.id;
  out.install_id = "install-" + options.id;
  out.boot_id = "00000000-0000-4000-8000-000000000000";
  out.software = "uplink swarm";
  return out;
}

bool is_tcp(tunnel::PathFailure cause) { return tunnel::classify(cause) == "tcp"; }

}  // namespace

SwarmHost::SwarmHost(boost::asio::io_context& io, SwarmCounts& counts, SwarmHostOptions options,
                     std::shared_ptr<const tunnel::TlsContext> tls)
    : io_(io),
      counts_(counts),
      options_(std::move(options)),
      tls_(std::move(tls)),
      random_(options_.seed),
      engine_(1, random_.next()),
      session_(session_options(options_), Random(random_.next())),
      timer_(io) {
  for (unsigned i = 0; i < options_.paths; ++i) {
    auto link = std::make_unique<Link>(io_, "eth" + std::to_string(i));
    const unsigned n = options_.number;
    link->source =
        IpAddress::v4(127, static_cast<std::uint8_t>(1 + i % 200),
                      static_cast<std::uint8_t>(n / 250), static_cast<std::uint8_t>(1 + n % 250));
    links_.push_back(std::move(link));
  }
}

SwarmHost::~SwarmHost() {
  for (const auto& link : links_) { set_attached(*link, false); }
}

void SwarmHost::start() {
  for (const auto& link : links_) {
    uplink::PortFacts facts;
    facts.port = link->key.port;
    facts.name = link->key.port;
    facts.carrier = true;
    facts.addresses = {link->source};
    engine_.set_port(facts, mono_now());
  }
  pump();
}

tunnel::PathFacts SwarmHost::facts_of(const Link& link) const {
  tunnel::PathFacts facts;
  facts.wire_id = link.id.value;
  facts.port = link.key.port;
  facts.adapter = link.key.port;
  facts.endpoint = to_string(options_.endpoint);
  facts.label = facts.port + "/" + facts.endpoint;
  return facts;
}

SwarmHost::Link* SwarmHost::find(PathId id) {
  for (const auto& link : links_) {
    if (link->id == id && link->stream) { return link.get(); }
  }
  return nullptr;
}

// ---- connections ----

void SwarmHost::dial(Link& link) {
  drop(link);
  ++counts_.dials;
  tunnel::DialRequest request;
  request.endpoint = options_.endpoint;
  request.binding.source4 = link.source;
  link.dial = std::make_unique<tunnel::Dial>(
      io_.get_executor(), tls_, std::move(request),
      [this, &link](tunnel::DialResult result) { on_dialled(link, std::move(result)); });
}

void SwarmHost::on_dialled(Link& link, tunnel::DialResult result) {
  link.dial.reset();
  if (!result) {
    const auto& error = result.error().error;
    return fail(link, std::string(to_string(error.cause)),
                {.step = is_tcp(error.cause) ? uplink::Step::tcp : uplink::Step::tls,
                 .text = error.text,
                 .lasting = tunnel::is_lasting(error.cause),
                 .refused = error.cause == tunnel::PathFailure::tcp_refused});
  }
  link.id = PathId{next_path_++};
  link.stream = std::move(result->stream);
  link.decoder = std::make_unique<tunnel::FrameDecoder>();
  link.stream->start(
      {.on_bytes = [this, &link](std::span<const std::byte> bytes) { on_bytes(link, bytes); },
       .on_closed =
           [this, &link](const tunnel::PathError& error) {
             if (!link.attached) {
               return fail(link, "closed before WELCOME",
                           {.step = uplink::Step::tcp, .text = error.text});
             }
             session_.on_path_lost(link.id, tunnel::PathCause::eof, error.text, mono_now());
             pump();
           },
       .on_drained = {}});
  const auto hello = session_.hello(facts_of(link), wall_now());
  static_cast<void>(link.stream->send(std::make_shared<const tunnel::Bytes>(encode(hello))));
  link.welcome.expires_after(welcome_timeout);
  link.welcome.async_wait([this, &link, id = link.id](boost::system::error_code ec) {
    if (ec || link.attached || link.id != id) { return; }
    fail(link, "no WELCOME", {.step = uplink::Step::console, .text = "no WELCOME within 3 s"});
  });
}

void SwarmHost::on_bytes(Link& link, std::span<const std::byte> bytes) {
  const PathId id = link.id;
  std::vector<tunnel::Frame> frames;
  const auto fed = link.decoder->feed(bytes, frames);
  for (tunnel::Frame& frame : frames) {
    if (!link.stream || link.id != id) { return; }  // An earlier frame ended it.
    if (link.attached) {
      session_.on_frame(id, std::move(frame), mono_now());
    } else {
      on_handshake_frame(link, frame);
    }
  }
  if (!fed && link.stream && link.id == id) {
    session_.on_decode_error(id, fed.error(), mono_now());
  }
  pump();
}

void SwarmHost::on_handshake_frame(Link& link, const tunnel::Frame& frame) {
  const MonoTime now = mono_now();
  if (frame.header.type == tunnel::FrameType::welcome) {
    const auto welcome = tunnel::decode_welcome(frame.payload);
    if (!welcome) {
      return fail(link, "bad WELCOME", {.step = uplink::Step::console, .text = "bad WELCOME"});
    }
    link.welcome.cancel();
    set_attached(link, true);
    counts_.welcomes.push_back(now);
    engine_.on_welcome(link.key, now);
    // Refused: a PathDead is queued, which ends it.
    static_cast<void>(session_.attach(link.id, facts_of(link), *welcome, now));
    if (session_.paths(now).size() == 1) { add_event("path.up"); }
    return;
  }
  if (frame.header.type == tunnel::FrameType::goaway) {
    if (const auto goaway = tunnel::decode_goaway(frame.payload)) {
      ++counts_.asked_to_wait;
      drop(link);
      return engine_.on_retry_later(link.key, goaway->reconnect_in, goaway->spread, now);
    }
  }
  const auto error = tunnel::decode_error(frame.payload);
  fail(link, error ? std::string(to_string(error->code)) : "unexpected frame",
       {.step = uplink::Step::console, .text = "refused", .answered = true});
}

void SwarmHost::fail(Link& link, const std::string& cause, uplink::PathBreak why) {
  ++counts_.failures[cause];
  drop(link);
  engine_.on_dial_failed(link.key, why, mono_now());
  pump();
}

void SwarmHost::drop(Link& link) {
  set_attached(link, false);
  link.welcome.cancel();
  link.dial.reset();
  if (link.stream) { link.stream->abort(); }
  link.stream.reset();
}

void SwarmHost::set_attached(Link& link, bool attached) {
  if (link.attached == attached) { return; }
  link.attached = attached;
  const std::size_t before = attached_;
  attached_ = attached ? attached_ + 1 : attached_ - 1;
  if (attached) {
    ++counts_.paths;
    if (before == 0) { ++counts_.online; }
    if (attached_ == links_.size()) { ++counts_.whole; }
  } else {
    --counts_.paths;
    if (attached_ == 0) { --counts_.online; }
    if (before == links_.size()) { --counts_.whole; }
  }
}

// ---- session ----

void SwarmHost::pump() {
  if (pumping_) { return; }
  pumping_ = true;
  for (bool more = true; more;) {
    const auto actions = session_.take_actions();
    for (const auto& action : actions) { run(action); }
    const auto orders = engine_.take_actions();
    for (const auto& order : orders) {
      for (const auto& link : links_) {
        if (link->key == order.key && order.kind == uplink::PathAction::Kind::dial) { dial(*link); }
      }
    }
    more = !actions.empty() || !orders.empty();
  }
  pumping_ = false;
  arm_timer();
}

void SwarmHost::arm_timer() {
  std::optional<MonoTime> due = session_.next_deadline();
  for (const auto& other : {engine_.next_deadline(), snapshot_at_}) {
    if (other && (!due || *other < *due)) { due = other; }
  }
  if (due == timer_at_) { return; }
  timer_at_ = due;
  if (!due) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(to_steady(*due));
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    timer_at_.reset();
    const MonoTime now = mono_now();
    session_.on_deadline(now);
    engine_.on_deadline(now);
    if (snapshot_at_ && *snapshot_at_ <= now) { send_snapshot(); }
    pump();
  });
}

void SwarmHost::run(const tunnel::Action& action) {
  if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
    Link* link = find(send->path);
    if (link == nullptr) { return; }
    static_cast<void>(link->stream->send(send->bytes, tunnel::priority_of(send->kind)));
  } else if (const auto* deliver = std::get_if<tunnel::Deliver>(&action)) {
    on_message(deliver->channel, tunnel::as_text(deliver->payload));
  } else if (const auto* dead = std::get_if<tunnel::PathDead>(&action)) {
    Link* link = find(dead->path);
    if (link == nullptr) { return; }
    ++counts_.deaths[std::string(to_string(dead->cause))];
    drop(*link);
    engine_.on_closed(link->key, {.step = uplink::Step::tcp, .text = dead->detail}, mono_now());
    add_event("path.down");
  } else if (std::holds_alternative<tunnel::SessionStarted>(action)) {
    on_session_started();
  } else if (std::holds_alternative<tunnel::SessionDetached>(action)) {
    snapshot_at_.reset();
    add_event("session.detached");
  } else if (std::holds_alternative<tunnel::SessionResumed>(action)) {
    snapshot_at_ = mono_now();
  } else if (const auto* goaway = std::get_if<tunnel::PeerGoaway>(&action)) {
    ++counts_.asked_to_wait;
    Link* link = find(goaway->path);
    if (link == nullptr) { return; }
    engine_.on_retry_later(link->key, goaway->goaway.reconnect_in, goaway->goaway.spread,
                           mono_now());
  }
}

// ---- messages ----

void SwarmHost::on_session_started() {
  ++counts_.sessions;
  for (const std::string& id : unacked_) { say_result(id); }
  for (const auto& [n, kind] : events_) { say_event(n, kind); }
  add_event("session.started");
  snapshot_at_ = mono_now();
}

void SwarmHost::on_message(Channel channel, std::string_view text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_object()) { return; }
  const json::object& message = parsed.get_object();
  const std::string type(message.at("type").as_string());
  if (channel == Channel::events && type == "event_ack") {
    const std::int64_t n = message.at("n").as_int64();
    while (!events_.empty() && events_.front().first <= n) { events_.pop_front(); }
  } else if (type == "command") {
    on_command(std::string(message.at("id").as_string()));
  } else if (type == "result_ack") {
    counts_.answers_stored += unacked_.erase(std::string(message.at("id").as_string()));
  }
}

void SwarmHost::on_command(const std::string& id) {
  if (executed_.insert(id).second) {
    ++counts_.commands;
    unacked_.insert(id);
  } else {
    ++counts_.commands_twice;
  }
  say(Channel::commands, {{"type", "stored"}, {"id", id}});
  say_result(id);
}

void SwarmHost::say_result(const std::string& id) {
  say(Channel::commands, {{"type", "result"},
                          {"id", id},
                          {"state", "done"},
                          {"problems", json::array{}},
                          {"revision", executed_.size()},
                          {"plan", json::array{"ip link add n-swarm type bridge"}},
                          {"elapsed_ms", 1}});
}

void SwarmHost::say(Channel channel, const json::object& message) {
  // Refused while there is no session: then it is said when one starts.
  static_cast<void>(session_.send(channel, tunnel::to_bytes(json::serialize(message)), mono_now()));
}

void SwarmHost::add_event(std::string_view kind) {
  if (events_.size() >= events_max) { events_.pop_front(); }
  events_.emplace_back(next_event_++, kind);
  say_event(events_.back().first, events_.back().second);
}

void SwarmHost::say_event(std::int64_t n, const std::string& kind) {
  if (attached_ == 0) { return; }
  say(Channel::events, {{"type", "event"},
                        {"n", n},
                        {"time", console::to_iso8601(wall_now())},
                        {"kind", kind},
                        {"data", json::object{{"path", "eth0/" + to_string(options_.endpoint)},
                                              {"reason", "swarm"}}}});
}

/// As large as that of a small host, and changing in its counters only, as a quiet one's.
void SwarmHost::send_snapshot() {
  snapshot_at_ = mono_now() + options_.snapshot_period;
  json::array paths;
  for (const auto& link : links_) {
    paths.push_back(json::object{{"path", facts_of(*link).label},
                                 {"port", link->key.port},
                                 {"endpoint", to_string(options_.endpoint)},
                                 {"state", link->attached ? "standby" : "down"},
                                 {"rtt_ms", 1.25},
                                 {"since", console::to_iso8601(wall_now())}});
  }
  json::object message{{"type", "snapshot"},
                       {"revision", executed_.size()},
                       {"paths", std::move(paths)},
                       {"ports", json::array{}},
                       {"model", json::object{}}};
  json::array& ports = message["ports"].as_array();
  while (json::serialize(message).size() + 200 < options_.snapshot_bytes) {
    ports.push_back(json::object{{"port", "eth" + std::to_string(ports.size())},
                                 {"mac", "02:00:00:00:00:01"},
                                 {"bridge", "br020000000001"},
                                 {"carrier", true},
                                 {"admin_up", true},
                                 {"mtu", 1500},
                                 {"state", "leased"},
                                 {"address", "192.168.1.50/24"},
                                 {"rx_bytes", random_.below(1U << 30)}});
  }
  say(Channel::telemetry, message);
}

}  // namespace edge::swarm
