// A private CA in memory: certificates of any shape for tests, made with the OpenSSL API.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"

namespace edge::tunnel::testing_support {

using Days = std::chrono::duration<int, std::ratio<86400>>;

/// The moment all test certificates are made around; tests set the clock near it.
inline constexpr WallTime pki_now{std::chrono::seconds(1'800'000'000)};  // 2027-01-15

struct PemPair {
  std::string certificate;
  std::string key;
};

struct CertificateOptions {
  std::string common_name;
  /// OpenSSL's text form: "DNS:console.test,IP:127.0.0.1" or "URI:urn:gallium:host:hv-01".
  std::string alt_names;
  std::string extended_usage;  ///< "serverAuth", "clientAuth" or empty: none.
  WallTime not_before = pki_now - Days(10);
  WallTime not_after = pki_now + Days(10);
};

/// A self-signed CA that signs leaves. P-256 keys.
class TestCa {
 public:
  explicit TestCa(const std::string& common_name);
  const std::string& pem() const { return pem_; }
  std::string key_pem() const;
  PemPair issue(const CertificateOptions& options) const;
  PemPair console(const std::string& alt_names) const;
  PemPair host(const std::string& id) const;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  struct FreeX509 {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  std::unique_ptr<EVP_PKEY, FreeKey> key_;
  std::unique_ptr<X509, FreeX509> certificate_;
  std::string pem_;
};

}  // namespace edge::tunnel::testing_support
