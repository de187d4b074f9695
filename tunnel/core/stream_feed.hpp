// The way of the streams' frames into their session.
#pragma once

#include "base/assert.hpp"
#include "tunnel/core/session.hpp"
#include "tunnel/core/stream_mux.hpp"

namespace edge::tunnel {

/// Moves as much as the session has room for. Call it after each input of either engine, before
/// Session::take_actions(). True: something moved.
inline bool feed_streams(Session& session, StreamMux& mux, MonoTime now) {
  // A session that has just begun: SessionStarted is on its way to the multiplexer.
  if (session.id() != mux.session()) { return false; }
  bool moved = false;
  while (session.stream_room() > 0) {
    auto frame = mux.next(session.stream_frame_bytes());
    if (!frame) { break; }
    // Room was asked for, and no frame is larger than a DATA payload may be.
    EDGE_ASSERT(session.send(Channel::streams, std::move(*frame), now).has_value());
    moved = true;
  }
  return moved;
}

}  // namespace edge::tunnel
