// Paths: which is active, how a dead one is found and told, what is forgiven.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/session_pair.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

class PathsTest : public SessionPair {
 protected:
  void two_paths() {
    connect(1, "eth0");
    connect(2, "eth1", 1);
    ASSERT_EQ(host().active(), PathId{1});
    advance(100ms);
    forget();
  }
  std::vector<SwitchReason> switches(std::size_t end) {
    std::vector<SwitchReason> out;
    for (const ActiveChanged& change : ends[end].seen<ActiveChanged>()) {
      out.push_back(change.reason);
    }
    return out;
  }
};

TEST_F(PathsTest, TheHostChoosesAndTheConsoleFollows) {
  connect(2, "eth1", 1);
  EXPECT_EQ(console().active(), PathId{2});
  connect(1, "eth0");
  EXPECT_EQ(host().active(), PathId{2}) << "a preferred path must be steady first";
  advance(3s);
  EXPECT_EQ(host().active(), PathId{1});
  EXPECT_EQ(console().active(), PathId{1});
  EXPECT_THAT(switches(kHost), testing::ElementsAre(SwitchReason::first, SwitchReason::preferred));
  EXPECT_THAT(switches(kConsole), testing::ElementsAre(SwitchReason::first, SwitchReason::told));
}

TEST_F(PathsTest, TheConsoleSendsOnThePathThatTheHostCallsActive) {
  connect(2, "eth1", 1);
  connect(1, "eth0");
  advance(3s);
  forget();
  send(kConsole, Channel::bulk, "x");
  run();
  EXPECT_EQ(data_on(kConsole, 1), "x ");
}

TEST_F(PathsTest, AnOldAnnouncementDoesNotTurnTheConsoleBack) {
  two_paths();
  host().drain(PathId{1}, true, now);
  run();
  ASSERT_EQ(console().active(), PathId{2});
  inject(kConsole, 1,
         encode(PathStatus{.wire_id = 1, .state = PathStatus::State::active, .active_serial = 1}));
  EXPECT_EQ(console().active(), PathId{2});
  inject(kConsole, 1,
         encode(PathStatus{.wire_id = 1, .state = PathStatus::State::active, .active_serial = 2}));
  EXPECT_EQ(console().active(), PathId{2}) << "a serial names one choice";
  inject(kConsole, 1, encode(Ping{.nonce = 1000, .active_serial = 1, .view = view_active}));
  EXPECT_EQ(console().active(), PathId{2});
  inject(kConsole, 1, encode(Ping{.nonce = 1001, .active_serial = 9, .view = 0}));
  EXPECT_EQ(console().active(), PathId{2}) << "not marked active";
}

TEST_F(PathsTest, HeartbeatsRepeatTheAnnouncement) {
  two_paths();
  // The announcement is lost on both paths; the next PING of the new active path carries it.
  inject(kConsole, 2, encode(Ping{.nonce = 1000, .active_serial = 7, .view = view_active}));
  EXPECT_EQ(console().active(), PathId{2});
}

TEST_F(PathsTest, TheHostIsNotTold) {
  two_paths();
  inject(kHost, 1,
         encode(PathStatus{.wire_id = 2, .state = PathStatus::State::active, .active_serial = 99}));
  EXPECT_EQ(host().active(), PathId{1});
}

TEST_F(PathsTest, ANewPathLearnsWhichOneIsActive) {
  two_paths();
  connect(3, "eth2", 2);
  const auto told = written(kHost, 3, FrameType::path_status);
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(decode_path_status(told[0].payload)->wire_id, 1U);
}

TEST_F(PathsTest, SilenceIsFoundByBothEndsAndTheActivePathMoves) {
  two_paths();
  cut(1);
  while (host().active() != PathId{2}) {
    ASSERT_LT(host().paths(now)[0].last_rx_age, 750ms);
    advance(1ms);
  }
  EXPECT_THAT(switches(kHost), testing::ElementsAre(SwitchReason::lost));
  EXPECT_EQ(console().active(), PathId{2}) << "told over the other path";
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty()) << "it may only have become slow";
  advance(2900ms);
  EXPECT_EQ(host().paths(now)[0].state, PathState::suspect);
  advance(200ms);
  EXPECT_EQ(dead(kHost).path, PathId{1});
  EXPECT_EQ(dead(kHost).cause, PathCause::silence);
  EXPECT_EQ(host().active(), PathId{2});
  EXPECT_EQ(console().active(), PathId{2});
  EXPECT_THAT(console().paths(now), SizeIs(1));
}

TEST_F(PathsTest, OneWayCutsAreToldByTheEndThatNoticed) {
  two_paths();
  cut(1, true, false);  // The host still hears the Console.
  advance(751ms);
  EXPECT_EQ(host().active(), PathId{2}) << "the Console says in its PING that it hears nothing";
  EXPECT_EQ(console().active(), PathId{2});
  advance(3s);
  EXPECT_EQ(dead(kConsole).cause, PathCause::silence);
  EXPECT_FALSE(dead(kConsole).by_peer);
  EXPECT_EQ(dead(kHost).cause, PathCause::silence);
  EXPECT_TRUE(dead(kHost).by_peer);
  EXPECT_EQ(host().active(), PathId{2});
}

// Nothing moves for a while, then everything arrives: a round trip that stepped from 0 to that.
class SlowPathTest : public PathsTest, public testing::WithParamInterface<int> {};

TEST_P(SlowPathTest, IsLeftButNotClosed) {
  two_paths();
  for (auto& direction : wires[1].from) { direction.held = true; }
  advance(std::chrono::milliseconds(GetParam()));
  EXPECT_EQ(host().active(), PathId{2});
  for (auto& direction : wires[1].from) { direction.held = false; }
  advance(1ms);
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty());
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
  EXPECT_EQ(host().paths(now)[0].state, PathState::standby);
  EXPECT_EQ(console().paths(now)[0].state, PathState::standby);
  EXPECT_EQ(console().active(), PathId{2}) << "old announcements change nothing";
  advance(58s);
  EXPECT_EQ(host().active(), PathId{2});
  advance(3s);
  EXPECT_EQ(host().active(), PathId{1}) << "steady for 60 s";
}
INSTANTIATE_TEST_SUITE_P(Steps, SlowPathTest, testing::Values(800, 1500, 3400));

TEST_F(PathsTest, TheOnlyPathIsKeptAsLong) {
  connect(1, "eth0");
  advance(10s);
  forget();
  for (auto& direction : wires[1].from) { direction.held = true; }
  advance(3400ms);
  for (auto& direction : wires[1].from) { direction.held = false; }
  advance(1ms);
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty());
  EXPECT_EQ(host().active(), PathId{1});
  EXPECT_EQ(host().paths(now)[0].state, PathState::active);
}

TEST_F(PathsTest, WithAllPathsSilentTheActiveOneStays) {
  two_paths();
  cut(1);
  cut(2);
  advance(2900ms);
  EXPECT_THAT(switches(kHost), testing::SizeIs(testing::Le(1U)));
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty());
}

TEST_F(PathsTest, ASuspicionAsksTheOtherPathsAtOnce) {
  two_paths();
  advance(2s);
  cut(1);
  while (host().paths(now)[0].state != PathState::suspect) {
    forget();
    advance(1ms);
  }
  EXPECT_THAT(written(kHost, 2, FrameType::ping), SizeIs(1));
  EXPECT_THAT(written(kConsole, 2, FrameType::pong), SizeIs(1));
}

TEST_F(PathsTest, TheEndsDoNotConfirmEachOthersSuspicion) {
  two_paths();
  wires[1].from[kHost].held = true;  // Only the Console hears nothing.
  advance(500ms);
  EXPECT_EQ(console().paths(now)[0].state, PathState::suspect);
  EXPECT_EQ(host().paths(now)[0].state, PathState::suspect) << "it was told";
  wires[1].from[kHost].held = false;
  advance(1ms);
  EXPECT_EQ(console().paths(now)[0].state, PathState::active);
  EXPECT_EQ(host().paths(now)[0].state, PathState::active);
  EXPECT_THAT(switches(kHost), IsEmpty());
}

// Small frames pass, then a large one is sent and vanishes, and with it all that TCP has behind it.
TEST_F(PathsTest, APathThatSwallowsLargeFramesIsLeft_AndTheFrameArrivesOverTheOther) {
  two_paths();
  cut(1, true, false);
  send(kHost, Channel::events, "large", 30'000);
  advance(60ms);
  EXPECT_EQ(ends[kConsole].got(Channel::events), "large....... ");
  advance(700ms);
  EXPECT_EQ(host().active(), PathId{2});
}

TEST_F(PathsTest, TelemetryLeavesASilentPathBeforeItIsClosed) {
  two_paths();
  cut(1);
  send(kHost, Channel::telemetry, "state");
  advance(500ms);
  EXPECT_EQ(ends[kConsole].got(Channel::telemetry), "");
  advance(251ms);
  EXPECT_EQ(ends[kConsole].got(Channel::telemetry), "state ");
}

TEST_F(PathsTest, ACarrierLossIsToldAtOnce) {
  two_paths();
  connect(3, "eth0");
  wires[4].facts = facts(4, "eth0");
  cut(3);
  forget();
  host().on_carrier_lost("eth0", now);
  run();
  EXPECT_EQ(host().active(), PathId{2});
  EXPECT_EQ(console().active(), PathId{2});
  EXPECT_EQ(dead(kConsole).cause, PathCause::carrier);
  EXPECT_TRUE(dead(kConsole).by_peer);
  EXPECT_THAT(written(kConsole, 2, FrameType::path_status), IsEmpty()) << "no echo";
  EXPECT_THAT(host().paths(now), SizeIs(1));
  host().on_carrier_lost("eth7", now);
  EXPECT_THAT(host().paths(now), SizeIs(1));
}

TEST_F(PathsTest, AStandbyDiesAfterItsOwnThreeSeconds) {
  two_paths();
  cut(2);
  advance(2500ms);
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty());
  advance(1s);
  EXPECT_EQ(dead(kHost).path, PathId{2});
  EXPECT_EQ(host().active(), PathId{1});
  EXPECT_THAT(switches(kHost), IsEmpty());
}

TEST_F(PathsTest, AnyFrameIsLife) {
  two_paths();
  for (auto& wire : wires) { wire.second.from[kConsole].held = true; }
  for (int i = 0; i < 30; ++i) {
    advance(100ms);
    inject(kHost, 1, encode(Ack{}));
    inject(kHost, 2, encode(Ack{}));
  }
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty());
}

TEST_F(PathsTest, APartOfALargeFrameIsLifeToo) {
  two_paths();
  for (auto& wire : wires) { wire.second.from[kConsole].held = true; }
  for (int i = 0; i < 80; ++i) {
    advance(100ms);
    host().on_bytes(PathId{1}, now);
    host().on_bytes(PathId{7}, now);
  }
  EXPECT_EQ(host().active(), PathId{1});
  ASSERT_THAT(ends[kHost].seen<PathDead>(), SizeIs(1));
  EXPECT_EQ(dead(kHost).path, PathId{2});
}

TEST_F(PathsTest, AfterItsDeathThePreferredPathIsUsedAgainAfter60s) {
  two_paths();
  host().on_path_lost(PathId{1}, PathCause::eof, {}, now);
  connect(3, "eth0");
  advance(59s);
  EXPECT_EQ(host().active(), PathId{2});
  advance(2s);
  EXPECT_EQ(host().active(), PathId{3});
  EXPECT_EQ(console().active(), PathId{3});
}

TEST_F(PathsTest, OnlyAFailureMakesThePreferredPathWaitLong) {
  const struct {
    PathCause cause;
    Duration wait;
  } cases[] = {{PathCause::drained, 3s},  {PathCause::superseded, 3s},
               {PathCause::carrier, 60s}, {PathCause::address, 120s},
               {PathCause::reset, 240s},  {PathCause::write_stall, 480s}};
  connect(1, "eth0");
  connect(2, "eth1", 1);
  std::uint32_t id = 1;
  for (const auto& fault : cases) {
    cut(id);
    host().on_path_lost(PathId{id}, fault.cause, {}, now);
    connect(++id == 2 ? ++id : id, "eth0");
    advance(fault.wait - 100ms);
    EXPECT_EQ(host().active(), PathId{2}) << to_string(fault.cause);
    advance(200ms);
    EXPECT_EQ(host().active(), PathId{id}) << to_string(fault.cause);
  }
}

TEST_F(PathsTest, TheHostIsToldWhatToRemember_AndARestartForgivesNothing) {
  two_paths();
  host().on_path_lost(PathId{1}, PathCause::carrier, {}, now);
  run();
  const auto changed = ends[kHost].seen<ReputationChanged>();
  ASSERT_THAT(changed, SizeIs(1));
  EXPECT_EQ(changed[0].reputation, (Reputation{"eth0", 1, 0s}));
  EXPECT_THAT(ends[kConsole].seen<ReputationChanged>(), IsEmpty());
  ends[kHost] = TestEnd(host_options(), 5);
  host().restore(changed[0].reputation, now);
  connect(12, "eth1", 1);
  connect(11, "eth0");
  advance(59s);
  EXPECT_EQ(host().active(), PathId{12});
  advance(2s);
  EXPECT_EQ(host().active(), PathId{11});
}

TEST_F(PathsTest, AnOperatorsDrainIsNoFailure) {
  two_paths();
  host().drain(PathId{1}, true, now);
  run();
  EXPECT_EQ(host().active(), PathId{2});
  host().drain(PathId{1}, false, now);
  advance(4s);
  EXPECT_EQ(host().active(), PathId{1});
}

TEST_F(PathsTest, AReconnectReplacesTheHalfOpenConnectionOverTheSamePort) {
  two_paths();
  cut(1);
  dial(3, "eth0");
  run();
  EXPECT_EQ(dead(kConsole).path, PathId{1});
  EXPECT_EQ(dead(kConsole).cause, PathCause::superseded);
  EXPECT_EQ(dead(kHost).path, PathId{1});
  EXPECT_THAT(console().paths(now), SizeIs(2));
}

TEST_F(PathsTest, BeyondTheLimitTheQuietestPathGoes) {
  const auto limit = static_cast<std::uint32_t>(Session::paths_max);
  for (std::uint32_t id = 1; id <= limit; ++id) { connect(id, "eth" + std::to_string(id)); }
  ASSERT_THAT(console().paths(now), SizeIs(limit));
  cut(5);
  advance(1500ms);
  forget();
  connect(limit + 1, "eth99");
  EXPECT_EQ(dead(kConsole).path, PathId{5});
  EXPECT_THAT(console().paths(now), SizeIs(limit));
  EXPECT_THAT(host().paths(now), SizeIs(limit));
}

TEST_F(PathsTest, OurOwnStallIsNotTheNetworksFault) {
  two_paths();
  now += 5s;  // Nobody called for five seconds.
  host().on_deadline(now);
  run();
  EXPECT_THAT(ends[kHost].seen<PathDead>(), IsEmpty());
  ASSERT_THAT(ends[kHost].seen<LocalStall>(), SizeIs(1));
  EXPECT_GT(ends[kHost].seen<LocalStall>()[0].lateness, 4s);
  // The Console had given up meanwhile and closed; the host knows why.
  host().on_path_lost(PathId{1}, PathCause::eof, {}, now);
  EXPECT_EQ(host().take_actions().empty(), false);
}

TEST_F(PathsTest, AnEndOfFileRightAfterAStallIsBlamedOnTheStall) {
  two_paths();
  host().on_local_stall(5s, now);
  host().on_path_lost(PathId{1}, PathCause::eof, {}, now);
  run();
  EXPECT_EQ(dead(kHost).cause, PathCause::local_stall);
}

TEST_F(PathsTest, AStallLongAgoExcusesNothing) {
  two_paths();
  host().on_local_stall(5s, now);
  advance(2s);
  host().on_path_lost(PathId{1}, PathCause::eof, {}, now);
  run();
  EXPECT_EQ(dead(kHost).cause, PathCause::eof);
}

TEST_F(PathsTest, ALateCallBelow100msIsNoStall) {
  two_paths();
  const MonoTime due = host().next_deadline().value();
  now = due + 100ms - 1ns;
  host().on_deadline(now);
  run();
  EXPECT_THAT(ends[kHost].seen<LocalStall>(), IsEmpty());
  now = host().next_deadline().value() + 100ms;
  host().on_deadline(now);
  run();
  EXPECT_THAT(ends[kHost].seen<LocalStall>(), SizeIs(1));
}

TEST_F(PathsTest, GoawayDrainsThePathsAndTellsTheApplication) {
  two_paths();
  console().send_goaway({.reason = "restart", .reconnect_in = 1s, .spread = 30s, .endpoints = {}},
                        now);
  run();
  const auto goaways = ends[kHost].seen<PeerGoaway>();
  ASSERT_THAT(goaways, SizeIs(2));
  EXPECT_EQ(goaways[0].goaway.spread, 30s);
  for (const PathView& path : host().paths(now)) { EXPECT_TRUE(path.draining); }
  EXPECT_NE(host().active(), std::nullopt) << "all drain: stay until there is another";
  connect(3, "eth2");
  EXPECT_EQ(host().active(), PathId{3});
}

TEST_F(PathsTest, ShutdownSaysGoodbyeAndClosesEverything) {
  two_paths();
  host().shutdown(now);
  run();
  EXPECT_THAT(ends[kHost].seen<PathDead>(), SizeIs(2));
  EXPECT_EQ(dead(kHost).cause, PathCause::shutdown);
  EXPECT_THAT(ends[kConsole].seen<PeerGoaway>(), SizeIs(2));
  EXPECT_EQ(host().active(), std::nullopt);
}

TEST_F(PathsTest, TheViewShowsEachPath) {
  two_paths();
  const auto paths = host().paths(now);
  ASSERT_THAT(paths, SizeIs(2));
  EXPECT_EQ(paths[0].state, PathState::active);
  EXPECT_EQ(paths[1].state, PathState::standby);
  EXPECT_EQ(paths[0].facts.port, "eth0");
  EXPECT_EQ(paths[0].srtt, 0ms);
  EXPECT_GT(paths[0].rx_frames, 0U);
  EXPECT_GT(paths[0].tx_frames, 0U);
  cut(2);
  advance(1600ms);
  EXPECT_EQ(host().paths(now)[1].state, PathState::suspect);
  EXPECT_GT(host().paths(now)[1].last_rx_age, 1s);
}

}  // namespace
}  // namespace edge::tunnel
