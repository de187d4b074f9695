// The host's half: a key and a request, and whether an identity is one for this host.
#include "tunnel/io/identity.hpp"

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tunnel/io/tls_engine.hpp"

namespace edge::tunnel {
namespace {

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
  /// Of the list only: what is in it is owned elsewhere.
  void operator()(STACK_OF(X509) * list) const { sk_X509_free(list); }
};

/// Pre: `chain` is not empty. Dates are not looked at: a bundle may keep an old CA for a while.
Result<void> must_chain(const std::vector<CertificatePtr>& chain,
                        const std::vector<CertificatePtr>& roots) {
  const std::unique_ptr<X509_STORE, FreeStore> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, FreeStore> context(X509_STORE_CTX_new());
  const std::unique_ptr<STACK_OF(X509), FreeStore> others(sk_X509_new_null());
  if (!store || !context || !others) { return fail(Errc::no_space, "no memory for OpenSSL"); }
  for (const CertificatePtr& root : roots) { X509_STORE_add_cert(store.get(), root.get()); }
  for (std::size_t i = 1; i < chain.size(); ++i) { sk_X509_push(others.get(), chain[i].get()); }
  if (X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), others.get()) != 1) {
    return fail(Errc::no_space, take_openssl_error());
  }
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT);
  const int good = X509_verify_cert(context.get());
  ERR_clear_error();
  if (good == 1) { return {}; }
  return fail(Errc::invalid_input,
              fmt::format("it does not lead to a CA of its bundle: {}: {}",
                          X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())),
                          to_string(describe(*chain.front()))));
}

}  // namespace

Result<IdentityRequest> make_identity_request(std::string_view host_id) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const RequestPtr request(X509_REQ_new());
  if (!key || !request) { return fail(Errc::no_space, "make a key: " + take_openssl_error()); }
  X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  const bool made =
      X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(host_id.data()),
                                 static_cast<int>(host_id.size()), -1, 0) == 1 &&
      X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0;
  if (!made) { return fail(Errc::no_space, "make a request: " + take_openssl_error()); }
  IdentityRequest out{.key_pem = to_pem(*key), .csr_pem = to_pem(*request)};
  if (out.key_pem.empty() || out.csr_pem.empty()) {
    return fail(Errc::no_space, "write a request: " + take_openssl_error());
  }
  return out;
}

Result<IdentityFacts> judge_identity(const TlsMaterial& material, std::string_view host_id) {
  auto chain = read_certificates(material.certificate_pem, identity_certificates_max);
  if (!chain) { return fail_in("certificate", chain.error()); }
  auto roots = read_certificates(material.ca_pem, identity_certificates_max);
  if (!roots) { return fail_in("CA bundle", roots.error()); }
  EDGE_ASSIGN(const KeyPtr key, read_private_key(material.key_pem));
  for (const CertificatePtr& root : *roots) {
    if (X509_check_ca(root.get()) == 0) {
      return fail(Errc::invalid_input,
                  fmt::format("CA bundle: not a CA certificate: {}", to_string(describe(*root))));
    }
  }
  X509& leaf = *chain->front();
  if (X509_check_private_key(&leaf, key.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid_input, fmt::format("the key is not that of the certificate ({})",
                                                 to_string(describe(leaf))));
  }
  EDGE_ASSIGN(const std::string id, host_id_of(leaf));
  if (id != host_id) {
    return fail(Errc::invalid_input,
                fmt::format("the certificate is for host \"{}\", this is \"{}\"", id, host_id));
  }
  EDGE_TRY(must_chain(*chain, *roots));
  IdentityFacts out{.certificate = describe(leaf), .fingerprint = fingerprint_of(leaf)};
  if (out.certificate.not_after <= out.certificate.not_before) {
    return fail(Errc::invalid_input, fmt::format("the certificate ends before it begins ({})",
                                                 to_string(out.certificate)));
  }
  return out;
}

}  // namespace edge::tunnel
