// The multi-path session: one engine for both ends, bytes and time in, actions out.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/random.hpp"
#include "tunnel/core/frame.hpp"
#include "tunnel/core/messages.hpp"
#include "tunnel/core/path_choice.hpp"
#include "tunnel/core/path_health.hpp"
#include "tunnel/core/receive_channel.hpp"
#include "tunnel/core/send_channel.hpp"
#include "tunnel/core/stream_pace.hpp"
#include "tunnel/core/token_bucket.hpp"

namespace edge::tunnel {

/// Mirrored frames go over the two best disjoint paths at once: a cut then costs no detection time.
struct MirrorLimits {
  bool enabled = true;
  std::size_t payload_bytes_max = 4096;  ///< Channels 0 and 1, up to this size,
  std::uint32_t frames_per_s = 1000;     ///< ... below this rate (a command each 5 ms needs 600).
  std::uint32_t burst = 200;
};

struct SessionOptions {
  Role role = Role::host;
  std::string host;        ///< Host: sent in HELLO. Console: the host this session belongs to.
  std::string install_id;  ///< Host only.
  std::string boot_id;     ///< Host only.
  std::string software;    ///< Host only.
  HeartbeatTimers heartbeat;
  MirrorLimits mirror;
  ChoiceLimits choice;
  /// Bytes waiting or unacknowledged per channel; one frame is always admitted into an empty one.
  /// (Streams: at most streams_window_bytes and a frame.)
  std::array<std::size_t, channel_count_without_streams> queue_bytes_max{64 << 10, 2 << 20, 1 << 20,
                                                                         256 << 10, 512 << 10};
  std::optional<StreamGrant> streams = StreamGrant{};  ///< Granted to the peer; nullopt: none.
  std::size_t queue_frames_max = 4096;                 ///< Per channel.
  /// On channel 1, above both limits, for SendRoom::reserved.
  std::size_t reserved_bytes = 64UZ << 10;
  std::size_t reserved_frames = 512;
  std::chrono::seconds detach_ttl{600};  ///< Console: how long without a path.
  Duration ack_delay = std::chrono::milliseconds(20);
  Duration tail_copy_min = std::chrono::milliseconds(50);  ///< max(2*srtt, this) without an ack.
  Duration stall_min = std::chrono::milliseconds(100);     ///< Own lateness beyond this is a stall.
  /// A frame that has begun is whole by then, or its path is given up: what trickles is life, but
  /// not for ever. (1 MiB, the largest one, over 14 kbit/s.)
  Duration frame_time_max = std::chrono::minutes(10);
};
/// The Console's smaller buffers: 10,000 sessions share one machine, its outbox is its database.
SessionOptions console_options(std::string host);

// --- what the caller must do, in this order
// -------------------------------------------------------

/// How a path's write queue may treat a frame.
enum class SendKind : std::uint8_t {
  control,  ///< May overtake queued data.
  ack,      ///< May overtake queued data.
  data,     ///< In order; may overtake queued bulk.
  bulk,     ///< In order, and only as much of it below us as drains at once: nothing waits for it.
};
/// Write this whole frame on the path. A path that is gone by then: drop it.
struct SendBytes {
  PathId path{0};
  SendKind kind = SendKind::data;
  SharedBytes bytes;
};
/// A payload for the application: in order and once, per channel, within a session.
struct Deliver {
  Channel channel = Channel::control;
  Bytes payload;
};
/// The peer dropped this many frames here (telemetry and bulk only).
struct DeliverGap {
  Channel channel = Channel::telemetry;
  std::uint64_t dropped = 0;
};
/// The session no longer uses the path: flush what is queued of kind control, then close it.
struct PathDead {
  PathId path{0};
  PathCause cause = PathCause::silence;
  bool by_peer = false;  ///< The peer said so (PATH_STATUS, ERROR).
  std::string detail;
};
struct ActiveChanged {
  std::optional<PathId> from;
  std::optional<PathId> to;
  SwitchReason reason = SwitchReason::none;
};
/// A new session, numbered from 1: whatever was sent and not confirmed by the application protocol
/// must be sent again. Frames queued for the former session are gone.
struct SessionStarted {
  SessionId session{0};
  std::uint64_t epoch = 0;
  bool reset = false;                  ///< There was a session before.
  std::optional<StreamGrant> streams;  ///< What the peer grants; nullopt: no streams.
};
/// A path is back; nothing was lost, nothing has to be repeated.
struct SessionResumed {
  SessionId session{0};
  Duration detached_for{};
};
/// No path is left; the session waits (Console: at most detach_ttl).
struct SessionDetached {};
/// Console only: nobody came back within detach_ttl.
struct SessionExpired {};
/// Peer asked to reconnect later; the path it came over is draining.
struct PeerGoaway {
  PathId path{0};
  Goaway goaway;
};
/// Console only: another installation claims this host id; its connection was refused.
struct CloneRefused {
  std::string install_id;
};
/// Host only: an adapter failed while active. To be remembered over a restart.
struct ReputationChanged {
  Reputation reputation;
};
/// This process stood still for so long; no path is blamed for it.
struct LocalStall {
  Duration lateness{};
};

/// A path is quiet: on_waiting_segments() wants to know whether its TCP is.
struct AskTransport {
  PathId path{0};
};

using Action = std::variant<SendBytes, Deliver, DeliverGap, PathDead, ActiveChanged, SessionStarted,
                            SessionResumed, SessionDetached, SessionExpired, PeerGoaway,
                            CloneRefused, ReputationChanged, LocalStall, AskTransport>;

// --- what there is to see
// ---------------------------------------------------------------------------

enum class PathState : std::uint8_t { standby, active, suspect };
std::string_view to_string(PathState state);
struct PathView {
  PathId path{0};
  PathFacts facts;
  PathState state = PathState::standby;
  bool draining = false;
  std::optional<Duration> srtt;
  Duration last_rx_age{};
  Duration heartbeat{};  ///< Between PINGs, at most.
  MonoTime attached_at{};
  std::uint64_t rx_frames = 0;
  std::uint64_t tx_frames = 0;
};
struct SessionStats {
  std::uint64_t sent = 0;      ///< DATA frames, first transmissions.
  std::uint64_t mirrored = 0;  ///< ... also sent over the second path at once.
  std::uint64_t copied = 0;    ///< ... also sent over another path after a wait.
  std::uint64_t resent = 0;    ///< ... sent again because every carrier died.
  std::uint64_t delivered = 0;
  std::uint64_t duplicates = 0;  ///< Received again and dropped.
  std::uint64_t violations = 0;  ///< Protocol errors of the peer.
};

/// One logical association between a host and the Console over up to 32 paths.
///
/// Use: call an input, then execute take_actions() in order, then arm one timer for
/// next_deadline(). The host object lives as long as the daemon, the Console keeps one per host id.
/// Time: `now` is monotonic and must not go backwards (asserted); `wall` is only reported.
/// Threads: none.
class Session {
 public:
  static constexpr std::size_t paths_max =
      32;  ///< 16 ports with two endpoints; bits of InFlight::carriers.
  /// An acknowledgement goes over so many of them at most: one small frame is not to make 32.
  static constexpr std::size_t ack_paths_max = 4;

  /// `random` draws ids and jitter; seed it from the kernel in production.
  Session(SessionOptions options, Random random);

  // Host: connect, send encode(hello()), read WELCOME, attach().

  /// Pre: role host.
  Hello hello(PathFacts facts, WallTime wall, std::string last_failure = {}) const;
  /// The connection `path` was welcomed. Replaces an older path over the same adapter and endpoint.
  /// Pre: role host; `path` was never attached before.
  /// Errors: conflict, when the WELCOME belongs to an older session or claims what was never sent:
  /// close the connection and dial again. (PathDead is queued too.)
  Result<void> attach(PathId path, PathFacts facts, const Welcome& welcome, MonoTime now);

  // Console: read HELLO, check host against the certificate, accept().

  /// Queues WELCOME on `path` and attaches it; starts a new session when the HELLO does not belong
  /// to the present one. A refusal queues ERROR and PathDead.
  /// Pre: role console; `path` was never attached before.
  /// Errors: unsupported (no common version), conflict (clone), denied (quarantined).
  Result<void> accept(PathId path, const Hello& hello, WallTime wall, MonoTime now);

  // Both ends.

  /// A frame of an attached path, from its FrameDecoder. Frames of other paths are ignored.
  void on_frame(PathId path, Frame frame, MonoTime now);
  /// Bytes of a frame that is not complete yet: a large one on a slow path takes seconds, and the
  /// path lives meanwhile. Looked at with the next input or deadline: there is nothing to take or
  /// to send now. (Sending after every piece of a frame, thus an ack with it, took a third of a
  /// path of 1 Mbit/s from its streams and doubled a command's round trip: `lab run
  /// stream_never_blocks`.)
  void on_bytes(PathId path, MonoTime now);
  /// So many segments came behind a gap since the path's connection began (TCP_INFO). Looked at
  /// with the next input or deadline. Ignored for paths that are gone.
  void on_waiting_segments(PathId path, std::uint32_t count, MonoTime now);
  /// The path's decoder failed: the session answers with ERROR and closes the path.
  void on_decode_error(PathId path, const Error& error, MonoTime now);
  /// The connection ended by itself. Ignored for paths that are not attached.
  void on_path_lost(PathId path, PathCause cause, std::string detail, MonoTime now);
  /// The carrier of an adapter is gone: all its paths are dead at once.
  void on_carrier_lost(std::string_view adapter, MonoTime now);
  /// Prefer other paths from now on (operator, GOAWAY); nothing is closed.
  void drain(PathId path, bool draining, MonoTime now);
  /// Host: what is remembered of an adapter from before a restart.
  void restore(const Reputation& known, MonoTime now);
  /// The driver knows that it stood still (otherwise measured from late calls).
  void on_local_stall(Duration lateness, MonoTime now);

  /// Queues a payload. It is sent as soon as a path and the window allow.
  /// Errors: invalid_input (size), transient (no session yet: wait for SessionStarted),
  /// no_space (channels 0..2 full: try again after acks). Telemetry and bulk drop their oldest
  /// instead. `room`, on channel 1: reserved for what is short and must be said now (a command is
  /// stored, waits for its confirmation), though results or commands fill the queue.
  Result<void> send(Channel channel, Bytes payload, MonoTime now, SendRoom room = SendRoom::shared);
  /// Bytes of stream frames that send(Channel::streams) should be given now. More of them later, so
  /// that what is most urgent then goes first.
  std::size_t stream_room() const;
  /// How large a stream's DATA should be on the present path.
  std::size_t stream_frame_bytes() const { return pace_.frame_bytes(); }
  /// The peer broke the rules of an application protocol: counts as a violation.
  void on_application_violation(MonoTime now);
  /// Console: what the HELLOs from now on are offered instead of SessionOptions::heartbeat.
  void offer_heartbeat(const HeartbeatTimers& timers) { options_.heartbeat = timers; }
  /// Console: asks the host to reconnect later, over every path.
  void send_goaway(const Goaway& goaway, MonoTime now);
  /// Console: the host is no longer welcome. Says why on every path, closes them all and forgets
  /// the session; what was queued in it is lost.
  void expel(const ErrorMessage& error, MonoTime now);
  /// Says goodbye on all paths, once on each, and closes them.
  void shutdown(MonoTime now, const Goaway& goaway = {.reason = "shutdown", .endpoints = {}});

  /// As of the last input; nullopt: no timer needed.
  std::optional<MonoTime> next_deadline() const { return promised_; }
  void on_deadline(MonoTime now);
  /// Empties the queue.
  std::vector<Action> take_actions();

  bool established() const { return session_.value != 0; }
  SessionId id() const { return session_; }
  std::uint64_t epoch() const { return epoch_; }
  std::optional<PathId> active() const { return active_; }
  /// The active path, then those that would follow it; see path_choice.hpp.
  std::vector<PathId> succession() const { return tunnel::succession(candidates(), active_); }
  std::vector<PathView> paths(MonoTime now) const;
  std::size_t path_count() const { return paths_.size(); }
  const SessionStats& stats() const { return stats_; }
  /// Payload bytes held for sending, and held out of order. For bounds and backpressure.
  std::size_t queued_bytes(Channel channel) const { return send_[index_of(channel)].held_bytes(); }
  std::size_t reorder_bytes(Channel channel) const {
    return receive_[index_of(channel)].held_bytes();
  }

 private:
  struct Path {
    PathId id{0};
    std::uint32_t bit = 0;  ///< In InFlight::carriers; no two live paths share one.
    PathFacts facts;
    PathHealth health;
    TokenBucket
        control_budget;       ///< For what a peer could flood us with: PING, PATH_STATUS, GOAWAY.
    TokenBucket view_budget;  ///< PATH_VIEW; beyond it they are not heard.
    MonoTime attached_at{};
    MonoTime steady_since{};
    bool draining = false;
    Verdict verdict = Verdict::alive;  ///< Ours; the peer is told in every PING and PONG.
    std::uint8_t peer_view = 0;        ///< Of the peer's last PING, PONG or PATH_VIEW.
    std::uint64_t view_nonce = 0;      ///< Of the newest PATH_VIEW about this path.
    /// Was anything heard over this path that is newer than what was said of it over another one?
    bool knows_newest_view() const { return view_nonce == 0 || ping_nonce > view_nonce; }
    bool suspect = false;  ///< One of the two ends hears little,
    bool silent = false;   ///< ... or nothing.
    MonoTime suspect_since{};
    std::optional<MonoTime> frame_began;            ///< Of the peer's frame that is not whole yet.
    std::uint64_t ping_nonce = 0;                   ///< Of the peer's last PING.
    NextExpected acked_by_peer = nothing_received;  ///< Highest cumulative ack on this path.
    std::uint64_t rx_frames = 0;
    std::uint64_t tx_frames = 0;
  };

  // session.cpp
  void observe(MonoTime now);
  void settle(MonoTime now);
  std::optional<MonoTime> earliest_deadline() const;
  void start_session(SessionId id, std::uint64_t epoch, std::optional<StreamGrant> streams,
                     MonoTime now);
  void forget_session(MonoTime now);
  void clear_channels();
  bool belongs(const Hello& hello) const;
  NextExpected next_expected() const;
  bool peer_claims_fit(const NextExpected& next) const;
  void apply_peer_next(const NextExpected& next);
  void forgive(Duration lateness, MonoTime now);
  bool note_violation(MonoTime now);
  void emit(Action action) {
    if (actions_.empty()) { actions_.reserve(8); }  // One allocation for most inputs.
    actions_.push_back(std::move(action));
  }

  // session_paths.cpp
  Path* find(PathId path);
  const Path* find(PathId path) const;
  std::uint32_t bit_of(PathId path) const;
  std::uint32_t free_bit() const;
  void add_path(PathId id, PathFacts facts, const HeartbeatTimers& timers, MonoTime now);
  void make_room_for(const PathFacts& facts, MonoTime now);
  const Path& least_needed(const PathFacts& newcomer, MonoTime now) const;
  std::size_t paths_over(std::string_view adapter) const;
  void remove_path(PathId id, PathCause cause, bool by_peer, std::string detail, MonoTime now);
  void remove_all(PathCause cause, MonoTime now);
  void violate(PathId path, std::string what, MonoTime now);
  void judge_paths(MonoTime now);
  void judge(Path& path, Verdict verdict, MonoTime now);
  std::optional<std::string> given_up(const Path& path, Verdict verdict, MonoTime now) const;
  PeerElsewhere peer_elsewhere(const Path& path) const;
  void ping(Path& path, std::uint64_t nonce, MonoTime now);
  std::uint8_t view_of(const Path& path) const;
  void tell_view(const Path& about);
  std::vector<PathCandidate> candidates() const;
  void choose_active(MonoTime now);
  void set_active(std::optional<PathId> path, SwitchReason reason, MonoTime now);
  void announce_active(PathId over);
  void adopt_active(PathId path, std::uint32_t serial, MonoTime now);

  // session_receive.cpp
  void dispatch(Path& path, Frame frame, MonoTime now);
  Result<void> on_ping(Path& path, ByteSpan payload, MonoTime now);
  Result<void> on_pong(Path& path, ByteSpan payload, MonoTime now);
  Result<void> on_path_status(Path& path, ByteSpan payload, MonoTime now);
  Result<void> on_path_view(Path& path, ByteSpan payload, MonoTime now);
  Result<void> on_goaway(Path& path, ByteSpan payload, MonoTime now);
  Result<void> on_error(Path& path, ByteSpan payload, MonoTime now);
  Result<void> on_ack(Path& path, ByteSpan payload, MonoTime now);
  void on_streams_acked(const SendChannel::Freed& freed, std::size_t in_flight_before,
                        MonoTime now);
  Result<void> on_data(Frame frame, MonoTime now);

  // session_send.cpp
  void write(PathId path, SendKind kind, SharedBytes bytes);
  void write_entry(std::size_t channel, InFlight& entry, PathId path);
  void transmit(MonoTime now);
  PathId lead_of(std::size_t channel, const PathCandidate* first,
                 const PathCandidate* second) const;
  bool doubles_at_once(std::size_t channel, const InFlight& entry, const PathCandidate& first,
                       const PathCandidate& second, MonoTime now);
  void resend_orphans(MonoTime now);
  void plan_copy(std::size_t channel, InFlight& entry, MonoTime now);
  void copy_late_frames(MonoTime now);
  void copy_once_more(std::size_t channel, InFlight& entry, MonoTime now);
  void copy_off_suspects(MonoTime now);
  void copy_widowed(std::uint32_t leaving, MonoTime now);
  void flush_acks();
  Duration tail_copy_after() const;

  SessionOptions options_;
  Random random_;
  std::vector<Action> actions_;
  SessionStats stats_;

  SessionId session_{0};
  std::uint64_t epoch_ = 0;
  InstanceId instance_{0};    ///< Host: own. Console: the host's.
  SessionId predecessor_{0};  ///< Console: the session named by the HELLO that started this one.
  std::string peer_install_id_;
  std::optional<MonoTime> detached_at_;
  std::vector<MonoTime> violation_times_;
  std::optional<MonoTime> quarantined_until_;

  std::list<Path>
      paths_;  ///< In order of arrival; a list, because removal must not move the others.
  std::optional<PathId> active_;
  std::uint32_t active_serial_ = 0;  ///< Host: of its last choice. Console: of the last one heard.
  bool choice_dirty_ = false;        ///< Something that the choice looks at has changed.
  PathChooser chooser_;

  std::vector<SendChannel> send_;            ///< By channel.
  std::vector<ReceiveChannel> receive_;      ///< By channel.
  bool resend_pending_ = false;              ///< A carrier died since the last resend.
  std::optional<StreamGrant> peer_streams_;  ///< Of this session; nullopt: without streams.
  StreamPace pace_{streams_window_bytes};
  std::size_t stream_bytes_unacked_ = 0;  ///< Received and not acknowledged yet.
  std::array<std::optional<MonoTime>, channel_count> copy_due_;  ///< Not later than any copy_at.
  TokenBucket mirror_budget_;
  std::uint32_t ack_pending_frames_ = 0;
  std::size_t ack_turn_ = 0;  ///< Of the paths beyond ack_paths_max.
  std::optional<MonoTime> ack_due_;

  MonoTime last_now_{};
  std::optional<MonoTime> promised_;  ///< The deadline the driver was told to keep.
  std::optional<MonoTime> stalled_at_;
};

}  // namespace edge::tunnel
