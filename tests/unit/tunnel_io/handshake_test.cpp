#include <fcntl.h>
#include <sys/socket.h>

#include "handshake_fixture.hpp"
#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;
using testing::Test;

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
  EXPECT_FALSE(is_lasting(error.cause)) << "whoever it was may be gone at any moment";
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

}  // namespace
}  // namespace edge::tunnel::testing_support
