#include "tunnel/io/pem.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>

namespace edge::tunnel {
namespace {

using BioPtr = std::unique_ptr<BIO, FreeOpenssl>;

BioPtr bio_over(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_in(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

int no_password(char*, int, int, void*) { return -1; }

std::string hex_of(const unsigned char* bytes, unsigned count) {
  std::string out;
  for (unsigned i = 0; i < count; ++i) { out += fmt::format("{:02x}", bytes[i]); }
  return out;
}

}  // namespace

Result<std::vector<CertificatePtr>> read_certificates(std::string_view pem, std::size_t count_max) {
  std::vector<CertificatePtr> out;
  const BioPtr bio = bio_over(pem);
  ERR_clear_error();
  while (CertificatePtr one{PEM_read_bio_X509(bio.get(), nullptr, &no_password, nullptr)}) {
    if (out.size() == count_max) {
      return fail(Errc::invalid_input, fmt::format("more than {} certificates", count_max));
    }
    out.push_back(std::move(one));
  }
  const unsigned long last = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (out.empty()) { return fail(Errc::invalid_input, "no readable PEM certificate"); }
  if (!at_end) {
    return fail(Errc::invalid_input, fmt::format("certificate {} is damaged", out.size() + 1));
  }
  return out;
}

Result<KeyPtr> read_private_key(std::string_view pem) {
  ERR_clear_error();
  KeyPtr key(PEM_read_bio_PrivateKey(bio_over(pem).get(), nullptr, &no_password, nullptr));
  ERR_clear_error();
  if (!key) { return fail(Errc::invalid_input, "no readable PEM private key without a password"); }
  return key;
}

Result<RequestPtr> read_request(std::string_view pem) {
  ERR_clear_error();
  RequestPtr request(PEM_read_bio_X509_REQ(bio_over(pem).get(), nullptr, &no_password, nullptr));
  ERR_clear_error();
  if (!request) { return fail(Errc::invalid_input, "no readable PEM certificate request"); }
  return request;
}

std::string to_pem(X509& certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), &certificate);
  return text_in(out.get());
}

std::string to_pem(X509_REQ& request) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(out.get(), &request);
  return text_in(out.get());
}

std::string to_pem(EVP_PKEY& key) {
  const BioPtr out(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PrivateKey(out.get(), &key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_in(out.get());
}

std::string fingerprint_of(const X509& certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned count = 0;
  if (X509_digest(&certificate, EVP_sha256(), digest.data(), &count) != 1) { return "?"; }
  return hex_of(digest.data(), count);
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned count = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &count, EVP_sha256(), nullptr) != 1) {
    return "?";
  }
  return hex_of(digest.data(), count);
}

}  // namespace edge::tunnel
