// The TLS policy of both ends: TLS 1.3, ALPN gallium/1, a private CA, both sides authenticated.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "tunnel/core/clock_trust.hpp"
#include "tunnel/io/certificate.hpp"
#include "tunnel/io/path_failure.hpp"

namespace edge::tunnel {

/// PEM files. `certificate` may hold intermediates after the leaf; `ca` may hold several roots.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
};

/// The same in memory; the names are only for messages.
struct TlsMaterial {
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;
  TlsFiles names;
};

/// Errors: one line with the file: not_found (missing), denied (unreadable), invalid_input (larger
/// than 1 MiB). Nothing is parsed yet.
Result<TlsMaterial> load_tls_files(const TlsFiles& files);

enum class TlsRole : std::uint8_t { client, server };

struct TlsOptions {
  /// Client: what the Console's certificate must carry as a DNS SAN, or as an IP SAN when this is
  /// an address. Server: ignored.
  std::string server_name;
  /// The wall clock certificates are judged by; default: the system's. Tests and simulation set it.
  std::function<WallTime()> wall_clock;
  /// A clock before this is certainly wrong (build time, last time heard from the Console).
  WallTime clock_floor{};
  /// Asked once per handshake. With a value the terms of the peer's chain must share a moment of
  /// these bounds, instead of being in force at wall_clock: it is certainly wrong
  /// (tunnel/core/clock_trust.hpp). Default: never. Nothing else of the verification changes.
  std::function<std::optional<TimeBounds>()> bounds = {};
};

/// One immutable SSL_CTX with what verification needs. Shared by all connections made from it,
/// which keep it alive.
///
/// Peer rules. Client: chain to `ca`, server_name, EKU serverAuth present. Server: chain to `ca`,
/// EKU (if any) allows clientAuth, exactly one URI SAN urn:gallium:host:<id>. System roots are
/// never loaded. No tickets and no resumption: every handshake verifies the whole chain anew
/// (OpenSSL does not call the verify callback on resumption; facts: tunnel 0.8). The price is
/// 1.8 ms instead of 0.84 ms of server CPU per handshake.
///
/// Time: `wall_clock` and `bounds`, read once per handshake. Threads: one.
class TlsContext {
 public:
  /// Errors, each one line naming file and value: invalid_input for "not a PEM certificate", a
  /// key that does not match or is encrypted, a CA file with a certificate that is not a CA,
  /// an empty or malformed server_name. Dates are not an error here: see own_validity().
  static Result<std::shared_ptr<const TlsContext>> create(TlsRole role, const TlsMaterial& material,
                                                          TlsOptions options);
  /// load_tls_files and create.
  static Result<std::shared_ptr<const TlsContext>> open(TlsRole role, const TlsFiles& files,
                                                        TlsOptions options);

  /// What is wrong with the dates of our own certificate or CA now: tls_expired or clock, with
  /// file, dates and the clock's value; nullopt when both are valid, or the
  /// CA's term meets the bounds (which are within our own certificate's).
  std::optional<PathError> own_validity() const;

  const CertificateInfo& own_certificate() const { return own_; }
  TlsRole role() const { return role_; }
  const std::string& server_name() const { return options_.server_name; }
  const TlsFiles& names() const { return names_; }
  WallTime wall_now() const;
  std::optional<TimeBounds> bounds_now() const;
  WallTime clock_floor() const { return options_.clock_floor; }
  /// Never null; owned by this object.
  SSL_CTX* native() const { return ctx_.get(); }

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  struct FreeCtx {
    void operator()(SSL_CTX* ctx) const { SSL_CTX_free(ctx); }
  };
  TlsContext() = default;

  std::unique_ptr<SSL_CTX, FreeCtx> ctx_;
  TlsRole role_ = TlsRole::client;
  TlsOptions options_;
  TlsFiles names_;
  CertificateInfo own_;
  CertificateInfo ca_;  ///< The root that ends last: old ones may end during a rotation.
};

}  // namespace edge::tunnel
