// The Console's half: one certificate per request, with names that it knows by itself.
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "tunnel/io/identity.hpp"
#include "tunnel/io/tls_engine.hpp"

namespace edge::tunnel {
namespace {

constexpr int serial_bytes = 16;

/// P-256 and P-384: what our TLS policy can show, and nothing that anybody could factor.
bool is_acceptable_key(EVP_PKEY* key) {
  std::array<char, 32> group{};
  std::size_t size = 0;
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) != 1) {
    return false;
  }
  const std::string_view name(group.data(), size);
  return name == "prime256v1" || name == "secp384r1";
}

bool set_serial(X509& certificate) {
  std::array<unsigned char, serial_bytes> bytes{};
  if (RAND_bytes(bytes.data(), serial_bytes) != 1) { return false; }
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3f) | 0x40);  // Positive, of one length.
  BIGNUM* number = BN_bin2bn(bytes.data(), serial_bytes, nullptr);
  const bool set = number != nullptr &&
                   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(&certificate)) != nullptr;
  BN_free(number);
  return set;
}

bool extend(X509& certificate, X509& issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  const bool added = extension != nullptr && X509_add_ext(&certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_moment(ASN1_TIME* out, WallTime when) {
  return ASN1_TIME_set(out,
                       std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count()) !=
         nullptr;
}

bool fill(X509& leaf, X509& ca, EVP_PKEY* subject_key, std::string_view host_id, WallTime from,
          WallTime to) {
  X509_NAME* subject = X509_get_subject_name(&leaf);
  return X509_set_version(&leaf, X509_VERSION_3) == 1 && set_serial(leaf) &&
         set_moment(X509_getm_notBefore(&leaf), from) &&
         set_moment(X509_getm_notAfter(&leaf), to) && X509_set_pubkey(&leaf, subject_key) == 1 &&
         X509_set_issuer_name(&leaf, X509_get_subject_name(&ca)) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(host_id.data()),
                                    static_cast<int>(host_id.size()), -1, 0) == 1 &&
         extend(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
         extend(leaf, ca, NID_key_usage, "critical,digitalSignature") &&
         extend(leaf, ca, NID_ext_key_usage, "clientAuth") &&
         extend(leaf, ca, NID_subject_alt_name, fmt::format("URI:urn:gallium:host:{}", host_id)) &&
         extend(leaf, ca, NID_subject_key_identifier, "hash") &&
         (X509_get0_subject_key_id(&ca) == nullptr ||
          extend(leaf, ca, NID_authority_key_identifier, "keyid"));
}

/// What a host can tell apart: whom it shall trust, and who signs.
std::string generation_of(const std::vector<CertificatePtr>& bundle, const X509& ca) {
  std::vector<std::string> prints;
  prints.reserve(bundle.size());
  for (const CertificatePtr& one : bundle) { prints.push_back(fingerprint_of(*one)); }
  std::ranges::sort(prints);
  std::string all = fingerprint_of(ca);
  for (const std::string& print : prints) { all += print; }
  return sha256_hex(all).substr(0, 32);
}

}  // namespace

Result<std::unique_ptr<const IdentitySigner>> IdentitySigner::create(const std::string& ca_pem,
                                                                     const std::string& key_pem,
                                                                     const std::string& bundle_pem,
                                                                     std::chrono::hours lifetime,
                                                                     const std::string& name) {
  const auto wrong = [&name](const std::string& what) {
    return fail(Errc::invalid_input, fmt::format("signer {}: {}", name, what));
  };
  auto chain = read_certificates(ca_pem, identity_certificates_max);
  if (!chain) { return wrong(chain.error().what); }
  auto key = read_private_key(key_pem);
  if (!key) { return wrong(key.error().what); }
  auto bundle = read_certificates(bundle_pem, identity_certificates_max);
  if (!bundle) { return wrong("the CA bundle for hosts: " + bundle.error().what); }

  std::unique_ptr<IdentitySigner> out(new IdentitySigner);
  out->ca_ = std::move(chain->front());
  out->ca_info_ = describe(*out->ca_);
  const std::string who = to_string(out->ca_info_);
  if (X509_check_ca(out->ca_.get()) == 0) { return wrong("not a CA certificate: " + who); }
  if (X509_check_private_key(out->ca_.get(), key->get()) != 1) {
    ERR_clear_error();
    return wrong("the key is not that of " + who);
  }
  bool trusted = false;
  for (const CertificatePtr& root : *bundle) {
    trusted = trusted || X509_cmp(root.get(), out->ca_.get()) == 0 ||
              X509_check_issued(root.get(), chain->size() > 1 ? chain->back().get()
                                                              : out->ca_.get()) == X509_V_OK;
  }
  ERR_clear_error();
  if (!trusted) { return wrong("the Console's own CA file does not lead to it: " + who); }
  // A root is in the bundle; only what lies between goes with the leaf.
  const bool self_signed = X509_check_issued(out->ca_.get(), out->ca_.get()) == X509_V_OK;
  if (!self_signed) { out->chain_pem_ = to_pem(*out->ca_); }
  for (std::size_t i = 1; i < chain->size(); ++i) { out->chain_pem_ += to_pem(*(*chain)[i]); }
  for (const CertificatePtr& root : *bundle) { out->bundle_pem_ += to_pem(*root); }
  out->generation_ = generation_of(*bundle, *out->ca_);
  out->key_ = std::move(*key);
  out->lifetime_ = lifetime;
  return out;
}

Result<SignedIdentity> IdentitySigner::sign(std::string_view host_id, std::string_view csr_pem,
                                            WallTime now) const {
  if (csr_pem.size() > request_bytes_max) {
    return fail(Errc::invalid_input, fmt::format("the request has {} bytes, at most {}",
                                                 csr_pem.size(), request_bytes_max));
  }
  EDGE_ASSIGN(const RequestPtr request, read_request(csr_pem));
  EVP_PKEY* subject_key = X509_REQ_get0_pubkey(request.get());
  if (!is_acceptable_key(subject_key)) {
    ERR_clear_error();
    return fail(Errc::invalid_input, "the request's key is not EC P-256 or P-384");
  }
  if (X509_REQ_verify(request.get(), subject_key) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid_input, "the request is not signed with its own key");
  }
  if (now < ca_info_.not_before || now >= ca_info_.not_after) {
    return fail(Errc::denied,
                fmt::format("the signer's CA is not valid now: {}", to_string(ca_info_)));
  }
  const CertificatePtr leaf(X509_new());
  const WallTime from = std::max(now - backdated, ca_info_.not_before);
  const WallTime to = std::min(now + lifetime_, ca_info_.not_after);
  if (!leaf || !fill(*leaf, *ca_, subject_key, host_id, from, to) ||
      X509_sign(leaf.get(), key_.get(), EVP_sha256()) == 0) {
    return fail(Errc::no_space, "sign a certificate: " + take_openssl_error());
  }
  return SignedIdentity{.certificate_pem = to_pem(*leaf) + chain_pem_,
                        .certificate = describe(*leaf)};
}

}  // namespace edge::tunnel
