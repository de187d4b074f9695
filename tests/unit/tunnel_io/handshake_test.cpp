#include <fcntl.h>
#include <sys/socket.h>

#include "fixture.hpp"
#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;
using testing::Test;

/// Goal: a good pair connects; each kind of bad certificate, name, clock and peer ends with its
/// own cause and a text that names the value.
/// Method: listener and dial on 127.0.0.1 in one loop; certificates from memory; a set clock.
class HandshakeTest : public TunnelIoTest {
 protected:
  /// Dials the listener with `tls`; expects the dial itself to fail.
  PathError dial_error(std::shared_ptr<const TlsContext> tls) {
    auto result = dial_now(std::move(tls), request_to(port));
    if (result) { return {PathFailure::local, "the dial succeeded"}; }
    return result.error().error;
  }

  /// Dials and waits for the end of the stream: the Console judges after our handshake returned.
  PathError end_after_dial(std::shared_ptr<const TlsContext> tls) {
    auto result = dial_now(std::move(tls), request_to(port));
    if (!result) { return result.error().error; }
    host.stream = std::move(result->stream);
    host.start();
    EXPECT_TRUE(run_until([&] { return host.closed.has_value(); }));
    return host.closed.value_or(PathError{});
  }
};

TEST_F(HandshakeTest, AuthenticatesBothEndsAndCarriesBytesBothWays) {
  connect_pair();
  EXPECT_EQ(console().stream->peer().host_id, "hv-01");
  EXPECT_EQ(console().stream->peer().certificate.subject, "CN=hv-01");
  EXPECT_EQ(host.stream->peer().certificate.subject, "CN=console.test");
  EXPECT_EQ(host.stream->peer().certificate.issuer, "CN=Gallium Test CA");
  EXPECT_EQ(host.stream->peer().certificate.not_after, pki_now + Days(10));
  EXPECT_EQ(to_string(host.stream->peer().address), "127.0.0.1");
  EXPECT_EQ(host.stream->peer().port, port);

  ASSERT_TRUE(host.send("hello"));
  ASSERT_TRUE(console().send("welcome"));
  ASSERT_TRUE(run_until([&] { return host.heard == "welcome" && console().heard == "hello"; }));
  EXPECT_EQ(listener->handshaking(), 0U);
}

TEST_F(HandshakeTest, HostWithoutCertificateIsToldSoAfterItsHandshake) {
  listen(console_context());
  // A client without a certificate cannot be made through TlsContext: use bare OpenSSL.
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> bare(SSL_CTX_new(TLS_client_method()),
                                                          &SSL_CTX_free);
  const unsigned char alpn[] = {9, 'g', 'a', 'l', 'l', 'i', 'u', 'm', '/', '1'};
  SSL_CTX_set_alpn_protos(bare.get(), alpn, sizeof alpn);
  tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  socket.native_non_blocking(true);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(bare.get()), &SSL_free);
  SSL_set_fd(ssl.get(), socket.native_handle());
  SSL_set_connect_state(ssl.get());
  char byte = 0;
  ASSERT_TRUE(run_until([&] {
    const int rc = SSL_read(ssl.get(), &byte, 1);
    return SSL_get_error(ssl.get(), rc) == SSL_ERROR_SSL;
  }));
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_identity);
  EXPECT_EQ(refused[0].text, "the host showed no certificate");
}

TEST_F(HandshakeTest, HostOfAnotherCaIsRefusedByTheConsoleAndSaysSo) {
  const TestCa other("Other CA");
  listen(console_context());
  const PathError error = end_after_dial(context(TlsRole::client, other.host("hv-01")));
  EXPECT_EQ(error.cause, PathFailure::tls_rejected);
  EXPECT_EQ(classify(error.cause), "tls");
  EXPECT_TRUE(is_lasting(error.cause));
  EXPECT_NE(error.text.find("does not know the CA"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("issuer CN=Other CA"), std::string::npos) << error.text;
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_identity);
  EXPECT_TRUE(accepted.empty());
}

TEST_F(HandshakeTest, ConsoleOfAnotherCaIsRefusedNamingTheIssuerSeen) {
  const TestCa other("Interceptor CA");
  listen(context(TlsRole::server, other.console("DNS:console.test")));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_identity);
  EXPECT_NE(error.text.find("issuer CN=Interceptor CA"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("ca.pem"), std::string::npos) << error.text;
  // Our alert reaches the Console: it is not lost behind a RST.
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_rejected) << refused[0].text;
}

TEST_F(HandshakeTest, SameIssuerNameWithAnotherKeyIsStillAnotherCa) {
  const TestCa twin("Gallium Test CA");
  listen(context(TlsRole::server, twin.console("DNS:console.test")));
  EXPECT_EQ(dial_error(host_context()).cause, PathFailure::tls_identity);
}

TEST_F(HandshakeTest, WrongNameShowsBothNames) {
  listen(context(TlsRole::server, ca.console("DNS:other.test,IP:127.0.0.1")));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_identity);
  EXPECT_NE(error.text.find("[DNS other.test, IP 127.0.0.1]"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("expected server_name \"console.test\""), std::string::npos);
}

TEST_F(HandshakeTest, CommonNameAndWildcardDoNotCountAsTheName) {
  listen(context(TlsRole::server, ca.console("DNS:*.test")));
  EXPECT_EQ(dial_error(host_context()).cause, PathFailure::tls_identity);
}

TEST_F(HandshakeTest, ServerNameMayBeAnAddress) {
  listen(context(TlsRole::server, ca.console("IP:127.0.0.1")));
  TlsOptions by_address = options();
  by_address.server_name = "127.0.0.1";
  EXPECT_TRUE(dial_now(context(TlsRole::client, ca.host("hv-01"), by_address), request_to(port)));
  by_address.server_name = "127.0.0.2";
  EXPECT_EQ(dial_error(context(TlsRole::client, ca.host("hv-01"), by_address)).cause,
            PathFailure::tls_identity);
}

TEST_F(HandshakeTest, ConsoleCertificateWithoutServerUsageIsRefused) {
  listen(context(TlsRole::server,
                 ca.issue({.common_name = "console.test", .alt_names = "DNS:console.test"})));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_identity);
  EXPECT_NE(error.text.find("serverAuth"), std::string::npos) << error.text;
}

TEST_F(HandshakeTest, HostCertificateCannotPlayTheConsole) {
  listen(context(TlsRole::server, ca.issue({.common_name = "hv-02",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "clientAuth"})));
  EXPECT_EQ(dial_error(host_context()).cause, PathFailure::tls_identity);
}

TEST_F(HandshakeTest, ExpiredConsoleCertificateShowsItsDatesAndOurClock) {
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "serverAuth",
                                            .not_before = pki_now - Days(20),
                                            .not_after = pki_now - Days(1)})));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_expired);
  EXPECT_EQ(classify(error.cause), "tls");
  EXPECT_NE(error.text.find("to 2027-01-14T08:00:00Z"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("clock says 2027-01-15T08:00:00Z"), std::string::npos) << error.text;
}

TEST_F(HandshakeTest, ExpiredWithAClockBeforeTheFloorIsTheClocksFault) {
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "serverAuth",
                                            .not_before = pki_now - Days(20),
                                            .not_after = pki_now - Days(1)})));
  TlsOptions late_floor = options();
  late_floor.clock_floor = pki_now + Days(1);
  EXPECT_EQ(dial_error(context(TlsRole::client, ca.host("hv-01"), late_floor)).cause,
            PathFailure::clock);
}

TEST_F(HandshakeTest, ClockOf1970IsTheClocksFaultAndShowsBothTimes) {
  listen(console_context());
  const PathError error = dial_error(
      context(TlsRole::client, ca.host("hv-01"), options(WallTime(std::chrono::seconds(12)))));
  EXPECT_EQ(error.cause, PathFailure::clock);
  EXPECT_EQ(classify(error.cause), "clock");
  EXPECT_FALSE(is_lasting(error.cause));
  EXPECT_NE(error.text.find("1970-01-01T00:00:12Z"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("valid 20"), std::string::npos) << error.text;
}

// ---- a clock that is certainly wrong ----

/// The host's clock says 1970, or what is given; what is known of the time is `bounds`.
class BoundedTimeTest : public HandshakeTest {
 protected:
  std::shared_ptr<const TlsContext> bounded_host(
      WallTime now = WallTime(std::chrono::seconds(12))) {
    TlsOptions with = options(now);
    with.clock_floor = bounds.from;
    with.bounds = [this] { return std::optional(bounds); };
    return context(TlsRole::client, ca.host("hv-01"), with);
  }
  PemPair console_of(WallTime from, WallTime to, const TestCa& by, std::string names) const {
    return by.issue({.common_name = "console.test",
                     .alt_names = std::move(names),
                     .extended_usage = "serverAuth",
                     .not_before = from,
                     .not_after = to});
  }
  void listen_with(WallTime from, WallTime to) {
    listen(context(TlsRole::server, console_of(from, to, ca, "DNS:console.test")));
  }
  TimeBounds bounds{pki_now - Days(2), pki_now + Days(10)};
};

TEST_F(BoundedTimeTest, ConnectsWhateverTheClockSaysAndTellsWhereTheTermsOverlap) {
  listen_with(pki_now - Days(1), pki_now + Days(5));
  for (const WallTime clock : {WallTime(std::chrono::seconds(12)), pki_now + Days(730)}) {
    const auto tls = bounded_host(clock);
    EXPECT_FALSE(tls->own_validity());
    const auto result = dial_now(tls, request_to(port));
    ASSERT_TRUE(result) << result.error().error.text;
    EXPECT_EQ(result->stream->peer().judged_within,
              (TimeBounds{pki_now - Days(1), pki_now + Days(5)}));
  }
}

TEST_F(BoundedTimeTest, ConnectionsJudgedByTheClockDoNotSayBounds) {
  connect_pair();
  EXPECT_FALSE(host.stream->peer().judged_within);
  EXPECT_FALSE(console().stream->peer().judged_within);
}

TEST_F(BoundedTimeTest, ACertificateThatSharesOneMomentIsEnough) {
  listen_with(pki_now - Days(9), bounds.from);
  EXPECT_TRUE(dial_now(bounded_host(), request_to(port)));
}

TEST_F(BoundedTimeTest, ACertificateThatEndedBeforeTheBoundsIsRefusedWithAllTimes) {
  listen_with(pki_now - Days(9), bounds.from - std::chrono::seconds(1));
  const PathError error = dial_error(bounded_host());
  EXPECT_EQ(error.cause, PathFailure::clock);
  for (const char* part : {"clock says 1970-01-01T00:00:12Z", "certificate of the Console",
                           "2027-01-13T08:00:00Z to 2027-01-25T08:00:00Z", "CN=console.test"}) {
    EXPECT_NE(error.text.find(part), std::string::npos) << part << ": " << error.text;
  }
}

TEST_F(BoundedTimeTest, AClockAheadMayAsWellBeOurOwnCertificateThatExpired) {
  listen_with(bounds.to + std::chrono::seconds(1), bounds.to + Days(730));
  const PathError error = dial_error(bounded_host(bounds.to + Days(30)));
  EXPECT_EQ(error.cause, PathFailure::tls_expired);
  for (const char* part : {"own.pem has expired, or this machine's clock", "2027-02-24T08:00:00Z",
                           "CN=hv-01", "CN=console.test"}) {
    EXPECT_NE(error.text.find(part), std::string::npos) << part << ": " << error.text;
  }
}

TEST_F(BoundedTimeTest, ACertificateThatBeginsAfterTheBoundsIsRefused) {
  listen_with(bounds.to + std::chrono::seconds(1), bounds.to + Days(1));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::clock);
}

TEST_F(BoundedTimeTest, ACaThatEndedBeforeTheBoundsIsRefused) {
  bounds = {pki_now + Days(4000), pki_now + Days(4001)};
  listen_with(pki_now, pki_now + Days(5000));
  EXPECT_EQ(bounded_host()->own_validity()->cause, PathFailure::clock);
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::clock);
}

TEST_F(BoundedTimeTest, AllElseIsAsStrictAsEver) {
  const WallTime from = pki_now - Days(1);
  const WallTime to = pki_now + Days(1);
  const TestCa other("Interceptor CA");
  listen(context(TlsRole::server, console_of(from, to, other, "DNS:console.test")));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::tls_identity);
  listen(context(TlsRole::server, console_of(from, to, ca, "DNS:other.test")));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::tls_identity);
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "clientAuth",
                                            .not_before = from,
                                            .not_after = to})));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::tls_identity);
}

TEST_F(HandshakeTest, ConsoleCertificateNotYetValidIsTheClock) {
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "serverAuth",
                                            .not_before = pki_now + Days(1),
                                            .not_after = pki_now + Days(2)})));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::clock);
  EXPECT_NE(error.text.find("valid 2027-01-16T08:00:00Z"), std::string::npos) << error.text;
}

TEST_F(HandshakeTest, ExpiredHostCertificateIsReportedFromTheConsolesAlert) {
  listen(console_context());
  const PathError error =
      end_after_dial(context(TlsRole::client, ca.issue({.common_name = "hv-01",
                                                        .alt_names = "URI:urn:gallium:host:hv-01",
                                                        .extended_usage = "clientAuth",
                                                        .not_before = pki_now - Days(20),
                                                        .not_after = pki_now - Days(1)})));
  EXPECT_EQ(error.cause, PathFailure::tls_expired);
  EXPECT_NE(error.text.find("own.pem"), std::string::npos) << error.text;
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_expired);
}

TEST_F(HandshakeTest, HostIdentityMustBeExactlyOneWellFormedUri) {
  listen(console_context());
  for (const char* names :
       {"DNS:hv-01", "URI:urn:gallium:host:HV_01", "URI:urn:gallium:host:",
        "URI:urn:gallium:host:hv-01,URI:urn:gallium:host:hv-02", "URI:urn:gallium:host:-x"}) {
    refused.clear();
    host = {};
    const PathError error = end_after_dial(context(
        TlsRole::client,
        ca.issue({.common_name = "hv-01", .alt_names = names, .extended_usage = "clientAuth"})));
    EXPECT_EQ(error.cause, PathFailure::tls_rejected) << names << ": " << error.text;
    ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
    EXPECT_EQ(refused[0].cause, PathFailure::tls_identity) << names;
    EXPECT_NE(refused[0].text.find("host"), std::string::npos);
  }
  EXPECT_TRUE(accepted.empty());
}

TEST_F(HandshakeTest, ServerCertificateIsNoHostCertificate) {
  listen(console_context());
  const PathError error =
      end_after_dial(context(TlsRole::client, ca.issue({.common_name = "hv-01",
                                                        .alt_names = "URI:urn:gallium:host:hv-01",
                                                        .extended_usage = "serverAuth"})));
  EXPECT_EQ(error.cause, PathFailure::tls_rejected) << error.text;
}

TEST_F(HandshakeTest, PeerWithoutOurProtocolIsRefusedOnBothSides) {
  listen(console_context());
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> bare(SSL_CTX_new(TLS_client_method()),
                                                          &SSL_CTX_free);
  const unsigned char alpn[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(bare.get(), alpn, sizeof alpn);
  tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  socket.native_non_blocking(true);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(bare.get()), &SSL_free);
  SSL_set_fd(ssl.get(), socket.native_handle());
  SSL_set_connect_state(ssl.get());
  ASSERT_TRUE(run_until([&] {
    const int rc = SSL_do_handshake(ssl.get());
    return SSL_get_error(ssl.get(), rc) == SSL_ERROR_SSL;
  }));
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_protocol) << refused[0].text;
}

TEST_F(HandshakeTest, Tls12PeerIsRefused) {
  listen(console_context());
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> bare(SSL_CTX_new(TLS_client_method()),
                                                          &SSL_CTX_free);
  SSL_CTX_set_max_proto_version(bare.get(), TLS1_2_VERSION);
  tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  socket.native_non_blocking(true);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(bare.get()), &SSL_free);
  SSL_set_fd(ssl.get(), socket.native_handle());
  SSL_set_connect_state(ssl.get());
  ASSERT_TRUE(run_until([&] {
    const int rc = SSL_do_handshake(ssl.get());
    return SSL_get_error(ssl.get(), rc) == SSL_ERROR_SSL;
  }));
  ASSERT_TRUE(run_until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused[0].cause, PathFailure::tls_protocol) << refused[0].text;
}

// ---- peers that are no TLS at all ----

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

// ---- the Console's door against rude hosts ----

}  // namespace
}  // namespace edge::tunnel::testing_support
