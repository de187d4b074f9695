// Host: its session, run over its connections.
#include "console/host.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "console/clock.hpp"
#include "tunnel/io/send_priority.hpp"
#include "tunnel/io/tcp_gaps.hpp"

namespace edge::console {

using tunnel::PathCause;

namespace {

tunnel::SessionOptions session_options(const std::string& host, const HostOptions& options) {
  tunnel::SessionOptions out = tunnel::console_options(host);
  out.heartbeat = options.heartbeat;
  out.detach_ttl = options.detach_ttl;
  return out;
}

/// What the end of a connection means for its path.
PathCause cause_of(tunnel::PathFailure failure) {
  if (failure == tunnel::PathFailure::silence) { return PathCause::write_stall; }
  if (failure == tunnel::PathFailure::tls_protocol) { return PathCause::reset; }
  return PathCause::eof;
}

/// What a host whose store was lost cannot know.
std::string known_message(std::int64_t revision) {
  return boost::json::serialize(boost::json::object{{"type", "known"}, {"revision", revision}});
}

/// True when the peer is there to hear a goodbye.
bool can_hear(PathCause cause) {
  switch (cause) {
    case PathCause::protocol:
    case PathCause::peer_error:
    case PathCause::superseded:
    case PathCause::drained:
    case PathCause::shutdown: return true;
    case PathCause::silence:
    case PathCause::carrier:
    case PathCause::address:
    case PathCause::eof:
    case PathCause::reset:
    case PathCause::write_stall:
    case PathCause::local_stall: return false;
  }
  return false;
}

}  // namespace

Host::Host(boost::asio::io_context& io, DbWorker& db, Feed& feed, FleetCounters& counters,
           const FleetPace& pace, HostRow row, const HostOptions& options, std::uint64_t seed)
    : io_(io),
      db_(db),
      feed_(feed),
      counters_(counters),
      pace_(pace),
      row_(std::move(row)),
      session_(session_options(row_.id, options), Random(seed)),
      timer_(io),
      event_seen_(row_.event_line.number_of(row_.last_event)),
      event_stored_(row_.last_event),
      retry_timer_(io),
      lines_(row_.id, log_lines_burst, std::chrono::seconds(1)),
      unread_bytes_max_(options.unread_bytes_max),
      pending_bytes_max_(options.pending_bytes_max),
      fleet_pending_bytes_max_(options.fleet_pending_bytes_max),
      pending_bytes_always_(options.pending_bytes_always),
      signer_(options.signer),
      renewal_spread_(options.renewal_spread) {
  snapshot_ = std::exchange(row_.snapshot, {});
  snapshot_time_ = row_.snapshot_time;
  const auto snapshot = snapshot_object();
  if (const auto* revision = snapshot.if_contains("revision")) { revision_ = *revision; }
  if (revision_.is_int64()) {
    row_.top_revision = std::max(row_.top_revision, revision_.get_int64());
  }
}

Connection* Host::find(PathId path) {
  const auto found = connections_.find(path);
  return found == connections_.end() || found->second->closing ? nullptr : found->second.get();
}

void Host::attach(std::unique_ptr<Connection> connection, const tunnel::Hello& hello) {
  const PathId id{next_path_++};
  connection->id = id;
  connection->set_owner(*this);
  connections_[id] = std::move(connection);
  labels_[id] = hello.path.label;
  session_.offer_heartbeat(pace_.heartbeat);
  const auto accepted = session_.accept(id, hello, wall_now(), mono_now());
  if (!accepted) {
    lines_.say(spdlog::level::warn, "path.refused host={} path={} reason=\"{}\"", row_.id,
               hello.path.label, accepted.error().what);
    if (accepted.error().code == Errc::unsupported) {
      ++counters_.versions_refused;
      version_refused_ = {accepted.error().what + ", by " + hello.software, wall_now()};
      announce();
    }
    return pump();  // It tells the host why, then closes.
  }
  lines_.say(spdlog::level::info, "path.up host={} path={} session={} last_failure=\"{}\"", row_.id,
             hello.path.label, to_hex(session_.id()), hello.last_failure);
  failures_.erase(hello.path.label);
  version_refused_.reset();
  const bool reinstalled = !row_.install_id.empty() && row_.install_id != hello.install_id;
  if (reinstalled) {
    lines_.say(spdlog::level::warn, "host.reinstalled host={} install_id={} was={}", row_.id,
               hello.install_id, row_.install_id);
    row_.event_base = event_seen_;  // It counts its events from 1 again.
    keep_former_model();
    forget_trials();
  }
  if (row_.install_id != hello.install_id || row_.boot_id != hello.boot_id ||
      row_.software != hello.software) {
    row_.install_id = hello.install_id;
    row_.boot_id = hello.boot_id;
    row_.software = hello.software;
    store_row();
  }
  pump();
  announce();
}

void Host::on_frame(Connection& connection, tunnel::Frame frame) {
  session_.on_frame(connection.id, std::move(frame), mono_now());
  pump();
}

void Host::on_part(Connection& connection) { session_.on_bytes(connection.id, mono_now()); }

void Host::on_garbage(Connection& connection, const Error& error) {
  session_.on_decode_error(connection.id, error, mono_now());
  pump();
}

void Host::on_partial(Connection& connection) {
  std::size_t sum = 0;
  for (const auto& [id, other] : connections_) { sum += other->partial_bytes(); }
  if (sum <= partial_bytes_max) { return; }
  on_garbage(connection, {Errc::corrupt, 0,
                          fmt::format("{} bytes of unfinished frames over all paths, at most {}",
                                      sum, partial_bytes_max)});
}

void Host::on_closed(Connection& connection, const tunnel::PathError& error) {
  const PathId id = connection.id;
  if (!connection.closing) {
    session_.on_path_lost(id, cause_of(error.cause), error.text, mono_now());
  }
  pump();
  connections_.erase(id);
}

void Host::pump() {
  if (pumping_) { return; }  // The loop below picks it up.
  pumping_ = true;
  while (true) {
    flush_outgoing();
    if (streams_ && !pace_.crowded) { streams_->feed(session_, mono_now()); }
    auto actions = session_.take_actions();
    if (actions.empty()) { break; }
    for (auto& action : actions) { run(std::move(action)); }
  }
  pumping_ = false;
  flush_events();
  arm_timer();
}

void Host::arm_timer() {
  const auto due = stopping_ ? std::nullopt : session_.next_deadline();
  if (due == timer_at_) { return; }
  timer_at_ = due;
  if (!due) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(to_steady(*due));
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) { return; }
    timer_at_.reset();
    session_.on_deadline(mono_now());
    pump();
  });
}

void Host::run(tunnel::Action action) {
  if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
    write(*send);
  } else if (const auto* message = std::get_if<tunnel::Deliver>(&action)) {
    if (message->channel == tunnel::Channel::streams) { return on_stream_frame(message->payload); }
    deliver(message->channel, tunnel::as_text(message->payload));
  } else if (const auto* dead = std::get_if<tunnel::PathDead>(&action)) {
    bury(*dead);
  } else if (const auto* changed = std::get_if<tunnel::ActiveChanged>(&action)) {
    const std::string to = changed->to ? labels_[*changed->to] : "none";
    lines_.say(spdlog::level::info, "path.switch host={} to={} reason={}", row_.id, to,
               to_string(changed->reason));
    announce();
  } else if (const auto* started = std::get_if<tunnel::SessionStarted>(&action)) {
    lines_.say(spdlog::level::info, "session.started host={} session={} reset={} unfinished={}",
               row_.id, to_hex(started->session), started->reset, pending_.size());
    peer_streams_ = started->streams;
    if (streams_) { streams_->start(peer_streams_, started->session); }
    forget_replies();  // The host says again what it was not told.
    if (row_.top_revision > 0) { say(known_message(row_.top_revision)); }
    if (signer_) { say(signer_offer(order_stands())); }
    event_ack_due_ = 0;
    for (WaitingEvent& waiting : events_waiting_) { waiting.said = false; }
    parts_.reset();
    events_overflow_ = false;
    unsent_.clear();
    untaken_ = 0;
    for (auto& [seq, pending] : pending_) {
      pending.untaken = false;
      pending.abort_said = false;
      if (!pending.finishing) { unsent_.push_back(seq); }
    }
    set_online(true);
  } else if (const auto* resumed = std::get_if<tunnel::SessionResumed>(&action)) {
    lines_.say(spdlog::level::info, "session.resumed host={} session={} detached_ms={}", row_.id,
               to_hex(resumed->session), resumed->detached_for / std::chrono::milliseconds(1));
    set_online(true);
  } else if (std::holds_alternative<tunnel::SessionDetached>(action)) {
    lines_.say(spdlog::level::warn,
               "session.detached host={}: its last path is gone; waiting for it to come back",
               row_.id);
    set_online(false);
  } else if (std::holds_alternative<tunnel::SessionExpired>(action)) {
    lines_.say(spdlog::level::info, "session.expired host={} unfinished={}", row_.id,
               pending_.size());
    peer_streams_.reset();
    if (streams_) { streams_->end(); }
  } else if (const auto* clone = std::get_if<tunnel::CloneRefused>(&action)) {
    ++counters_.clones_refused;
    clone_ = {clone->install_id, wall_now()};
    lines_.say(
        spdlog::level::err,
        "host.clone_refused host={} install_id={} known={}: two installations use one identity; "
        "give one of them a certificate of its own",
        row_.id, clone->install_id, row_.install_id);
  } else if (const auto* ask = std::get_if<tunnel::AskTransport>(&action)) {
    Connection* connection = find(ask->path);
    const int fd = connection == nullptr ? -1 : connection->stream().native_handle();
    session_.on_waiting_segments(ask->path, tunnel::waiting_segments(fd), mono_now());
  } else if (const auto* stall = std::get_if<tunnel::LocalStall>(&action)) {
    lines_.say(spdlog::level::warn, "local.stall host={} late_ms={}", row_.id,
               stall->lateness / std::chrono::milliseconds(1));
  } else if (const auto* gap = std::get_if<tunnel::DeliverGap>(&action)) {
    if (gap->channel == tunnel::Channel::telemetry) {
      parts_.reset();
      snapshot_gaps_ += gap->dropped;
    }
    spdlog::debug("channel.gap host={} channel={} dropped={}", row_.id,
                  static_cast<int>(gap->channel), gap->dropped);
  }
}

void Host::write(const tunnel::SendBytes& send) {
  Connection* connection = find(send.path);
  if (connection == nullptr) { return; }
  if (!connection->stream().send(send.bytes, tunnel::priority_of(send.kind))) {
    session_.on_path_lost(send.path, PathCause::write_stall, "the write queue is full", mono_now());
  }
  shed_unread();
}

/// Each path's queue is bounded by its stream; a host may have many paths, and read none.
void Host::shed_unread() {
  std::size_t sum = 0;
  Connection* fullest = nullptr;
  for (const auto& [id, connection] : connections_) {
    if (connection->closing) { continue; }
    const std::size_t bytes = connection->stream().queued_bytes();
    sum += bytes;
    if (fullest == nullptr || bytes > fullest->stream().queued_bytes()) {
      fullest = connection.get();
    }
  }
  if (sum <= unread_bytes_max_) { return; }
  session_.on_path_lost(fullest->id, PathCause::write_stall,
                        fmt::format("the host reads none of {} bytes over all paths", sum),
                        mono_now());
}

HostStreams& Host::streams() {
  if (!streams_) {
    streams_ = std::make_unique<HostStreams>(io_, row_.id, [this] { pump(); });
    if (session_.established()) { streams_->start(peer_streams_, session_.id()); }
  }
  return *streams_;
}

void Host::on_stream_frame(const tunnel::Bytes& payload) {
  const auto taken = streams().on_frame(payload);
  if (taken) { return; }
  ++counters_.bad_messages;
  lines_.say(spdlog::level::err,
             "stream.violation host={} reason=\"{}\": no streams until its next session", row_.id,
             taken.error().what);
  session_.on_application_violation(mono_now());
}

void Host::bury(const tunnel::PathDead& dead) {
  const std::string label = labels_[dead.path];
  labels_.erase(dead.path);
  lines_.say(spdlog::level::info, "path.down host={} path={} cause={} by_peer={} detail=\"{}\"",
             row_.id, label, to_string(dead.cause), dead.by_peer, dead.detail);
  if (failures_.size() >= failures_max_ && !failures_.contains(label)) {
    failures_.erase(failures_.begin());
  }
  failures_[label] = {std::string(to_string(dead.cause)), dead.detail, wall_now()};
  Connection* connection = find(dead.path);
  if (connection == nullptr) { return; }
  if (can_hear(dead.cause)) {
    connection->closing = true;
    connection->stream().close();  // on_closed() ends it.
  } else {
    connection->closing = true;
    connection->stream().abort();
    // It may be the one that is calling us: freed when the stack is unwound.
    boost::asio::post(io_, [this, id = dead.path, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) { connections_.erase(id); }
    });
  }
  announce();
}

void Host::set_online(bool online) {
  if (online_ == online) { return; }
  online_ = online;
  row_.changed = wall_now();
  store_row();
  if (!online && snapshot_dirty_) { store_snapshot(); }
  announce();
}

/// A host without a row is one that was never seen, after a restart: what the disk does not take is
/// tried again. Answers come in order, so the last one tells how it stands.
void Host::store_row() {
  db_.run([row = row_](ConsoleDb& db) { return db.put_host(row); },
          [this](const Result<void>& stored) {
            const bool failed_before = std::exchange(row_dirty_, !stored);
            if (stored) { return; }
            ++counters_.db_failures;
            if (!failed_before) {
              spdlog::error("host.not_stored host={} reason=\"{}\": trying again every {} s",
                            row_.id, stored.error().what, retry_period.count());
            }
            retry_later();
          });
}

HostRow Host::row_with(std::optional<Revocation> revoked) const {
  HostRow row = row_;
  row.revoked = std::move(revoked);
  return row;
}

void Host::set_revoked(std::optional<Revocation> revoked) {
  if (!row_.revoked) { counters_.pending_bytes -= pending_bytes_; }
  row_.revoked = std::move(revoked);
  if (!row_.revoked) { counters_.pending_bytes += pending_bytes_; }
  if (row_.revoked) {
    spdlog::warn("host.revoked host={} paths={} reason=\"{}\"", row_.id, session_.path_count(),
                 row_.revoked->reason);
    session_.expel({tunnel::ErrorCode::revoked, text_of(*row_.revoked)}, mono_now());
    pump();
  } else {
    spdlog::warn("host.restored host={}", row_.id);
  }
  announce();
}

void Host::announce() {
  if (feed_.heard()) { feed_.update("host", boost::json::serialize(summary())); }
}

std::size_t Host::waiting_bytes() const {
  std::size_t held = held_bytes();
  for (std::size_t i = 0; i < tunnel::channel_count; ++i) {
    const auto channel = static_cast<tunnel::Channel>(i);
    held += session_.queued_bytes(channel) + session_.reorder_bytes(channel);
  }
  for (const auto& [id, connection] : connections_) {
    held += connection->stream().queued_bytes() + connection->partial_bytes();
  }
  return held;
}

void Host::send_away(const tunnel::Goaway& goaway) {
  session_.send_goaway(goaway, mono_now());
  pump();
}

void Host::stop(const tunnel::Goaway& goaway) {
  stopping_ = true;
  session_.shutdown(mono_now(), goaway);
  pump();
  timer_.cancel();
  retry_timer_.cancel();
}

}  // namespace edge::console
