// The stream frames on the wire, and how much may be under way.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/hex.hpp"
#include "tunnel/core/stream_frame.hpp"
#include "tunnel/core/stream_pace.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string error_of(const Bytes& payload) {
  const auto frame = decode_stream_frame(payload);
  return frame ? "accepted" : frame.error().what;
}

Bytes raw(std::uint8_t kind, std::uint32_t stream, std::size_t body) {
  Bytes out;
  put(out, kind);
  out.resize(4);
  put(out, stream);
  out.resize(out.size() + body, std::byte{'x'});
  return out;
}

TEST(StreamFrameTest, EveryKindSurvives) {
  const Bytes bytes(100, std::byte{7});
  const StreamFrame frames[] = {
      {.kind = StreamKind::open, .stream = {3}, .text = "127.0.0.1:22", .data = {}},
      {.kind = StreamKind::opened, .stream = {3}, .text = {}, .data = {}},
      {.kind = StreamKind::refused,
       .stream = {3},
       .refusal = StreamRefusal::busy,
       .text = "why",
       .data = {}},
      {.kind = StreamKind::data, .stream = {3}, .text = {}, .data = bytes},
      {.kind = StreamKind::credit, .stream = {0}, .credit = 77, .text = {}, .data = {}},
      {.kind = StreamKind::eof, .stream = {3}, .text = {}, .data = {}},
      {.kind = StreamKind::reset, .stream = {0}, .text = "gone", .data = {}}};
  for (const StreamFrame& frame : frames) {
    const Bytes payload = encode(frame);
    const auto again = decode_stream_frame(payload);
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_EQ(again->kind, frame.kind);
    EXPECT_EQ(again->stream, frame.stream);
    EXPECT_EQ(again->credit, frame.credit);
    EXPECT_EQ(again->text, frame.text);
    EXPECT_EQ(as_text(again->data), as_text(frame.data));
  }
  EXPECT_EQ(decode_stream_frame(encode(frames[2]))->refusal, StreamRefusal::busy);
}

TEST(StreamFrameTest, TextsBeginNoLineOfTheirOwnInALog) {
  Bytes open = raw(1, 1, 5);
  open.back() = std::byte{'\n'};
  EXPECT_THAT(error_of(open), HasSubstr("control character"));
  open.back() = std::byte{0x1b};
  EXPECT_THAT(error_of(open), HasSubstr("control character"));
  const Bytes ours =
      encode({.kind = StreamKind::reset, .stream = {1}, .text = "two\nlines", .data = {}});
  EXPECT_EQ(decode_stream_frame(ours)->text, "two lines");
}

TEST(StreamFrameTest, SaysWhatIsWrong) {
  EXPECT_THAT(error_of(Bytes(7)), HasSubstr("at least 8"));
  EXPECT_THAT(error_of(raw(0, 1, 1)), HasSubstr("unknown stream frame 0"));
  EXPECT_THAT(error_of(raw(8, 1, 1)), HasSubstr("unknown stream frame 8"));
  EXPECT_THAT(error_of(raw(1, 1, 0)), HasSubstr("allowed are 1..300"));
  EXPECT_EQ(error_of(raw(1, 1, 300)), "accepted");
  EXPECT_THAT(error_of(raw(1, 1, 301)), HasSubstr("allowed are 1..300"));
  EXPECT_THAT(error_of(raw(2, 1, 1)), HasSubstr("behind OPENED"));
  EXPECT_THAT(error_of(raw(3, 1, 0)), HasSubstr("cut short"));
  EXPECT_THAT(error_of(raw(3, 1, 1)), HasSubstr("allowed are 1..3"));
  EXPECT_THAT(error_of(raw(4, 1, 0)), HasSubstr("stream DATA of 0 bytes"));
  EXPECT_EQ(error_of(raw(4, 1, stream_data_bytes_max)), "accepted");
  EXPECT_THAT(error_of(raw(4, 1, stream_data_bytes_max + 1)), HasSubstr("stream DATA of 16361"));
  EXPECT_THAT(error_of(raw(4, 0, 1)), HasSubstr("on stream 0"));
  EXPECT_THAT(error_of(raw(5, 1, 3)), HasSubstr("not 4 bytes"));
  Bytes none = raw(5, 1, 0);
  none.resize(12);
  EXPECT_THAT(error_of(none), HasSubstr("CREDIT of 0"));
  EXPECT_THAT(error_of(raw(6, 1, 1)), HasSubstr("behind OPENED or EOF"));
  EXPECT_THAT(error_of(raw(7, 1, 257)), HasSubstr("allowed are 0..256"));
  Bytes reserved = raw(2, 1, 0);
  reserved[2] = std::byte{1};
  EXPECT_THAT(error_of(reserved), HasSubstr("reserved"));
}

TEST(StreamFrameTest, AFullDataFrameIsOneTlsRecord) {
  const Bytes data(stream_data_bytes_max);
  const Bytes payload =
      encode(StreamFrame{.kind = StreamKind::data, .stream = {1}, .text = {}, .data = data});
  EXPECT_EQ(payload.size() + 16, 16384U);
}

TEST(StreamFrameTest, TheExamplesOfTheProtocol) {
  const auto hex_of = [](const StreamFrame& frame) { return to_hex_text(encode(frame)); };
  EXPECT_EQ(hex_of({.kind = StreamKind::open, .stream = {1}, .text = "127.0.0.1:22", .data = {}}),
            "01000000 00000001 3132372e 302e302e 313a3232");
  EXPECT_EQ(hex_of({.kind = StreamKind::credit, .credit = 262144, .text = {}, .data = {}}),
            "05000000 00000000 00040000");
  const Bytes banner = to_bytes("SSH-2.0-x\r\n");
  EXPECT_EQ(hex_of({.kind = StreamKind::data, .stream = {1}, .text = {}, .data = banner}),
            "04000000 00000001 5353482d 322e302d 780d0a");
}

TEST(StreamPaceTest, DoublesWhileNothingQueuesUpToItsLimit) {
  StreamPace pace(1 << 20);
  MonoTime now{1h};
  EXPECT_EQ(pace.allowed(), 64U << 10);
  for (int i = 0; i < 10; ++i) {
    now += 20ms;
    pace.on_acked(pace.allowed(), 20ms, 20ms, true, now);
  }
  EXPECT_EQ(pace.allowed(), 1U << 20);
  EXPECT_EQ(pace.frame_bytes(), stream_data_bytes_max);
}

TEST(StreamPaceTest, AnIdleStreamProvesNothing) {
  StreamPace pace(1 << 20);
  pace.on_acked(1000, 20ms, 20ms, false, MonoTime{1h});
  EXPECT_EQ(pace.allowed(), 64U << 10);
}

/// A path of 1 Mbit/s with 40 ms of round trip: what is allowed takes no longer than queue_max to
/// drain, and is not starved either.
TEST(StreamPaceTest, SettlesAtTheQueueItIsAllowed) {
  StreamPace pace(1 << 20);
  MonoTime now{1h};
  constexpr double bytes_per_s = 125'000;
  for (int i = 0; i < 400; ++i) {
    const auto drain = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(static_cast<double>(pace.allowed()) / bytes_per_s));
    now += 20ms;
    pace.on_acked(2500, std::max<Duration>(drain, 40ms), 40ms, true, now);
  }
  EXPECT_LE(pace.allowed(), 20'000U);
  EXPECT_GE(pace.allowed(), StreamPace::allowed_min);
  EXPECT_EQ(pace.frame_bytes(), StreamPace::frame_min);
}

TEST(StreamPaceTest, OneQueueIsAnsweredOnce) {
  StreamPace pace(1 << 20);
  const MonoTime now{1h};
  pace.on_acked(1000, 500ms, 10ms, true, now);
  pace.on_acked(1000, 500ms, 10ms, true, now + 499ms);
  EXPECT_EQ(pace.allowed(), 48U << 10);
  pace.on_acked(1000, 500ms, 10ms, true, now + 500ms);
  EXPECT_EQ(pace.allowed(), 36U << 10);
  for (int i = 1; i < 20; ++i) { pace.on_acked(1000, 500ms, 10ms, true, now + i * 1s); }
  EXPECT_EQ(pace.allowed(), StreamPace::allowed_min);
}

}  // namespace
}  // namespace edge::tunnel
