// A host's and a Console's session joined by wires that a test can cut, hold and count.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tunnel/core/session.hpp"

namespace edge::tunnel {

/// One end: its session, what it said must be done, and what the application got.
struct TestEnd {
  explicit TestEnd(SessionOptions options, std::uint64_t seed = 1)
      : session(std::move(options), Random(seed)) {}

  template <class T>
  std::vector<T> seen() const {
    std::vector<T> out;
    for (const Action& action : actions) {
      if (const auto* match = std::get_if<T>(&action)) { out.push_back(*match); }
    }
    return out;
  }
  /// Everything delivered on a channel, each followed by a space; a gap is "<n>".
  std::string got(Channel channel) const {
    std::string out;
    for (const Action& action : actions) {
      if (const auto* deliver = std::get_if<Deliver>(&action);
          deliver != nullptr && deliver->channel == channel) {
        out += std::string(as_text(deliver->payload).substr(0, 12)) + " ";
      }
      if (const auto* gap = std::get_if<DeliverGap>(&action);
          gap != nullptr && gap->channel == channel) {
        out += "<" + std::to_string(gap->dropped) + "> ";
      }
    }
    return out;
  }
  Session session;
  std::vector<Action> actions;  ///< All but SendBytes.
};

/// A connection without delay. A cut direction loses bytes, a held one keeps them back.
struct Wire {
  struct Direction {
    bool cut = false;
    bool held = false;
    std::vector<SharedBytes> queue;
    FrameDecoder decoder;
    std::vector<Frame> written;  ///< Whatever the sender wrote, cut or not.
  };
  std::array<Direction, 2> from;  ///< 0: from the host, 1: from the Console.
  PathFacts facts;
};

class SessionPair : public testing::Test {
 protected:
  static constexpr std::size_t kHost = 0, kConsole = 1;

  static SessionOptions host_options() {
    SessionOptions options;
    options.host = "hv-01";
    options.install_id = "install";
    options.boot_id = "boot";
    return options;
  }
  static SessionOptions console_side(SessionOptions options) {
    options.role = Role::console;
    return options;
  }
  SessionPair() : SessionPair(host_options()) {}
  explicit SessionPair(const SessionOptions& options)
      : ends{TestEnd(options, 1), TestEnd(console_side(options), 2)} {}

  Session& host() { return ends[kHost].session; }
  Session& console() { return ends[kConsole].session; }

  static PathFacts facts(std::uint32_t id, const std::string& adapter, std::uint32_t rank = 0,
                         const std::string& endpoint = "console:1") {
    return {.wire_id = id,
            .label = adapter + "/" + endpoint,
            .port = adapter,
            .endpoint = endpoint,
            .adapter = adapter,
            .rank = rank};
  }
  /// Opens a connection and sends HELLO; nothing moves before run().
  void dial(std::uint32_t id, const std::string& adapter, std::uint32_t rank = 0,
            const std::string& endpoint = "console:1") {
    Wire& wire = wires[id];
    wire.facts = facts(id, adapter, rank, endpoint);
    send_bytes(kHost, id,
               std::make_shared<const Bytes>(encode(host().hello(wire.facts, WallTime{}))));
  }
  void connect(std::uint32_t id, const std::string& adapter, std::uint32_t rank = 0,
               const std::string& endpoint = "console:1") {
    dial(id, adapter, rank, endpoint);
    run();
  }
  /// One of which each byte costs, with a metered standby's heartbeat.
  void connect_metered(std::uint32_t id, const std::string& adapter) {
    Wire& wire = wires[id];
    wire.facts = facts(id, adapter);
    wire.facts.metered = true;
    Hello hello = host().hello(wire.facts, WallTime{});
    hello.heartbeat = heartbeat_of(wire.facts, hello.heartbeat);
    send_bytes(kHost, id, std::make_shared<const Bytes>(encode(hello)));
    run();
  }
  /// A HELLO as the test wants it, judged at once.
  Result<void> accept(std::uint32_t id, const Hello& hello) {
    Wire& wire = wires[id];
    wire.facts = hello.path;
    std::vector<Frame> frames;
    EXPECT_TRUE(wire.from[kHost].decoder.feed(encode(hello), frames));
    return console().accept(PathId{id}, hello, WallTime{}, now);
  }
  void cut(std::uint32_t id, bool up = true, bool down = true) {
    wires[id].from[0].cut |= up;
    wires[id].from[1].cut |= down;
  }
  void send(std::size_t end, Channel channel, std::string_view text, std::size_t bytes = 0) {
    Bytes payload = to_bytes(text);
    payload.resize(std::max(payload.size(), bytes), std::byte{'.'});
    ASSERT_TRUE(ends[end].session.send(channel, std::move(payload), now));
  }
  /// Moves bytes until nothing moves any more, at this moment.
  void run() {
    for (bool moved = true; moved;) {
      moved = collect(kHost) | collect(kConsole);
      for (auto& [id, wire] : wires) { moved = flush(id, kHost) | flush(id, kConsole) | moved; }
    }
  }
  /// Lets time pass, keeping every deadline exactly.
  void advance(Duration duration) {
    const MonoTime until = now + duration;
    run();
    for (;;) {
      MonoTime next = until;
      for (TestEnd& end : ends) {
        if (const auto due = end.session.next_deadline(); due && *due < next) {
          next = std::max(*due, now);
        }
      }
      now = next;
      for (TestEnd& end : ends) {
        if (const auto due = end.session.next_deadline(); due && *due <= now) {
          end.session.on_deadline(now);
        }
      }
      run();
      if (now >= until) { return; }
    }
  }
  /// Frames of one type that an end wrote on a path since the last forget().
  std::vector<Frame> written(std::size_t end, std::uint32_t id, FrameType type) {
    std::vector<Frame> out;
    for (const Frame& frame : wires[id].from[end].written) {
      if (frame.header.type == type) { out.push_back(frame); }
    }
    return out;
  }
  /// The payloads (first 12 bytes) of the DATA frames an end wrote on a path.
  std::string data_on(std::size_t end, std::uint32_t id) {
    std::string out;
    for (const Frame& frame : written(end, id, FrameType::data)) {
      out += std::string(as_text(frame.payload).substr(0, 12)) + " ";
    }
    return out;
  }
  void forget() {
    run();
    for (auto& [id, wire] : wires) {
      for (auto& direction : wire.from) { direction.written.clear(); }
    }
    for (TestEnd& end : ends) { end.actions.clear(); }
  }
  /// Gives an end a frame as if the peer had sent it.
  void inject(std::size_t end, std::uint32_t id, const Bytes& bytes) {
    FrameDecoder decoder;
    std::vector<Frame> frames;
    ASSERT_TRUE(decoder.feed(encode_frame({.type = FrameType::hello}, {}), frames));
    ASSERT_TRUE(decoder.feed(bytes, frames));
    ends[end].session.on_frame(PathId{id}, std::move(frames.at(1)), now);
    run();
  }
  static Bytes data_frame(Channel channel, std::uint64_t seq, std::size_t bytes = 1,
                          std::uint8_t flags = 0) {
    return encode_frame({.type = FrameType::data,
                         .flags = flags,
                         .channel = static_cast<std::uint16_t>(index_of(channel)),
                         .seq = seq},
                        Bytes(bytes));
  }
  /// The last PathDead of an end, which must exist.
  PathDead dead(std::size_t end) {
    const auto all = ends[end].seen<PathDead>();
    EXPECT_FALSE(all.empty());
    return all.empty() ? PathDead{} : all.back();
  }

  MonoTime now{std::chrono::hours(1)};
  std::array<TestEnd, 2> ends;
  std::map<std::uint32_t, Wire> wires;

 private:
  bool collect(std::size_t index) {
    auto actions = ends[index].session.take_actions();
    for (Action& action : actions) {
      if (auto* out = std::get_if<SendBytes>(&action)) {
        send_bytes(index, out->path.value, out->bytes);
      } else {
        ends[index].actions.push_back(std::move(action));
      }
    }
    return !actions.empty();
  }
  void send_bytes(std::size_t index, std::uint32_t id, const SharedBytes& bytes) {
    Wire::Direction& direction = wires[id].from[index];
    const FrameHeader header =
        decode_header(std::span<const std::byte, header_bytes>(bytes->data(), header_bytes));
    direction.written.push_back({header, Bytes(bytes->begin() + header_bytes, bytes->end())});
    if (!direction.cut) { direction.queue.push_back(bytes); }
  }
  bool flush(std::uint32_t id, std::size_t from) {
    Wire::Direction& direction = wires[id].from[from];
    if (direction.held || direction.queue.empty()) { return false; }
    for (const SharedBytes& bytes : std::exchange(direction.queue, {})) {
      std::vector<Frame> frames;
      EXPECT_TRUE(direction.decoder.feed(*bytes, frames));
      for (Frame& frame : frames) { receive(1 - from, id, std::move(frame)); }
    }
    return true;
  }
  void receive(std::size_t end, std::uint32_t id, Frame frame) {
    Session& session = ends[end].session;
    if (frame.header.type == FrameType::hello) {
      (void)session.accept(PathId{id}, decode_hello(frame.payload).value(), WallTime{}, now);
    } else if (frame.header.type == FrameType::welcome) {
      (void)session.attach(PathId{id}, wires[id].facts, decode_welcome(frame.payload).value(), now);
    } else {
      session.on_frame(PathId{id}, std::move(frame), now);
    }
  }
};

}  // namespace edge::tunnel
