// What a certificate says, as values: who it is, who signed it, from when to when.
#pragma once

#include <openssl/x509.h>

#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "tunnel/core/clock_trust.hpp"

namespace edge::tunnel {

/// The parts of a certificate that people and policies look at.
struct CertificateInfo {
  std::string subject;  ///< One line, "CN=hv-01,O=Example".
  std::string issuer;
  std::string serial;  ///< Hex, lower case.
  WallTime not_before{};
  WallTime not_after{};
};

CertificateInfo describe(const X509& certificate);
inline TimeBounds term_of(const CertificateInfo& info) { return {info.not_before, info.not_after}; }

/// "subject CN=a, issuer CN=b, valid 2026-01-01T00:00:00Z to 2027-01-01T00:00:00Z".
std::string to_string(const CertificateInfo& info);

/// ISO 8601 UTC in whole seconds.
std::string to_iso8601(WallTime time);

/// The subject alternative names for people: "DNS a.example, IP 10.0.0.1"; "none".
std::string subject_alt_names_text(const X509& certificate);

/// The id of the one URI SAN urn:gallium:host:<id>.
/// Errors: invalid_input when there is none, more than one, or <id> is not [a-z0-9][a-z0-9-]{0,31}.
Result<std::string> host_id_of(const X509& certificate);

}  // namespace edge::tunnel
