// The binary messages: PING, PONG, PATH_VIEW, ACK.
#include <fmt/format.h>

#include "base/assert.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {
namespace {

constexpr std::size_t ping_bytes = 24;
constexpr std::size_t pong_bytes = 32;
constexpr std::size_t path_view_bytes = 16;
constexpr std::size_t ack_channel_bytes = 12;  ///< Without ranges, as it is mostly.

void put_reserved(Bytes& out) { out.insert(out.end(), 3, std::byte{0}); }

std::unexpected<Error> bad(std::string_view what) { return fail(Errc::corrupt, what); }

}  // namespace

Bytes encode(const Ping& ping) {
  Bytes payload;
  payload.reserve(ping_bytes);
  put(payload, ping.nonce);
  put(payload, ping.send_time_us);
  put(payload, ping.active_serial);
  put(payload, ping.view);
  put_reserved(payload);
  return encode_frame({.type = FrameType::ping, .flags = flag_critical}, payload);
}

/// Longer payloads are accepted: a later version may append fields.
Result<Ping> decode_ping(ByteSpan payload) {
  if (payload.size() < ping_bytes) {
    return bad(fmt::format("PING: {} bytes, at least {} are needed", payload.size(), ping_bytes));
  }
  ByteReader reader(payload);
  Ping ping;
  ping.nonce = *reader.take<std::uint64_t>();
  ping.send_time_us = *reader.take<std::uint64_t>();
  ping.active_serial = *reader.take<std::uint32_t>();
  ping.view = *reader.take<std::uint8_t>();
  return ping;
}

Bytes encode(const Pong& pong) {
  Bytes payload;
  payload.reserve(pong_bytes);
  put(payload, pong.nonce);
  put(payload, pong.send_time_us);
  put(payload, pong.active_serial);
  put(payload, pong.view);
  put_reserved(payload);
  put(payload, pong.rx_frames);
  return encode_frame({.type = FrameType::pong, .flags = flag_critical}, payload);
}

Result<Pong> decode_pong(ByteSpan payload) {
  if (payload.size() < pong_bytes) {
    return bad(fmt::format("PONG: {} bytes, at least {} are needed", payload.size(), pong_bytes));
  }
  ByteReader reader(payload);
  Pong pong;
  pong.nonce = *reader.take<std::uint64_t>();
  pong.send_time_us = *reader.take<std::uint64_t>();
  pong.active_serial = *reader.take<std::uint32_t>();
  pong.view = *reader.take<std::uint8_t>();
  for (int i = 0; i < 3; ++i) { reader.take<std::uint8_t>(); }
  pong.rx_frames = *reader.take<std::uint64_t>();
  return pong;
}

Bytes encode(const ViewOfPath& view) {
  Bytes payload;
  payload.reserve(path_view_bytes);
  put(payload, view.wire_id);
  put(payload, view.view);
  put_reserved(payload);
  put(payload, view.nonce);
  return encode_frame({.type = FrameType::path_view}, payload);
}

Result<ViewOfPath> decode_path_view(ByteSpan payload) {
  if (payload.size() < path_view_bytes) {
    return bad(fmt::format("PATH_VIEW: {} bytes, at least {} are needed", payload.size(),
                           path_view_bytes));
  }
  ByteReader reader(payload);
  ViewOfPath view;
  view.wire_id = *reader.take<std::uint32_t>();
  view.view = *reader.take<std::uint8_t>();
  for (int i = 0; i < 3; ++i) { reader.take<std::uint8_t>(); }
  view.nonce = *reader.take<std::uint64_t>();
  return view;
}

Bytes encode(const Ack& ack) {
  EDGE_ASSERT(ack.channels.size() <= channel_count);
  Bytes payload;
  payload.reserve(2 + ack.channels.size() * ack_channel_bytes);
  put(payload, static_cast<std::uint16_t>(ack.channels.size()));
  for (const ChannelAck& channel : ack.channels) {
    EDGE_ASSERT(channel.sacks.size() <= sack_ranges_max);
    put(payload, static_cast<std::uint16_t>(channel.channel));
    put(payload, static_cast<std::uint16_t>(channel.sacks.size()));
    put(payload, channel.next_expected);
    for (const SackRange& range : channel.sacks) {
      put(payload, range.first);
      put(payload, range.last);
    }
  }
  return encode_frame({.type = FrameType::ack, .flags = flag_critical}, payload);
}

namespace {

Result<ChannelAck> decode_channel_ack(ByteReader& reader) {
  const auto channel = reader.take<std::uint16_t>();
  const auto sack_count = reader.take<std::uint16_t>();
  const auto next_expected = reader.take<std::uint64_t>();
  if (!channel || !sack_count || !next_expected) { return bad("ACK: cut short"); }
  if (*channel >= channel_count) {
    return bad(fmt::format("ACK: channel {} is out of range 0..{}", *channel, channel_count - 1));
  }
  if (*sack_count > sack_ranges_max) {
    return bad(fmt::format("ACK: {} ranges, at most {} are allowed", *sack_count, sack_ranges_max));
  }
  if (*next_expected == 0) { return bad("ACK: next expected 0; the first is 1"); }
  ChannelAck ack{
      .channel = static_cast<Channel>(*channel), .next_expected = *next_expected, .sacks = {}};
  std::uint64_t above = *next_expected;  // What is missing: a range starts beyond it.
  for (std::uint16_t i = 0; i < *sack_count; ++i) {
    const auto first = reader.take<std::uint64_t>();
    const auto last = reader.take<std::uint64_t>();
    if (!first || !last) { return bad("ACK: cut short"); }
    if (*first <= above || *last < *first) {
      return bad(fmt::format("ACK: range {}..{} after {} is not ascending", *first, *last, above));
    }
    ack.sacks.push_back({*first, *last});
    above = *last;
  }
  return ack;
}

}  // namespace

Result<Ack> decode_ack(ByteSpan payload) {
  ByteReader reader(payload);
  const auto count = reader.take<std::uint16_t>();
  if (!count) { return bad("ACK: cut short"); }
  if (*count > channel_count) {
    return bad(fmt::format("ACK: {} channels, at most {} are allowed", *count, channel_count));
  }
  Ack ack;
  for (std::uint16_t i = 0; i < *count; ++i) {
    EDGE_ASSIGN(ChannelAck channel, decode_channel_ack(reader));
    ack.channels.push_back(std::move(channel));
  }
  if (reader.left() != 0) { return bad(fmt::format("ACK: {} bytes too many", reader.left())); }
  return ack;
}

}  // namespace edge::tunnel
