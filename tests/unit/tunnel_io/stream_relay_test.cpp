// Sockets joined to streams: two relays over two sessions in memory, real TCP on loopback.
#include "tunnel/io/stream_relay.hpp"

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <functional>

namespace edge::tunnel {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

/// A person's connection ── near relay ══ session ══ far relay ── the target's connection.
class StreamRelayTest : public testing::Test {
 protected:
  StreamRelayTest()
      : near(io.get_executor(), Role::console, {}, hooks(near_closed)),
        far(io.get_executor(), Role::host, {}, hooks(far_closed)) {
    Hello hello = host.hello({.wire_id = 1, .adapter = "a"}, WallTime{});
    EXPECT_TRUE(console.accept(PathId{1}, hello, WallTime{}, now));
    pump();
  }
  StreamRelay::Hooks hooks(std::string& closed) {
    return {.on_output = [this] { pump(); },
            .on_asked =
                [this](StreamId id, const std::string& asked_target) {
                  asked = asked_target;
                  asked_id = id;
                },
            .on_withdrawn = [this](StreamId id) { withdrawn = id; },
            .on_refused = [this](StreamId, const std::string& reason) { refused = reason; },
            .on_opened = [this](StreamId) { opened = true; },
            .on_closed = [&closed](StreamId, const std::string& reason) { closed = reason; }};
  }
  static SessionOptions options(Role role) {
    SessionOptions out;
    out.role = role;
    out.host = "hv-01";
    out.install_id = "install";
    return out;
  }
  void pump() {
    if (pumping) { return; }
    pumping = true;
    for (bool more = true; more;) {
      more = step(console, near, console_decoder, host) | step(host, far, host_decoder, console);
    }
    pumping = false;
  }
  bool step(Session& session, StreamRelay& relay, FrameDecoder& decoder, Session& peer) {
    relay.feed(session, now);
    auto actions = session.take_actions();
    for (Action& action : actions) {
      if (const auto* started = std::get_if<SessionStarted>(&action)) {
        relay.start(started->streams, started->session);
      }
      if (const auto* deliver = std::get_if<Deliver>(&action)) {
        EXPECT_TRUE(relay.on_frame(deliver->payload));
      }
      const auto* send = std::get_if<SendBytes>(&action);
      if (send == nullptr || held) { continue; }
      std::vector<Frame> frames;
      EXPECT_TRUE(decoder.feed(*send->bytes, frames));
      for (Frame& frame : frames) {
        if (frame.header.type == FrameType::welcome) {
          EXPECT_TRUE(peer.attach(PathId{1}, {.wire_id = 1, .adapter = "a"},
                                  decode_welcome(frame.payload).value(), now));
        } else {
          peer.on_frame(PathId{1}, std::move(frame), now);
        }
      }
    }
    // Acknowledgements that wait for their 20 ms.
    if (const auto due = session.next_deadline(); due && *due <= now) { session.on_deadline(now); }
    return !actions.empty();
  }
  bool run_until(const std::function<bool()>& ready) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!ready()) {
      if (std::chrono::steady_clock::now() >= end) { return false; }
      io.restart();
      io.run_one_for(1ms);
      now += 1ms;
      pump();
      host.on_deadline(now);
      console.on_deadline(now);
      pump();
    }
    return true;
  }
  /// Two connected sockets on loopback.
  std::pair<tcp::socket, tcp::socket> wire() {
    tcp::acceptor acceptor(io, {asio::ip::make_address("127.0.0.1"), 0});
    tcp::socket a(io);
    a.connect(acceptor.local_endpoint());
    tcp::socket b = acceptor.accept();
    return {std::move(a), std::move(b)};
  }
  /// Person and target joined by a stream.
  void join() {
    auto [outside, inside] = wire();
    person = std::move(outside);
    stream = near.open("127.0.0.1:22", std::move(inside)).value();
    ASSERT_TRUE(run_until([this] { return !asked.empty(); }));
    auto [service, relayed] = wire();
    target = std::move(service);
    far.attach(asked_id, std::move(relayed));
    ASSERT_TRUE(run_until([this] { return opened; }));
    person.non_blocking(true);
    target.non_blocking(true);
  }
  /// Reads what is there; sets `ended` at the end of file or an error.
  static void drain(tcp::socket& socket, std::string& into, boost::system::error_code& ended) {
    std::array<char, 65536> buffer;
    while (!ended) {
      boost::system::error_code ec;
      const std::size_t size = socket.read_some(asio::buffer(buffer), ec);
      into.append(buffer.data(), size);
      if (ec == asio::error::would_block) { return; }
      ended = ec;
    }
  }

  asio::io_context io;
  MonoTime now{1h};
  Session host{options(Role::host), Random(1)};
  Session console{options(Role::console), Random(2)};
  FrameDecoder console_decoder;  ///< Of what the Console sends.
  FrameDecoder host_decoder = [] {
    FrameDecoder decoder;  // Its HELLO went by hand.
    std::vector<Frame> frames;
    EXPECT_TRUE(decoder.feed(encode(Hello{}), frames));
    return decoder;
  }();
  bool pumping = false;
  bool held = false;  ///< Nothing moves between the sessions.
  std::string asked, refused, near_closed, far_closed;
  StreamId asked_id{0};
  StreamId withdrawn{0};
  bool opened = false;
  StreamRelay near;
  StreamRelay far;
  StreamId stream{0};
  tcp::socket person{io};
  tcp::socket target{io};
};

TEST_F(StreamRelayTest, CarriesBytesBothWaysAndEndsInOrder) {
  join();
  EXPECT_EQ(asked, "127.0.0.1:22");
  asio::write(person, asio::buffer(std::string("hello")));
  asio::write(target, asio::buffer(std::string("welcome")));
  std::string at_target, at_person;
  boost::system::error_code target_end, person_end;
  ASSERT_TRUE(run_until([&] {
    drain(target, at_target, target_end);
    drain(person, at_person, person_end);
    return at_target == "hello" && at_person == "welcome";
  }));
  person.shutdown(tcp::socket::shutdown_send);
  ASSERT_TRUE(run_until([&] {
    drain(target, at_target, target_end);
    return target_end == asio::error::eof;
  }));
  asio::write(target, asio::buffer(std::string(" back")));  // The other direction is still open.
  target.shutdown(tcp::socket::shutdown_send);
  ASSERT_TRUE(run_until([&] {
    drain(person, at_person, person_end);
    return person_end == asio::error::eof;
  }));
  EXPECT_EQ(at_person, "welcome back");
  EXPECT_EQ(near_closed, "both ends closed");
  EXPECT_EQ(far_closed, "both ends closed");
  EXPECT_EQ(near.stream_count() + far.stream_count(), 0U);
}

TEST_F(StreamRelayTest, AReaderThatDoesNotReadHoldsTheWriterBack) {
  join();
  const std::string block(1 << 20, 'x');
  std::size_t written = 0;
  MonoTime last_progress = now;
  ASSERT_TRUE(run_until([&] {
    boost::system::error_code ec;
    const std::size_t size = person.write_some(asio::buffer(block), ec);
    written += size;
    if (size > 0) { last_progress = now; }
    return now - last_progress > 300ms;
  }));
  // What the kernel's buffers take, the window, and the send buffer: not more.
  EXPECT_LT(near.bytes_out(), 16U << 20);
  std::string at_target;
  boost::system::error_code end;
  const std::size_t before = written;
  ASSERT_TRUE(run_until([&] {
    drain(target, at_target, end);
    return at_target.size() == before;
  })) << at_target.size()
      << " of " << before;
}

TEST_F(StreamRelayTest, SingleBytesThatNobodyReadsAreHeldTogether) {
  join();
  // The peer is hostile: one byte per frame, as many as the window takes, to a full socket.
  const Bytes one = encode(
      StreamFrame{.kind = StreamKind::data, .stream = stream, .text = {}, .data = as_bytes("x")});
  const Bytes many = encode(StreamFrame{.kind = StreamKind::data,
                                        .stream = stream,
                                        .text = {},
                                        .data = ByteSpan(Bytes(stream_data_bytes_max))});
  while (far.waiting_blocks() < 8) {  // Until the kernel takes no more.
    ASSERT_TRUE(far.on_frame(many));
    if (far.waiting_blocks() == 0) {
      ASSERT_TRUE(run_until([turns = 0]() mutable { return ++turns > 3; }));
    }
  }
  constexpr std::size_t left = 100'000;
  for (std::size_t i = 0; i < left; ++i) { ASSERT_TRUE(far.on_frame(one)) << i; }
  EXPECT_LE(far.waiting_blocks(), 9 + left / (stream_data_bytes_max / 2));
  EXPECT_GE(far.waiting_blocks(), 9U);
}

TEST_F(StreamRelayTest, AResetOfTheTargetReachesThePerson) {
  join();
  target.set_option(asio::socket_base::linger(true, 0));
  target.close();
  std::string ignored;
  boost::system::error_code end;
  ASSERT_TRUE(run_until([&] {
    drain(person, ignored, end);
    return bool(end);
  }));
  EXPECT_EQ(end, asio::error::connection_reset);
  EXPECT_EQ(near.stream_count() + far.stream_count(), 0U);
}

TEST_F(StreamRelayTest, ARefusalClosesThePersonsConnection) {
  auto [outside, inside] = wire();
  (void)near.open("10.0.0.1:22", std::move(inside)).value();
  ASSERT_TRUE(run_until([this] { return !asked.empty(); }));
  far.refuse(asked_id, StreamRefusal::not_allowed, "not in the list");
  ASSERT_TRUE(run_until([this] { return !refused.empty(); }));
  EXPECT_EQ(refused, "not_allowed: not in the list");
  outside.non_blocking(true);
  std::string ignored;
  boost::system::error_code end;
  ASSERT_TRUE(run_until([&, out = &outside] {
    drain(*out, ignored, end);
    return bool(end);
  }));
  EXPECT_EQ(end, asio::error::connection_reset);
}

TEST_F(StreamRelayTest, ANewSessionEndsEveryConnection) {
  join();
  near.start(StreamGrant{}, console.id());
  EXPECT_EQ(near_closed, "the session ended");
  std::string ignored;
  boost::system::error_code end;
  ASSERT_TRUE(run_until([&] {
    drain(person, ignored, end);
    return bool(end);
  }));
  EXPECT_EQ(end, asio::error::connection_reset);
}

TEST_F(StreamRelayTest, AConnectionThatGoesWhileTheTargetIsDialledCostsNothing) {
  {
    auto [outside, inside] = wire();
    stream = near.open("127.0.0.1:22", std::move(inside)).value();
  }
  ASSERT_TRUE(run_until([this] { return !asked.empty(); }));
  near.reset(stream, "nobody waits");
  pump();
  EXPECT_EQ(withdrawn, asked_id) << "the dial can end";
  auto [service, relayed] = wire();
  far.attach(asked_id, std::move(relayed));
  EXPECT_EQ(far.stream_count(), 0U);
  EXPECT_EQ(near_closed, "nobody waits");
}

}  // namespace
}  // namespace edge::tunnel
