// The sending half of one channel.
#include "tunnel/core/send_channel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace edge::tunnel {

bool SendChannel::fits(std::size_t bytes, SendRoom room) const {
  if (held_frames() == 0) { return true; }
  const bool reserved = room == SendRoom::reserved;
  const std::size_t frames_max =
      limits_.queue_frames_max + (reserved ? limits_.reserved_frames : 0);
  const std::size_t bytes_max = limits_.queue_bytes_max + (reserved ? limits_.reserved_bytes : 0);
  return held_frames() < frames_max && held_bytes() + bytes <= bytes_max;
}

Result<void> SendChannel::push(Bytes payload, SendRoom room) {
  if (payload.size() > limits_.payload_bytes_max) {
    return fail(Errc::invalid_input,
                fmt::format("channel {}: payload of {} bytes exceeds {}", index_of(channel_),
                            payload.size(), limits_.payload_bytes_max));
  }
  if (limits_.overflow == Overflow::drop_oldest) {
    while (!fits(payload.size(), room) && !waiting_.empty()) { drop_oldest(); }
  }
  if (!fits(payload.size(), room)) {
    if (limits_.overflow == Overflow::refuse) {
      return fail(Errc::no_space, fmt::format("channel {}: {} bytes in {} frames wait for the peer",
                                              index_of(channel_), held_bytes(), held_frames()));
    }
    ++dropped_;  // All room is taken by frames in flight: the newest is the one to go.
    return {};
  }
  waiting_bytes_ += payload.size();
  waiting_.push_back({std::move(payload), std::exchange(dropped_, 0)});
  return {};
}

/// The count moves to the next payload that is still waiting, in front of which the gap now is.
void SendChannel::drop_oldest() {
  const std::uint64_t dropped = waiting_.front().dropped_before + 1;
  waiting_bytes_ -= waiting_.front().payload.size();
  waiting_.pop_front();
  if (waiting_.empty()) {
    dropped_ += dropped;
  } else {
    waiting_.front().dropped_before += dropped;
  }
}

std::size_t SendChannel::next_payload_bytes() const {
  const Waiting& next = waiting_.front();
  return next.dropped_before > 0 ? sizeof(std::uint64_t) : next.payload.size();
}

/// The first frame in flight may be larger than the window, the others share it.
bool SendChannel::can_launch() const {
  if (waiting_.empty() || in_flight_.size() >= window_frames) { return false; }
  return in_flight_.empty() || in_flight_bytes_ + next_payload_bytes() <=
                                   std::min(limits_.window_bytes_max, allowance_bytes_);
}

InFlight* SendChannel::launch(MonoTime now) {
  if (!can_launch()) { return nullptr; }
  Waiting& next = waiting_.front();
  const std::size_t payload_bytes = next_payload_bytes();
  FrameHeader header{.type = FrameType::data,
                     .flags = flag_critical,
                     .channel = static_cast<std::uint16_t>(index_of(channel_)),
                     .seq = next_seq_};
  Bytes frame;
  if (next.dropped_before > 0) {
    header.flags |= flag_gap;
    Bytes count;
    put(count, std::exchange(next.dropped_before, 0));
    frame = encode_frame(header, count);
  } else {
    frame = encode_frame(header, next.payload);
    waiting_bytes_ -= next.payload.size();
    waiting_.pop_front();
  }
  ++next_seq_;
  in_flight_bytes_ += payload_bytes;
  return &in_flight_.emplace_back(InFlight{.seq = header.seq,
                                           .bytes = std::make_shared<const Bytes>(std::move(frame)),
                                           .payload_bytes = payload_bytes,
                                           .sent_at = now,
                                           .copy_at = std::nullopt});
}

Result<SendChannel::Freed> SendChannel::on_ack(std::uint64_t next_expected,
                                               std::span<const SackRange> sacks) {
  const std::uint64_t claimed = sacks.empty() ? next_expected - 1 : sacks.back().last;
  if (std::max(next_expected - 1, claimed) >= next_seq_) {
    return fail(Errc::corrupt, fmt::format("channel {}: ack of {}, but only {} were sent",
                                           index_of(channel_), claimed, next_seq_ - 1));
  }
  Freed freed;
  while (!in_flight_.empty() && in_flight_.front().seq < next_expected) {
    const InFlight& entry = in_flight_.front();
    freed.bytes += entry.payload_bytes;
    if (!entry.repeated) { freed.sent_at = entry.sent_at; }
    in_flight_bytes_ -= entry.payload_bytes;
    in_flight_.pop_front();
  }
  if (in_flight_.empty()) { return freed; }
  const std::uint64_t first = in_flight_.front().seq;  // In flight is contiguous.
  for (const SackRange& range : sacks) {
    for (std::uint64_t seq = std::max(range.first, first); seq <= range.last; ++seq) {
      InFlight& entry = in_flight_[seq - first];
      entry.bytes.reset();
      entry.copy_at.reset();
    }
  }
  return freed;
}

}  // namespace edge::tunnel
