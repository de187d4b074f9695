#include "uplink/daemon/path_break.hpp"

#include <string>
#include <string_view>

namespace edge::uplink {

namespace {

Step step_of(tunnel::PathFailure cause) {
  const std::string_view name = tunnel::classify(cause);
  for (const Step step : {Step::carrier, Step::lease, Step::gateway, Step::dns, Step::tcp,
                          Step::proxy, Step::portal, Step::clock, Step::tls, Step::console}) {
    if (to_string(step) == name) { return step; }
  }
  return Step::tcp;
}

}  // namespace

PathBreak break_of(const tunnel::PathError& error) {
  const Step step = step_of(error.cause);
  return {.step = step,
          .text = error.text,
          .lasting = tunnel::is_lasting(error.cause),
          .refused = error.cause == tunnel::PathFailure::tcp_refused};
}

tunnel::PathCause session_cause(tunnel::PathFailure cause) {
  switch (cause) {
    case tunnel::PathFailure::carrier: return tunnel::PathCause::carrier;
    case tunnel::PathFailure::lease: return tunnel::PathCause::address;
    case tunnel::PathFailure::silence: return tunnel::PathCause::write_stall;
    case tunnel::PathFailure::tls_protocol: return tunnel::PathCause::reset;
    case tunnel::PathFailure::gateway:
    case tunnel::PathFailure::dns:
    case tunnel::PathFailure::tcp_refused:
    case tunnel::PathFailure::tcp_timeout:
    case tunnel::PathFailure::tcp_unreachable:
    case tunnel::PathFailure::proxy:
    case tunnel::PathFailure::proxy_auth:
    case tunnel::PathFailure::portal:
    case tunnel::PathFailure::tls_identity:
    case tunnel::PathFailure::tls_expired:
    case tunnel::PathFailure::clock:
    case tunnel::PathFailure::tls_rejected:
    case tunnel::PathFailure::tls_timeout:
    case tunnel::PathFailure::console:
    case tunnel::PathFailure::closed:
    case tunnel::PathFailure::local: return tunnel::PathCause::eof;
  }
  return tunnel::PathCause::eof;
}

}  // namespace edge::uplink
