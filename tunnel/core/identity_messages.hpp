// What host and Console say on channel 1 to renew the host's certificate. PROTOCOL.md section 11.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <variant>

#include <boost/json/object.hpp>

#include "base/error.hpp"

namespace edge::tunnel {

inline constexpr std::size_t csr_bytes_max = 8192;
inline constexpr std::size_t identity_pem_bytes_max = 65536;
inline constexpr std::size_t generation_bytes_max = 64;

/// Console to host, first in each new session of a Console that signs, and when it orders a
/// renewal.
struct SignerOffer {
  std::string generation;  ///< Opaque: another one than the host's identity came with: renew.
  std::chrono::seconds spread{0};  ///< 0..86400: a host that wants one asks within it.
  bool now = false;                ///< Renew at once, whatever is due.
  bool operator==(const SignerOffer&) const = default;
};

/// Host to Console: sign this.
struct RenewRequest {
  std::string id;   ///< Pairs it with its answer; 1..64 bytes.
  std::string csr;  ///< PKCS #10, PEM.
  bool operator==(const RenewRequest&) const = default;
};

/// Console to host. Either `problem`, or all the others.
struct RenewAnswer {
  std::string id;
  std::string problem;      ///< One line for people; empty: it was signed.
  std::string certificate;  ///< PEM: the leaf, then intermediates.
  std::string ca;           ///< PEM: all that the host is to trust from then on.
  std::string generation;
  bool operator==(const RenewAnswer&) const = default;
};

std::string encode(const SignerOffer& message);
std::string encode(const RenewRequest& message);
std::string encode(const RenewAnswer& message);

/// Of a message with that `type`. Errors: invalid_input, one line: a member is missing, of another
/// type, or beyond its bounds.
Result<SignerOffer> decode_signer_offer(const boost::json::object& message);
Result<RenewRequest> decode_renew_request(const boost::json::object& message);
Result<RenewAnswer> decode_renew_answer(const boost::json::object& message);

}  // namespace edge::tunnel
