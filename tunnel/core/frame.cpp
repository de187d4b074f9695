// Header codec and the incremental frame decoder.
#include "tunnel/core/frame.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"

namespace edge::tunnel {

std::string_view to_string(FrameType type) {
  switch (type) {
    case FrameType::hello: return "HELLO";
    case FrameType::welcome: return "WELCOME";
    case FrameType::ping: return "PING";
    case FrameType::pong: return "PONG";
    case FrameType::path_status: return "PATH_STATUS";
    case FrameType::goaway: return "GOAWAY";
    case FrameType::error: return "ERROR";
    case FrameType::path_view: return "PATH_VIEW";
    case FrameType::data: return "DATA";
    case FrameType::ack: return "ACK";
    case FrameType::window: return "WINDOW";
    case FrameType::stream_open: return "STREAM_OPEN";
    case FrameType::stream_data: return "STREAM_DATA";
    case FrameType::stream_fin: return "STREAM_FIN";
    case FrameType::stream_rst: return "STREAM_RST";
  }
  return "unknown";
}

namespace {

/// What version 1 allows of each type that it knows.
struct TypeRule {
  std::size_t payload_bytes_max;
  bool in_handshake;
  bool in_session;
};

std::optional<TypeRule> rule_of(const FrameHeader& header) {
  switch (header.type) {
    case FrameType::hello:
    case FrameType::welcome: return TypeRule{hello_bytes_max, true, false};
    case FrameType::ping:
    case FrameType::path_view:
    case FrameType::pong: return TypeRule{heartbeat_bytes_max, false, true};
    case FrameType::path_status:
    case FrameType::ack: return TypeRule{control_bytes_max, false, true};
    case FrameType::goaway:
    case FrameType::error: return TypeRule{control_bytes_max, true, true};
    case FrameType::data: {
      const bool commands = header.channel == index_of(Channel::commands);
      return TypeRule{commands ? command_bytes_max : frame_bytes_max, false, true};
    }
    case FrameType::window:
    case FrameType::stream_open:
    case FrameType::stream_data:
    case FrameType::stream_fin:
    case FrameType::stream_rst: return std::nullopt;
  }
  return std::nullopt;
}

std::unexpected<Error> bad_header(const std::string& what) { return fail(Errc::corrupt, what); }

Result<HeaderVerdict> validate_unknown(const FrameHeader& header, DecodePhase phase) {
  const auto type = static_cast<unsigned>(header.type);
  if (phase == DecodePhase::handshake) {
    return bad_header(
        fmt::format("frame type 0x{:02x} before WELCOME: only HELLO, WELCOME, GOAWAY "
                    "and ERROR are allowed",
                    type));
  }
  if ((header.flags & flag_critical) != 0) {
    return bad_header(fmt::format("unknown frame type 0x{:02x} is marked critical", type));
  }
  if (header.length > frame_bytes_max) {
    return bad_header(fmt::format("unknown frame type 0x{:02x}: length {} exceeds {}", type,
                                  header.length, frame_bytes_max));
  }
  return HeaderVerdict::skip;
}

}  // namespace

std::array<std::byte, header_bytes> encode_header(const FrameHeader& header) {
  std::array<std::byte, header_bytes> raw{};
  auto out = raw.begin();
  const auto append = [&out](auto field) { out = std::ranges::copy(big_endian(field), out).out; };
  append(static_cast<std::uint8_t>(header.type));
  append(header.flags);
  append(header.channel);
  append(header.length);
  append(header.seq);
  return raw;
}

FrameHeader decode_header(std::span<const std::byte, header_bytes> bytes) {
  ByteReader reader(bytes);
  FrameHeader header;
  header.type = static_cast<FrameType>(*reader.take<std::uint8_t>());
  header.flags = *reader.take<std::uint8_t>();
  header.channel = *reader.take<std::uint16_t>();
  header.length = *reader.take<std::uint32_t>();
  header.seq = *reader.take<std::uint64_t>();
  return header;
}

Result<HeaderVerdict> validate_header(const FrameHeader& header, DecodePhase phase) {
  const auto rule = rule_of(header);
  if (!rule) { return validate_unknown(header, phase); }
  const auto name = to_string(header.type);
  if (phase == DecodePhase::handshake && !rule->in_handshake) {
    return bad_header(fmt::format("{} before WELCOME", name));
  }
  if (phase == DecodePhase::session && !rule->in_session) {
    return bad_header(fmt::format("a second {} on one connection", name));
  }
  if (header.length > rule->payload_bytes_max) {
    return bad_header(
        fmt::format("{}: length {} exceeds {}", name, header.length, rule->payload_bytes_max));
  }
  if (header.type != FrameType::data) {
    if (header.channel == 0 && header.seq == 0) { return HeaderVerdict::accept; }
    return bad_header(
        fmt::format("{}: channel {} and seq {} must be 0", name, header.channel, header.seq));
  }
  if (header.channel >= channel_count) {
    return bad_header(
        fmt::format("DATA: channel {} is out of range 0..{}", header.channel, channel_count - 1));
  }
  if (header.seq == 0) { return bad_header("DATA: seq 0; the first is 1"); }
  return HeaderVerdict::accept;
}

Bytes encode_frame(FrameHeader header, ByteSpan payload) {
  EDGE_ASSERT(payload.size() <= command_bytes_max);
  header.length = static_cast<std::uint32_t>(payload.size());
  const auto raw = encode_header(header);
  Bytes out;
  out.reserve(header_bytes + payload.size());
  out.insert(out.end(), raw.begin(), raw.end());
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Result<void> FrameDecoder::feed(ByteSpan bytes, std::vector<Frame>& out) {
  if (failed_) { return std::unexpected(*failed_); }
  for (;;) {
    if (!in_payload_) {
      const std::size_t take = std::min(bytes.size(), header_bytes - header_have_);
      std::copy_n(bytes.begin(), take,
                  header_raw_.begin() + static_cast<std::ptrdiff_t>(header_have_));
      header_have_ += take;
      bytes = bytes.subspan(take);
      if (header_have_ < header_bytes) { return {}; }
      EDGE_TRY(finish_header());
    }
    const std::size_t take = std::min(bytes.size(), payload_left_);
    if (!skipping_) {
      payload_.insert(payload_.end(), bytes.begin(),
                      bytes.begin() + static_cast<std::ptrdiff_t>(take));
    }
    payload_left_ -= take;
    bytes = bytes.subspan(take);
    if (payload_left_ > 0) { return {}; }
    finish_frame(out);
  }
}

Result<void> FrameDecoder::finish_header() {
  header_ = decode_header(header_raw_);
  const auto verdict = validate_header(header_, phase_);
  if (!verdict) {
    failed_ = verdict.error();
    return std::unexpected(verdict.error());
  }
  skipping_ = *verdict == HeaderVerdict::skip;
  payload_left_ = header_.length;
  in_payload_ = true;
  return {};
}

void FrameDecoder::finish_frame(std::vector<Frame>& out) {
  in_payload_ = false;
  header_have_ = 0;
  if (skipping_) { return; }
  if (header_.type == FrameType::hello || header_.type == FrameType::welcome) {
    phase_ = DecodePhase::session;
  }
  out.push_back({header_, std::move(payload_)});
  payload_ = {};
}

}  // namespace edge::tunnel
