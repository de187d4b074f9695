// Many byte streams in one channel: numbers, credit, half close, and a peer that may be hostile.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "tunnel/core/messages.hpp"
#include "tunnel/core/stream_frame.hpp"

namespace edge::tunnel {

// What the application must do, in this order.

/// The peer wants a stream to this target: answer with accept() or refuse().
struct StreamAsked {
  StreamId stream;
  std::string target;
};
/// Our open() succeeded.
struct StreamOpened {
  StreamId stream;
};
/// Our open() did not; the stream is over.
struct StreamRefused {
  StreamId stream;
  StreamRefusal refusal = StreamRefusal::unreachable;
  std::string reason;
};
/// Bytes, in order. Say consumed() when they are out of memory.
struct StreamData {
  StreamId stream;
  Bytes bytes;
};
/// No more bytes come; ours still go.
struct StreamEof {
  StreamId stream;
};
/// There is room again after write() took less than it was given.
struct StreamWritable {
  StreamId stream;
};
/// The stream is over, whatever was under way is lost: the peer reset it, or the session ended.
struct StreamReset {
  StreamId stream;
  std::string reason;
};
using StreamAction = std::variant<StreamAsked, StreamOpened, StreamRefused, StreamData, StreamEof,
                                  StreamWritable, StreamReset>;

/// Both ends' engine for byte streams, above a channel that delivers whole payloads in order and
/// once. It owns no socket.
///
/// Use: call an input, then execute take_actions(); whenever the channel has room, send next().
/// Memory: 64 KiB per stream waiting to be sent; what was delivered and not consumed() stays below
/// the windows that were granted.
/// Time: none. Threads: none.
class StreamMux {
 public:
  static constexpr std::size_t send_buffer_bytes_max = 64UZ * 1024;
  static constexpr std::size_t control_frames_max = 1024;  ///< Waiting OPEN, REFUSED, RESET...
  static constexpr std::uint64_t credit_max = 1ULL << 31;

  /// `own`: what this end grants the peer; the session tells it.
  StreamMux(Role role, StreamGrant own) : role_(role), own_(own) {}

  // The session's side.

  /// A new session: streams of the one before are over. nullopt: this peer has no streams.
  void start(std::optional<StreamGrant> peer, SessionId session);
  /// A payload from the streams' channel. Errors: corrupt, what the peer did wrong: all streams of
  /// this session are over, further frames are ignored, the peer is told by next().
  Result<void> on_frame(ByteSpan payload);
  /// The next payload for the channel; DATA carries at most `data_bytes`. Control first, then the
  /// streams in turn. nullopt: nothing to send now.
  std::optional<Bytes> next(std::size_t data_bytes);

  // The application's side. Streams that are over are ignored by all of them.

  /// Errors: unsupported (the peer has no streams), no_space (too many), transient (no session).
  Result<StreamId> open(std::string_view target);
  void accept(StreamId stream);
  void refuse(StreamId stream, StreamRefusal refusal, std::string_view reason);
  /// Bytes that write() would take now.
  std::size_t room(StreamId stream) const;
  /// Takes as much as there is room for; StreamWritable follows when that was not all.
  std::size_t write(StreamId stream, ByteSpan bytes);
  /// No more write(): EOF goes behind what was written.
  void finish(StreamId stream);
  void reset(StreamId stream, std::string_view reason);
  /// So many delivered bytes are out of our memory.
  void consumed(StreamId stream, std::size_t bytes);

  std::vector<StreamAction> take_actions() { return std::exchange(actions_, {}); }

  /// The session that start() was told: frames belong to no other.
  SessionId session() const { return session_; }
  bool usable() const { return peer_.has_value() && !broken_; }
  std::size_t stream_count() const { return streams_.size(); }
  /// Delivered and not consumed, over all streams.
  std::size_t unconsumed_bytes() const;
  /// Waiting for next(); at most control_frames_max and two per stream.
  std::size_t control_frames() const { return control_.size(); }
  /// Written and not sent, over all streams.
  std::size_t unsent_bytes() const;

 private:
  enum class Phase : std::uint8_t { opening, asked, open };
  struct Stream {
    Phase phase = Phase::opening;
    Bytes out;  ///< Written; the first `out_head` bytes are sent.
    std::size_t out_head = 0;
    std::uint64_t send_credit = 0;
    bool finished = false;  ///< finish() was called.
    bool eof_sent = false;
    bool eof_received = false;
    bool in_turn = false;  ///< Listed in turn_.
    bool wants_room = false;
    std::uint64_t receive_credit = 0;  ///< What the peer may still send.
    std::uint64_t unconsumed = 0;
    std::uint64_t credit_due = 0;  ///< Consumed and not granted again.
    bool credit_listed = false;
    std::size_t unsent() const { return out.size() - out_head; }
  };
  using Streams = std::map<StreamId, Stream>;

  bool is_own(StreamId stream) const { return (stream.value % 2 == 1) == (role_ == Role::console); }
  bool was_seen(StreamId stream) const;
  std::size_t count_of(bool own) const;
  Result<void> dispatch(const StreamFrame& frame);
  Result<void> on_open(const StreamFrame& frame);
  Result<void> on_answer(const StreamFrame& frame);
  Result<void> on_data(const StreamFrame& frame);
  Result<void> on_credit(const StreamFrame& frame);
  Result<void> on_eof(const StreamFrame& frame);
  Result<void> on_reset(const StreamFrame& frame);
  Result<Stream*> flowing(const StreamFrame& frame, std::string_view what);
  void end_all(const std::string& reason);
  void queue(const StreamFrame& frame) { control_.push_back(encode(frame)); }
  void take_turn(StreamId id, Stream& stream);
  std::optional<Bytes> next_credit();
  std::optional<Bytes> next_data(std::size_t data_bytes);
  Bytes cut(StreamId id, Stream& stream, std::size_t bytes);
  void return_session_credit(std::uint64_t bytes) { session_credit_due_ += bytes; }
  void forget(Streams::iterator stream);
  void forget_if_done(StreamId id);
  void emit(StreamAction action) { actions_.push_back(std::move(action)); }

  Role role_;
  StreamGrant own_;
  std::optional<StreamGrant> peer_;
  SessionId session_{0};
  bool broken_ = false;
  Streams streams_;
  std::uint32_t next_own_ = 1;      ///< Number of our next stream.
  std::uint32_t highest_peer_ = 0;  ///< Of the streams that the peer opened.
  std::deque<Bytes> control_;
  std::deque<StreamId> credit_list_;
  std::deque<StreamId> turn_;  ///< Streams that have something to send, in order.
  std::uint64_t session_send_credit_ = 0;
  std::uint64_t session_receive_credit_ = 0;
  std::uint64_t session_credit_due_ = 0;
  std::vector<StreamAction> actions_;
};

}  // namespace edge::tunnel
