// What ended a dial or a connection, in the words of the path engine and of the session.
#pragma once

#include "tunnel/core/session.hpp"
#include "tunnel/io/path_failure.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

/// The step that a dial or a connection failed at.
PathBreak break_of(const tunnel::PathError& error);
/// The step that a path which the session gave up is broken at.
PathBreak break_of(const tunnel::PathDead& dead);
/// What was sent may have vanished for its size: a broken path MTU drops large packets without a
/// word (RFC 2923 2.1).
/// A stall of ours is among them: the connection fell silent all the same.
bool may_have_been_too_large(tunnel::PathCause cause);
/// Why an attached connection is gone, as the session tells the other end.
tunnel::PathCause session_cause(tunnel::PathFailure cause);

}  // namespace edge::uplink
