// libFuzzer: a hostile peer's frames and bytes over many paths, to a session of either role, mixed
// with what its owner does. Whatever comes, what the session holds stays within its limits, one
// input causes no flood of answers, and time goes on.
#include <algorithm>
#include <map>
#include <vector>

#include "base/assert.hpp"
#include "tunnel/core/session.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;

/// facts/tunnel.md 5.6: what a session may hold.
constexpr std::size_t held_bytes_max = 2UZ << 20;
/// Of one input: everything that is unacknowledged once over each path, and the answers.
constexpr std::size_t answers_max = 4096;
constexpr std::size_t answer_bytes_max = 32UZ << 20;
constexpr std::size_t steps_max = 400;
/// One may bring others: a verdict a switch, a switch a PING.
constexpr int deadlines_max = 8;

/// What the input says, as numbers; 0 when it has ended.
class Choices {
 public:
  explicit Choices(ByteSpan input) : input_(input) {}
  bool more() const { return !input_.empty(); }
  std::uint8_t byte() {
    if (input_.empty()) { return 0; }
    const auto value = static_cast<std::uint8_t>(input_.front());
    input_ = input_.subspan(1);
    return value;
  }
  /// Small ones mostly, and those at the ends of the range.
  std::uint64_t number() {
    const std::uint8_t kind = byte();
    if (kind < 0xd0) { return kind % 0x68; }
    std::uint64_t value = 0;
    for (int i = 0; i < (kind % 9); ++i) { value = value << 8 | byte(); }
    return kind >= 0xf0 ? ~value : value;
  }
  ByteSpan bytes() {
    const std::size_t size = std::min<std::size_t>(byte(), input_.size());
    const ByteSpan taken = input_.first(size);
    input_ = input_.subspan(size);
    return taken;
  }

 private:
  ByteSpan input_;
};

SessionOptions options_of(Role role) {
  SessionOptions options = role == Role::console ? console_options("hv-01") : SessionOptions{};
  options.role = role;
  options.host = "hv-01";
  options.install_id = "install-1";
  options.queue_bytes_max = {32 << 10, 256 << 10, 32 << 10, 32 << 10, 32 << 10};
  return options;
}

class Victim {
 public:
  explicit Victim(Role role) : role_(role), session_(options_of(role), Random(7)) {}

  void step(Choices& from) {
    switch (from.byte() % 12) {
      case 0:
      case 1: connect(from); break;
      case 2: hear(from, from.bytes()); break;
      case 3: hear(from, data(from)); break;
      case 4: hear(from, data(from)); break;
      case 5: hear(from, ack(from)); break;
      case 6: hear(from, control(from)); break;
      case 7: say(from); break;
      case 8: pass(std::chrono::milliseconds(from.number() % 3000)); break;
      case 9: wait(); break;
      case 10: session_.on_path_lost(path(from), PathCause::eof, "closed", now_); break;
      default: own(from); break;
    }
    check();
  }

 private:
  /// One of those that there were, mostly.
  PathId path(Choices& from) const { return PathId{1 + from.byte() % (next_path_ + 1)}; }

  PathFacts facts(Choices& from) const {
    const std::uint8_t place = from.byte();
    return {.wire_id = next_path_ + (place & 1U),  // Sometimes another one's.
            .label = "p",
            .port = "p",
            .endpoint = "c",
            .adapter = std::string(1, static_cast<char>('a' + place % 40)),
            .path_class = static_cast<PathClass>(place % 3),
            .rank = place,
            .metered = place > 200};
  }
  NextExpected next(Choices& from) const {
    NextExpected out = nothing_received;
    if (from.byte() % 4 != 0) { return out; }
    for (std::uint64_t& channel : out) { channel = std::max<std::uint64_t>(from.number(), 1); }
    return out;
  }
  void connect(Choices& from) {
    const PathId id{next_path_++};
    open_decoder(id);
    const bool known = from.byte() % 4 != 0;
    const std::optional<StreamGrant> streams =
        from.byte() % 2 == 0 ? std::optional(StreamGrant{}) : std::nullopt;
    if (role_ == Role::console) {
      Hello hello;
      hello.host = "hv-01";
      hello.install_id = from.byte() % 16 == 0 ? "install-2" : "install-1";
      hello.instance = InstanceId{1 + from.number() % 2};
      hello.session = known ? session_.id() : SessionId{from.number()};
      hello.epoch = from.number();
      hello.next = next(from);
      hello.path = facts(from);
      hello.heartbeat = timers(from);
      hello.streams = streams;
      (void)session_.accept(id, hello, WallTime{}, now_);  // A refusal is an answer as well.
      return;
    }
    Welcome welcome;
    const bool there = known && session_.established();
    welcome.session = there ? session_.id() : SessionId{1 + from.number() % 8};
    welcome.epoch = there ? session_.epoch() : 1 + from.number();
    welcome.next = next(from);
    welcome.heartbeat = timers(from);
    welcome.streams = streams;
    (void)session_.attach(id, facts(from), welcome, now_);
  }
  static HeartbeatTimers timers(Choices& from) {
    return {.active = std::chrono::milliseconds(from.number() % 100'000),
            .standby = std::chrono::milliseconds(from.number() % 100'000),
            .dead_after = static_cast<std::uint32_t>(from.number() % 100)};
  }

  /// As behind HELLO or WELCOME.
  void open_decoder(PathId id) {
    static const Bytes first = encode(Welcome{.session = SessionId{1}, .epoch = 1});
    std::vector<Frame> frames;
    EDGE_ASSERT(decoders_[id].feed(first, frames));
  }
  /// Through the decoder, as from a connection.
  void hear(Choices& from, ByteSpan bytes) {
    const PathId id = path(from);
    const auto decoder = decoders_.find(id);
    if (decoder == decoders_.end()) { return; }
    std::vector<Frame> frames;
    const auto fed = decoder->second.feed(bytes, frames);
    for (Frame& frame : frames) { session_.on_frame(id, std::move(frame), now_); }
    if (fed) { return session_.on_bytes(id, now_); }
    session_.on_decode_error(id, fed.error(), now_);
    decoders_.erase(decoder);
  }
  void hear(Choices& from, const Bytes& bytes) { hear(from, ByteSpan(bytes)); }

  static Bytes data(Choices& from) {
    FrameHeader header;
    header.type = FrameType::data;
    header.flags = from.byte() % 8 == 0 ? flag_critical | flag_gap : flag_critical;
    header.channel = from.byte() % 7;
    header.seq = from.number();
    const std::uint8_t size = from.byte();
    const Bytes payload(size < 0xc0 ? size : size * 256UZ);
    return encode_frame(header, payload);
  }
  static Bytes ack(Choices& from) {
    Ack ack;
    for (std::uint16_t i = 0; i < channel_count; ++i) {
      if (from.byte() % 2 == 0) { continue; }
      ChannelAck& channel = ack.channels.emplace_back();
      channel.channel = static_cast<Channel>(i);
      channel.next_expected = std::max<std::uint64_t>(from.number(), 1);
      const std::uint64_t first = channel.next_expected + 1 + from.number() % 300;
      if (from.byte() % 2 == 0) { channel.sacks.push_back({first, first + from.number() % 300}); }
    }
    return encode(ack);
  }
  Bytes control(Choices& from) {
    const auto wire = static_cast<std::uint32_t>(from.number());
    switch (from.byte() % 8) {
      case 0: return encode(Ping{.nonce = ++nonce_, .active_serial = wire, .view = from.byte()});
      case 1: return encode(Ping{.nonce = from.number(), .view = from.byte()});
      case 2: return encode(Pong{.nonce = from.number(), .view = from.byte()});
      case 3:
        return encode(ViewOfPath{.wire_id = wire, .view = from.byte(), .nonce = from.number()});
      case 4:
        return encode(PathStatus{
            .wire_id = wire,
            .state = from.byte() % 2 == 0 ? PathStatus::State::down : PathStatus::State::active,
            .active_serial = static_cast<std::uint32_t>(from.number())});
      case 5: return encode(Goaway{.reason = "x", .endpoints = {"a:1", "b:2"}});
      case 6: return encode(ErrorMessage{ErrorCode::protocol, "x"});
      default: return encode(Welcome{.session = SessionId{1}, .epoch = 1});
    }
  }

  void say(Choices& from) {
    const auto channel = static_cast<Channel>(from.byte() % channel_count);
    const std::uint8_t size = from.byte();
    const std::size_t bytes = 1 + (size < 0xe0 ? size : size * 64UZ);
    if (channel == Channel::streams && session_.stream_room() < bytes) { return; }
    (void)session_.send(channel, Bytes(bytes), now_);  // May be full.
  }
  void own(Choices& from) {
    switch (from.byte() % 8) {
      case 0: session_.drain(path(from), from.byte() % 2 == 0, now_); break;
      case 1: session_.on_carrier_lost(std::string(1, 'a'), now_); break;
      case 2: session_.on_waiting_segments(path(from), from.byte(), now_); break;
      case 3: session_.on_application_violation(now_); break;
      case 4: session_.send_goaway({.reason = "r", .endpoints = {}}, now_); break;
      case 5: session_.shutdown(now_); break;
      case 6:
        if (role_ == Role::console) { session_.expel({ErrorCode::revoked, "gone"}, now_); }
        break;
      default: session_.on_local_stall(Duration(100ms), now_); break;
    }
  }
  void pass(Duration time) {
    now_ += time;
    const auto due = session_.next_deadline();
    if (due && *due <= now_) { session_.on_deadline(now_); }
  }
  /// Until the next deadline: there are not endlessly many at one moment.
  void wait() {
    const auto due = session_.next_deadline();
    if (!due) { return; }
    now_ = std::max(now_, *due);
    for (int i = 0; i < deadlines_max && session_.next_deadline() <= std::optional(now_); ++i) {
      if (!session_.next_deadline()) { return; }
      session_.on_deadline(now_);
    }
    EDGE_ASSERT(!session_.next_deadline() || *session_.next_deadline() > now_);
  }

  void check() {
    std::size_t answers = 0;
    std::size_t bytes = 0;
    for (const Action& action : session_.take_actions()) {
      if (const auto* send = std::get_if<SendBytes>(&action)) {
        ++answers;
        bytes += send->bytes->size();
      } else if (const auto* dead = std::get_if<PathDead>(&action)) {
        decoders_.erase(dead->path);
      }
    }
    EDGE_ASSERT(answers <= answers_max && bytes <= answer_bytes_max);
    EDGE_ASSERT(session_.path_count() <= Session::paths_max);
    std::size_t held = 0;
    for (std::size_t i = 0; i < channel_count; ++i) {
      const auto channel = static_cast<Channel>(i);
      const std::size_t window = channel == Channel::streams ? streams_window_bytes : window_bytes;
      EDGE_ASSERT(session_.reorder_bytes(channel) <= window);
      if (channel != Channel::streams) { held += session_.reorder_bytes(channel); }
    }
    EDGE_ASSERT(held <= held_bytes_max);
    EDGE_ASSERT(session_.queued_bytes(Channel::commands) <= 512UZ << 10);
    EDGE_ASSERT(session_.queued_bytes(Channel::streams) <= streams_window_bytes + frame_bytes_max);
  }

  Role role_;
  Session session_;
  MonoTime now_{1h};
  std::uint32_t next_path_ = 1;
  std::uint64_t nonce_ = 0;
  std::map<PathId, FrameDecoder> decoders_;
};

}  // namespace
}  // namespace edge::tunnel

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace edge::tunnel;
  if (size == 0) { return 0; }
  Choices from(std::as_bytes(std::span(data + 1, size - 1)));
  Victim victim(data[0] % 2 == 0 ? Role::host : Role::console);
  for (std::size_t i = 0; i < steps_max && from.more(); ++i) { victim.step(from); }
  return 0;
}
