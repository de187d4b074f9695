#include "tunnel/io/path_failure.hpp"

#include <cerrno>

namespace edge::tunnel {

std::string_view to_string(PathFailure cause) {
  switch (cause) {
    case PathFailure::carrier: return "carrier";
    case PathFailure::lease: return "lease";
    case PathFailure::gateway: return "gateway";
    case PathFailure::dns: return "dns";
    case PathFailure::tcp_refused: return "tcp_refused";
    case PathFailure::tcp_timeout: return "tcp_timeout";
    case PathFailure::tcp_unreachable: return "tcp_unreachable";
    case PathFailure::proxy: return "proxy";
    case PathFailure::proxy_auth: return "proxy_auth";
    case PathFailure::portal: return "portal";
    case PathFailure::tls_identity: return "tls_identity";
    case PathFailure::tls_expired: return "tls_expired";
    case PathFailure::clock: return "clock";
    case PathFailure::tls_rejected: return "tls_rejected";
    case PathFailure::tls_protocol: return "tls_protocol";
    case PathFailure::tls_timeout: return "tls_timeout";
    case PathFailure::console: return "console";
    case PathFailure::silence: return "silence";
    case PathFailure::closed: return "closed";
    case PathFailure::local: return "local";
  }
  return "unknown";
}

std::string_view classify(PathFailure cause) {
  switch (cause) {
    case PathFailure::carrier: return "carrier";
    case PathFailure::lease: return "lease";
    case PathFailure::gateway: return "gateway";
    case PathFailure::dns: return "dns";
    case PathFailure::tcp_refused:
    case PathFailure::tcp_timeout:
    case PathFailure::tcp_unreachable:
    case PathFailure::silence:
    case PathFailure::local: return "tcp";
    case PathFailure::proxy:
    case PathFailure::proxy_auth: return "proxy";
    case PathFailure::portal: return "portal";
    case PathFailure::clock: return "clock";
    case PathFailure::tls_identity:
    case PathFailure::tls_expired:
    case PathFailure::tls_rejected:
    case PathFailure::tls_protocol:
    case PathFailure::tls_timeout: return "tls";
    case PathFailure::console:
    case PathFailure::closed: return "console";
  }
  return "tcp";
}

bool is_lasting(PathFailure cause) {
  return cause == PathFailure::tls_expired || cause == PathFailure::tls_rejected ||
         cause == PathFailure::proxy_auth;
}

PathFailure cause_of_connect_errno(int os_errno) {
  switch (os_errno) {
    case ENODEV:
    case ENETDOWN: return PathFailure::carrier;
    case EADDRNOTAVAIL: return PathFailure::lease;
    case ECONNREFUSED: return PathFailure::tcp_refused;
    case ETIMEDOUT: return PathFailure::tcp_timeout;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ECONNABORTED:  // SOCK_DESTROY.
    case ENOPROTOOPT:   // ICMP protocol unreachable.
    case EPERM:         // Dropped by a local output rule.
    case EACCES: return PathFailure::tcp_unreachable;
    case ECONNRESET:  // Accepted, then reset before we looked: as a reset during the handshake.
    case EPIPE: return PathFailure::tls_protocol;
    default: return PathFailure::local;
  }
}

PathFailure cause_of_stream_errno(int os_errno) {
  switch (os_errno) {
    case ENODEV:
    case ENETDOWN: return PathFailure::carrier;
    case ETIMEDOUT:  // TCP_USER_TIMEOUT or keepalive.
    case ENETUNREACH:
    case EHOSTUNREACH: return PathFailure::silence;
    case ECONNRESET:
    case ECONNABORTED:  // SOCK_DESTROY.
    case EPIPE: return PathFailure::closed;
    default: return PathFailure::local;
  }
}

}  // namespace edge::tunnel
