#include <fcntl.h>
#include <sys/socket.h>

#include "fixture.hpp"
#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;

/// Goal: how many may stand at the door, for how long and at what rate, whoever they are.
/// Method: as of HandshakeTest.
class AdmissionTest : public TunnelIoTest {};

TEST_F(AdmissionTest, SilentHostIsDroppedAfterTheTlsTimer) {
  listen(console_context(), {.tls = 100ms});
  tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  ASSERT_TRUE(run_until([&] { return !refused.empty() && listener->handshaking() == 0; }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_timeout);
}

TEST_F(AdmissionTest, AHandshakeThatComesByteByByteEndsWithTheTlsTimer) {
  listen(console_context(), {.tls = 300ms});
  tcp::socket slow(io);
  slow.connect({asio::ip::address_v4::loopback(), port});
  // A record of 512 bytes is announced; its bytes come one by one.
  const std::string head("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  std::size_t sent = 0;
  asio::steady_timer pace(io);
  const auto goes_on = std::make_shared<bool>(true);  // Outlives this frame, in a handler.
  std::function<void()> dribble = [&] {
    boost::system::error_code ignored;
    const std::array<char, 1> byte{sent < head.size() ? head[sent] : 'x'};
    slow.send(asio::buffer(byte), 0, ignored);
    ++sent;
    pace.expires_after(10ms);
    pace.async_wait([&, goes_on](const boost::system::error_code& ec) {
      if (!ec && *goes_on) { dribble(); }
    });
  };
  dribble();
  ASSERT_TRUE(run_until([&] { return !refused.empty() && listener->handshaking() == 0; }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_timeout);
  EXPECT_LT(sent, 512U);
  *goes_on = false;
}

TEST(ListenerLimitsTest, SeveralDoorsShareWhatHoldsForAll) {
  const ListenerLimits all{.handshakes_per_s = 250, .handshaking_max = 512};
  EXPECT_EQ(share_of(all, 1).handshaking_max, 512U);
  EXPECT_EQ(share_of(all, 4).handshaking_max, 128U);
  EXPECT_EQ(share_of(all, 4).handshakes_per_s, 62U);
  EXPECT_EQ(share_of(all, 4).backlog, 124);
  EXPECT_EQ(share_of(all, 16).handshaking_max, 64U) << "what one source may have";
  EXPECT_EQ(share_of({.handshakes_per_s = 2}, 16).handshakes_per_s, 1U);
}

TEST_F(AdmissionTest, HandshakesPerSourceAreBounded) {
  listen(console_context(), {.handshaking_per_source_max = 3, .tls = 5s});
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < 4; ++i) {
    sockets.emplace_back(io);
    sockets.back().connect({asio::ip::address_v4::loopback(), port});
  }
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(listener->handshaking(), 3U);
  EXPECT_NE(refused[0].text.find("at most 3"), std::string::npos) << refused[0].text;
}

TEST_F(AdmissionTest, HandshakesInTotalAreBoundedAndTheRestWaits) {
  listen(console_context(), {.handshaking_max = 1, .tls = 150ms});
  tcp::socket silent(io);
  silent.connect({asio::ip::address_v4::loopback(), port});
  ASSERT_TRUE(run_until([&] { return listener->handshaking() == 1; }));
  // The dial sits in the backlog until the silent one is dropped.
  EXPECT_TRUE(dial_now(host_context(), request_to(port)));
  EXPECT_EQ(refused.size(), 1U);
}

TEST_F(AdmissionTest, TheOldestUnfinishedHandshakeMakesRoomWhenTheDoorIsFull) {
  listen(console_context(), {.handshaking_max = 2, .stale_after = 100ms, .tls = 1h});
  tcp::socket silent(io);
  silent.connect({asio::ip::address_v4::loopback(), port});
  tcp::socket slow(io);
  slow.connect({asio::ip::address_v4::loopback(), port});
  slow.send(asio::buffer("\x16"));
  ASSERT_TRUE(run_until([&] { return listener->handshaking() == 2; }));
  EXPECT_TRUE(dial_now(host_context(), request_to(port)));
  // The Console's end is done a moment later. The slow one stays: nobody waits any more.
  EXPECT_TRUE(run_until([&] { return accepted.size() == 1; }));
  EXPECT_EQ(listener->dropped_stale(), 1U);
  EXPECT_EQ(listener->handshaking(), 1U);
}

TEST_F(AdmissionTest, HandshakesBeginAtTheRateTheRestWaitsAndNobodyIsLost) {
  listen(console_context(), {.handshakes_per_s = 20});
  const auto tls = host_context();
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Dial>> dials;
  std::size_t done = 0;
  for (int i = 0; i < 12; ++i) {
    dials.push_back(std::make_unique<Dial>(io.get_executor(), tls, request_to(port),
                                           [&](const DialResult& result) {
                                             EXPECT_TRUE(result) << result.error().error.text;
                                             ++done;
                                           }));
  }
  ASSERT_TRUE(run_until([&] { return done == dials.size(); }));
  // Three at once, a tenth of a second's worth and one; each of the others 50 ms later.
  EXPECT_GE(std::chrono::steady_clock::now() - began, 400ms);
}

TEST_F(AdmissionTest, WhoLeftBeforeItsTurnCostsNoHandshake) {
  listen(console_context(), {.handshakes_per_s = 10});
  for (int i = 0; i < 2; ++i) { EXPECT_TRUE(dial_now(host_context(), request_to(port))); }
  std::vector<tcp::socket> left;
  for (int i = 0; i < 5; ++i) {
    left.emplace_back(io);
    left.back().connect({asio::ip::address_v4::loopback(), port});
    left.back().close();
  }
  EXPECT_TRUE(dial_now(host_context(), request_to(port)));
  EXPECT_GE(listener->left_before_turn(), 4U) << "one may have been accepted before it left";
  EXPECT_LE(refused.size(), 1U);
}

TEST_F(AdmissionTest, AdmissionHookResetsBeforeAnyTls) {
  listener.reset();
  auto opened = Listener::open(
      io.get_executor(), console_context(), {.address = loopback, .port = 0},
      {.on_stream = {}, .admit = [](const IpAddress&) { return false; }, .on_refused = {}});
  ASSERT_TRUE(opened);
  port = (*opened)->port();
  const auto dialled = dial_now(host_context(), request_to(port));
  ASSERT_FALSE(dialled);
  EXPECT_EQ(dialled.error().error.cause, PathFailure::tls_protocol);
}

TEST_F(AdmissionTest, ListenerDestroyedDuringHandshakesClosesThem) {
  listen(console_context());
  tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  ASSERT_TRUE(run_until([&] { return listener->handshaking() == 1; }));
  listener.reset();
  std::array<char, 16> buffer;
  boost::system::error_code ended;
  socket.non_blocking(true);
  ASSERT_TRUE(run_until([&] {
    socket.read_some(asio::buffer(buffer), ended);
    return ended == asio::error::eof || ended == asio::error::connection_reset;
  }));
}

TEST_F(AdmissionTest, PortInUseIsAConflictNamingAddressAndPort) {
  listen(console_context());
  const auto second =
      Listener::open(io.get_executor(), console_context(), {.address = loopback, .port = port}, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
  EXPECT_NE(second.error().what.find("127.0.0.1:" + std::to_string(port)), std::string::npos);
}

}  // namespace
}  // namespace edge::tunnel::testing_support
