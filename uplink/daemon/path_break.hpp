// What ended a dial or a connection, in the words of the path engine and of the session.
#pragma once

#include "tunnel/core/session.hpp"
#include "tunnel/io/path_failure.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

/// The step that a dial or a connection failed at.
PathBreak break_of(const tunnel::PathError& error);
/// Why an attached connection is gone, as the session tells the other end.
tunnel::PathCause session_cause(tunnel::PathFailure cause);

}  // namespace edge::uplink
