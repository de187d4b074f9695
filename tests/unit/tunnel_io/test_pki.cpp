#include "test_pki.hpp"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/assert.hpp"

namespace edge::tunnel::testing_support {
namespace {

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string to_pem(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  std::string out = text_of(bio);
  BIO_free(bio);
  return out;
}

std::string to_pem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::string out = text_of(bio);
  BIO_free(bio);
  return out;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  EDGE_ASSERT(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void set_time(ASN1_TIME* out, WallTime when) {
  ASN1_TIME_set(out, std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count());
}

X509* blank(const std::string& common_name, EVP_PKEY* key, WallTime from, WallTime to) {
  static long serial = 1000;
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  set_time(X509_getm_notBefore(certificate), from);
  set_time(X509_getm_notAfter(certificate), to);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return certificate;
}

}  // namespace

TestCa::TestCa(const std::string& common_name) : key_(EVP_EC_gen("P-256")) {
  certificate_.reset(blank(common_name, key_.get(), pki_now - Days(3650), pki_now + Days(3650)));
  X509* self = certificate_.get();
  X509_set_issuer_name(self, X509_get_subject_name(self));
  add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
  X509_sign(self, key_.get(), EVP_sha256());
  pem_ = to_pem(self);
}

std::string TestCa::key_pem() const { return to_pem(key_.get()); }

PemPair TestCa::issue(const CertificateOptions& options) const {
  const std::unique_ptr<EVP_PKEY, FreeKey> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, FreeX509> leaf(
      blank(options.common_name, key.get(), options.not_before, options.not_after));
  X509* issuer = certificate_.get();
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
  add_extension(leaf.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  if (!options.alt_names.empty()) {
    add_extension(leaf.get(), issuer, NID_subject_alt_name, options.alt_names);
  }
  if (!options.extended_usage.empty()) {
    add_extension(leaf.get(), issuer, NID_ext_key_usage, options.extended_usage);
  }
  X509_sign(leaf.get(), key_.get(), EVP_sha256());
  return {.certificate = to_pem(leaf.get()), .key = to_pem(key.get())};
}

PemPair TestCa::console(const std::string& alt_names) const {
  return issue(
      {.common_name = "console.test", .alt_names = alt_names, .extended_usage = "serverAuth"});
}

PemPair TestCa::host(const std::string& id) const {
  return issue({.common_name = id,
                .alt_names = "URI:urn:gallium:host:" + id,
                .extended_usage = "clientAuth"});
}

}  // namespace edge::tunnel::testing_support
