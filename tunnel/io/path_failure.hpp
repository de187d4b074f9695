// Why a path cannot be used or has ended: one typed cause and one line for people.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace edge::tunnel {

/// The cause as this room sees it. `carrier`..`dns` may also be set by the owner of the path.
enum class PathFailure : std::uint8_t {
  carrier,          ///< The device is gone or down (ENODEV, ENETDOWN).
  lease,            ///< The source address is no longer on the device (EADDRNOTAVAIL).
  gateway,          ///< No route on the device, or its gateway does not answer ARP.
  dns,              ///< No address for the name, and none remembered.
  tcp_refused,      ///< RST to our SYN.
  tcp_timeout,      ///< No answer to our SYN.
  tcp_unreachable,  ///< ICMP unreachable, or forbidden here (firewall).
  proxy,            ///< The path's proxy is out of reach, answers nonsense, or makes no tunnel.
  proxy_auth,       ///< The proxy wants credentials that we do not have.
  portal,           ///< A captive portal answers in the Console's place.
  tls_identity,  ///< The peer's certificate: unknown issuer, wrong name, wrong purpose, no host id.
  tls_expired,   ///< A certificate is past its end, and the clock is plausible.
  clock,  ///< This machine's clock is wrong: a certificate "not yet valid", or a clock before the
          ///< floor.
  tls_rejected,  ///< The peer refused our certificate (an alert, often after our handshake
                 ///< returned).
  tls_protocol,  ///< Not our protocol: no TLS 1.3, no gallium/1, garbage, closed while shaking
                 ///< hands.
  tls_timeout,   ///< TCP is up but the TLS handshake did not end in time.
  console,  ///< The Console said no above TLS. Set by the owner: no WELCOME, RETRY_LATER, GOAWAY.
  silence,  ///< Nothing got through for too long: write deadline, TCP_USER_TIMEOUT, heartbeats.
  closed,   ///< An established path was closed or reset by the peer, or by us after a close().
  local,    ///< This program's own trouble: out of file descriptors or memory, bad input.
};

/// Lower case name of the cause, "tcp_refused"; for logs.
std::string_view to_string(PathFailure cause);

/// The rung of the ladder that is broken: carrier|lease|gateway|dns|tcp|proxy|portal|clock|tls|
/// console. silence -> tcp, closed -> console, local -> tcp.
std::string_view classify(PathFailure cause);

/// True when only a person or a new certificate can mend it: retry seldom (at last every 5 min).
/// Not so tls_identity: whose certificate it was is not known. A router or a firewall that answers
/// in the Console's place is gone as soon as its way is clean.
bool is_lasting(PathFailure cause);

/// A cause with its text: names the thing, the value and what was expected; one line.
struct PathError {
  PathFailure cause = PathFailure::local;
  std::string text;
  /// Our certificate does not fit the other end, or its issuer is none that we know: another
  /// identity of this host may.
  bool other_identity_helps = false;
};

template <class T>
using PathResult = std::expected<T, PathError>;

inline std::unexpected<PathError> path_fail(PathFailure cause, std::string text) {
  return std::unexpected(PathError{cause, std::move(text)});
}

/// The cause of a failed socket call while connecting. Pre: os_errno > 0.
PathFailure cause_of_connect_errno(int os_errno);
/// The cause of a failed socket call on an established connection. Pre: os_errno > 0.
PathFailure cause_of_stream_errno(int os_errno);

}  // namespace edge::tunnel
