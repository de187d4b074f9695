#include "tunnel/io/tls_engine.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/assert.hpp"

namespace edge::tunnel {

std::string take_openssl_error() {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  if (first == 0) { return "no reason given"; }
  const char* reason = ERR_reason_error_string(first);
  return reason != nullptr ? reason : fmt::format("error {:#x}", first);
}

struct TlsEngine::Bio {
  static Socket& socket(BIO* bio) { return *static_cast<Socket*>(BIO_get_data(bio)); }

  static int settle(BIO* bio, ssize_t rc, int retry_flag) {
    BIO_clear_retry_flags(bio);
    if (rc >= 0) { return static_cast<int>(rc); }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
      BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    } else {
      socket(bio).os_errno = errno;
    }
    return -1;
  }
  /// No retry, no errno: SSL_ERROR_SYSCALL, which explain() knows the reason of.
  static int refuse(BIO* bio) {
    BIO_clear_retry_flags(bio);
    return -1;
  }
  static int write(BIO* bio, const char* data, int size) {
    if (socket(bio).given_up) { return refuse(bio); }
    const ssize_t rc =
        ::send(socket(bio).fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (rc > 0) { socket(bio).sent_bytes += static_cast<std::uint64_t>(rc); }
    return settle(bio, rc, BIO_FLAGS_WRITE);
  }
  static int read(BIO* bio, char* data, int size) {
    if (socket(bio).given_up) { return refuse(bio); }
    const ssize_t rc = ::recv(socket(bio).fd, data, static_cast<std::size_t>(size), MSG_DONTWAIT);
    if (rc == 0) { socket(bio).eof = true; }
    if (rc > 0) {
      socket(bio).received_bytes += static_cast<std::uint64_t>(rc);
      socket(bio).listen_for_http({data, static_cast<std::size_t>(rc)});
    }
    return settle(bio, rc, BIO_FLAGS_READ);
  }
  static long ctrl(BIO* bio, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH: return 1;
      case BIO_CTRL_EOF: return socket(bio).eof ? 1 : 0;
      default: return 0;
    }
  }
  /// One for the process; never freed, as OpenSSL's own methods.
  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "path socket");
      BIO_meth_set_write(m, &Bio::write);
      BIO_meth_set_read(m, &Bio::read);
      BIO_meth_set_ctrl(m, &Bio::ctrl);
      return m;
    }();
    return made;
  }
};

Result<std::unique_ptr<TlsEngine>> TlsEngine::create(std::shared_ptr<const TlsContext> context,
                                                     int fd) {
  ERR_clear_error();
  std::unique_ptr<TlsEngine> out(new TlsEngine);
  out->context_ = std::move(context);
  out->socket_.fd = fd;
  out->wall_now_ = out->context_->wall_now();
  out->ssl_.reset(SSL_new(out->context_->native()));
  BIO* bio = BIO_new(Bio::method());
  if (!out->ssl_ || bio == nullptr) {
    BIO_free(bio);
    return fail(Errc::no_space, "no memory for a TLS connection: " + take_openssl_error());
  }
  BIO_set_data(bio, &out->socket_);
  BIO_set_init(bio, 1);
  SSL* ssl = out->ssl_.get();
  SSL_set_bio(ssl, bio, bio);
  SSL_set_app_data(ssl, out.get());
  SSL_set_msg_callback(ssl, &TlsEngine::on_message);
  out->within_ = out->context_->bounds_now();
  if (out->within_) {  // in_bounds() judges the terms of all certificates instead.
    X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_NO_CHECK_TIME);
  } else {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(out->wall_now_);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), seconds.time_since_epoch().count());
  }
  if (out->context_->role() == TlsRole::server) {
    SSL_set_accept_state(ssl);
    return out;
  }
  SSL_set_connect_state(ssl);
  const std::string& name = out->context_->server_name();
  const bool is_address =
      X509_VERIFY_PARAM_get0_host(SSL_CTX_get0_param(out->context_->native()), 0) == nullptr;
  if (!is_address) { SSL_set_tlsext_host_name(ssl, name.c_str()); }  // RFC 6066: names only.
  return out;
}

TlsEngine::~TlsEngine() {
  if (ssl_) { SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }
}

std::string_view TlsEngine::peer_word() const {
  return context_->role() == TlsRole::client ? "the Console" : "the host";
}

TlsWant TlsEngine::handshake() {
  ERR_clear_error();
  const TlsWant want = outcome(SSL_do_handshake(ssl_.get()));
  if (want != TlsWant::nothing) { return want; }
  return check_alpn();
}

TlsWant TlsEngine::check_alpn() {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &chosen, &size);
  if (std::string_view(reinterpret_cast<const char*>(chosen), size) != "gallium/1") {
    failure_ = {PathFailure::tls_protocol,
                fmt::format("{} did not agree to the protocol gallium/1 (ALPN)", peer_word())};
    return TlsWant::failed;
  }
  established_ = true;
  return TlsWant::nothing;
}

/// It cannot stop OpenSSL, which goes on with what it has read ahead (16 KiB at most); but it gets
/// nothing more, and its answers go nowhere.
void TlsEngine::on_message(int sent, int /*version*/, int type, const void* /*message*/,
                           std::size_t /*size*/, SSL* ssl, void* /*unused*/) {
  if (sent != 0 || type != SSL3_RT_HANDSHAKE) { return; }
  auto* engine = static_cast<TlsEngine*>(SSL_get_app_data(ssl));
  if (engine == nullptr || !engine->established_) { return; }
  ++engine->key_updates_;
  const std::uint64_t earned = engine->socket_.received_bytes / bytes_per_key_update;
  if (engine->key_updates_ > key_updates_free + earned) { engine->socket_.given_up = true; }
}

TlsWant TlsEngine::read(std::span<std::byte> out, std::size_t& got) {
  got = 0;
  ERR_clear_error();
  const TlsWant want = outcome(SSL_read_ex(ssl_.get(), out.data(), out.size(), &got));
  if (want == TlsWant::nothing) { heard_ = true; }
  return want;
}

TlsWant TlsEngine::write(std::span<const std::byte> bytes, std::size_t& taken) {
  taken = 0;
  ERR_clear_error();
  return outcome(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &taken));
}

void TlsEngine::send_close_notify() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());  // Result unused: the peer may be gone, and TCP's FIN says the same.
  ERR_clear_error();
}

CertificateInfo TlsEngine::peer_certificate() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate != nullptr ? describe(*certificate) : CertificateInfo{};
}

// ---- failures ----

TlsWant TlsEngine::outcome(int rc) {
  if (rc == 1) { return TlsWant::nothing; }
  const int error = SSL_get_error(ssl_.get(), rc);
  if (error == SSL_ERROR_WANT_READ) { return TlsWant::read; }
  if (error == SSL_ERROR_WANT_WRITE) { return TlsWant::write; }
  failure_ = explain(error);
  ERR_clear_error();
  return TlsWant::failed;
}

PathError TlsEngine::explain(int ssl_error) {
  const std::string_view peer = peer_word();
  if (socket_.given_up) {
    return {PathFailure::tls_protocol,
            fmt::format("{} floods us with TLS messages of its own (KeyUpdate, NewSessionTicket): "
                        "{} with {} bytes in all, {} and one for each {} bytes are taken",
                        peer, key_updates_, socket_.received_bytes, key_updates_free,
                        bytes_per_key_update)};
  }
  if (verify_failure_) { return *verify_failure_; }
  if (ssl_error == SSL_ERROR_ZERO_RETURN) {
    return {PathFailure::closed, fmt::format("{} closed the connection", peer)};
  }
  if (!established_ && context_->role() == TlsRole::client && socket_.says_http()) {
    return explain_plain_http();
  }
  const unsigned long first = ERR_peek_error();
  const int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    PathError alert = explain_alert(reason - SSL_AD_REASON_OFFSET);
    alert.other_identity_helps =
        alert.cause == PathFailure::tls_rejected || alert.cause == PathFailure::tls_expired;
    return alert;
  }
  const std::string_view hint =
      established_ && !heard_ ? " before it said anything (it may have refused our certificate)"
                              : "";
  if (socket_.os_errno != 0) {
    const std::string text = std::strerror(socket_.os_errno);
    if (established_) {
      return {cause_of_stream_errno(socket_.os_errno),
              fmt::format("connection to {} broke: {}{}", peer.substr(4), text, hint)};
    }
    const PathFailure cause = cause_of_stream_errno(socket_.os_errno);
    return {cause == PathFailure::closed ? PathFailure::tls_protocol : cause,
            fmt::format("{} broke the connection during the TLS handshake: {}", peer, text)};
  }
  if (socket_.eof) {
    return established_
               ? PathError{PathFailure::closed,
                           fmt::format("{} closed the connection without goodbye{}", peer, hint)}
               : PathError{PathFailure::tls_protocol,
                           fmt::format("{} closed the connection during the TLS handshake", peer)};
  }
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return {PathFailure::tls_identity, fmt::format("{} showed no certificate", peer)};
  }
  return {PathFailure::tls_protocol,
          fmt::format("{} broke the TLS protocol: {}", peer, take_openssl_error())};
}

void TlsEngine::Socket::listen_for_http(std::string_view heard) {
  for (; first_bytes < first.size() && !heard.empty(); heard.remove_prefix(1)) {
    first[first_bytes++] = heard.front();
    if (first_bytes == first.size() && says_http()) {
      http = std::make_unique<HttpHeadReader>();
      http_more = http->feed(as_bytes({first.data(), first.size()})).has_value();
    }
  }
  if (!http || !http_more) { return; }
  const auto whole = http->feed(as_bytes(heard));
  http_whole = whole.value_or(false);
  http_more = whole.has_value() && !http_whole;
}

PathError TlsEngine::explain_plain_http() {
  std::array<char, HttpHeadReader::head_bytes_max> rest;
  const ssize_t got = ::recv(socket_.fd, rest.data(), rest.size(), MSG_DONTWAIT);
  if (got > 0) { socket_.listen_for_http({rest.data(), static_cast<std::size_t>(got)}); }
  std::string said;
  if (socket_.http_whole) {
    const HttpHead& head = socket_.http->head();
    if (is_server_trouble(head)) {
      return {
          PathFailure::console,
          fmt::format("plain HTTP with status {} came in answer to TLS: what stands in front of "
                      "{} has no Console behind it now",
                      head.status, peer_word())};
    }
    const std::string origin = url_origin(head.location);
    said = fmt::format(" (status {}{}{})", head.status,
                       origin.empty() ? "" : ", it sends everybody to ", origin);
  }
  return {
      PathFailure::portal,
      fmt::format("plain HTTP came in answer to TLS{}: a captive portal, or not {}'s tunnel port",
                  said, peer_word())};
}

PathError TlsEngine::explain_alert(int alert) const {
  const std::string_view peer = peer_word();
  const char* name = SSL_alert_desc_string_long(alert);
  std::string own =
      fmt::format("{} ({})", context_->names().certificate, to_string(context_->own_certificate()));
  if (alert == SSL_AD_CERTIFICATE_EXPIRED ||
      !term_of(context_->own_certificate()).contains(wall_now_)) {
    own += fmt::format("; this machine's clock says {}", to_iso8601(wall_now_));
  }
  switch (alert) {
    case SSL_AD_CERTIFICATE_EXPIRED:
      return {PathFailure::tls_expired,
              fmt::format("{} refused our certificate as expired: {}", peer, own)};
    case SSL_AD_CERTIFICATE_REQUIRED:
      return {PathFailure::tls_rejected,
              fmt::format("{} asked for a certificate and got none it can use: {}", peer, own)};
    case SSL_AD_UNKNOWN_CA:
      return {PathFailure::tls_rejected,
              fmt::format("{} does not know the CA of our certificate: {}", peer, own)};
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR:
      return {PathFailure::tls_rejected,
              fmt::format("{} refused our certificate: {}: {}", peer, name, own)};
    default:
      return {PathFailure::tls_protocol,
              fmt::format("{} ended TLS with the alert {} ({})", peer, alert, name)};
  }
}

// ---- verification ----

int TlsEngine::verify_callback(int ok, X509_STORE_CTX* store) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  EDGE_ASSERT(ssl != nullptr);
  auto* engine = static_cast<TlsEngine*>(SSL_get_app_data(ssl));
  return engine->verify(ok, store);
}

int TlsEngine::verify(int ok, X509_STORE_CTX* store) {
  const X509* certificate = X509_STORE_CTX_get_current_cert(store);
  if (ok != 1) {
    if (!verify_failure_) { explain_verify_error(X509_STORE_CTX_get_error(store), certificate); }
    return 0;
  }
  if (within_ && certificate != nullptr && !in_bounds(*certificate)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_HAS_EXPIRED);
    return 0;
  }
  if (X509_STORE_CTX_get_error_depth(store) != 0 || certificate == nullptr) { return 1; }
  std::string problem;
  if (context_->role() == TlsRole::client) {
    auto* leaf = const_cast<X509*>(certificate);  // OpenSSL caches the extensions in it.
    const bool has_usage = (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0;
    if (!has_usage || (X509_get_extended_key_usage(leaf) & XKU_SSL_SERVER) == 0) {
      problem = "it is not meant for servers (extended key usage serverAuth is missing)";
    }
  } else if (auto id = host_id_of(*certificate); id) {
    peer_host_id_ = std::move(*id);
  } else {
    problem = id.error().what;
  }
  if (problem.empty()) { return 1; }
  verify_failure_ =
      PathError{PathFailure::tls_identity,
                fmt::format("the certificate of {} is not acceptable: {}; {}",
                            peer_word().substr(4), problem, to_string(describe(*certificate)))};
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);  // The peer gets bad_certificate.
  return 0;
}

/// OpenSSL calls back once for each certificate of the chain that it has found good, from the root
/// down. Source: internal_verify() of crypto/x509/x509_vfy.c, 3.0.
bool TlsEngine::in_bounds(const X509& certificate) {
  const CertificateInfo info = describe(certificate);
  const TimeBounds before = *within_;
  if (const auto both = overlap(before, term_of(info))) {
    within_ = both;
    return true;
  }
  const CertificateInfo& own = context_->own_certificate();
  const std::string theirs =
      fmt::format("the certificate of {} is not valid at any time from {} to {}: {}", peer_word(),
                  to_iso8601(before.from), to_iso8601(before.to), to_string(info));
  if (wall_now_ > own.not_after) {
    verify_failure_ = PathError{
        PathFailure::tls_expired,
        fmt::format("the certificate {} has expired, or this machine's clock, which says {}, is "
                    "ahead: {}; {}",
                    context_->names().certificate, to_iso8601(wall_now_), to_string(own), theirs)};
  } else {
    verify_failure_ = PathError{PathFailure::clock,
                                fmt::format("this machine's clock says {}, which cannot be; {}",
                                            to_iso8601(wall_now_), theirs)};
  }
  return false;
}

void TlsEngine::explain_verify_error(int error, const X509* certificate) {
  const std::string_view peer = peer_word();
  const std::string who = certificate != nullptr ? to_string(describe(*certificate)) : "no details";
  const std::string clock = to_iso8601(wall_now_);
  switch (error) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
      verify_failure_ = PathError{
          PathFailure::clock,
          fmt::format("this machine's clock says {}, but the certificate of {} begins later: {}",
                      clock, peer, who)};
      return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      if (wall_now_ < context_->clock_floor()) {
        verify_failure_ = PathError{
            PathFailure::clock,
            fmt::format("this machine's clock says {}, before {} when it was last known right; "
                        "certificate of {}: {}",
                        clock, to_iso8601(context_->clock_floor()), peer, who)};
        return;
      }
      verify_failure_ = PathError{PathFailure::tls_expired,
                                  fmt::format("the certificate of {} has expired: {}; this "
                                              "machine's clock says {}",
                                              peer, who, clock)};
      return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      verify_failure_ = PathError{
          PathFailure::tls_identity,
          fmt::format("the certificate of {} is for [{}], expected server_name \"{}\"; {}", peer,
                      certificate != nullptr ? subject_alt_names_text(*certificate) : "none",
                      context_->server_name(), who)};
      return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      verify_failure_ =
          PathError{PathFailure::tls_identity,
                    fmt::format("the certificate of {} is not signed by our CA {} ({}): {}", peer,
                                context_->names().ca, X509_verify_cert_error_string(error), who),
                    context_->role() == TlsRole::client};
      return;
    default:
      verify_failure_ = PathError{PathFailure::tls_identity,
                                  fmt::format("the certificate of {} is not acceptable: {}: {}",
                                              peer, X509_verify_cert_error_string(error), who)};
      return;
  }
}

}  // namespace edge::tunnel
