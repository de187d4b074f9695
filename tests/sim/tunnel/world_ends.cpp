// The two processes: what uplink/daemon, tunnel/io and the Console do with connections.
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/tunnel/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;
using uplink::DialEnd;
using uplink::PathBreak;
using uplink::Step;

namespace {

constexpr Duration dial_timeout = 5s;  ///< tunnel/io gives a TCP connect, or TLS, up.
constexpr Duration dns_timeout = 2s;

PathId console_name(std::size_t number) { return PathId{static_cast<std::uint32_t>(number + 1)}; }

}  // namespace

std::optional<std::size_t> TunnelWorld::number_of(PathId path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? std::nullopt : std::optional(found->second);
}

tunnel::PathFacts TunnelWorld::facts_of(const Connection& connection) const {
  const uplink::PortFacts& port = ports_[connection.port].facts;
  return {.label = fmt::format("{}/{}", port.name, connection.key.endpoint),
          .port = port.name,
          .endpoint = fmt::format("console:{}", connection.key.endpoint),
          .adapter = port.port,
          .rank = port.rank};
}

void TunnelWorld::start(std::size_t end) {
  End& starting = ends_[end];
  ++starting.generation;
  starting.timer_at.reset();
  tunnel::SessionOptions options = options_;
  options.role = end == 0 ? tunnel::Role::host : tunnel::Role::console;
  options.host = "hv-01";
  options.install_id = "install-1";
  const std::uint64_t seed = random_.next();
  if (end == 1) {
    starting.session = std::make_unique<tunnel::Session>(options, Random(seed));
  } else {
    starting.paths = std::make_unique<uplink::TunnelPaths>(
        options, Random(seed), [this](PathId path, const tunnel::Welcome&) {
          using Judged = uplink::WelcomeVerdict::Kind;
          // A clock that is not set has no path that a proof could be made over.
          const auto number = number_of(path);
          const bool first = number && connections_[*number].role == uplink::LinkRole::main;
          const bool unset = first && std::exchange(clock_unset_, false);
          return uplink::WelcomeVerdict{.kind = unset ? Judged::dial_again : Judged::keep,
                                        .why = {}};
        });
    by_path_.clear();
    for (const auto& [known, at] : reputations_) {
      tunnel::Reputation now_known = known;
      now_known.since_last += now_ - at;
      starting.paths->session().restore(now_known, now_);
    }
  }
  starting.endpoint = std::make_unique<Endpoint>(session_of(end), options, seed, report_);
  if (end == 1) { return; }
  std::vector<std::size_t> endpoints(endpoints_);
  for (std::size_t i = 0; i < endpoints_; ++i) { endpoints[i] = i; }
  starting.paths->set_endpoints(endpoints, now_);
  for (Port& port : ports_) { starting.paths->engine().set_port(port.facts, now_); }
  schedule(now_, What::execute, 0, starting.generation);
  settle(0);
}

void TunnelWorld::stop(std::size_t end) {
  End& stopping = ends_[end];
  stopping.endpoint.reset();
  stopping.paths.reset();
  stopping.session.reset();
  ++stopping.generation;
  (end == 0 ? host_app_.restart() : console_app_.restart());
  for (std::size_t i = connections_.first_number(); i < connections_.end_number(); ++i) {
    close(end, i);
  }
  if (end == 0) { by_path_.clear(); }
}

void TunnelWorld::settle(std::size_t end) {
  for (;;) {
    if (!runs(end)) { return; }
    ends_[end].endpoint->streams().feed(session_of(end), now_);
    if (end == 0) {
      const auto orders = ends_[0].paths->take_orders(now_);
      let_go_.clear();
      for (const uplink::Order& order : orders) { run_host(order); }
      check_let_go();
      if (orders.empty()) { break; }
    } else {
      const auto actions = ends_[1].session->take_actions();
      for (const tunnel::Action& action : actions) { run_action(1, action); }
      if (actions.empty()) { break; }
    }
  }
  arm(end);
}

void TunnelWorld::arm(std::size_t end) {
  End& owner = ends_[end];
  const auto due = end == 0 ? owner.paths->next_deadline() : owner.session->next_deadline();
  if (!due || (owner.timer_at && *owner.timer_at <= *due)) { return; }
  owner.timer_at = std::max(*due, now_);
  schedule(*owner.timer_at, What::timer, end, owner.generation);
}

void TunnelWorld::run_host(const uplink::Order& order) {
  if (const auto* wish = std::get_if<uplink::DialOrder>(&order)) {
    dial(*wish);
  } else if (const auto* done = std::get_if<uplink::CloseOrder>(&order)) {
    if (const auto number = number_of(done->path)) {
      by_path_.erase(done->path);
      if (intact(connections_[*number])) { let_go_.push_back(*number); }
      close(0, *number);
    }
  } else if (const auto* down = std::get_if<uplink::PathDown>(&order)) {
    std::erase_if(let_go_,
                  [&](std::size_t number) { return connections_[number].path == down->path; });
    check_down(*down);
  } else if (const auto* action = std::get_if<tunnel::Action>(&order)) {
    run_action(0, *action);
  } else if (const auto* proof = std::get_if<uplink::ProofEnded>(&order)) {
    proving_ = false;
    if (trace_) { fmt::print("{:.3f} proof: {} {}\n", seconds(), proof->welcomed, proof->what); }
  } else if (trace_) {
    if (const auto* up = std::get_if<uplink::PathUp>(&order)) {
      fmt::print("{:.3f} up {} {}/{}\n", seconds(), up->path.value, up->key.port, up->key.endpoint);
    } else if (const auto* failed = std::get_if<uplink::DialFailed>(&order)) {
      fmt::print("{:.3f} dial failed {}/{}: {} {}\n", seconds(), failed->key.port,
                 failed->key.endpoint, to_string(failed->why.step), failed->why.text);
    }
  }
}

void TunnelWorld::run_action(std::size_t end, const tunnel::Action& action) {
  Endpoint& endpoint = *ends_[end].endpoint;
  if (const auto* bytes = std::get_if<tunnel::SendBytes>(&action)) {
    const auto number = end == 0 ? number_of(bytes->path) : bytes->path.value - 1;
    if (number) { send(end, *number, *bytes); }
  } else if (const auto* deliver = std::get_if<tunnel::Deliver>(&action)) {
    if (deliver->channel == tunnel::Channel::streams) {
      return endpoint.streams().on_payload(deliver->payload);
    }
    const auto message = endpoint.on_deliver(*deliver);
    ++outcome_.messages.checks;
    if (!message) { return; }
    if (end == 0) {
      host_app_.on_message(endpoint, *message, now_);
      if (message->kind != Kind::command) { return; }
      schedule(now_ + Duration(random_.below(5'000'000)), What::execute, 0, ends_[0].generation);
    } else if (const auto reply = console_app_.on_message(endpoint, *message, now_)) {
      check_gap(*reply);
    }
  } else if (const auto* dead = std::get_if<tunnel::PathDead>(&action)) {
    if (trace_) {
      fmt::print("{:.3f} Console: {} dead: {} {}\n", seconds(), dead->path.value,
                 to_string(dead->cause), dead->detail);
    }
    close(1, dead->path.value - 1);
  } else if (const auto* started = std::get_if<tunnel::SessionStarted>(&action)) {
    if (trace_) { fmt::print("{:.3f} end {} session {}\n", seconds(), end, started->epoch); }
    endpoint.on_session_started(*started);
    if (end == 0) {
      host_app_.on_session_started();
      host_app_.pump(endpoint, now_);
    } else {
      ++outcome_.sessions;
      console_app_.on_session_started();
      console_app_.pump(endpoint, now_);
    }
  } else if (const auto* changed = std::get_if<tunnel::ActiveChanged>(&action)) {
    if (end == 0) { check_switch(*changed); }
  } else if (const auto* goaway = std::get_if<tunnel::PeerGoaway>(&action)) {
    const tunnel::Goaway& said = goaway->goaway;
    if (end == 1 || said.endpoints.empty()) { return; }
    const MonoTime until = now_ + said.reconnect_in + said.spread +
                           (said.spread / 1ms % 2 == 0 ? Duration(2s) : Duration(10min));
    ends_[0].paths->engine().offer({endpoints_}, said.reconnect_in, said.spread, until, now_);
  } else if (const auto* gap = std::get_if<tunnel::DeliverGap>(&action)) {
    endpoint.on_gap(*gap);
  } else if (const auto* known = std::get_if<tunnel::ReputationChanged>(&action)) {
    std::erase_if(reputations_, [&](const auto& older) {
      return older.first.adapter == known->reputation.adapter;
    });
    reputations_.emplace_back(known->reputation, now_);
  }
}

/// TCP and TLS take three round trips, if nothing stops them.
void TunnelWorld::dial(const uplink::DialOrder& order) {
  ++outcome_.dials;
  const auto port =
      std::ranges::find(ports_, order.key.port, [](const Port& one) { return one.facts.port; });
  const bool usable = port->facts.admin_up && port->facts.carrier && !port->facts.addresses.empty();
  if (!usable) { return problem(order.key.port + " is dialled and cannot be used"); }
  Connection& connection = connections_.emplace_back();
  const std::size_t number = connections_.end_number() - 1;
  connection.port = static_cast<std::size_t>(port - ports_.begin());
  connection.path = order.path;
  connection.key = order.key;
  connection.role = order.role;
  connection.source = port->facts.addresses.front();
  connection.small_segments = order.small_segments;
  by_path_[order.path] = number;
  if (trace_) {
    fmt::print("{:.3f} dial {} {}/{} role {}\n", seconds(), order.path.value, order.key.port,
               order.key.endpoint, static_cast<int>(order.role));
  }
  const Duration round_trip = port->direction[0].delay + port->direction[1].delay;
  const auto stopped = what_stops(connection);
  const bool silent = stopped && !stopped->why.refused;
  const Duration patience = port->dns_dead ? Duration(dns_timeout) : Duration(dial_timeout);
  const Duration takes = silent ? patience : 3 * round_trip + 1ms;
  schedule(now_ + takes, What::dialled, number);
}

/// As tunnel/io names it; nullopt: nothing.
std::optional<DialEnd> TunnelWorld::what_stops(const Connection& connection) const {
  const Port& port = ports_[connection.port];
  const auto at = [](Step step, std::string text) {
    return DialEnd{.why = {.step = step, .text = std::move(text)}};
  };
  if (port.dns_dead) { return at(Step::dns, "no answer"); }
  if (port.cut()) { return at(Step::tcp, "timed out"); }
  if (!runs(1)) {
    DialEnd end = at(Step::tcp, "refused");
    end.why.refused = true;
    return end;
  }
  const bool large = port.direction[0].large_cut || port.direction[1].large_cut;
  if (large && !connection.small_segments) {
    DialEnd end = at(Step::tcp, "TLS timed out");
    end.too_large = true;
    return end;
  }
  return std::nullopt;
}

void TunnelWorld::on_dialled(std::size_t number) {
  Connection& connection = connections_[number];
  if (!runs(0) || number_of(connection.path) != number) { return; }  // Not wanted any more.
  if (const auto stopped = what_stops(connection)) {
    ends_[0].paths->on_dial_failed(connection.path, *stopped, now_);
    return settle(0);
  }
  connection.open = {true, true};
  ends_[0].paths->greet(connection.path,
                        {.facts = facts_of(connection), .source = connection.source}, now_);
  settle(0);
}

void TunnelWorld::send(std::size_t end, std::size_t number, const tunnel::SendBytes& bytes) {
  Connection& connection = connections_[number];
  if (!connection.open[end]) { return; }
  if (connection.pipe[end].write(bytes.kind, bytes.bytes)) { return pump(end, number); }
  if (end == 0) {
    ends_[0].paths->on_write_refused(connection.path, now_);
  } else {
    ends_[1].session->on_path_lost(bytes.path, tunnel::PathCause::write_stall, "full", now_);
  }
}

void TunnelWorld::pump(std::size_t end, std::size_t number) {
  Connection& connection = connections_[number];
  Pipe& pipe = connection.pipe[end];
  if (!connection.open[1 - end]) { return pipe.clear(); }
  LinkDirection direction = ports_[connection.port].direction[end];
  if (connection.small_segments) { direction.large_cut = false; }
  // An address that is gone sends nothing and hears nothing.
  const auto& facts = ports_[connection.port].facts;
  direction.cut |= !facts.carrier;
  direction.cut |= std::ranges::find(facts.addresses, connection.source) == facts.addresses.end();
  arrivals_.clear();
  pipe.pump(direction, now_, random_, arrivals_);
  for (Arrival& arrival : arrivals_) {
    schedule(arrival.at, What::arrival, number, end, std::move(arrival.bytes));
  }
  const auto again = pipe.pump_at();
  if (again && connection.pumped[end] <= now_) {
    connection.pumped[end] = std::max(*again, now_ + 1us);
    schedule(connection.pumped[end], What::pump, number, end);
  }
}

void TunnelWorld::arrive(const Event& event) {
  const auto from = static_cast<std::size_t>(event.b);
  const std::size_t end = 1 - from;
  Connection& connection = connections_[event.a];
  Pipe& pipe = connection.pipe[from];
  const Port& port = ports_[connection.port];
  if (port.direction[from].cut || !port.facts.carrier) { pipe.break_off(); }
  if (pipe.broken() || !connection.open[end] || !runs(end)) { return; }
  if (event.bytes == nullptr) {
    if (end == 0) {
      if (ends_[0].paths->attached(connection.path)) {
        session_of(0).on_bytes(connection.path, now_);
      }
    } else if (connection.accepted) {
      session_of(1).on_bytes(console_name(event.a), now_);
    }
    return;
  }
  if (end == 1) { return hear(event.a, *event.bytes); }
  const tunnel::ByteSpan bytes(*event.bytes);
  const std::size_t split = random_.chance(5) ? random_.below(bytes.size()) : 0;
  ends_[0].paths->on_bytes(connection.path, bytes.first(split), now_);
  ends_[0].paths->on_bytes(connection.path, bytes.subspan(split), now_);
  settle(0);
  if (!runs(0) || number_of(connection.path) != event.a) { return; }
  if (!ends_[0].paths->attached(connection.path)) { return; }
  if (!connection.welcomed_at) { connection.welcomed_at = now_; }
  if (connection.accepted && !connection.both_at) {
    connection.both_at = connection.inherited.value_or(now_);
  }
}

/// The Console's door.
void TunnelWorld::hear(std::size_t number, const tunnel::Bytes& bytes) {
  Connection& connection = connections_[number];
  std::vector<tunnel::Frame> frames;
  if (!connection.decoder.feed(bytes, frames)) { problem("a host's bytes do not decode"); }
  for (tunnel::Frame& frame : frames) {
    if (!connection.open[1]) { break; }
    if (connection.accepted) {
      ends_[1].session->on_frame(console_name(number), std::move(frame), now_);
    } else {
      const auto hello = tunnel::decode_hello(frame.payload);
      if (!hello) { return problem("a connection begins without HELLO"); }
      connection.accepted = true;
      for (const Connection& former : connections_) {
        if (former.key == connection.key && intact(former)) {
          connection.inherited = former.both_at;
        }
      }
      const auto accepted =
          ends_[1].session->accept(console_name(number), *hello, WallTime{}, now_);
      if (!accepted) { problem("refused: " + accepted.error().what); }
    }
    settle(1);
  }
}

/// This end closes; the other learns of it behind the bytes that are under way.
void TunnelWorld::close(std::size_t end, std::size_t number) {
  Connection& connection = connections_[number];
  if (!connection.open[end]) { return; }
  connection.open[end] = false;
  connection.both_at.reset();
  if (end == 1) { connection.accepted = false; }
  pump(end, number);
  const Port& port = ports_[connection.port];
  const auto& addresses = port.facts.addresses;
  const bool sourced = std::ranges::find(addresses, connection.source) != addresses.end();
  const Pipe& pipe = connection.pipe[end];
  if (pipe.broken() || port.direction[end].cut || !port.facts.carrier || !sourced) { return; }
  schedule(std::max(pipe.last_arrival(), now_ + port.direction[end].delay), What::closed, number,
           1 - end);
}

void TunnelWorld::on_closed(std::size_t end, std::size_t number) {
  Connection& connection = connections_[number];
  if (!connection.open[end] || !runs(end)) { return; }
  if (end == 1) {
    if (connection.accepted) {
      ends_[1].session->on_path_lost(console_name(number), tunnel::PathCause::eof, {}, now_);
    }
    settle(1);
    return close(1, number);
  }
  // As a socket that was closed at the other end: nothing more can be written or heard.
  connection.open[0] = false;
  connection.both_at.reset();
  if (ends_[0].paths->attached(connection.path)) {
    ends_[0].paths->on_lost(connection.path, tunnel::PathCause::eof, "closed", now_);
  } else {
    ends_[0].paths->on_dial_failed(
        connection.path, {.why = {.step = Step::tcp, .text = "closed before WELCOME"}}, now_);
  }
  settle(0);
}

}  // namespace edge::sim
