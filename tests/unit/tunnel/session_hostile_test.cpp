// A peer that breaks the rules loses its path, learns why, and costs no memory.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/session_pair.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class HostileTest : public SessionPair {
 protected:
  void SetUp() override {
    connect(1, "eth0");
    connect(2, "eth1");
    advance(100ms);
    forget();
  }
  /// The path is closed for breaking the protocol, the peer is told, the other path lives.
  void expect_closed(std::string_view why) {
    run();
    EXPECT_EQ(dead(kConsole).path, PathId{1});
    EXPECT_EQ(dead(kConsole).cause, PathCause::protocol);
    EXPECT_THAT(dead(kConsole).detail, HasSubstr(std::string(why)));
    const auto errors = written(kConsole, 1, FrameType::error);
    ASSERT_THAT(errors, SizeIs(1));
    EXPECT_THAT(decode_error(errors[0].payload)->what, HasSubstr(std::string(why)));
    EXPECT_THAT(console().paths(now), SizeIs(1));
    EXPECT_EQ(console().stats().violations, 1U);
  }
};

TEST_F(HostileTest, AckOfUnsent) {
  inject(kConsole, 1, encode(Ack{{{Channel::commands, 2, {}}}}));
  expect_closed("ack of 1, but only 0 were sent");
}

TEST_F(HostileTest, SackOfUnsent) {
  inject(kConsole, 1, encode(Ack{{{Channel::commands, 1, {{3, 3}}}}}));
  expect_closed("ack of 3");
}

TEST_F(HostileTest, AckThatGoesBackOnOnePath) {
  cut(1, false, true);
  cut(2, false, true);
  send(kConsole, Channel::events, "1");
  send(kConsole, Channel::events, "2");
  run();
  inject(kConsole, 1, encode(Ack{{{Channel::events, 3, {}}}}));
  inject(kConsole, 2, encode(Ack{{{Channel::events, 2, {}}}}));
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty()) << "the other path may be slower";
  inject(kConsole, 1, encode(Ack{{{Channel::events, 2, {}}}}));
  expect_closed("ack of 2 after 3");
}

TEST_F(HostileTest, SequenceBeyondTheWindow) {
  inject(kConsole, 1, data_frame(Channel::events, 257));
  expect_closed("beyond the window");
}

TEST_F(HostileTest, MoreOutOfOrderThanTheWindowHolds) {
  cut(1, false, true);  // The innocent host does not know what is acknowledged here.
  cut(2, false, true);
  for (std::uint64_t seq = 2; seq < 6; ++seq) {
    inject(kConsole, 1, data_frame(Channel::events, seq, 64 << 10));
  }
  EXPECT_EQ(console().reorder_bytes(Channel::events), window_bytes);
  inject(kConsole, 1, data_frame(Channel::events, 6, 1));
  EXPECT_EQ(console().reorder_bytes(Channel::events), window_bytes);
  expect_closed("out of order");
}

TEST_F(HostileTest, GapMarkerWhereNothingMayBeDropped) {
  inject(kConsole, 1, data_frame(Channel::commands, 1, 8, flag_gap));
  expect_closed("bad gap marker");
}

TEST_F(HostileTest, GapMarkerOfTheWrongSize) {
  inject(kConsole, 1, data_frame(Channel::telemetry, 1, 7, flag_gap));
  expect_closed("bad gap marker");
}

TEST_F(HostileTest, PingFlood) {
  for (std::uint64_t nonce = 1000; nonce < 1299; ++nonce) {
    inject(kConsole, 1, encode(Ping{.nonce = nonce}));
  }
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
  for (std::uint64_t nonce = 1299; nonce < 1302; ++nonce) {
    inject(kConsole, 1, encode(Ping{.nonce = nonce}));
  }
  expect_closed("PING flood");
}

/// Seen in the simulation: an end that stood still for 2 s got 24 heartbeats and what else was to
/// be said in them at once, and held that against its peer.
TEST_F(HostileTest, WhatArrivesAtOnceAfterAStallIsNoFlood) {
  constexpr std::uint64_t of_five_seconds = 5000 / 75;  // 100 ms, less the largest jitter.
  for (std::uint64_t nonce = 1000; nonce < 1000 + of_five_seconds; ++nonce) {
    inject(kConsole, 1, encode(Ping{.nonce = nonce}));
  }
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
}

TEST_F(HostileTest, PingNonceThatDoesNotGrow) {
  inject(kConsole, 1, encode(Ping{.nonce = 1000}));
  inject(kConsole, 1, encode(Ping{.nonce = 1000}));
  expect_closed("PING nonce 1000 after 1000");
}

TEST_F(HostileTest, StatusFloodAndGoawayFlood) {
  for (int i = 0; i < 301; ++i) { inject(kConsole, 1, encode(PathStatus{.wire_id = 77})); }
  expect_closed("PATH_STATUS flood");
  for (int i = 0; i < 301; ++i) { inject(kHost, 2, encode(Goaway{})); }
  EXPECT_EQ(dead(kHost).path, PathId{2});
  EXPECT_THAT(dead(kHost).detail, HasSubstr("GOAWAY flood"));
}

TEST_F(HostileTest, AFloodOfViewsIsNotHeard) {
  for (int i = 0; i < 500; ++i) { inject(kConsole, 1, encode(ViewOfPath{.wire_id = 77})); }
  inject(kConsole, 1, encode(ViewOfPath{.wire_id = 2, .view = view_silent, .nonce = 99}));
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
  EXPECT_EQ(console().paths(now)[1].state, PathState::standby) << "not heard any more";
  advance(1s);
  inject(kConsole, 1, encode(ViewOfPath{.wire_id = 2, .view = view_silent, .nonce = 99}));
  EXPECT_EQ(console().paths(now)[1].state, PathState::suspect);
}

TEST_F(HostileTest, UndecodableMessagesOfEveryType) {
  for (const FrameType type :
       {FrameType::ping, FrameType::pong, FrameType::path_status, FrameType::path_view,
        FrameType::goaway, FrameType::error, FrameType::ack}) {
    const auto id = static_cast<std::uint32_t>(type) + 100;
    connect(id, "eth" + std::to_string(id));
    forget();
    inject(kHost, id, encode_frame({.type = type}, as_bytes("?")));
    EXPECT_EQ(dead(kHost).path, PathId{id}) << to_string(type);
    EXPECT_EQ(dead(kHost).cause, PathCause::protocol);
  }
}

TEST_F(HostileTest, ABrokenHeaderIsAnsweredWithError) {
  console().on_decode_error(PathId{1}, {Errc::corrupt, 0, "DATA: seq 0; the first is 1"}, now);
  expect_closed("seq 0");
  console().on_decode_error(PathId{1}, {Errc::corrupt, 0, "again"}, now);
  EXPECT_EQ(console().stats().violations, 1U) << "the path is gone already";
}

class TrickleTest : public SessionPair {
 protected:
  static SessionOptions impatient() {
    SessionOptions options = host_options();
    options.frame_time_max = 5s;
    return options;
  }
  TrickleTest() : SessionPair(impatient()) {}
};

TEST_F(TrickleTest, AFrameThatNeverGetsWholeEndsItsPathThoughItsBytesAreLife) {
  connect(1, "eth0");
  connect(2, "eth1");
  advance(100ms);
  forget();
  cut(1, true, false);  // What the Console hears of this path is one frame, piece by piece.
  const MonoTime began = now;
  while (now - began < 4900ms) {
    console().on_bytes(PathId{1}, now);
    advance(100ms);
  }
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
  console().on_bytes(PathId{1}, now);
  advance(100ms);
  EXPECT_EQ(dead(kConsole).path, PathId{1});
  EXPECT_EQ(dead(kConsole).cause, PathCause::silence);
  EXPECT_THAT(dead(kConsole).detail, HasSubstr("is not whole, 5000 ms are allowed"));
  EXPECT_EQ(console().stats().violations, 0U) << "a slow line is no crime";
  EXPECT_THAT(console().paths(now), SizeIs(1));
}

TEST_F(TrickleTest, AWholeFrameGivesTheNextOneItsOwnTime) {
  connect(1, "eth0");
  for (int i = 0; i < 200; ++i) {  // PINGs come between the pieces.
    console().on_bytes(PathId{1}, now);
    advance(100ms);
  }
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
}

TEST_F(HostileTest, ErrorFromThePeerClosesThePathWithItsReason) {
  inject(kHost, 1, encode(ErrorMessage{ErrorCode::retry_later, "busy"}));
  EXPECT_EQ(dead(kHost).cause, PathCause::peer_error);
  EXPECT_TRUE(dead(kHost).by_peer);
  EXPECT_EQ(dead(kHost).detail, "retry_later: busy");
}

TEST_F(HostileTest, AnExpelledHostHearsWhyOnEveryPathAndComesBackToANewSession) {
  const SessionId before = console().id();
  console().expel({ErrorCode::revoked, "revoked by the Console: stolen"}, now);
  run();
  EXPECT_EQ(console().path_count(), 0U);
  EXPECT_FALSE(console().established());
  EXPECT_THAT(ends[kConsole].seen<SessionExpired>(), SizeIs(1));
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), SizeIs(2));
  const auto told = ends[kHost].seen<PathDead>();
  ASSERT_THAT(told, SizeIs(2));
  for (const PathDead& path : told) {
    EXPECT_EQ(path.cause, PathCause::peer_error);
    EXPECT_EQ(path.detail, "revoked by the Console: stolen");
  }
  console().expel({ErrorCode::revoked, "again"}, now);
  run();
  EXPECT_THAT(ends[kConsole].seen<SessionExpired>(), SizeIs(1)) << "there is nothing to end";
  connect(3, "eth0");
  EXPECT_NE(console().id(), before);
  EXPECT_EQ(host().id(), console().id());
}

TEST_F(HostileTest, ThreeViolationsIn10MinutesQuarantineTheHostFor10Minutes) {
  for (std::uint32_t id = 10; id < 13; ++id) {
    const auto accepted = accept(id, host().hello(facts(id, "eth9"), WallTime{}));
    ASSERT_TRUE(accepted) << accepted.error().what;
    inject(kConsole, id, data_frame(Channel::events, 1000));
    advance(1s);
  }
  const auto refused = accept(20, host().hello(facts(20, "eth9"), WallTime{}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::denied);
  run();
  EXPECT_EQ(decode_error(written(kConsole, 20, FrameType::error).at(0).payload)->code,
            ErrorCode::quarantined);
  advance(10min);
  EXPECT_TRUE(accept(21, host().hello(facts(21, "eth9"), WallTime{})));
}

TEST_F(HostileTest, AQuarantineEndsThePathsThatAreUp) {
  for (std::uint32_t id = 10; id < 13; ++id) {
    ASSERT_TRUE(accept(id, host().hello(facts(id, "eth9"), WallTime{})));
    inject(kConsole, id, data_frame(Channel::events, 1000));
  }
  run();
  EXPECT_EQ(console().path_count(), 0U);
  for (const std::uint32_t id : {1U, 2U}) {
    const auto errors = written(kConsole, id, FrameType::error);
    ASSERT_THAT(errors, SizeIs(1));
    EXPECT_EQ(decode_error(errors[0].payload)->code, ErrorCode::quarantined);
  }
}

TEST_F(HostileTest, AnEpochNearTheEndOfNumbersIsNotBelieved) {
  Hello hello = host().hello(facts(20, "eth9"), WallTime{});
  hello.instance = InstanceId{77};  // Or it would join the session.
  hello.epoch = 1ULL << 52;
  const auto refused = accept(20, hello);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what, HasSubstr("epoch"));
  EXPECT_LT(console().epoch(), 1ULL << 51);
  hello.epoch = 1ULL << 51;
  ASSERT_TRUE(accept(21, hello));
  EXPECT_EQ(console().epoch(), (1ULL << 51) + 1);
  hello.epoch = console().epoch();
  EXPECT_TRUE(accept(22, hello)) << "it was given that one";
}

TEST_F(HostileTest, ViolationsFarApartDoNotAddUp) {
  for (std::uint32_t id = 10; id < 14; ++id) {
    const auto accepted = accept(id, host().hello(facts(id, "eth9"), WallTime{}));
    ASSERT_TRUE(accepted) << accepted.error().what;
    inject(kConsole, id, data_frame(Channel::events, 1000));
    advance(5min);
  }
  EXPECT_EQ(console().stats().violations, 4U);
}

TEST_F(HostileTest, FramesOfAPathThatIsNotAttachedAreIgnored) {
  inject(kConsole, 77, data_frame(Channel::events, 1000));
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
  EXPECT_EQ(console().stats().violations, 0U);
}

}  // namespace
}  // namespace edge::tunnel
