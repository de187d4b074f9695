// libFuzzer: the frame decoder, and every message decoder, from raw bytes. What decodes must
// survive a round trip.
#include <cstdlib>
#include <vector>

#include <boost/json.hpp>

#include "base/assert.hpp"
#include "tunnel/core/frame.hpp"
#include "tunnel/core/identity_messages.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {
namespace {

ByteSpan payload_of(const Bytes& frame) { return ByteSpan(frame).subspan(header_bytes); }

/// Decoded, encoded and decoded again it is the same.
template <class Message, class Decode>
void round_trip(ByteSpan payload, Decode decode) {
  const Result<Message> message = decode(payload);
  if (!message) {
    EDGE_ASSERT(message.error().code == Errc::corrupt && !message.error().what.empty());
    return;
  }
  const Bytes again = encode(*message);
  const Result<Message> second = decode(payload_of(again));
  EDGE_ASSERT(second && *second == *message);
}

template <class Message, class Decode>
void same_again(const boost::json::object& object, Decode decode) {
  const Result<Message> message = decode(object);
  if (!message) {
    EDGE_ASSERT(message.error().code == Errc::invalid_input && !message.error().what.empty());
    return;
  }
  const Result<Message> second = decode(boost::json::parse(encode(*message)).as_object());
  EDGE_ASSERT(second && *second == *message);
}

/// What one end tells the other about certificates.
void decode_identity(ByteSpan payload) {
  boost::system::error_code ec;
  const auto parsed = boost::json::parse(as_text(payload), ec, {}, {.max_depth = 32});
  const boost::json::object* object = ec ? nullptr : parsed.if_object();
  if (object == nullptr) { return; }
  same_again<SignerOffer>(*object, decode_signer_offer);
  same_again<RenewRequest>(*object, decode_renew_request);
  same_again<RenewAnswer>(*object, decode_renew_answer);
}

void decode_payload(FrameType type, ByteSpan payload) {
  switch (type) {
    case FrameType::hello: round_trip<Hello>(payload, decode_hello); break;
    case FrameType::welcome: round_trip<Welcome>(payload, decode_welcome); break;
    case FrameType::ping: round_trip<Ping>(payload, decode_ping); break;
    case FrameType::pong: round_trip<Pong>(payload, decode_pong); break;
    case FrameType::path_view: round_trip<ViewOfPath>(payload, decode_path_view); break;
    case FrameType::ack: round_trip<Ack>(payload, decode_ack); break;
    case FrameType::path_status: round_trip<PathStatus>(payload, decode_path_status); break;
    case FrameType::error: round_trip<ErrorMessage>(payload, decode_error); break;
    case FrameType::goaway: (void)decode_goaway(payload); break;  // Encoding keeps fewer endpoints.
    case FrameType::data: decode_identity(payload); break;
    case FrameType::window:
    case FrameType::stream_open:
    case FrameType::stream_data:
    case FrameType::stream_fin:
    case FrameType::stream_rst: break;
  }
}

/// Cut in two anywhere, the stream gives the same frames and the same verdict.
void decode_stream(ByteSpan bytes, std::size_t cut) {
  FrameDecoder whole;
  FrameDecoder parts;
  std::vector<Frame> frames;
  std::vector<Frame> again;
  const bool good = whole.feed(bytes, frames).has_value();
  const bool first = parts.feed(bytes.first(cut), again).has_value();
  const bool second = parts.feed(bytes.subspan(cut), again).has_value();
  EDGE_ASSERT(good == (first && second));
  EDGE_ASSERT(frames.size() == again.size());
  EDGE_ASSERT(whole.buffered_bytes() <= header_bytes + command_bytes_max);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EDGE_ASSERT(frames[i].header == again[i].header && frames[i].payload == again[i].payload);
    decode_payload(frames[i].header.type, frames[i].payload);
  }
}

}  // namespace
}  // namespace edge::tunnel

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace edge::tunnel;
  if (size == 0) { return 0; }
  // The first byte chooses: a message decoder by frame type, or the stream decoder with its cut.
  const auto choice = data[0];
  const ByteSpan bytes = std::as_bytes(std::span(data + 1, size - 1));
  if (choice < 0x40) {
    decode_payload(static_cast<FrameType>(choice), bytes);
  } else {
    decode_stream(bytes, bytes.empty() ? 0 : choice % bytes.size());
  }
  return 0;
}
