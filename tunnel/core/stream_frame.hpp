// The frames of byte streams: what a DATA payload of channel 5 says about one TCP connection.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "tunnel/core/bytes.hpp"

namespace edge::tunnel {

/// The Console opens odd numbers, the host even ones, each upwards. 0: all streams of the session.
using StreamId = StrongId<struct StreamIdTag, std::uint32_t>;
inline constexpr StreamId all_streams{0};

inline constexpr std::size_t stream_header_bytes = 8;
/// With both headers exactly one TLS record of 16 KiB.
inline constexpr std::size_t stream_data_bytes_max = 16UZ * 1024 - 16 - stream_header_bytes;
inline constexpr std::size_t stream_target_bytes_max = 300;
inline constexpr std::size_t stream_reason_bytes_max = 256;

enum class StreamKind : std::uint8_t {
  open = 1,     ///< A new stream to a target.
  opened = 2,   ///< The target is connected; bytes may flow both ways.
  refused = 3,  ///< It is not; the stream is over.
  data = 4,
  credit = 5,  ///< So many more bytes may be sent, on this stream or on all together.
  eof = 6,     ///< No more bytes from here; the other direction goes on.
  reset = 7,   ///< The stream is over at once. On stream 0: all are, and no new ones come.
};

/// Why a stream was not opened.
enum class StreamRefusal : std::uint8_t {
  not_allowed = 1,  ///< The target is not in the host's list.
  unreachable = 2,  ///< The target did not take the connection.
  busy = 3,         ///< Too many streams.
};
std::string_view to_string(StreamRefusal refusal);

/// `u8 kind | u8[3] 0 | u32 stream`, then by kind: OPEN target, REFUSED `u8 refusal` and text, DATA
/// bytes, CREDIT `u32 bytes`, RESET text; OPENED and EOF nothing.
struct StreamFrame {
  StreamKind kind = StreamKind::data;
  StreamId stream = all_streams;
  std::uint32_t credit = 0;                            ///< CREDIT.
  StreamRefusal refusal = StreamRefusal::unreachable;  ///< REFUSED.
  std::string text;                                    ///< OPEN, REFUSED, RESET.
  ByteSpan data;  ///< DATA: inside the payload that was decoded.
};

/// Texts are cut to what the receiver takes. Pre: data within stream_data_bytes_max.
Bytes encode(const StreamFrame& frame);
/// Errors: corrupt, naming the kind, the value and what is allowed.
Result<StreamFrame> decode_stream_frame(ByteSpan payload);

}  // namespace edge::tunnel
