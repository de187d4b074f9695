// The session: inputs that are not frames, time, and what belongs to both ends.
#include "tunnel/core/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"

namespace edge::tunnel {
namespace {

/// An epoch above was made up: each session adds one, and a claim must leave room for that.
constexpr std::uint64_t claimed_epoch_max = 1ULL << 51;

/// A connection that ended so soon after our own stall ended because of it.
constexpr Duration stall_memory = std::chrono::seconds(2);
constexpr Duration violation_memory = std::chrono::minutes(10);
constexpr std::size_t violations_max = 3;
/// Streams are acknowledged by the piece, not by the frame: their window holds 32 of these.
constexpr std::size_t stream_ack_bytes = 32UZ * 1024;

std::uint64_t nonzero(Random& random) {
  for (;;) {
    if (const std::uint64_t value = random.next(); value != 0) { return value; }
  }
}

std::vector<SendChannel> make_send_channels(const SessionOptions& options) {
  std::vector<SendChannel> channels;
  for (std::size_t i = 0; i < channel_count; ++i) {
    const auto channel = static_cast<Channel>(i);
    const bool droppable = channel == Channel::telemetry || channel == Channel::bulk;
    const bool streams = channel == Channel::streams;
    const bool commands = channel == Channel::commands;
    channels.emplace_back(
        channel,
        SendChannel::Limits{.payload_bytes_max = commands ? command_bytes_max : frame_bytes_max,
                            .queue_bytes_max = streams ? streams_window_bytes + frame_bytes_max
                                                       : options.queue_bytes_max[i],
                            .queue_frames_max = options.queue_frames_max,
                            .overflow = droppable ? Overflow::drop_oldest : Overflow::refuse,
                            .window_bytes_max = streams ? streams_window_bytes : window_bytes,
                            .reserved_bytes = commands ? options.reserved_bytes : 0,
                            .reserved_frames = commands ? options.reserved_frames : 0});
  }
  return channels;
}

std::vector<ReceiveChannel> make_receive_channels() {
  std::vector<ReceiveChannel> channels(channel_count);
  channels[index_of(Channel::streams)] = ReceiveChannel(streams_window_bytes);
  return channels;
}

}  // namespace

SessionOptions console_options(std::string host) {
  SessionOptions options;
  options.role = Role::console;
  options.host = std::move(host);
  options.queue_bytes_max = {32 << 10, 256 << 10, 32 << 10, 32 << 10, 32 << 10};
  return options;
}

Session::Session(SessionOptions options, Random random)
    : options_(std::move(options)),
      random_(random),
      chooser_(options_.choice),
      send_(make_send_channels(options_)),
      receive_(make_receive_channels()),
      mirror_budget_(std::max(options_.mirror.frames_per_s, 1U), options_.mirror.burst,
                     MonoTime{}) {
  if (options_.role == Role::host) { instance_ = InstanceId{nonzero(random_)}; }
}

Hello Session::hello(PathFacts facts, WallTime wall, std::string last_failure) const {
  EDGE_ASSERT(options_.role == Role::host);
  return {.host = options_.host,
          .install_id = options_.install_id,
          .boot_id = options_.boot_id,
          .instance = instance_,
          .session = session_,
          .epoch = epoch_,
          .next = next_expected(),
          .path = std::move(facts),
          .time = wall,
          .heartbeat = options_.heartbeat,
          .last_failure = std::move(last_failure),
          .software = options_.software,
          .streams = options_.streams};
}

Result<void> Session::attach(PathId path, PathFacts facts, const Welcome& welcome, MonoTime now) {
  EDGE_ASSERT(options_.role == Role::host);
  observe(now);
  const auto refuse = [&](const std::string& what) -> Result<void> {
    emit(PathDead{path, PathCause::superseded, false, what});
    settle(now);
    return fail(Errc::conflict, what);
  };
  if (welcome.session != session_) {
    if (established() && welcome.epoch <= epoch_) {
      return refuse(
          fmt::format("WELCOME of session epoch {}, the present one is {}", welcome.epoch, epoch_));
    }
    start_session(welcome.session, welcome.epoch, welcome.streams, now);
  } else if (!peer_claims_fit(welcome.next)) {
    // The Console has frames that we never sent: one of the two is not who it was. Start over.
    forget_session(now);
    return refuse("WELCOME claims frames that were never sent");
  }
  make_room_for(facts, now);
  apply_peer_next(welcome.next);
  add_path(path, std::move(facts), welcome.heartbeat, now);
  settle(now);
  if (active_ && active_ != path) { announce_active(path); }
  return {};
}

Result<void> Session::accept(PathId path, const Hello& hello, WallTime wall, MonoTime now) {
  EDGE_ASSERT(options_.role == Role::console);
  observe(now);
  const auto refuse = [&](ErrorCode code, Errc reaction, const std::string& what) -> Result<void> {
    emit(SendBytes{path, SendKind::control,
                   std::make_shared<const Bytes>(encode(ErrorMessage{code, what}))});
    emit(PathDead{path, PathCause::protocol, false, what});
    settle(now);
    return fail(reaction, what);
  };
  if (hello.version_min > protocol_version_max || hello.version_max < protocol_version_min) {
    return refuse(
        ErrorCode::version, Errc::unsupported,
        fmt::format("protocol versions {}..{} offered, {}..{} supported", hello.version_min,
                    hello.version_max, protocol_version_min, protocol_version_max));
  }
  if (hello.epoch > std::max(epoch_, claimed_epoch_max)) {
    return refuse(ErrorCode::protocol, Errc::corrupt,
                  fmt::format("epoch {}, at most {} is believed", hello.epoch, claimed_epoch_max));
  }
  if (quarantined_until_ && now < *quarantined_until_) {
    return refuse(ErrorCode::quarantined, Errc::denied,
                  "too many protocol errors in the last 10 minutes");
  }
  if (!paths_.empty() && hello.install_id != peer_install_id_) {
    emit(CloneRefused{hello.install_id});
    return refuse(ErrorCode::clone, Errc::conflict,
                  fmt::format("host \"{}\" is connected from another installation", hello.host));
  }
  const bool resumed = belongs(hello) && hello.session == session_;
  if (!belongs(hello) || (resumed && !peer_claims_fit(hello.next))) {
    predecessor_ = hello.session;
    instance_ = hello.instance;
    peer_install_id_ = hello.install_id;
    start_session(SessionId{nonzero(random_)}, std::max(epoch_, hello.epoch) + 1, hello.streams,
                  now);
  } else if (resumed) {
    apply_peer_next(hello.next);
  }
  make_room_for(hello.path, now);
  const HeartbeatTimers timers = negotiate(options_.heartbeat, hello.heartbeat);
  const Welcome welcome{.session = session_,
                        .epoch = epoch_,
                        .resumed = hello.session == session_,
                        .next = next_expected(),
                        .time = wall,
                        .heartbeat = timers,
                        .detach_ttl = options_.detach_ttl,
                        .streams = options_.streams};
  emit(SendBytes{path, SendKind::control, std::make_shared<const Bytes>(encode(welcome))});
  add_path(path, hello.path, timers, now);
  settle(now);
  return {};
}

/// Same run of the host's session state, and it is in this session or in the one before it (its
/// HELLO left before our WELCOME of another path arrived).
bool Session::belongs(const Hello& hello) const {
  return established() && hello.instance == instance_ &&
         (hello.session == session_ || hello.session == predecessor_);
}

void Session::start_session(SessionId id, std::uint64_t epoch, std::optional<StreamGrant> streams,
                            MonoTime now) {
  const bool reset = established();
  remove_all(PathCause::superseded, now);
  clear_channels();
  session_ = id;
  epoch_ = epoch;
  detached_at_.reset();
  if (options_.role == Role::console) { active_serial_ = 0; }
  peer_streams_ = options_.streams ? streams : std::nullopt;
  emit(SessionStarted{id, epoch, reset, peer_streams_});
}

void Session::forget_session(MonoTime now) {
  remove_all(PathCause::superseded, now);
  clear_channels();
  session_ = SessionId{0};
  detached_at_.reset();
  if (options_.role == Role::host) { instance_ = InstanceId{nonzero(random_)}; }
}

void Session::clear_channels() {
  send_ = make_send_channels(options_);
  receive_ = make_receive_channels();
  pace_ = StreamPace(streams_window_bytes);
  send_[index_of(Channel::streams)].set_allowance(pace_.allowed());
  stream_bytes_unacked_ = 0;
  peer_streams_.reset();
  copy_due_.fill(std::nullopt);
  ack_pending_frames_ = 0;
  ack_due_.reset();
}

NextExpected Session::next_expected() const {
  NextExpected next = nothing_received;
  for (std::size_t i = 0; i < channel_count; ++i) { next[i] = receive_[i].next_expected(); }
  return next;
}

bool Session::peer_claims_fit(const NextExpected& next) const {
  for (std::size_t i = 0; i < channel_count; ++i) {
    if (next[i] > send_[i].next_seq()) { return false; }
  }
  return true;
}

void Session::apply_peer_next(const NextExpected& next) {
  for (std::size_t i = 0; i < channel_count; ++i) {
    // Checked by peer_claims_fit, or a new session, where everything is 1.
    if (next[i] <= send_[i].next_seq()) { EDGE_ASSERT(send_[i].on_ack(next[i], {}).has_value()); }
  }
}

Result<void> Session::send(Channel channel, Bytes payload, MonoTime now, SendRoom room) {
  observe(now);
  if (!established()) {
    settle(now);
    return fail(Errc::transient, "no session yet");
  }
  if (channel == Channel::streams && !peer_streams_) {
    settle(now);
    return fail(Errc::unsupported, "the peer has no streams");
  }
  const Result<void> pushed = send_[index_of(channel)].push(std::move(payload), room);
  settle(now);
  return pushed;
}

std::size_t Session::stream_room() const {
  if (!peer_streams_) { return 0; }
  const SendChannel& channel = send_[index_of(Channel::streams)];
  if (channel.held_frames() >= window_frames) { return 0; }
  const std::size_t held = channel.held_bytes();
  return pace_.allowed() - std::min(pace_.allowed(), held);
}

void Session::on_application_violation(MonoTime now) {
  observe(now);
  note_violation(now);
  settle(now);
}

void Session::send_goaway(const Goaway& goaway, MonoTime now) {
  observe(now);
  const auto bytes = std::make_shared<const Bytes>(encode(goaway));
  for (const Path& path : paths_) { write(path.id, SendKind::control, bytes); }
  settle(now);
}

void Session::shutdown(MonoTime now, const Goaway& goaway) {
  send_goaway(goaway, now);
  remove_all(PathCause::shutdown, now);
  settle(now);
}

void Session::expel(const ErrorMessage& error, MonoTime now) {
  EDGE_ASSERT(options_.role == Role::console);
  observe(now);
  const auto bytes = std::make_shared<const Bytes>(encode(error));
  for (const Path& path : paths_) { write(path.id, SendKind::control, bytes); }
  while (!paths_.empty()) {
    remove_path(paths_.front().id, PathCause::drained, false, error.what, now);
  }
  if (established()) {
    forget_session(now);
    emit(SessionExpired{});
  }
  settle(now);
}

void Session::restore(const Reputation& known, MonoTime now) {
  observe(now);
  chooser_.restore(known, now);
  choice_dirty_ = true;
  settle(now);
}

void Session::on_local_stall(Duration lateness, MonoTime now) {
  observe(now);
  forgive(lateness, now);
  settle(now);
}

void Session::forgive(Duration lateness, MonoTime now) {
  stalled_at_ = now;
  for (Path& path : paths_) {
    path.health.forgive(lateness, now);
    if (path.frame_began) { path.frame_began = std::min(now, *path.frame_began + lateness); }
  }
  emit(LocalStall{lateness});
}

void Session::on_deadline(MonoTime now) {
  observe(now);
  settle(now);
}

/// First in every input: time only moves on, and a late call means that this process stood still.
void Session::observe(MonoTime now) {
  EDGE_ASSERT(now >= last_now_);
  last_now_ = now;
  if (promised_ && now - *promised_ >= options_.stall_min) { forgive(now - *promised_, now); }
  if (stalled_at_ && now - *stalled_at_ >= stall_memory) { stalled_at_.reset(); }
}

/// Last in every input: whatever the input changed becomes actions and a deadline.
void Session::settle(MonoTime now) {
  judge_paths(now);
  const auto due = chooser_.next_deadline();
  if (choice_dirty_ || (due && *due <= now)) { choose_active(now); }
  for (Reputation& changed : chooser_.take_changed(now)) {
    if (options_.role == Role::host) { emit(ReputationChanged{std::move(changed)}); }
  }
  copy_late_frames(now);
  transmit(now);
  if (ack_pending_frames_ >= 2 || stream_bytes_unacked_ >= stream_ack_bytes ||
      (ack_due_ && *ack_due_ <= now)) {
    flush_acks();
  }
  const bool console = options_.role == Role::console;
  if (console && detached_at_ && now - *detached_at_ >= options_.detach_ttl) {
    forget_session(now);
    emit(SessionExpired{});
  }
  promised_ = earliest_deadline();
}

std::optional<MonoTime> Session::earliest_deadline() const {
  std::optional<MonoTime> earliest;
  const auto consider = [&earliest](std::optional<MonoTime> due) {
    if (due && (!earliest || *due < *earliest)) { earliest = due; }
  };
  for (const Path& path : paths_) {
    consider(path.health.next_deadline(last_now_, peer_elsewhere(path)));
    if (path.frame_began) { consider(*path.frame_began + options_.frame_time_max); }
  }
  for (const auto& due : copy_due_) { consider(due); }
  consider(ack_due_);
  if (options_.role == Role::host) { consider(chooser_.next_deadline()); }
  if (options_.role == Role::console && detached_at_) {
    consider(*detached_at_ + options_.detach_ttl);
  }
  return earliest;
}

std::vector<Action> Session::take_actions() { return std::exchange(actions_, {}); }

bool Session::note_violation(MonoTime now) {
  ++stats_.violations;
  std::erase_if(violation_times_, [now](MonoTime at) { return now - at >= violation_memory; });
  violation_times_.push_back(now);
  if (violation_times_.size() < violations_max) { return false; }
  violation_times_.clear();
  quarantined_until_ = now + violation_memory;
  return true;
}

}  // namespace edge::tunnel
