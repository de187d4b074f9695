// The 16-byte frame header, its limits, and an incremental decoder for one path.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/error.hpp"
#include "tunnel/core/bytes.hpp"

namespace edge::tunnel {

inline constexpr std::uint16_t protocol_version_min = 1;
inline constexpr std::uint16_t protocol_version_max = 1;
inline constexpr std::string_view alpn_protocol = "gallium/1";

inline constexpr std::size_t header_bytes = 16;
inline constexpr std::size_t hello_bytes_max = 8UZ * 1024;    ///< HELLO and WELCOME payload.
inline constexpr std::size_t control_bytes_max = 4UZ * 1024;  ///< PATH_STATUS, GOAWAY, ERROR, ACK.
inline constexpr std::size_t heartbeat_bytes_max = 64;        ///< PING, PONG.
inline constexpr std::size_t frame_bytes_max = 64UZ * 1024;   ///< DATA payload, any channel but 1.
inline constexpr std::size_t command_bytes_max = 1024UZ * 1024;  ///< DATA payload on channel 1.

enum class FrameType : std::uint8_t {
  // Path level: about the connection that carries it, never resent.
  hello = 0x01,
  welcome = 0x02,
  ping = 0x03,
  pong = 0x04,
  path_status = 0x05,
  goaway = 0x06,
  error = 0x07,
  path_view = 0x08,  ///< Not CRITICAL: a peer that does not know it skips it.
  // Session level.
  data = 0x10,  ///< Sequenced per channel.
  ack = 0x11,   ///< Unsequenced, idempotent.
  // Reserved for byte streams; version 1 treats them as unknown types.
  window = 0x20,
  stream_open = 0x21,
  stream_data = 0x22,
  stream_fin = 0x23,
  stream_rst = 0x24,
};
/// "HELLO", "DATA"; "unknown" for a type that version 1 does not know.
std::string_view to_string(FrameType type);

/// Session channels, most urgent first.
enum class Channel : std::uint8_t {
  control = 0,
  commands = 1,
  events = 2,
  telemetry = 3,
  bulk = 4,
  streams = 5,  ///< Only with a peer that has streams (HELLO and WELCOME say so).
};
inline constexpr std::size_t channel_count = 6;
inline constexpr std::size_t channel_count_without_streams = 5;
inline constexpr std::size_t index_of(Channel channel) { return static_cast<std::size_t>(channel); }

inline constexpr std::uint8_t flag_critical = 0x80;  ///< Receiver must know the type or give up.
inline constexpr std::uint8_t flag_gap = 0x01;  ///< DATA: a gap marker, payload is a u64 count.

/// `u8 type | u8 flags | u16 channel | u32 length | u64 seq`, big-endian.
struct FrameHeader {
  FrameType type = FrameType::data;
  std::uint8_t flags = 0;
  std::uint16_t channel = 0;
  std::uint32_t length = 0;  ///< Payload bytes that follow.
  std::uint64_t seq = 0;     ///< DATA: first is 1. All other known types: 0.
  bool operator==(const FrameHeader&) const = default;
};

std::array<std::byte, header_bytes> encode_header(const FrameHeader& header);
/// Splits the fields only; any 16 bytes decode. validate_header() judges them.
FrameHeader decode_header(std::span<const std::byte, header_bytes> bytes);

/// What the receiver may expect: before HELLO/WELCOME nearly nothing is allowed.
enum class DecodePhase { handshake, session };
enum class HeaderVerdict { accept, skip };

/// Called before a byte of payload is stored.
/// Errors: corrupt, naming the field, its value and what is allowed.
Result<HeaderVerdict> validate_header(const FrameHeader& header, DecodePhase phase);

struct Frame {
  FrameHeader header;
  Bytes payload;
};

/// Header and payload as one buffer. `header.length` is set from the payload.
Bytes encode_frame(FrameHeader header, ByteSpan payload);

/// Cuts the byte stream of one path into frames. Starts in the handshake phase and moves to the
/// session phase by itself after the first HELLO or WELCOME. Unknown non-critical frames are
/// skipped without being stored.
///
/// Memory: at most one payload, which grows with the bytes that arrived, not with those announced.
/// Time: none. Threads: none.
class FrameDecoder {
 public:
  /// Appends every completed frame to `out`.
  /// Errors: corrupt, on the first bad header; the decoder then stays failed and repeats it.
  Result<void> feed(ByteSpan bytes, std::vector<Frame>& out);

  DecodePhase phase() const { return phase_; }
  /// Bytes held for a frame that is not complete yet.
  std::size_t buffered_bytes() const { return header_have_ + payload_.size(); }

 private:
  Result<void> finish_header();
  void finish_frame(std::vector<Frame>& out);

  DecodePhase phase_ = DecodePhase::handshake;
  std::array<std::byte, header_bytes> header_raw_{};
  std::size_t header_have_ = 0;
  bool in_payload_ = false;
  bool skipping_ = false;
  std::size_t payload_left_ = 0;
  FrameHeader header_;
  Bytes payload_;
  std::optional<Error> failed_;
};

}  // namespace edge::tunnel
