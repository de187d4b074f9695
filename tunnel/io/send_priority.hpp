// How the session's word for a frame's urgency is said to a connection.
#pragma once

#include "tunnel/core/session.hpp"
#include "tunnel/io/tls_stream.hpp"

namespace edge::tunnel {

inline SendPriority priority_of(SendKind kind) {
  switch (kind) {
    case SendKind::control:
    case SendKind::ack: return SendPriority::urgent;
    case SendKind::data: return SendPriority::normal;
    case SendKind::bulk: return SendPriority::bulk;
  }
  return SendPriority::normal;
}

}  // namespace edge::tunnel
