// A dial against the listener, judged by how it ends.
#pragma once

#include "fixture.hpp"

namespace edge::tunnel::testing_support {

/// Goal: a good pair connects; each kind of bad certificate, name, clock and peer ends with its
/// own cause and a text that names the value.
/// Method: listener and dial on 127.0.0.1 in one loop; certificates from memory; a set clock.
class HandshakeTest : public TunnelIoTest {
 protected:
  /// Dials the listener with `tls`; expects the dial itself to fail.
  PathError dial_error(std::shared_ptr<const TlsContext> tls) {
    auto result = dial_now(std::move(tls), request_to(port));
    if (result) { return {PathFailure::local, "the dial succeeded"}; }
    return result.error().error;
  }

  /// Dials and waits for the end of the stream: the Console judges after our handshake returned.
  PathError end_after_dial(std::shared_ptr<const TlsContext> tls) {
    auto result = dial_now(std::move(tls), request_to(port));
    if (!result) { return result.error().error; }
    host.stream = std::move(result->stream);
    host.start();
    EXPECT_TRUE(run_until([&] { return host.closed.has_value(); }));
    return host.closed.value_or(PathError{});
  }
};

}  // namespace edge::tunnel::testing_support
