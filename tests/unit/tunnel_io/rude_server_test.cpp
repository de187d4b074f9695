// Peers that are no TLS at all.
#include <fcntl.h>
#include <sys/socket.h>

#include "handshake_fixture.hpp"
#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;

/// A plain TCP listener that does one thing to whoever connects.
class RudeServerTest : public HandshakeTest {
 protected:
  void serve(std::function<void(tcp::socket&)> act) {
    acceptor.emplace(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    port = acceptor->local_endpoint().port();
    acceptor->async_accept(guest, [this, act](const boost::system::error_code& ec) {
      if (!ec) { act(guest); }
    });
  }
  std::optional<tcp::acceptor> acceptor;
  tcp::socket guest{io};
};

TEST_F(RudeServerTest, GarbageIsAProtocolError) {
  serve([](tcp::socket& s) {
    asio::write(s, asio::buffer(std::string("SSH-2.0-OpenSSH_9.2p1\r\n")));
  });
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_protocol);
  EXPECT_NE(error.text.find("127.0.0.1:"), std::string::npos) << error.text;
}

TEST_F(RudeServerTest, SilenceEndsWithTheTlsTimer) {
  serve([](tcp::socket&) {});
  DialRequest request = request_to(port);
  request.limits.tls = 150ms;
  const auto began = std::chrono::steady_clock::now();
  const auto result = dial_now(host_context(), request);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.cause, PathFailure::tls_timeout);
  EXPECT_EQ(to_string(result.error().address.value()), "127.0.0.1");
  EXPECT_GE(std::chrono::steady_clock::now() - began, 150ms);
}

TEST_F(RudeServerTest, ResetDuringTheHandshakeIsNamed) {
  serve([](tcp::socket& s) {
    s.set_option(asio::socket_base::linger(true, 0));
    s.close();
  });
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_protocol);
  EXPECT_NE(error.text.find("Connection reset"), std::string::npos) << error.text;
}

TEST_F(RudeServerTest, CloseDuringTheHandshakeIsNamed) {
  serve([](tcp::socket& s) { s.shutdown(tcp::socket::shutdown_send); });
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_protocol);
  EXPECT_NE(error.text.find("closed the connection during"), std::string::npos) << error.text;
}

TEST_F(RudeServerTest, DestroyingADialDuringTheHandshakeClosesTheSocketAndCallsNothing) {
  bool connected = false;
  bool called = false;
  serve([&](tcp::socket&) { connected = true; });
  auto running = std::make_unique<Dial>(io.get_executor(), host_context(), request_to(port),
                                        [&](DialResult) { called = true; });
  ASSERT_TRUE(run_until([&] { return connected; }));
  running.reset();
  std::array<char, 1024> buffer;
  boost::system::error_code ended;
  ASSERT_TRUE(run_until([&] {
    guest.non_blocking(true);
    guest.read_some(asio::buffer(buffer), ended);
    return ended == asio::error::eof || ended == asio::error::connection_reset;
  }));
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace edge::tunnel::testing_support
