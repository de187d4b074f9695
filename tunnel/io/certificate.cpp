#include "tunnel/io/certificate.hpp"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <string_view>

#include "base/host_id.hpp"

namespace edge::tunnel {
namespace {

constexpr std::size_t name_chars_max = 256;
constexpr std::string_view host_prefix = "urn:gallium:host:";

/// RFC 2253 form: control characters and bytes above 127 are escaped, so a hostile name stays in
/// its line.
std::string one_line(const X509_NAME* name) {
  const std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_mem()), &BIO_free);
  if (!out || name == nullptr) { return "?"; }
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  std::string text(data, static_cast<std::size_t>(size > 0 ? size : 0));
  if (text.size() > name_chars_max) {
    text.resize(name_chars_max);
    text += "...";
  }
  return text.empty() ? "(empty)" : text;
}

WallTime to_wall(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) { return WallTime{}; }
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

std::string serial_hex(const X509& certificate) {
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr), &BN_free);
  if (!number) { return "?"; }
  char* hex = BN_bn2hex(number.get());
  if (hex == nullptr) { return "?"; }
  std::string text(hex);
  OPENSSL_free(hex);
  for (char& c : text) {
    if (c >= 'A' && c <= 'F') { c = static_cast<char>(c - 'A' + 'a'); }
  }
  return text;
}

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
using Names = std::unique_ptr<GENERAL_NAMES, FreeNames>;

Names subject_alt_names(const X509& certificate) {
  return Names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
}

std::string_view view(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 64));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) { c = '?'; }
  }
  return out;
}

}  // namespace

CertificateInfo describe(const X509& certificate) {
  return CertificateInfo{.subject = one_line(X509_get_subject_name(&certificate)),
                         .issuer = one_line(X509_get_issuer_name(&certificate)),
                         .serial = serial_hex(certificate),
                         .not_before = to_wall(X509_get0_notBefore(&certificate)),
                         .not_after = to_wall(X509_get0_notAfter(&certificate))};
}

std::string to_string(const CertificateInfo& info) {
  return "subject " + info.subject + ", issuer " + info.issuer + ", valid " +
         to_iso8601(info.not_before) + " to " + to_iso8601(info.not_after);
}

std::string to_iso8601(WallTime time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) { return "?"; }
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, size);
}

std::string subject_alt_names_text(const X509& certificate) {
  constexpr int shown_max = 8;
  const Names names = subject_alt_names(certificate);
  std::string out;
  int shown = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()) && shown < shown_max; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::string item;
    if (name->type == GEN_DNS) {
      item = "DNS " + printable(view(name->d.dNSName));
    } else if (name->type == GEN_URI) {
      item = "URI " + printable(view(name->d.uniformResourceIdentifier));
    } else if (name->type == GEN_IPADD && name->d.iPAddress->length == 4) {
      const unsigned char* b = name->d.iPAddress->data;
      item = "IP " + std::to_string(b[0]) + "." + std::to_string(b[1]) + "." +
             std::to_string(b[2]) + "." + std::to_string(b[3]);
    } else if (name->type == GEN_IPADD) {
      item = "IP (IPv6)";
    } else {
      continue;
    }
    out += (out.empty() ? "" : ", ") + item;
    ++shown;
  }
  return out.empty() ? "none" : out;
}

Result<std::string> host_id_of(const X509& certificate) {
  const Names names = subject_alt_names(certificate);
  std::string found;
  int count = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) { continue; }
    const std::string_view uri = view(name->d.uniformResourceIdentifier);
    if (!uri.starts_with(host_prefix)) { continue; }
    found = uri.substr(host_prefix.size());
    ++count;
  }
  if (count != 1) {
    return fail(Errc::invalid_input,
                "the certificate has " + std::to_string(count) +
                    " URI names urn:gallium:host:ID, expected exactly one (its names: " +
                    subject_alt_names_text(certificate) + ")");
  }
  if (!is_host_id(found)) {
    return fail(Errc::invalid_input, "host id \"" + printable(found) +
                                         "\" in the certificate is not " +
                                         std::string(host_id_form));
  }
  return found;
}

}  // namespace edge::tunnel
