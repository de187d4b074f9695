// Certificates and keys as text, for the renewal of identities at both ends.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace edge::tunnel {

struct FreeOpenssl {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using CertificatePtr = std::unique_ptr<X509, FreeOpenssl>;
using RequestPtr = std::unique_ptr<X509_REQ, FreeOpenssl>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeOpenssl>;

/// All certificates of a PEM text, in its order; 1..`count_max`. What is between them is skipped.
/// Errors: invalid_input (none, too many, damaged).
Result<std::vector<CertificatePtr>> read_certificates(std::string_view pem, std::size_t count_max);
/// Errors: invalid_input (no key, or one with a password); never says what the text was.
Result<KeyPtr> read_private_key(std::string_view pem);
/// Errors: invalid_input.
Result<RequestPtr> read_request(std::string_view pem);

std::string to_pem(X509& certificate);
std::string to_pem(X509_REQ& request);
/// Without a password. Empty: OpenSSL could not.
std::string to_pem(EVP_PKEY& key);

/// SHA-256 of the certificate's DER form, hex in lower case.
std::string fingerprint_of(const X509& certificate);
std::string sha256_hex(std::string_view bytes);

}  // namespace edge::tunnel
