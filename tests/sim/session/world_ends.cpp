// The two processes of the world: what tunnel/io does between a session and its connections.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/session/world.hpp"

namespace edge::sim {
using namespace std::chrono_literals;
using tunnel::FrameType;
using tunnel::SendKind;

namespace {

constexpr Duration welcome_timeout = 500ms;
constexpr Duration refused_after = 100ms;
constexpr std::uint64_t repeat_after_max_ms = 500;

bool is_data(const tunnel::Frame& frame) { return frame.header.type == FrameType::data; }

PathId path_id(std::size_t connection) { return PathId{static_cast<std::uint32_t>(connection)}; }

}  // namespace

tunnel::PathFacts World::facts_of(std::size_t connection) const {
  const Link& link = links_[connections_[connection].link];
  return {.wire_id = static_cast<std::uint32_t>(connection),
          .label = link.adapter + "/console:1",
          .port = link.adapter,
          .endpoint = "console:1",
          .adapter = link.adapter,
          .path_class = link.path_class,
          .rank = link.rank};
}

void World::start(End end) {
  Process& starting = process(end);
  tunnel::SessionOptions options = options_;
  options.role = end == End::host ? tunnel::Role::host : tunnel::Role::console;
  options.host = "hv-01";
  options.install_id = "install-1";
  options.boot_id = "boot-1";
  ++starting.generation;
  const std::uint64_t seed = random_.next();
  starting.session = std::make_unique<tunnel::Session>(options, Random(seed));
  starting.endpoint = std::make_unique<Endpoint>(*starting.session, options, seed, report_);
  starting.timer_at.reset();
  if (end == End::console) { return; }
  for (const auto& [known, at] : reputations_) {
    tunnel::Reputation now_known = known;
    now_known.since_last += now_ - at;
    starting.endpoint->session().restore(now_known, now_);
  }
  schedule(0ms, What::execute, 0, starting.generation);
  for (std::size_t link = 0; link < links_.size(); ++link) {
    schedule(some_ms(0, 20), What::dial, link);
  }
}

void World::stop(End end) {
  Process& stopping = process(end);
  outcome_.stream_bytes.checks += stopping.endpoint->streams().bytes_received();
  stopping.endpoint.reset();
  ++stopping.generation;
  (end == End::host ? host_app_.restart() : console_app_.restart());
  for (std::size_t i = 0; i < connections_.size(); ++i) { close(end, i); }
}

/// The host dials each link on its own; TCP and TLS take three round trips.
void World::dial(const Event& event) {
  const std::size_t index = event.a;
  Link& link = links_[index];
  if (process(End::host).endpoint == nullptr || link.connection || defer(End::host, event)) {
    return;
  }
  Connection& connection = connections_.emplace_back();
  connection.link = index;
  link.connection = connections_.size() - 1;
  const bool possible = !link.cut() && process(End::console).endpoint != nullptr;
  const Duration round_trip = link.direction[0].delay + link.direction[1].delay;
  if (possible) {
    schedule(3 * round_trip + 1ms, What::connected, *link.connection);
  } else {
    schedule(refused_after, What::connected, *link.connection, 0);
  }
}

void World::connected(std::size_t index) {
  Connection& connection = connections_[index];
  Link& link = links_[connection.link];
  if (link.connection != index) { return; }
  const bool possible = !link.cut() && process(End::console).endpoint != nullptr &&
                        now_ >= process(End::console).frozen_until;
  if (!possible || process(End::host).endpoint == nullptr) {
    link.connection.reset();
    schedule(some_ms(10, 300), What::dial, connection.link);
    return;
  }
  connection.open = {true, true};
  const auto wall =
      WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()));
  const tunnel::Hello hello = process(End::host).endpoint->session().hello(facts_of(index), wall);
  connection.pipe[0].write(SendKind::control, std::make_shared<const tunnel::Bytes>(encode(hello)));
  schedule(welcome_timeout + 2 * (link.direction[0].delay + link.direction[1].delay),
           What::welcome_timeout, index);
  pump(End::host, index);
}

/// This end closes; the other learns of it behind the bytes that are under way.
void World::close(End end, std::size_t index) {
  Connection& connection = connections_[index];
  const auto me = index_of(end);
  if (connection.open[me]) {
    if (connection.attached[me]) {
      links_[connection.link].carried_until = now_;
      --links_[connection.link].attached;
    }
    connection.open[me] = connection.attached[me] = false;
    connection.both_attached_at.reset();
    pump(end, index);
    Pipe& pipe = connection.pipe[me];
    const LinkDirection& direction = links_[connection.link].direction[me];
    if (!pipe.broken() && !direction.cut) {
      schedule_at(std::max(pipe.last_arrival(), now_ + direction.delay), What::closed, index,
                  index_of(other(end)), nullptr);
    }
  }
  Link& link = links_[connection.link];
  if (end == End::host && link.connection == index) {
    link.connection.reset();
    schedule(some_ms(5, 300), What::dial, connection.link);
  }
}

void World::pump(End end, std::size_t index) {
  Connection& connection = connections_[index];
  Pipe& pipe = connection.pipe[index_of(end)];
  if (!connection.open[index_of(other(end))]) { return pipe.clear(); }
  arrivals_.clear();
  pipe.pump(links_[connection.link].direction[index_of(end)], now_, random_, arrivals_);
  for (Arrival& arrival : arrivals_) {
    schedule_at(arrival.at, What::arrival, index, index_of(end), std::move(arrival.bytes));
  }
  const auto again = pipe.pump_at();
  MonoTime& scheduled = connection.pump_scheduled[index_of(end)];
  if (again && scheduled <= now_) {
    scheduled = std::max(*again, now_ + 1us);
    schedule_at(scheduled, What::pump, index, index_of(end), nullptr);
  }
}

void World::arrive(const Event& event) {
  const auto from = static_cast<End>(event.b);
  const End end = other(from);
  Connection& connection = connections_[event.a];
  Pipe& pipe = connection.pipe[index_of(from)];
  if (links_[connection.link].direction[index_of(from)].cut) { pipe.break_off(); }
  if (pipe.broken() || !connection.open[index_of(end)]) { return; }
  if (defer(end, event)) { return; }
  if (event.bytes == nullptr) {
    if (connection.attached[index_of(end)]) {
      process(end).endpoint->session().on_bytes(path_id(event.a), now_);
      run_actions(end);
    }
    return;
  }
  std::vector<tunnel::Frame> frames;
  tunnel::ByteSpan bytes(*event.bytes);
  const std::size_t cut =
      random_.chance(5) ? random_.below(bytes.size()) : 0;  // Reads split anywhere.
  for (const auto part : {bytes.first(cut), bytes.subspan(cut)}) {
    if (!connection.decoder[index_of(end)].feed(part, frames)) {
      problem("a correct peer's bytes do not decode");
    }
  }
  const bool again =
      connection.attached[index_of(end)] && std::ranges::all_of(frames, is_data) &&
      random_.chance(links_[connection.link].direction[index_of(from)].repeat_percent);
  if (again) {
    schedule(some_ms(0, repeat_after_max_ms), What::repeated, event.a, event.b, event.bytes);
  }
  for (tunnel::Frame& frame : frames) { on_frame(end, event.a, std::move(frame)); }
}

void World::arrive_again(const Event& event) {
  const End end = other(static_cast<End>(event.b));
  Connection& connection = connections_[event.a];
  if (!connection.attached[index_of(end)] || defer(end, event)) { return; }
  std::vector<tunnel::Frame> frames;
  if (!connection.decoder[index_of(end)].feed(*event.bytes, frames)) {
    problem("a correct peer's bytes do not decode");
  }
  const tunnel::Session& session = process(end).endpoint->session();
  for (tunnel::Frame& frame : frames) {
    const std::uint64_t dropped = session.stats().duplicates;
    on_frame(end, event.a, std::move(frame));
    outcome_.repeated.note(Duration{});
    if (session.stats().duplicates != dropped + 1) { problem("a repeated frame was taken"); }
  }
}

void World::on_frame(End end, std::size_t index, tunnel::Frame frame) {
  const auto me = index_of(end);
  if (!connections_[index].open[me]) { return; }
  tunnel::Session& session = process(end).endpoint->session();
  if (connections_[index].attached[me]) {
    session.on_frame(path_id(index), std::move(frame), now_);
  } else if (end == End::console && frame.header.type == FrameType::hello) {
    const auto hello = tunnel::decode_hello(frame.payload);
    if (!hello) { return problem(hello.error().what); }
    connections_[index].attached[me] = true;
    ++links_[connections_[index].link].attached;
    const auto wall =
        WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()));
    const auto accepted = session.accept(path_id(index), *hello, wall, now_);
    if (!accepted) { problem("refused: " + accepted.error().what); }
  } else if (end == End::host && frame.header.type == FrameType::welcome) {
    const auto welcome = tunnel::decode_welcome(frame.payload);
    if (!welcome) { return problem(welcome.error().what); }
    connections_[index].attached[me] = true;
    connections_[index].attached_at = now_;
    ++links_[connections_[index].link].attached;
    (void)session.attach(path_id(index), facts_of(index), *welcome,
                         now_);  // Refusal arrives as PathDead.
  }
  run_actions(end);
  Connection& connection = connections_[index];
  if (connection.attached[0] && connection.attached[1] && !connection.both_attached_at) {
    connection.both_attached_at = now_;
  }
}

void World::run_actions(End end) {
  if (process(end).endpoint == nullptr) { return; }
  for (;;) {
    process(end).endpoint->streams().feed(process(end).endpoint->session(), now_);
    auto actions = process(end).endpoint->session().take_actions();
    if (actions.empty()) { break; }
    for (tunnel::Action& action : actions) { act(end, action); }
  }
  arm(end);
}

void World::act(End end, tunnel::Action& action) {
  Endpoint& endpoint = *process(end).endpoint;
  if (auto* send = std::get_if<tunnel::SendBytes>(&action)) {
    Connection& connection = connections_[send->path.value];
    if (!connection.open[index_of(end)]) { return; }
    Pipe& pipe = connection.pipe[index_of(end)];
    if (!pipe.write(send->kind, std::move(send->bytes))) {  // As tunnel/io and its owners do.
      return endpoint.session().on_path_lost(send->path, tunnel::PathCause::write_stall,
                                             "the write queue is full", now_);
    }
    outcome_.write_queues.note(static_cast<std::int64_t>(pipe.queued_bytes()));
    pump(end, send->path.value);
  } else if (auto* deliver = std::get_if<tunnel::Deliver>(&action)) {
    if (deliver->channel == tunnel::Channel::streams) {
      return endpoint.streams().on_payload(deliver->payload);
    }
    const auto message = endpoint.on_deliver(*deliver);
    ++outcome_.messages.checks;
    if (!message) { return; }
    if (end == End::host) {
      host_app_.on_message(endpoint, *message, now_);
      if (message->kind != Kind::command) { return; }
      schedule(Duration(random_.below(5'000'000)), What::execute, 0, process(end).generation);
    } else if (const auto reply = console_app_.on_message(endpoint, *message, now_)) {
      check_gap(*reply);
    }
  } else if (auto* gap = std::get_if<tunnel::DeliverGap>(&action)) {
    endpoint.on_gap(*gap);
  } else if (auto* dead = std::get_if<tunnel::PathDead>(&action)) {
    on_dead(end, *dead);
  } else if (auto* started = std::get_if<tunnel::SessionStarted>(&action)) {
    if (run_.trace) {
      fmt::print("              end {} session {} epoch {}\n", index_of(end),
                 to_hex(started->session), started->epoch);
    }
    endpoint.on_session_started(*started);
    if (end == End::host) {
      host_app_.on_session_started();
      host_app_.pump(endpoint, now_);
    } else {
      ++outcome_.sessions;
      console_app_.on_session_started();
      console_app_.pump(endpoint, now_);
    }
  } else if (auto* changed = std::get_if<tunnel::ActiveChanged>(&action)) {
    if (end == End::host) { check_switch(*changed); }
    if (!run_.trace) { return; }
    fmt::print("              end {} active {} -> {} ({})\n", index_of(end),
               changed->from ? static_cast<int>(changed->from->value) : -1,
               changed->to ? static_cast<int>(changed->to->value) : -1, to_string(changed->reason));
  } else if (auto* reputation = std::get_if<tunnel::ReputationChanged>(&action)) {
    std::erase_if(reputations_, [&](const auto& known) {
      return known.first.adapter == reputation->reputation.adapter;
    });
    reputations_.emplace_back(std::move(reputation->reputation), now_);
  }
}

/// A path must not be blamed for silence when nothing ailed it.
void World::on_dead(End end, const tunnel::PathDead& dead) {
  const std::size_t index = dead.path.value;
  if (run_.trace) {
    fmt::print("              {:.3f} end {} path {} ({}) dead: {}{} {}\n",
               static_cast<double>((now_.time_since_epoch() - 1h).count()) / 1e6, index_of(end),
               index, links_[connections_[index].link].adapter, to_string(dead.cause),
               dead.by_peer ? " (by peer)" : "", dead.detail);
  }
  const Link& link = links_[connections_[index].link];
  constexpr Duration memory = 15s;  // Longest detection.
  const bool guilty = link.cut() || now_ < link.harmed_until + memory ||
                      now_ < process_disturbed_at_ + memory ||
                      connections_[index].pipe[0].broken() || connections_[index].pipe[1].broken();
  outcome_.deaths.note(Duration{});
  if (dead.cause == tunnel::PathCause::silence && !guilty) {
    problem(fmt::format("a healthy path was declared dead: {}", dead.detail));
  }
  close(end, index);
}

void World::arm(End end) {
  Process& owner = process(end);
  const auto due = owner.endpoint->session().next_deadline();
  if (!due || (owner.timer_at && *owner.timer_at <= *due)) { return; }
  owner.timer_at = std::max(*due, now_);
  schedule_at(*owner.timer_at, What::timer, index_of(end), owner.generation, nullptr);
}

}  // namespace edge::sim
