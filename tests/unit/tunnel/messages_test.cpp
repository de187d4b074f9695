// Every message survives encode and decode, and every wrong field is named.
#include "tunnel/core/messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/tunnel/hex.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

ByteSpan payload_of(const Bytes& frame) { return ByteSpan(frame).subspan(header_bytes); }

FrameType type_of(const Bytes& frame) {
  return decode_header(std::span<const std::byte, header_bytes>(frame.data(), header_bytes)).type;
}

Hello sample_hello() {
  return {.host = "hv-01",
          .install_id = "install",
          .boot_id = "boot",
          .instance = InstanceId{0x0123456789abcdefULL},
          .session = SessionId{0xfedcba9876543210ULL},
          .epoch = 7,
          .next = {1, 57, 3, 9, 1, 1},
          .path = {.wire_id = 3,
                   .label = "eth0/console:8443",
                   .port = "eth0",
                   .endpoint = "console:8443",
                   .adapter = "020000000001",
                   .path_class = PathClass::wifi,
                   .rank = 2},
          .time = WallTime(1763710000123ms),
          .heartbeat = {.active = 250ms, .standby = 1000ms, .dead_after = 3},
          .last_failure = "carrier",
          .software = "uplink 0.1.0",
          .streams = StreamGrant{.window = 7, .session_window = 9, .streams = 3}};
}

TEST(MessagesTest, HelloSurvives) {
  const Hello hello = sample_hello();
  const Bytes frame = encode(hello);
  EXPECT_EQ(type_of(frame), FrameType::hello);
  const auto decoded = decode_hello(payload_of(frame));
  ASSERT_TRUE(decoded) << decoded.error().what;
  EXPECT_EQ(*decoded, hello);
}

TEST(MessagesTest, TextsBeginNoLineOfTheirOwnInALog) {
  const Bytes frame = encode(sample_hello());
  std::string text(as_text(payload_of(frame)));
  const std::size_t at = text.find("carrier");
  ASSERT_NE(at, std::string::npos);
  for (const char* forged : {"x\\nerror", "\\u001b[2J", "\\u007f"}) {
    std::string bad = text;
    bad.replace(at, 7, forged);
    const auto decoded = decode_hello(as_bytes(bad));
    ASSERT_FALSE(decoded) << forged;
    EXPECT_THAT(decoded.error().what, HasSubstr("last_failure must not hold control characters"));
  }
  const Bytes ours = encode(ErrorMessage{ErrorCode::protocol, "two\nlines"});
  EXPECT_EQ(decode_error(payload_of(ours))->what, "two lines");
}

TEST(MessagesTest, AMeteredPathSaysSo_OthersSayNothing) {
  Hello hello = sample_hello();
  EXPECT_THAT(std::string(as_text(payload_of(encode(hello)))), testing::Not(HasSubstr("metered")))
      << "as a host says it that knows nothing of it";
  hello.path.metered = true;
  EXPECT_EQ(decode_hello(payload_of(encode(hello)))->path, hello.path);
}

TEST(MessagesTest, HeartbeatsAreSlowerOnRadioAndOnMeteredPaths) {
  const HeartbeatTimers wired{.active = 250ms, .standby = 1000ms, .dead_after = 3};
  const auto of = [&](PathClass path_class, bool metered) {
    const auto timers = heartbeat_of({.path_class = path_class, .metered = metered}, wired);
    EXPECT_EQ(timers.dead_after, 3U);
    return std::pair(timers.active, timers.standby);
  };
  EXPECT_EQ(of(PathClass::wired, false), std::pair(250ms, 1000ms));
  EXPECT_EQ(of(PathClass::wifi, false), std::pair(500ms, 2000ms));
  EXPECT_EQ(of(PathClass::mobile, false), std::pair(1000ms, 4000ms));
  EXPECT_EQ(of(PathClass::wired, true), std::pair(1000ms, 5000ms));
  EXPECT_EQ(of(PathClass::mobile, true), std::pair(1000ms, 5000ms));
}

TEST(MessagesTest, APeerWithoutStreamsIsNotToldOfTheirChannel) {
  Hello hello = sample_hello();
  hello.streams.reset();
  const Bytes frame = encode(hello);
  EXPECT_THAT(std::string(as_text(payload_of(frame))), HasSubstr("\"next\":[1,57,3,9,1]"));
  EXPECT_EQ(decode_hello(payload_of(frame))->streams, std::nullopt);
  hello.next[index_of(Channel::streams)] = 12;
  EXPECT_EQ(decode_hello(payload_of(encode(hello)))->next, hello.next);
}

TEST(MessagesTest, WelcomeSurvives) {
  const Welcome welcome{.version = 1,
                        .session = SessionId{5},
                        .epoch = 8,
                        .resumed = true,
                        .next = {2, 3, 4, 5, 6, 1},
                        .time = WallTime(1763710000123ms),
                        .heartbeat = {.active = 300ms, .standby = 2000ms, .dead_after = 4},
                        .detach_ttl = 600s,
                        .streams = StreamGrant{}};
  const Bytes frame = encode(welcome);
  EXPECT_EQ(type_of(frame), FrameType::welcome);
  const auto decoded = decode_welcome(payload_of(frame));
  ASSERT_TRUE(decoded) << decoded.error().what;
  EXPECT_EQ(*decoded, welcome);
}

TEST(MessagesTest, ShortControlMessagesSurvive) {
  const PathStatus down{.wire_id = 4,
                        .state = PathStatus::State::down,
                        .cause = PathCause::carrier,
                        .last_rx_age = 812ms};
  EXPECT_EQ(decode_path_status(payload_of(encode(down))), down);
  const PathStatus active{.wire_id = 4, .state = PathStatus::State::active, .active_serial = 9};
  EXPECT_EQ(decode_path_status(payload_of(encode(active))), active);
  const Goaway goaway{.reason = "restart",
                      .reconnect_in = 100ms,
                      .spread = 30s,
                      .try_for = 60s,
                      .endpoints = {"a:1", "b:2"}};
  EXPECT_EQ(decode_goaway(payload_of(encode(goaway))), goaway);
  for (const ErrorCode code :
       {ErrorCode::protocol, ErrorCode::version, ErrorCode::identity, ErrorCode::clone,
        ErrorCode::quarantined, ErrorCode::retry_later, ErrorCode::revoked}) {
    const ErrorMessage error{code, "why"};
    EXPECT_EQ(decode_error(payload_of(encode(error))), error);
  }
}

TEST(MessagesTest, HeartbeatsHaveAFixedLayout) {
  const Ping ping{.nonce = 1, .send_time_us = 0x0203, .active_serial = 4, .view = 5};
  EXPECT_EQ(to_hex_text(encode(ping)),
            "03800000 00000018 00000000 00000000 "
            "00000000 00000001 00000000 00000203 00000004 05000000");
  EXPECT_EQ(decode_ping(payload_of(encode(ping))), ping);
  const Pong pong{.nonce = 1, .send_time_us = 2, .active_serial = 3, .view = 1, .rx_frames = 6};
  EXPECT_EQ(to_hex_text(encode(pong)),
            "04800000 00000020 00000000 00000000 "
            "00000000 00000001 00000000 00000002 00000003 01000000 00000000 00000006");
  EXPECT_EQ(decode_pong(payload_of(encode(pong))), pong);
  EXPECT_FALSE(decode_ping(Bytes(23)));
  EXPECT_TRUE(decode_ping(Bytes(25))) << "a later version may append";
  EXPECT_FALSE(decode_pong(Bytes(31)));
  const ViewOfPath view{.wire_id = 7, .view = 6, .nonce = 9};
  EXPECT_EQ(to_hex_text(encode(view)),
            "08000000 00000010 00000000 00000000 00000007 06000000 00000000 00000009")
      << "not CRITICAL: who does not know it skips it";
  EXPECT_EQ(decode_path_view(payload_of(encode(view))), view);
  EXPECT_FALSE(decode_path_view(Bytes(15)));
}

TEST(MessagesTest, AckHasAFixedLayout) {
  const Ack ack{{{Channel::commands, 5, {{7, 8}, {10, 10}}}, {Channel::events, 2, {}}}};
  EXPECT_EQ(to_hex_text(encode(ack)),
            "11800000 0000003a 00000000 00000000 "
            "00020001 00020000 00000000 00050000 00000000 00070000 00000000 00080000 00000000 "
            "000a0000 00000000 000a0002 00000000 00000000 0002");
  EXPECT_EQ(decode_ack(payload_of(encode(ack))), ack);
}

/// u16 words and u64 numbers of an ACK payload.
Bytes raw_ack(std::uint16_t count, std::uint16_t channel, std::uint64_t next,
              std::vector<SackRange> ranges) {
  Bytes out;
  put(out, count);
  put(out, channel);
  put(out, static_cast<std::uint16_t>(ranges.size()));
  put(out, next);
  for (const SackRange& range : ranges) {
    put(out, range.first);
    put(out, range.last);
  }
  return out;
}

std::string ack_error(const Bytes& payload) {
  const auto ack = decode_ack(payload);
  return ack ? "accepted" : ack.error().what;
}

TEST(MessagesTest, AckRefusesWhatIsNotAscendingBoundedAndWhole) {
  EXPECT_EQ(ack_error(raw_ack(1, 1, 5, {{6, 6}})), "accepted");
  EXPECT_THAT(ack_error(raw_ack(1, 1, 5, {{5, 6}})),
              HasSubstr("not ascending"));  // 5 is what is missing.
  EXPECT_THAT(ack_error(raw_ack(1, 1, 5, {{9, 8}})), HasSubstr("not ascending"));
  EXPECT_THAT(ack_error(raw_ack(1, 1, 5, {{7, 9}, {9, 12}})), HasSubstr("not ascending"));
  EXPECT_THAT(ack_error(raw_ack(1, 6, 5, {})), HasSubstr("out of range 0..5"));
  EXPECT_THAT(ack_error(raw_ack(1, 1, 0, {})), HasSubstr("next expected 0"));
  EXPECT_THAT(ack_error(raw_ack(2, 1, 5, {})), HasSubstr("cut short"));
  EXPECT_THAT(ack_error(raw_ack(0, 1, 5, {})), HasSubstr("too many"));
  EXPECT_THAT(ack_error(raw_ack(7, 1, 5, {})), HasSubstr("at most 6"));
  std::vector<SackRange> ranges;
  for (std::uint64_t i = 0; i < 9; ++i) { ranges.push_back({10 + 2 * i, 10 + 2 * i}); }
  EXPECT_THAT(ack_error(raw_ack(1, 1, 5, ranges)), HasSubstr("at most 8"));
  EXPECT_THAT(ack_error(Bytes(1)), HasSubstr("cut short"));
}

/// The JSON of a good HELLO with one piece of text replaced.
std::string hello_error(std::string_view from, std::string_view to) {
  std::string text(as_text(payload_of(encode(sample_hello()))));
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const auto hello = decode_hello(as_bytes(text));
  return hello ? "accepted" : hello.error().what;
}

TEST(MessagesTest, AFilledHelloIsAsLargeAsAskedAndReadsTheSame) {
  const Hello plain = sample_hello();
  for (const std::size_t fill : {std::size_t{1}, std::size_t{2000}, hello_fill_max}) {
    Hello filled = plain;
    filled.fill = fill;
    const Bytes frame = encode(filled);
    EXPECT_EQ(payload_of(frame).size(), std::max(fill, payload_of(encode(plain)).size()));
    EXPECT_EQ(decode_hello(payload_of(frame)), plain);
  }
}

TEST(MessagesTest, HelloNamesTheWrongField) {
  EXPECT_EQ(hello_error("\"hv-01\"", "7"), "HELLO: host must be a string of at most 256 bytes");
  EXPECT_THAT(hello_error("hv-01", std::string(257, 'x')),
              HasSubstr("host must be a string of at most 256"));
  EXPECT_EQ(hello_error("hv-01", std::string(256, 'x')), "accepted");
  EXPECT_EQ(hello_error("\"epoch\"", "\"epoc\""), "HELLO: epoch is missing");
  EXPECT_THAT(hello_error("\"epoch\":7", "\"epoch\":-7"),
              HasSubstr("epoch must be a whole number 0.."));
  EXPECT_THAT(hello_error("\"epoch\":7", "\"epoch\":7.5"),
              HasSubstr("epoch must be a whole number"));
  EXPECT_EQ(hello_error("\"epoch\":7", "\"epoch\":4503599627370496"), "accepted");
  EXPECT_THAT(hello_error("\"epoch\":7", "\"epoch\":4503599627370497"),
              HasSubstr("0..4503599627370496"));
  EXPECT_EQ(hello_error("fedcba9876543210", "fedcba987654321"),
            "HELLO: session must be 16 hex digits");
  EXPECT_EQ(hello_error("fedcba9876543210", "fedcba987654321g"),
            "HELLO: session must be 16 hex digits");
  EXPECT_EQ(hello_error("fedcba9876543210", "-edcba9876543210"),
            "HELLO: session must be 16 hex digits");
  EXPECT_THAT(hello_error("[1,57,3,9,1]", "[1,0]"), HasSubstr("next must be a whole number 1.."));
  EXPECT_EQ(hello_error("[1,57,3,9,1]", "[1,57]"), "accepted");
  EXPECT_THAT(hello_error("[1,57,3,9,1]", "7"), HasSubstr("next must be an array"));
  EXPECT_EQ(hello_error("\"class\":1", "\"class\":3"),
            "HELLO path: class must be a whole number 0..2");
  EXPECT_EQ(hello_error("\"dead_after\":3", "\"dead_after\":0"),
            "HELLO heartbeat: dead_after must be a whole number 1..1000");
  EXPECT_EQ(hello_error("\"version_max\":1", "\"version_max\":0"),
            "HELLO: version_max must be a whole number 1..65535");
  EXPECT_EQ(hello_error("\"version_min\":1", "\"version_min\":2"),
            "HELLO: version_min exceeds version_max");
}

TEST(MessagesTest, AFutureHostMayOfferMoreVersionsChannelsAndFields) {
  EXPECT_EQ(hello_error("\"version_max\":1", "\"version_max\":9"), "accepted");
  EXPECT_EQ(hello_error("[1,57,3,9,1]", "[1,57,3,9,1,1,1]"), "accepted");
  EXPECT_EQ(hello_error("\"epoch\":7", "\"epoch\":7,\"new\":{\"x\":[]}"), "accepted");
}

TEST(MessagesTest, HostileJsonEndsAsOneLine) {
  const auto error_of = [](std::string text) { return decode_goaway(as_bytes(text)).error().what; };
  EXPECT_THAT(error_of(""), HasSubstr("GOAWAY: payload is not JSON"));
  EXPECT_THAT(error_of("[]"), HasSubstr("GOAWAY: payload is not a JSON object"));
  EXPECT_THAT(error_of("{\"reason\":\"x\""), HasSubstr("is not JSON"));
  EXPECT_THAT(error_of("{}{}"), HasSubstr("is not JSON"));
  // Depth: 15 arrays inside the object are the most, 16 are too many.
  const auto nested = [](int depth) {
    return "{\"x\":" + std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']') + "}";
  };
  EXPECT_TRUE(decode_goaway(as_bytes(nested(15))));
  EXPECT_THAT(error_of(nested(16)), HasSubstr("too deep"));
  EXPECT_THAT(error_of("{\"endpoints\":[1]}"), HasSubstr("endpoints must hold strings"));
  EXPECT_THAT(error_of("{\"spread_ms\":604800001}"),
              HasSubstr("spread_ms must be a whole number 0..604800000"));
}

TEST(MessagesTest, WhatWeEncodeWeAlwaysAccept) {
  Hello hello = sample_hello();
  hello.last_failure = std::string(255, 'a') + "\xc3\xa9";  // A two-byte character at the limit.
  const auto decoded = decode_hello(payload_of(encode(hello)));
  ASSERT_TRUE(decoded) << decoded.error().what;
  EXPECT_EQ(decoded->last_failure, std::string(255, 'a'));
  EXPECT_TRUE(
      decode_error(payload_of(encode(ErrorMessage{ErrorCode::protocol, std::string(5000, 'x')}))));
  Goaway goaway;
  goaway.endpoints.assign(100, std::string(300, 'e'));
  EXPECT_TRUE(decode_goaway(payload_of(encode(goaway))));
}

TEST(MessagesTest, PathStatusKnowsItsStates) {
  EXPECT_FALSE(decode_path_status(as_bytes(R"({"path":1,"state":"sideways"})")));
  EXPECT_FALSE(decode_path_status(as_bytes(R"({"path":1,"state":"active","serial":0})")));
  const auto later =
      decode_path_status(as_bytes(R"({"path":1,"state":"down","cause":"meteorite"})"));
  ASSERT_TRUE(later) << "a cause of a later version still means down";
  EXPECT_EQ(later->state, PathStatus::State::down);
}

TEST(MessagesTest, EveryCauseHasItsName) {
  for (int i = 0; i <= static_cast<int>(PathCause::shutdown); ++i) {
    const auto cause = static_cast<PathCause>(i);
    EXPECT_NE(to_string(cause), "unknown");
    EXPECT_EQ(parse_path_cause(to_string(cause)), cause);
  }
  EXPECT_FALSE(parse_path_cause("meteorite"));
}

TEST(NegotiateTest, TakesTheSlowerWithinBounds) {
  const HeartbeatTimers fast{.active = 100ms, .standby = 2000ms, .dead_after = 2};
  const HeartbeatTimers slow{.active = 250ms, .standby = 1000ms, .dead_after = 5};
  const HeartbeatTimers expected{.active = 250ms, .standby = 2000ms, .dead_after = 5};
  EXPECT_EQ(negotiate(fast, slow), expected);
  EXPECT_EQ(negotiate(slow, fast), expected);
  const HeartbeatTimers zero{.active = 0ms, .standby = 0ms, .dead_after = 0};
  EXPECT_EQ(negotiate(zero, zero), (HeartbeatTimers{20ms, 20ms, 2}));
  const HeartbeatTimers huge{.active = 3600s, .standby = 3600s, .dead_after = 999};
  EXPECT_EQ(negotiate(huge, zero), (HeartbeatTimers{60s, 60s, 20}));
}

}  // namespace
}  // namespace edge::tunnel
