// One SSL object over a non-blocking socket: each call makes what progress it can, and failures get
// a cause.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.hpp"
#include "tunnel/core/http_answer.hpp"
#include "tunnel/io/certificate.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/tls_context.hpp"

namespace edge::tunnel {

/// Empties this thread's OpenSSL error queue and returns its first reason.
std::string take_openssl_error();

/// What a call left undone.
enum class TlsWant : std::uint8_t {
  nothing,  ///< Done.
  read,     ///< Call again when the socket is readable.
  write,    ///< Call again, with the same bytes in front, when the socket is writable.
  failed,   ///< Over; see failure().
};

/// What TLS says of its own behind the handshake, KeyUpdate and NewSessionTicket: so many are taken
/// from a peer, and one more for each so many bytes of it. OpenSSL bounds neither; a peer that said
/// them faster than they are worked off would keep one SSL_read for ever (27 bytes on the wire cost
/// the receiver two derivations of keys and an answer). RFC 8446 5.5 asks for one in 300 GB.
inline constexpr std::uint64_t key_updates_free = 32;
inline constexpr std::uint64_t bytes_per_key_update = 1U << 20;

/// The socket BIO is our own: MSG_NOSIGNAL, and it keeps the errno that OpenSSL loses. An idle
/// connection holds no buffers: 24.6 KiB resident per end with its stream, against 86 KiB of
/// asio::ssl::stream (measured with bench_tls_memory, 2000 pairs).
///
/// Time: the context's wall clock, once. Threads: one; it uses the thread's OpenSSL error queue.
class TlsEngine {
 public:
  /// `fd` is borrowed and must outlive the engine. Errors: no_space (out of memory).
  static Result<std::unique_ptr<TlsEngine>> create(std::shared_ptr<const TlsContext> context,
                                                   int fd);
  /// Marks the connection as shut down, so that nothing is written, and frees it.
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  TlsWant handshake();
  /// Pre: the handshake is done, for this and all below. `got` > 0 exactly on nothing.
  TlsWant read(std::span<std::byte> out, std::size_t& got);
  /// May take only a part: at most one record of 16 KiB.
  TlsWant write(std::span<const std::byte> bytes, std::size_t& taken);
  /// Best effort; never waits.
  void send_close_notify();

  /// TLS bytes that the kernel has taken; grows also within a record.
  std::uint64_t wire_bytes_sent() const { return socket_.sent_bytes; }

  /// Why the last call failed. Pre: it returned failed.
  const PathError& failure() const { return failure_; }
  /// Pre: the handshake is done.
  CertificateInfo peer_certificate() const;
  /// Where the bounds and the terms of the peer's whole chain overlap; nullopt: it was judged by
  /// the clock. Pre: the handshake is done.
  const std::optional<TimeBounds>& judged_within() const { return within_; }
  /// Server side: from the peer's certificate.
  const std::string& peer_host_id() const { return peer_host_id_; }

  static int verify_callback(int ok, X509_STORE_CTX* store);

 private:
  struct Socket {
    int fd = -1;
    int os_errno = 0;
    bool eof = false;
    bool given_up = false;  ///< Nothing goes in or out any more: the peer floods us.
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_bytes = 0;
    /// Takes down what a peer says that answers in plain HTTP.
    void listen_for_http(std::string_view heard);
    bool says_http() const { return std::string_view(first.data(), first_bytes) == "HTTP/"; }
    std::array<char, 5> first{};  ///< Of all bytes: a record's header, if it is TLS.
    std::uint8_t first_bytes = 0;
    bool http_more = false;
    bool http_whole = false;
    std::unique_ptr<HttpHeadReader> http;
  };
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  struct Bio;  ///< The BIO_METHOD over Socket.

  TlsEngine() = default;
  /// OpenSSL's message callback. Source: SSL_set_msg_callback(3).
  static void on_message(int sent, int version, int type, const void* message, std::size_t size,
                         SSL* ssl, void* unused);
  int verify(int ok, X509_STORE_CTX* store);
  bool in_bounds(const X509& certificate);
  void explain_verify_error(int error, const X509* certificate);
  TlsWant check_alpn();
  TlsWant outcome(int rc);
  PathError explain(int ssl_error);
  PathError explain_alert(int alert) const;
  PathError explain_plain_http();
  std::string_view peer_word() const;

  std::shared_ptr<const TlsContext> context_;
  Socket socket_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  WallTime wall_now_{};
  std::optional<TimeBounds> within_;  ///< Narrowed by each certificate of the chain.
  bool established_ = false;
  bool heard_ = false;             ///< Application bytes came from the peer: it has accepted us.
  std::uint64_t key_updates_ = 0;  ///< Messages of TLS itself since the handshake.
  std::optional<PathError> verify_failure_;
  std::string peer_host_id_;
  PathError failure_;
};

}  // namespace edge::tunnel
