// Many byte streams in one channel.
#include "tunnel/core/stream_mux.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace edge::tunnel {
namespace {

/// What has gone out is dropped from memory in large steps only.
constexpr std::size_t compact_from = 32UZ * 1024;

}  // namespace

void StreamMux::start(std::optional<StreamGrant> peer, SessionId session) {
  end_all("the session ended");
  control_.clear();
  peer_ = peer;
  session_ = session;
  broken_ = false;
  next_own_ = role_ == Role::console ? 1 : 2;
  highest_peer_ = 0;
  session_send_credit_ = peer ? peer->session_window : 0;
  session_receive_credit_ = own_.session_window;
  session_credit_due_ = 0;
}

void StreamMux::end_all(const std::string& reason) {
  for (const auto& [id, stream] : streams_) { emit(StreamReset{id, reason}); }
  streams_.clear();
  credit_list_.clear();
  turn_.clear();
}

bool StreamMux::was_seen(StreamId stream) const {
  return is_own(stream) ? stream.value < next_own_ : stream.value <= highest_peer_;
}

std::size_t StreamMux::count_of(bool own) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      streams_, [this, own](const auto& item) { return is_own(item.first) == own; }));
}

std::size_t StreamMux::unconsumed_bytes() const {
  std::size_t sum = 0;
  for (const auto& [id, stream] : streams_) { sum += stream.unconsumed; }
  return sum;
}

std::size_t StreamMux::unsent_bytes() const {
  std::size_t sum = 0;
  for (const auto& [id, stream] : streams_) { sum += stream.unsent(); }
  return sum;
}

// ---- from the peer ----

Result<void> StreamMux::on_frame(ByteSpan payload) {
  if (!usable()) { return {}; }
  const auto frame = decode_stream_frame(payload);
  Result<void> outcome = frame ? dispatch(*frame) : std::unexpected(frame.error());
  if (outcome) { return {}; }
  end_all(outcome.error().what);
  broken_ = true;
  control_.clear();
  queue({.kind = StreamKind::reset, .text = outcome.error().what, .data = {}});
  return outcome;
}

Result<void> StreamMux::dispatch(const StreamFrame& frame) {
  if (frame.stream != all_streams && frame.kind != StreamKind::open && !was_seen(frame.stream)) {
    return fail(Errc::corrupt, fmt::format("stream {} was never opened", frame.stream.value));
  }
  switch (frame.kind) {
    case StreamKind::open: return on_open(frame);
    case StreamKind::opened:
    case StreamKind::refused: return on_answer(frame);
    case StreamKind::data: return on_data(frame);
    case StreamKind::credit: return on_credit(frame);
    case StreamKind::eof: return on_eof(frame);
    case StreamKind::reset: return on_reset(frame);
  }
  return fail(Errc::corrupt, "unknown stream frame");
}

Result<void> StreamMux::on_open(const StreamFrame& frame) {
  const std::uint32_t number = frame.stream.value;
  if (is_own(frame.stream)) {
    return fail(Errc::corrupt, fmt::format("OPEN of stream {}, which is ours to number", number));
  }
  if (number <= highest_peer_) {
    return fail(Errc::corrupt, fmt::format("OPEN of stream {} after {}", number, highest_peer_));
  }
  highest_peer_ = number;
  // Each OPEN is answered, at once perhaps, and that frees its place.
  if (control_.size() >= control_frames_max) { return fail(Errc::corrupt, "OPEN flood"); }
  if (count_of(false) >= own_.streams) {
    queue({.kind = StreamKind::refused,
           .stream = frame.stream,
           .refusal = StreamRefusal::busy,
           .text = fmt::format("{} streams are open", own_.streams),
           .data = {}});
    return {};
  }
  streams_.emplace(frame.stream, Stream{.phase = Phase::asked, .out = {}});
  emit(StreamAsked{frame.stream, frame.text});
  return {};
}

Result<void> StreamMux::on_answer(const StreamFrame& frame) {
  if (!is_own(frame.stream)) {
    return fail(Errc::corrupt,
                fmt::format("an answer to stream {}, which the peer opened", frame.stream.value));
  }
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) { return {}; }  // We gave up meanwhile.
  if (found->second.phase != Phase::opening) {
    return fail(Errc::corrupt, fmt::format("stream {} was answered twice", frame.stream.value));
  }
  if (frame.kind == StreamKind::refused) {
    emit(StreamRefused{frame.stream, frame.refusal, frame.text});
    forget(found);
    return {};
  }
  found->second.phase = Phase::open;
  found->second.send_credit = peer_->window;
  found->second.receive_credit = own_.window;
  emit(StreamOpened{frame.stream});
  return {};
}

/// The stream a frame is about when it may carry bytes; nullptr: it is over.
Result<StreamMux::Stream*> StreamMux::flowing(const StreamFrame& frame, std::string_view what) {
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) { return nullptr; }
  if (found->second.phase != Phase::open) {
    return fail(Errc::corrupt,
                fmt::format("{} on stream {} before OPENED", what, frame.stream.value));
  }
  if (found->second.eof_received && frame.kind != StreamKind::credit) {
    return fail(Errc::corrupt, fmt::format("{} on stream {} after EOF", what, frame.stream.value));
  }
  return &found->second;
}

Result<void> StreamMux::on_data(const StreamFrame& frame) {
  const std::uint64_t size = frame.data.size();
  if (size > session_receive_credit_) {
    return fail(Errc::corrupt, fmt::format("DATA of {} bytes, the session's credit is {}", size,
                                           session_receive_credit_));
  }
  EDGE_ASSIGN(Stream * stream, flowing(frame, "DATA"));
  session_receive_credit_ -= size;
  if (stream == nullptr) {  // It was under way when the stream ended.
    return_session_credit(size);
    return {};
  }
  if (size > stream->receive_credit) {
    return fail(Errc::corrupt, fmt::format("DATA of {} bytes on stream {}, its credit is {}", size,
                                           frame.stream.value, stream->receive_credit));
  }
  stream->receive_credit -= size;
  stream->unconsumed += size;
  emit(StreamData{frame.stream, Bytes(frame.data.begin(), frame.data.end())});
  return {};
}

Result<void> StreamMux::on_credit(const StreamFrame& frame) {
  const auto add = [&frame](std::uint64_t& credit) -> Result<void> {
    if (credit + frame.credit > credit_max) {
      return fail(Errc::corrupt, fmt::format("stream {}: credit of {} and {} more exceeds {}",
                                             frame.stream.value, credit, frame.credit, credit_max));
    }
    credit += frame.credit;
    return {};
  };
  if (frame.stream == all_streams) { return add(session_send_credit_); }
  EDGE_ASSIGN(Stream * stream, flowing(frame, "CREDIT"));
  if (stream == nullptr) { return {}; }
  EDGE_TRY(add(stream->send_credit));
  take_turn(frame.stream, *stream);
  return {};
}

Result<void> StreamMux::on_eof(const StreamFrame& frame) {
  EDGE_ASSIGN(Stream * stream, flowing(frame, "EOF"));
  if (stream == nullptr) { return {}; }
  stream->eof_received = true;
  emit(StreamEof{frame.stream});
  forget_if_done(frame.stream);
  return {};
}

Result<void> StreamMux::on_reset(const StreamFrame& frame) {
  if (frame.stream == all_streams) {  // The peer gave up; it needs no answer.
    end_all(frame.text);
    control_.clear();
    broken_ = true;
    return {};
  }
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) { return {}; }
  emit(StreamReset{frame.stream, frame.text});
  forget(found);
  return {};
}

// ---- from the application ----

Result<StreamId> StreamMux::open(std::string_view target) {
  if (!peer_) { return fail(Errc::unsupported, "the peer has no streams"); }
  if (broken_) { return fail(Errc::transient, "the streams of this session are over"); }
  if (target.empty() || target.size() > stream_target_bytes_max) {
    return fail(Errc::invalid_input, fmt::format("target of {} bytes, allowed are 1..{}",
                                                 target.size(), stream_target_bytes_max));
  }
  if (count_of(true) >= peer_->streams || control_.size() >= control_frames_max) {
    return fail(Errc::no_space, fmt::format("{} streams are open", count_of(true)));
  }
  const StreamId id{next_own_};
  next_own_ += 2;
  streams_.emplace(id, Stream{.out = {}});
  queue({.kind = StreamKind::open, .stream = id, .text = std::string(target), .data = {}});
  return id;
}

void StreamMux::accept(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.phase != Phase::asked) { return; }
  found->second.phase = Phase::open;
  found->second.send_credit = peer_->window;
  found->second.receive_credit = own_.window;
  queue({.kind = StreamKind::opened, .stream = id, .data = {}});
}

void StreamMux::refuse(StreamId id, StreamRefusal refusal, std::string_view reason) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.phase != Phase::asked) { return; }
  queue({.kind = StreamKind::refused,
         .stream = id,
         .refusal = refusal,
         .text = std::string(reason),
         .data = {}});
  forget(found);
}

std::size_t StreamMux::room(StreamId id) const {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.finished || found->second.phase != Phase::open) {
    return 0;
  }
  return send_buffer_bytes_max - found->second.unsent();
}

std::size_t StreamMux::write(StreamId id, ByteSpan bytes) {
  const std::size_t taken = std::min(bytes.size(), room(id));
  const auto found = streams_.find(id);
  if (found == streams_.end()) { return 0; }
  Stream& stream = found->second;
  stream.wants_room = stream.wants_room || taken < bytes.size();
  if (taken == 0) { return 0; }
  if (stream.out_head >= compact_from) {
    stream.out.erase(stream.out.begin(),
                     stream.out.begin() + static_cast<std::ptrdiff_t>(stream.out_head));
    stream.out_head = 0;
  }
  stream.out.insert(stream.out.end(), bytes.begin(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(taken));
  take_turn(id, stream);
  return taken;
}

void StreamMux::finish(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.finished) { return; }
  if (found->second.phase != Phase::open) { return reset(id, "finished before it was open"); }
  found->second.finished = true;
  take_turn(id, found->second);
}

void StreamMux::reset(StreamId id, std::string_view reason) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) { return; }
  queue({.kind = StreamKind::reset, .stream = id, .text = std::string(reason), .data = {}});
  forget(found);
}

void StreamMux::consumed(StreamId id, std::size_t bytes) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) { return; }  // forget() gave the session its credit back.
  Stream& stream = found->second;
  const std::uint64_t freed = std::min<std::uint64_t>(bytes, stream.unconsumed);
  if (freed == 0) { return; }
  stream.unconsumed -= freed;
  stream.credit_due += freed;
  return_session_credit(freed);
  if (!stream.eof_received && !stream.credit_listed && stream.credit_due >= own_.window / 4) {
    stream.credit_listed = true;
    credit_list_.push_back(id);
  }
  forget_if_done(id);
}

// ---- to the peer ----

void StreamMux::take_turn(StreamId id, Stream& stream) {
  const bool bytes = stream.unsent() > 0 && stream.send_credit > 0;
  const bool eof = stream.finished && !stream.eof_sent && stream.unsent() == 0;
  if (stream.in_turn || (!bytes && !eof)) { return; }
  stream.in_turn = true;
  turn_.push_back(id);
}

std::optional<Bytes> StreamMux::next(std::size_t data_bytes) {
  if (!control_.empty()) {
    Bytes out = std::move(control_.front());
    control_.pop_front();
    return out;
  }
  if (!usable()) { return std::nullopt; }
  if (auto credit = next_credit()) { return credit; }
  return next_data(std::clamp<std::size_t>(data_bytes, 1, stream_data_bytes_max));
}

std::optional<Bytes> StreamMux::next_credit() {
  if (session_credit_due_ > 0 && session_credit_due_ >= own_.session_window / 4) {
    const auto grant = std::exchange(session_credit_due_, 0);
    session_receive_credit_ += grant;
    return encode(StreamFrame{.kind = StreamKind::credit,
                              .credit = static_cast<std::uint32_t>(grant),
                              .text = {},
                              .data = {}});
  }
  while (!credit_list_.empty()) {
    const StreamId id = credit_list_.front();
    credit_list_.pop_front();
    const auto found = streams_.find(id);
    if (found == streams_.end()) { continue; }
    found->second.credit_listed = false;
    const auto grant = std::exchange(found->second.credit_due, 0);
    found->second.receive_credit += grant;
    return encode(StreamFrame{.kind = StreamKind::credit,
                              .stream = id,
                              .credit = static_cast<std::uint32_t>(grant),
                              .text = {},
                              .data = {}});
  }
  return std::nullopt;
}

std::optional<Bytes> StreamMux::next_data(std::size_t data_bytes) {
  for (std::size_t i = turn_.size(); i > 0; --i) {
    const StreamId id = turn_.front();
    turn_.pop_front();
    const auto found = streams_.find(id);
    if (found == streams_.end()) { continue; }
    Stream& stream = found->second;
    stream.in_turn = false;
    if (stream.unsent() == 0) {
      if (!stream.finished || stream.eof_sent) { continue; }
      stream.eof_sent = true;
      forget_if_done(id);
      return encode(StreamFrame{.kind = StreamKind::eof, .stream = id, .text = {}, .data = {}});
    }
    const std::uint64_t credit = std::min(stream.send_credit, session_send_credit_);
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>({credit, data_bytes, stream.unsent()}));
    if (size == 0) {
      take_turn(id, stream);  // The session's credit is used up; the turn is kept.
      continue;
    }
    Bytes out = cut(id, stream, size);
    take_turn(id, stream);
    return out;
  }
  return std::nullopt;
}

Bytes StreamMux::cut(StreamId id, Stream& stream, std::size_t bytes) {
  Bytes out = encode(StreamFrame{.kind = StreamKind::data,
                                 .stream = id,
                                 .text = {},
                                 .data = ByteSpan(stream.out).subspan(stream.out_head, bytes)});
  stream.out_head += bytes;
  stream.send_credit -= bytes;
  session_send_credit_ -= bytes;
  if (stream.unsent() == 0) {
    stream.out.clear();
    stream.out_head = 0;
  }
  if (stream.wants_room && stream.unsent() <= send_buffer_bytes_max / 2) {
    stream.wants_room = false;
    emit(StreamWritable{id});
  }
  return out;
}

// ---- ends ----

/// What the application still holds of it is given back to the session now: it drops that.
void StreamMux::forget(Streams::iterator stream) {
  return_session_credit(stream->second.unconsumed);
  streams_.erase(stream);
}

/// Kept until its last byte is consumed, so that the sum of all windows bounds our memory.
void StreamMux::forget_if_done(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) { return; }
  const Stream& stream = found->second;
  if (stream.eof_sent && stream.eof_received && stream.unconsumed == 0) { forget(found); }
}

}  // namespace edge::tunnel
