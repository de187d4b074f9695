// A peer that floods the other end with messages of TLS itself, behind the handshake.
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <utility>

#include "fixture.hpp"
#include "tunnel/io/tls_engine.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;

/// A client of OpenSSL's own, by which a test says what TlsStream never would.
class RawClient {
 public:
  RawClient(asio::io_context& io, const TestCa& ca) : socket_(io) {
    constexpr std::array<unsigned char, 10> alpn{9, 'g', 'a', 'l', 'l', 'i', 'u', 'm', '/', '1'};
    const PemPair own = ca.host("hv-01");
    const std::unique_ptr<BIO, int (*)(BIO*)> certificate(
        BIO_new_mem_buf(own.certificate.data(), static_cast<int>(own.certificate.size())),
        &BIO_free);
    const std::unique_ptr<BIO, int (*)(BIO*)> key(
        BIO_new_mem_buf(own.key.data(), static_cast<int>(own.key.size())), &BIO_free);
    const std::unique_ptr<X509, void (*)(X509*)> x509(
        PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr), &X509_free);
    const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> pkey(
        PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
    SSL_CTX_use_certificate(context_.get(), x509.get());
    SSL_CTX_use_PrivateKey(context_.get(), pkey.get());
    SSL_CTX_set_alpn_protos(context_.get(), alpn.data(), alpn.size());
  }
  void connect(std::uint16_t port) {
    socket_.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port));
    socket_.non_blocking(true);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_.native_handle());
    SSL_set_connect_state(ssl_.get());
  }
  bool handshake() { return SSL_do_handshake(ssl_.get()) == 1; }
  /// False: the kernel takes no more now, or the connection is over.
  bool key_update() {
    if (!std::exchange(updating_, true)) {
      SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    const bool done = SSL_do_handshake(ssl_.get()) == 1;
    updating_ = !done;
    return done;
  }
  bool write(std::string_view text) {
    return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0;
  }

 private:
  tcp::socket socket_;
  bool updating_ = false;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_{SSL_CTX_new(TLS_client_method()),
                                                        &SSL_CTX_free};
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, &SSL_free};
};

class KeyUpdateTest : public TunnelIoTest {
 protected:
  void SetUp() override {
    listen(console_context());
    client.connect(port);
    ASSERT_TRUE(run_until([&] { return client.handshake(); }));
    ASSERT_TRUE(run_until([&] { return !accepted.empty(); }));
  }
  RawClient client{io, ca};
};

TEST_F(KeyUpdateTest, AFewAreTakenAndWhatFollowsThemIsRead) {
  for (std::uint64_t i = 0; i < key_updates_free; ++i) { ASSERT_TRUE(client.key_update()); }
  ASSERT_TRUE(client.write("after them"));
  ASSERT_TRUE(run_until([&] { return console().heard == "after them" || console().closed; }));
  EXPECT_FALSE(console().closed) << console().closed->text;
}

TEST_F(KeyUpdateTest, AFloodEndsTheConnectionWithItsReason) {
  for (std::uint64_t i = 0; i < 4 * key_updates_free && client.key_update(); ++i) {}
  ASSERT_TRUE(run_until([&] { return console().closed.has_value(); }));
  EXPECT_EQ(console().closed->cause, PathFailure::tls_protocol);
  EXPECT_NE(console().closed->text.find("floods us with TLS messages"), std::string::npos)
      << console().closed->text;
}

TEST_F(KeyUpdateTest, WhoSendsMuchMayRenewItsKeysOften) {
  const std::string block(16'000, 'x');
  console().keep_bytes = false;
  for (std::uint64_t i = 0; i < 2 * key_updates_free; ++i) {
    for (std::uint64_t sent = 0; sent < bytes_per_key_update; sent += block.size()) {
      ASSERT_TRUE(run_until([&] { return client.write(block) || console().closed; }));
    }
    ASSERT_TRUE(run_until([&] { return client.key_update() || console().closed; }));
  }
  ASSERT_FALSE(console().closed) << console().closed->text;
}

}  // namespace
}  // namespace edge::tunnel::testing_support
