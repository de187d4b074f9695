// The session's frames from the peer. Whatever breaks a rule costs the path, never memory.
#include <fmt/format.h>

#include <algorithm>

#include "tunnel/core/session.hpp"

namespace edge::tunnel {

void Session::on_frame(PathId id, Frame frame, MonoTime now) {
  observe(now);
  if (Path* path = find(id)) {
    path->health.on_received(now);
    path->frame_began.reset();
    ++path->rx_frames;
    dispatch(*path, std::move(frame), now);
  }
  settle(now);
}

void Session::on_bytes(PathId id, MonoTime now) {
  Path* path = find(id);
  if (path == nullptr) { return; }
  path->health.on_received(now);
  if (!path->frame_began) { path->frame_began = now; }
}

void Session::on_waiting_segments(PathId id, std::uint32_t count, MonoTime now) {
  if (Path* path = find(id)) { path->health.on_waiting_segments(count, now); }
}

void Session::on_decode_error(PathId path, const Error& error, MonoTime now) {
  observe(now);
  if (find(path) != nullptr) { violate(path, error.what, now); }
  settle(now);
}

void Session::dispatch(Path& path, Frame frame, MonoTime now) {
  const PathId id = path.id;
  Result<void> outcome;
  switch (frame.header.type) {
    case FrameType::ping: outcome = on_ping(path, frame.payload, now); break;
    case FrameType::pong: outcome = on_pong(path, frame.payload, now); break;
    case FrameType::path_view: outcome = on_path_view(path, frame.payload, now); break;
    case FrameType::path_status: outcome = on_path_status(path, frame.payload, now); break;
    case FrameType::goaway: outcome = on_goaway(path, frame.payload, now); break;
    case FrameType::error: outcome = on_error(path, frame.payload, now); break;
    case FrameType::ack: outcome = on_ack(path, frame.payload, now); break;
    case FrameType::data: outcome = on_data(std::move(frame), now); break;
    case FrameType::hello:
    case FrameType::welcome:
    case FrameType::window:
    case FrameType::stream_open:
    case FrameType::stream_data:
    case FrameType::stream_fin:
    case FrameType::stream_rst:
      outcome = fail(Errc::corrupt, fmt::format("unexpected {}", to_string(frame.header.type)));
      break;
  }
  if (!outcome) { violate(id, outcome.error().what, now); }
}

Result<void> Session::on_ping(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(const Ping ping, decode_ping(payload));
  if (!path.control_budget.take(now)) { return fail(Errc::corrupt, "PING flood"); }
  if (ping.nonce <= path.ping_nonce) {
    return fail(Errc::corrupt, fmt::format("PING nonce {} after {}", ping.nonce, path.ping_nonce));
  }
  path.ping_nonce = ping.nonce;
  if (path.knows_newest_view()) { path.peer_view = ping.view; }
  write(path.id, SendKind::control,
        std::make_shared<const Bytes>(encode(Pong{.nonce = ping.nonce,
                                                  .send_time_us = ping.send_time_us,
                                                  .active_serial = active_serial_,
                                                  .view = view_of(path),
                                                  .rx_frames = path.rx_frames})));
  if ((ping.view & view_active) != 0) { adopt_active(path.id, ping.active_serial, now); }
  return {};
}

Result<void> Session::on_pong(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(const Pong pong, decode_pong(payload));
  path.health.on_pong(pong.nonce, now);
  if (path.knows_newest_view()) { path.peer_view = pong.view; }
  choice_dirty_ = true;  // A new srtt may start or end a lead.
  return {};
}

Result<void> Session::on_path_status(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(const PathStatus status, decode_path_status(payload));
  if (!path.control_budget.take(now)) { return fail(Errc::corrupt, "PATH_STATUS flood"); }
  const auto about = std::ranges::find(
      paths_, status.wire_id, [](const Path& candidate) { return candidate.facts.wire_id; });
  if (about == paths_.end()) { return {}; }  // Both ends may have noticed at once.
  if (status.state == PathStatus::State::active) {
    adopt_active(about->id, status.active_serial, now);
  } else {
    remove_path(about->id, status.cause, true,
                fmt::format("the peer last heard it {} ms ago", status.last_rx_age.count()), now);
  }
  return {};
}

/// What it says over the path itself is newer than what it said before over this one. More of them
/// than a PING's budget are not heard: the PINGs say the same.
Result<void> Session::on_path_view(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(const ViewOfPath view, decode_path_view(payload));
  if (!path.view_budget.take(now)) { return {}; }
  const auto about = std::ranges::find(
      paths_, view.wire_id, [](const Path& candidate) { return candidate.facts.wire_id; });
  if (about == paths_.end() || view.nonce < about->ping_nonce || view.nonce < about->view_nonce) {
    return {};
  }
  about->view_nonce = view.nonce;
  about->peer_view = view.view;
  return {};
}

Result<void> Session::on_goaway(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(Goaway goaway, decode_goaway(payload));
  if (!path.control_budget.take(now)) { return fail(Errc::corrupt, "GOAWAY flood"); }
  path.draining = true;
  choice_dirty_ = true;
  emit(PeerGoaway{path.id, std::move(goaway)});
  return {};
}

Result<void> Session::on_error(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(const ErrorMessage error, decode_error(payload));
  std::string why = error.code == ErrorCode::revoked
                        ? error.what  // It says so itself.
                        : fmt::format("{}: {}", to_string(error.code), error.what);
  remove_path(path.id, PathCause::peer_error, true, std::move(why), now);
  return {};
}

Result<void> Session::on_ack(Path& path, ByteSpan payload, MonoTime now) {
  EDGE_ASSIGN(const Ack ack, decode_ack(payload));
  for (const ChannelAck& channel : ack.channels) {
    const std::size_t index = index_of(channel.channel);
    std::uint64_t& before = path.acked_by_peer[index];
    // A path keeps its order, and so do the acks of one receiver.
    if (channel.next_expected < before) {
      return fail(Errc::corrupt, fmt::format("channel {}: ack of {} after {}", index,
                                             channel.next_expected, before));
    }
    before = channel.next_expected;
    const std::size_t in_flight = send_[index].in_flight_bytes();
    EDGE_ASSIGN(const auto freed, send_[index].on_ack(channel.next_expected, channel.sacks));
    if (channel.channel == Channel::streams && freed.bytes > 0) {
      on_streams_acked(freed, in_flight, now);
    }
  }
  return {};
}

void Session::on_streams_acked(const SendChannel::Freed& freed, std::size_t in_flight_before,
                               MonoTime now) {
  const Path* path = active_ ? find(*active_) : nullptr;
  if (!freed.sent_at || path == nullptr || !path->health.srtt()) { return; }
  const bool full = in_flight_before >= pace_.allowed() / 2;
  pace_.on_acked(freed.bytes, now - *freed.sent_at, *path->health.srtt(), full, now);
  send_[index_of(Channel::streams)].set_allowance(pace_.allowed());
}

Result<void> Session::on_data(Frame frame, MonoTime now) {
  const auto channel = static_cast<Channel>(frame.header.channel);
  if (frame.header.channel >= channel_count) {
    return fail(Errc::corrupt, "DATA on an unknown channel");
  }
  const bool droppable = channel == Channel::telemetry || channel == Channel::bulk;
  const bool is_gap = (frame.header.flags & flag_gap) != 0;
  if (channel == Channel::streams && !peer_streams_) {
    return fail(Errc::corrupt, "DATA of streams, which were not agreed on");
  }
  if (is_gap && (!droppable || frame.payload.size() != sizeof(std::uint64_t))) {
    return fail(Errc::corrupt, fmt::format("channel {}: bad gap marker", index_of(channel)));
  }
  std::vector<Frame> ready;
  const std::size_t payload_bytes = frame.payload.size();
  EDGE_ASSIGN(const auto outcome, receive_[index_of(channel)].accept(std::move(frame), ready));
  if (outcome == ReceiveChannel::Outcome::duplicate) {
    ++stats_.duplicates;  // Acknowledged again, but late: a flood of them must not become one of
                          // acks.
  } else if (channel == Channel::streams) {
    stream_bytes_unacked_ += payload_bytes;
  } else {
    ++ack_pending_frames_;
  }
  if (!ack_due_) { ack_due_ = now + options_.ack_delay; }
  for (Frame& next : ready) {
    if ((next.header.flags & flag_gap) != 0) {
      emit(DeliverGap{channel, *ByteReader(next.payload).take<std::uint64_t>()});
    } else {
      ++stats_.delivered;
      emit(Deliver{channel, std::move(next.payload)});
    }
  }
  return {};
}

}  // namespace edge::tunnel
