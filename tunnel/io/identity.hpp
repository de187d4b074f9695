// A host's identity renewed: the host's half (key, request, judging what came) and the Console's
// (signing).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "tunnel/core/identity_messages.hpp"
#include "tunnel/io/certificate.hpp"
#include "tunnel/io/pem.hpp"
#include "tunnel/io/tls_context.hpp"

namespace edge::tunnel {

/// A fresh key, which never leaves the host, and the request that proves its possession.
struct IdentityRequest {
  std::string key_pem;  ///< EC P-256, PKCS #8.
  std::string csr_pem;  ///< PKCS #10 (RFC 2986); its subject is only for people.
};
/// Errors: no_space (OpenSSL could not).
Result<IdentityRequest> make_identity_request(std::string_view host_id);

/// Most that a certificate file, or what a Console sends in its place, may hold.
inline constexpr std::size_t identity_certificates_max = 32;

/// What an identity is, once it is known to be usable by this host.
struct IdentityFacts {
  CertificateInfo certificate;
  std::string fingerprint;  ///< SHA-256 of the leaf, hex.
};

/// Whether this host may show it: the key is the certificate's; it has the one URI SAN of `host_id`
/// and allows clientAuth; it chains to a CA in the bundle. Dates are not judged here.
/// Errors: invalid_input with what does not fit.
Result<IdentityFacts> judge_identity(const TlsMaterial& material, std::string_view host_id);

/// What the Console made of a request.
struct SignedIdentity {
  std::string certificate_pem;  ///< Leaf, then intermediates.
  CertificateInfo certificate;
};

/// Role: the Console's CA for hosts. The names come from who asks, never from the request.
/// Time: passed in. Threads: one.
class IdentitySigner {
 public:
  static constexpr std::size_t request_bytes_max = csr_bytes_max;
  /// How far back a certificate begins: the clocks of hosts differ.
  static constexpr std::chrono::minutes backdated{5};

  /// `ca_pem` signs (an intermediate may be followed by those above it), `bundle_pem` is what hosts
  /// are told to trust from then on. `name` is only for messages.
  /// Errors: invalid_input, one line: not readable, not a CA, another key, a CA that the bundle
  /// does not lead to.
  static Result<std::unique_ptr<const IdentitySigner>> create(const std::string& ca_pem,
                                                              const std::string& key_pem,
                                                              const std::string& bundle_pem,
                                                              std::chrono::hours lifetime,
                                                              const std::string& name);

  /// Signs for `host_id` alone. The end is at most that of the CA.
  /// Pre: host_id is that of the authenticated connection.
  /// Errors: invalid_input (no request, a bad signature of it, a kind of key that is not EC P-256
  /// or P-384), denied (the CA is not valid now), no_space (OpenSSL could not).
  Result<SignedIdentity> sign(std::string_view host_id, std::string_view csr_pem,
                              WallTime now) const;

  const std::string& bundle_pem() const { return bundle_pem_; }
  /// Another one: hosts need another identity than they have. Opaque, at most 32 characters.
  const std::string& generation() const { return generation_; }
  const CertificateInfo& ca() const { return ca_info_; }

 private:
  IdentitySigner() = default;

  CertificatePtr ca_;
  KeyPtr key_;
  std::string chain_pem_;  ///< What follows the leaf.
  std::string bundle_pem_;
  std::string generation_;
  CertificateInfo ca_info_;
  std::chrono::hours lifetime_{};
};

}  // namespace edge::tunnel
