// The frame header and the incremental decoder: what is let in, and at what cost.
#include "tunnel/core/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.hpp"
#include "tests/unit/tunnel/hex.hpp"

namespace edge::tunnel {
namespace {

using testing::HasSubstr;

FrameHeader data_header(std::uint64_t seq, std::uint16_t channel = 1) {
  return {.type = FrameType::data, .flags = flag_critical, .channel = channel, .seq = seq};
}

/// A decoder past the handshake.
FrameDecoder session_decoder() {
  FrameDecoder decoder;
  std::vector<Frame> out;
  EXPECT_TRUE(decoder.feed(encode_frame({.type = FrameType::hello}, as_bytes("{}")), out));
  return decoder;
}

std::string error_of(FrameHeader header, DecodePhase phase = DecodePhase::session) {
  const auto verdict = validate_header(header, phase);
  return verdict ? "accepted" : verdict.error().what;
}

TEST(FrameHeaderTest, IsSixteenBytesBigEndian) {
  const FrameHeader header{.type = FrameType::data,
                           .flags = 0x81,
                           .channel = 0x0203,
                           .length = 0x04050607,
                           .seq = 0x08090a0b0c0d0e0fULL};
  const auto raw = encode_header(header);
  EXPECT_EQ(to_hex_text(raw), "10810203 04050607 08090a0b 0c0d0e0f");
  EXPECT_EQ(decode_header(raw), header);
}

TEST(FrameHeaderTest, LengthLimitsDependOnTypeAndChannel) {
  const struct {
    FrameType type;
    std::uint16_t channel;
    std::size_t bytes_max;
    DecodePhase phase;
  } cases[] = {
      {FrameType::hello, 0, 8192, DecodePhase::handshake},
      {FrameType::welcome, 0, 8192, DecodePhase::handshake},
      {FrameType::ping, 0, 64, DecodePhase::session},
      {FrameType::pong, 0, 64, DecodePhase::session},
      {FrameType::path_view, 0, 64, DecodePhase::session},
      {FrameType::path_status, 0, 4096, DecodePhase::session},
      {FrameType::goaway, 0, 4096, DecodePhase::session},
      {FrameType::error, 0, 4096, DecodePhase::handshake},
      {FrameType::ack, 0, 4096, DecodePhase::session},
      {FrameType::data, 0, 65536, DecodePhase::session},
      {FrameType::data, 1, 1048576, DecodePhase::session},
      {FrameType::data, 4, 65536, DecodePhase::session},
  };
  for (const auto& limit : cases) {
    FrameHeader header{.type = limit.type, .channel = limit.channel};
    header.seq = limit.type == FrameType::data ? 1 : 0;
    header.length = static_cast<std::uint32_t>(limit.bytes_max);
    EXPECT_EQ(error_of(header, limit.phase), "accepted") << to_string(limit.type);
    ++header.length;
    EXPECT_THAT(error_of(header, limit.phase), HasSubstr("exceeds")) << to_string(limit.type);
  }
}

TEST(FrameHeaderTest, SaysWhatIsWrong) {
  EXPECT_EQ(error_of({.type = FrameType::data, .channel = 6, .seq = 1}),
            "DATA: channel 6 is out of range 0..5");
  EXPECT_EQ(error_of(data_header(0)), "DATA: seq 0; the first is 1");
  EXPECT_EQ(error_of({.type = FrameType::ping, .seq = 1}), "PING: channel 0 and seq 1 must be 0");
  EXPECT_EQ(error_of({.type = FrameType::ack, .channel = 1}), "ACK: channel 1 and seq 0 must be 0");
}

TEST(FrameHeaderTest, BeforeWelcomeOnlyTheHandshakeIsAllowed) {
  for (const FrameType type :
       {FrameType::hello, FrameType::welcome, FrameType::goaway, FrameType::error}) {
    EXPECT_EQ(error_of({.type = type}, DecodePhase::handshake), "accepted");
  }
  for (const FrameType type : {FrameType::ping, FrameType::pong, FrameType::path_status,
                               FrameType::path_view, FrameType::ack}) {
    EXPECT_THAT(error_of({.type = type}, DecodePhase::handshake), HasSubstr("before WELCOME"));
  }
  EXPECT_THAT(error_of(data_header(1), DecodePhase::handshake), HasSubstr("before WELCOME"));
  EXPECT_THAT(error_of({.type = static_cast<FrameType>(0x7f)}, DecodePhase::handshake),
              HasSubstr("before WELCOME"));
  EXPECT_THAT(error_of({.type = FrameType::hello}), HasSubstr("a second HELLO"));
  EXPECT_THAT(error_of({.type = FrameType::welcome}), HasSubstr("a second WELCOME"));
}

TEST(FrameHeaderTest, UnknownTypesAreSkippedUnlessCritical) {
  for (const auto type : {static_cast<FrameType>(0x7f), FrameType::stream_open}) {
    EXPECT_EQ(validate_header({.type = type, .flags = 0x7f}, DecodePhase::session),
              HeaderVerdict::skip);
    EXPECT_THAT(error_of({.type = type, .flags = flag_critical}), HasSubstr("critical"));
    EXPECT_THAT(error_of({.type = type, .length = 65537}), HasSubstr("exceeds 65536"));
  }
}

TEST(FrameDecoderTest, GivesTheSameFramesHoweverTheBytesAreCut) {
  Bytes stream = encode_frame({.type = FrameType::hello}, as_bytes("{}"));
  const Bytes parts[] = {encode_frame(data_header(1), as_bytes("one")),
                         encode_frame(data_header(2), {}),
                         encode_frame({.type = static_cast<FrameType>(0x7f)}, as_bytes("skipped")),
                         encode_frame(data_header(3), Bytes(70'000))};
  for (const Bytes& part : parts) { stream.insert(stream.end(), part.begin(), part.end()); }

  Random random(7);
  for (int round = 0; round < 50; ++round) {
    FrameDecoder decoder;
    std::vector<Frame> out;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t bytes =
          std::min<std::size_t>(1 + random.below(round < 2 ? 3 : 9000), stream.size() - at);
      ASSERT_TRUE(decoder.feed(ByteSpan(stream).subspan(at, bytes), out));
      at += bytes;
    }
    ASSERT_EQ(out.size(), 4U);
    EXPECT_EQ(out[0].header.type, FrameType::hello);
    EXPECT_EQ(as_text(out[1].payload), "one");
    EXPECT_TRUE(out[2].payload.empty());
    EXPECT_EQ(out[3].header.seq, 3U);
    EXPECT_EQ(out[3].payload.size(), 70'000U);
    EXPECT_EQ(decoder.buffered_bytes(), 0U);
  }
}

TEST(FrameDecoderTest, HelloEndsTheHandshakePhase) {
  FrameDecoder decoder;
  std::vector<Frame> out;
  EXPECT_EQ(decoder.phase(), DecodePhase::handshake);
  ASSERT_TRUE(decoder.feed(encode_frame({.type = FrameType::welcome}, as_bytes("{}")), out));
  EXPECT_EQ(decoder.phase(), DecodePhase::session);
}

TEST(FrameDecoderTest, ABadHeaderFailsForGood) {
  FrameDecoder decoder = session_decoder();
  std::vector<Frame> out;
  const auto bad = encode_header({.type = FrameType::ping, .length = 0xffffffff});
  const auto first = decoder.feed(bad, out);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Errc::corrupt);
  const auto second = decoder.feed(encode_frame(data_header(1), {}), out);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().what, first.error().what);
  EXPECT_TRUE(out.empty());
}

TEST(FrameDecoderTest, HoldsOnlyBytesThatArrived_AndNoneOfASkippedFrame) {
  FrameDecoder decoder = session_decoder();
  std::vector<Frame> out;
  FrameHeader announced = data_header(1);
  announced.length = 1048576;
  ASSERT_TRUE(decoder.feed(encode_header(announced), out));
  ASSERT_TRUE(decoder.feed(Bytes(10), out));
  EXPECT_EQ(decoder.buffered_bytes(), header_bytes + 10);

  FrameDecoder skipping = session_decoder();
  ASSERT_TRUE(
      skipping.feed(encode_header({.type = static_cast<FrameType>(0x7f), .length = 60'000}), out));
  ASSERT_TRUE(skipping.feed(Bytes(50'000), out));
  EXPECT_EQ(skipping.buffered_bytes(), header_bytes);
}

}  // namespace
}  // namespace edge::tunnel
