#include "tunnel/io/tls_context.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/assert.hpp"
#include "base/net.hpp"
#include "base/unique_fd.hpp"
#include "tunnel/io/tls_engine.hpp"

namespace edge::tunnel {
namespace {

constexpr std::size_t pem_bytes_max = 1U << 20;
constexpr unsigned char alpn_wire[] = {9, 'g', 'a', 'l', 'l', 'i', 'u', 'm', '/', '1'};
constexpr long chain_bytes_max = 16L << 10;  ///< Five certificates of RSA 4096 and more.
constexpr unsigned char session_context[] = "gallium/1";

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Certificate = std::unique_ptr<X509, FreeX509>;

Result<std::string> read_file(std::string_view role, const std::string& path) {
  if (path.empty()) {
    return fail(Errc::invalid_input, fmt::format("{}: no file is configured", role));
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) { return fail_errno(errno, fmt::format("{} file {}", role, path)); }
  std::string text;
  char buffer[8192];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) { continue; }
    if (got < 0) { return fail_errno(errno, fmt::format("{} file {}", role, path)); }
    if (got == 0) { return text; }
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > pem_bytes_max) {
      return fail(Errc::invalid_input,
                  fmt::format("{} file {}: larger than {} bytes", role, path, pem_bytes_max));
    }
  }
}

/// What the file begins with, so that a person sees which file was taken.
std::string beginning(std::string_view text) {
  std::string line(text.substr(0, std::min<std::size_t>(text.find('\n'), 32)));
  for (char& c : line) {
    if (c < 0x20 || c > 0x7e) { c = '?'; }
  }
  return text.empty() ? "the file is empty" : fmt::format("it begins with \"{}\"", line);
}

std::unique_ptr<BIO, FreeBio> memory(const std::string& text) {
  return std::unique_ptr<BIO, FreeBio>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::vector<Certificate>> parse_certificates(std::string_view role, const std::string& pem,
                                                    const std::string& name) {
  std::vector<Certificate> out;
  const auto bio = memory(pem);
  ERR_clear_error();
  for (;;) {
    Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!certificate) { break; }
    out.push_back(std::move(certificate));
  }
  const unsigned long last = ERR_peek_last_error();
  const bool end_of_file =
      ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (out.empty()) {
    return fail(Errc::invalid_input,
                fmt::format("{} file {}: no readable PEM certificate in it; {}", role, name,
                            beginning(pem)));
  }
  if (!end_of_file) {
    return fail(Errc::invalid_input, fmt::format("{} file {}: certificate {} in it is damaged",
                                                 role, name, out.size() + 1));
  }
  return out;
}

int refuse_password(char*, int, int, void*) { return -1; }

Result<std::unique_ptr<EVP_PKEY, FreeKey>> parse_key(const std::string& pem,
                                                     const std::string& name) {
  if (pem.find("ENCRYPTED") != std::string::npos) {
    return fail(Errc::invalid_input,
                fmt::format("key file {}: the key is encrypted; expected a key without a password "
                            "in a file of mode 0600",
                            name));
  }
  const auto bio = memory(pem);
  std::unique_ptr<EVP_PKEY, FreeKey> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, &refuse_password, nullptr));
  ERR_clear_error();
  if (!key) {
    // Never the content of a file that is meant to hold a key.
    return fail(
        Errc::invalid_input,
        fmt::format("key file {}: no readable PEM private key in it ({} bytes)", name, pem.size()));
  }
  return key;
}

Result<void> use_identity(SSL_CTX* ctx, const std::vector<Certificate>& chain, EVP_PKEY* key,
                          const TlsFiles& names) {
  X509* leaf = chain.front().get();
  if (X509_check_private_key(leaf, key) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid_input,
                fmt::format("key file {} does not match certificate file {} ({})", names.key,
                            names.certificate, to_string(describe(*leaf))));
  }
  if (SSL_CTX_use_certificate(ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1) {
    return fail(Errc::invalid_input, fmt::format("certificate file {}: OpenSSL refuses it: {}",
                                                 names.certificate, take_openssl_error()));
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(ctx, chain[i].get()) != 1) {
      return fail(Errc::invalid_input, fmt::format("certificate file {}: certificate {}: {}",
                                                   names.certificate, i + 1, take_openssl_error()));
    }
  }
  return {};
}

Result<void> trust(SSL_CTX* ctx, const std::vector<Certificate>& roots, const std::string& name) {
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (const Certificate& root : roots) {
    if (X509_check_ca(root.get()) == 0) {
      return fail(Errc::invalid_input, fmt::format("ca file {}: not a CA certificate: {}", name,
                                                   to_string(describe(*root))));
    }
    if (X509_STORE_add_cert(store, root.get()) != 1) {
      return fail(Errc::invalid_input, fmt::format("ca file {}: {}", name, take_openssl_error()));
    }
  }
  return {};
}

Result<void> expect_name(SSL_CTX* ctx, const std::string& server_name) {
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(ctx);
  if (parse_ip(server_name)) {
    X509_VERIFY_PARAM_set1_ip_asc(param, server_name.c_str());
    return {};
  }
  const bool characters = std::all_of(server_name.begin(), server_name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
  // A leading dot would mean "any subdomain" to OpenSSL.
  if (server_name.empty() || server_name.size() > 253 || !characters ||
      server_name.front() == '.') {
    return fail(Errc::invalid_input,
                fmt::format("server_name \"{}\": expected a DNS name of 1..253 characters or an "
                            "address",
                            server_name));
  }
  X509_VERIFY_PARAM_set_hostflags(
      param, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  X509_VERIFY_PARAM_set1_host(param, server_name.data(), server_name.size());
  return {};
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, alpn_wire, sizeof alpn_wire, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/// Everything that does not depend on who we are. Source: facts tunnel 5.7, 5.8.
bool apply_policy(SSL_CTX* ctx, TlsRole role) {
  SSL_CTX_set_security_level(ctx, 2);
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  // A write may be retried from another buffer; idle connections hold no record buffers.
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1);  // One recv for header and body of a record.
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify_depth(ctx, 4);
  SSL_CTX_set_max_cert_list(ctx, chain_bytes_max);  // Anybody may send one: kept until judged.
  if (role == TlsRole::server) { SSL_CTX_set_alpn_select_cb(ctx, &select_alpn, nullptr); }
  // SSL_CTX_set_alpn_protos returns 0 for success, unlike its siblings.
  return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") ==
             1 &&
         SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1 &&
         SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
         SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1) == 1 &&
         (role == TlsRole::server ||
          SSL_CTX_set_alpn_protos(ctx, alpn_wire, sizeof alpn_wire) == 0);
}

WallTime system_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::optional<PathError> check_dates(std::string_view role, const std::string& file,
                                     const CertificateInfo& info, WallTime now, WallTime floor) {
  if (now < info.not_before) {
    return PathError{PathFailure::clock,
                     fmt::format("this machine's clock says {}, before the {} {} begins: {}",
                                 to_iso8601(now), role, file, to_string(info))};
  }
  if (now <= info.not_after) { return std::nullopt; }
  if (now < floor) {
    return PathError{
        PathFailure::clock,
        fmt::format("this machine's clock says {}, which is before {} when it was last "
                    "known right; {} {}: {}",
                    to_iso8601(now), to_iso8601(floor), role, file, to_string(info))};
  }
  return PathError{PathFailure::tls_expired,
                   fmt::format("the {} {} has expired: {}; this machine's clock says {}", role,
                               file, to_string(info), to_iso8601(now))};
}

}  // namespace

Result<TlsMaterial> load_tls_files(const TlsFiles& files) {
  TlsMaterial out{.ca_pem = {}, .certificate_pem = {}, .key_pem = {}, .names = files};
  EDGE_ASSIGN(out.ca_pem, read_file("ca", files.ca));
  EDGE_ASSIGN(out.certificate_pem, read_file("certificate", files.certificate));
  EDGE_ASSIGN(out.key_pem, read_file("key", files.key));
  return out;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::create(TlsRole role,
                                                             const TlsMaterial& material,
                                                             TlsOptions options) {
  const TlsFiles& names = material.names;
  EDGE_ASSIGN(const auto roots, parse_certificates("ca", material.ca_pem, names.ca));
  EDGE_ASSIGN(const auto chain,
              parse_certificates("certificate", material.certificate_pem, names.certificate));
  EDGE_ASSIGN(const auto key, parse_key(material.key_pem, names.key));

  std::shared_ptr<TlsContext> out(new TlsContext);
  out->ctx_.reset(SSL_CTX_new(role == TlsRole::client ? TLS_client_method() : TLS_server_method()));
  SSL_CTX* ctx = out->ctx_.get();
  if (ctx == nullptr || !apply_policy(ctx, role)) {
    return fail(Errc::unsupported, "OpenSSL refuses our TLS policy: " + take_openssl_error());
  }
  EDGE_TRY(trust(ctx, roots, names.ca));
  EDGE_TRY(use_identity(ctx, chain, key.get(), names));
  if (role == TlsRole::client) { EDGE_TRY(expect_name(ctx, options.server_name)); }
  const int mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(ctx, mode, &TlsEngine::verify_callback);

  out->role_ = role;
  out->options_ = std::move(options);
  out->names_ = names;
  out->own_ = describe(*chain.front());
  out->ca_ = describe(*roots.front());
  for (const Certificate& root : roots) {
    CertificateInfo info = describe(*root);
    if (info.not_after > out->ca_.not_after) { out->ca_ = std::move(info); }
  }
  return out;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::open(TlsRole role, const TlsFiles& files,
                                                           TlsOptions options) {
  EDGE_ASSIGN(const TlsMaterial material, load_tls_files(files));
  return create(role, material, std::move(options));
}

TlsContext::~TlsContext() = default;

WallTime TlsContext::wall_now() const {
  return options_.wall_clock ? options_.wall_clock() : system_now();
}

std::optional<TimeBounds> TlsContext::bounds_now() const {
  return options_.bounds ? options_.bounds() : std::nullopt;
}

std::optional<PathError> TlsContext::own_validity() const {
  const WallTime now = wall_now();
  if (const auto bounds = bounds_now(); bounds && overlap(*bounds, term_of(ca_))) {
    return std::nullopt;
  }
  if (auto bad = check_dates("certificate", names_.certificate, own_, now, options_.clock_floor)) {
    return bad;
  }
  return check_dates("ca", names_.ca, ca_, now, options_.clock_floor);
}

}  // namespace edge::tunnel
