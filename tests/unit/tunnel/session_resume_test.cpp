// Sessions: resumed while both ends remember, started anew when one does not, never refused for
// long.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/session_pair.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

class ResumeTest : public SessionPair {
 protected:
  void lose_all() {
    for (auto& [id, wire] : wires) {
      cut(id);
      host().on_path_lost(PathId{id}, PathCause::carrier, {}, now);
      console().on_path_lost(PathId{id}, PathCause::silence, {}, now);
    }
    run();
  }
  void restart(std::size_t end, std::uint64_t seed) {
    for (auto& [id, wire] : wires) {
      cut(id);
      if (end == kConsole) { host().on_path_lost(PathId{id}, PathCause::eof, {}, now); }
    }
    run();
    SessionOptions options = host_options();
    ends[end] = TestEnd(end == kHost ? options : console_side(options), seed);
  }
};

TEST_F(ResumeTest, BothEndsStartOneSession) {
  connect(1, "eth0");
  ASSERT_THAT(ends[kHost].seen<SessionStarted>(), SizeIs(1));
  ASSERT_THAT(ends[kConsole].seen<SessionStarted>(), SizeIs(1));
  EXPECT_FALSE(ends[kHost].seen<SessionStarted>()[0].reset);
  EXPECT_EQ(host().id(), console().id());
  EXPECT_EQ(host().epoch(), 1U);
  connect(2, "eth1");
  EXPECT_THAT(ends[kHost].seen<SessionStarted>(), SizeIs(1)) << "another path changes nothing else";
  EXPECT_THAT(host().paths(now), SizeIs(2));
}

TEST_F(ResumeTest, TwoFirstHellosAtOnceShareTheSession) {
  dial(1, "eth0");
  dial(2, "eth1");
  run();
  EXPECT_THAT(ends[kConsole].seen<SessionStarted>(), SizeIs(1));
  EXPECT_THAT(ends[kHost].seen<SessionStarted>(), SizeIs(1));
  EXPECT_THAT(host().paths(now), SizeIs(2));
}

TEST_F(ResumeTest, AfterLosingAllPathsNothingIsLostAndNothingIsRepeated) {
  connect(1, "eth0");
  send(kConsole, Channel::commands, "1");
  run();
  cut(1);
  send(kConsole, Channel::commands, "2");
  run();
  lose_all();
  EXPECT_THAT(ends[kHost].seen<SessionDetached>(), SizeIs(1));
  send(kConsole, Channel::commands, "3");
  send(kHost, Channel::events, "e");
  advance(9min);
  connect(2, "eth0");
  EXPECT_EQ(ends[kHost].got(Channel::commands), "1 2 3 ");
  EXPECT_EQ(ends[kConsole].got(Channel::events), "e ");
  EXPECT_THAT(ends[kHost].seen<SessionStarted>(), SizeIs(1));
  ASSERT_THAT(ends[kConsole].seen<SessionResumed>(), SizeIs(1));
  EXPECT_EQ(ends[kConsole].seen<SessionResumed>()[0].detached_for, 9min);
  const auto welcome = written(kConsole, 2, FrameType::welcome);
  EXPECT_TRUE(decode_welcome(welcome.at(0).payload)->resumed);
  EXPECT_EQ(decode_welcome(welcome.at(0).payload)->next[1], 1U);
}

TEST_F(ResumeTest, TheHandshakeCarriesWhatWasReceived) {
  connect(1, "eth0");
  cut(1, true, false);  // The host's acks are lost.
  send(kConsole, Channel::commands, "1");
  advance(30ms);
  lose_all();
  ASSERT_GT(console().queued_bytes(Channel::commands), 0U);
  EXPECT_EQ(host().hello(facts(2, "eth0"), WallTime{}).next[1], 2U);
  connect(2, "eth0");
  EXPECT_EQ(console().queued_bytes(Channel::commands), 0U);
  EXPECT_EQ(console().stats().resent, 0U);
}

TEST_F(ResumeTest, TheConsoleForgetsAfterTenMinutes_AndSaysSo) {
  connect(1, "eth0");
  lose_all();
  const MonoTime expiry = now + 600s;
  EXPECT_EQ(console().next_deadline(), expiry);
  EXPECT_EQ(host().next_deadline(), std::nullopt) << "only the Console's memory is shared by many";
  send(kConsole, Channel::commands, "lost");
  advance(600s - 1ns);
  EXPECT_THAT(ends[kConsole].seen<SessionExpired>(), IsEmpty());
  advance(1ns);
  EXPECT_THAT(ends[kConsole].seen<SessionExpired>(), SizeIs(1));
  EXPECT_FALSE(console().established());
  EXPECT_EQ(console().queued_bytes(Channel::commands), 0U);
  const SessionId before = host().id();
  connect(2, "eth0");
  EXPECT_NE(host().id(), before);
  EXPECT_EQ(host().epoch(), 2U);
  EXPECT_TRUE(ends[kHost].seen<SessionStarted>().at(1).reset);
}

TEST_F(ResumeTest, ARestartedConsoleStartsTheNextEpoch_BothCountFromOne) {
  connect(1, "eth0");
  send(kHost, Channel::events, "old");
  run();
  restart(kConsole, 77);
  send(kHost, Channel::events, "dropped");
  dial(2, "eth0");
  dial(3, "eth1");
  run();
  EXPECT_EQ(host().epoch(), 2U);
  EXPECT_EQ(host().id(), console().id());
  EXPECT_THAT(host().paths(now), SizeIs(2)) << "both HELLOs named the old session";
  send(kHost, Channel::events, "new");
  run();
  EXPECT_EQ(ends[kConsole].got(Channel::events), "new ");
  EXPECT_EQ(written(kHost, 2, FrameType::data).at(0).header.seq, 1U);
}

TEST_F(ResumeTest, ARestartedHostReplacesItsFormerSelfAtOnce) {
  connect(1, "eth0");
  connect(2, "eth1");
  send(kHost, Channel::events, "old");
  run();
  restart(kHost, 99);
  dial(3, "eth2");  // The Console still believes in 1 and 2.
  run();
  EXPECT_EQ(host().id(), console().id());
  EXPECT_THAT(console().paths(now), SizeIs(1));
  EXPECT_TRUE(ends[kConsole].seen<SessionStarted>().at(1).reset);
  EXPECT_EQ(ends[kConsole].seen<PathDead>().at(0).cause, PathCause::superseded);
  send(kConsole, Channel::commands, "hi");
  run();
  EXPECT_EQ(ends[kHost].got(Channel::commands), "hi ");
}

TEST_F(ResumeTest, ARestartedHostsChoicesAreNumberedAnew) {
  connect(1, "eth0");
  connect(2, "eth1");
  for (const bool draining : {true, false, true, false}) {
    host().drain(*host().active(), draining, now);
    advance(10ms);
  }
  restart(kHost, 99);
  connect(3, "eth0");
  connect(4, "eth1");
  ASSERT_EQ(console().active(), PathId{3});
  host().drain(PathId{3}, true, now);
  run();
  EXPECT_EQ(console().active(), PathId{4});
}

TEST_F(ResumeTest, AWelcomeOfAnOlderSessionIsRefusedByTheHost) {
  connect(1, "eth0");
  Welcome stale{.session = SessionId{42}, .epoch = 1};
  const auto refused = host().attach(PathId{9}, facts(9, "eth1"), stale, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  run();
  EXPECT_EQ(dead(kHost).path, PathId{9});
  EXPECT_THAT(host().paths(now), SizeIs(1));
}

TEST_F(ResumeTest, AWelcomeOfANewerSessionReplacesEverything) {
  connect(1, "eth0");
  const Welcome newer{.session = SessionId{42}, .epoch = 2};
  ASSERT_TRUE(host().attach(PathId{9}, facts(9, "eth1"), newer, now));
  EXPECT_EQ(host().id(), SessionId{42});
  ASSERT_THAT(host().paths(now), SizeIs(1));
  EXPECT_EQ(host().paths(now)[0].path, PathId{9});
}

TEST_F(ResumeTest, AWelcomeThatClaimsUnsentFramesEndsTheSession) {
  connect(1, "eth0");
  const Hello before = host().hello(facts(2, "eth1"), WallTime{});
  Welcome liar{.session = host().id(), .epoch = 1};
  liar.next[1] = 2;
  EXPECT_FALSE(host().attach(PathId{9}, facts(9, "eth1"), liar, now));
  EXPECT_FALSE(host().established());
  const Hello after = host().hello(facts(2, "eth1"), WallTime{});
  EXPECT_NE(after.instance, before.instance) << "the Console must not join it to the old state";
  EXPECT_EQ(after.epoch, 1U);
}

TEST_F(ResumeTest, AHelloThatClaimsUnsentFramesStartsANewSession) {
  connect(1, "eth0");
  Hello liar = host().hello(facts(2, "eth1"), WallTime{});
  liar.next[1] = 2;
  const SessionId before = console().id();
  ASSERT_TRUE(accept(2, liar));
  EXPECT_NE(console().id(), before);
  EXPECT_EQ(console().epoch(), 2U);
}

TEST_F(ResumeTest, TheEpochContinuesFromWhatTheHostHasSeen) {
  Hello hello = host().hello(facts(1, "eth0"), WallTime{});
  hello.epoch = 41;
  ASSERT_TRUE(accept(1, hello));
  EXPECT_EQ(console().epoch(), 42U);
}

TEST_F(ResumeTest, ACloneIsRefusedWhileTheFirstIsConnected) {
  connect(1, "eth0");
  Hello clone = host().hello(facts(2, "eth1"), WallTime{});
  clone.install_id = "other";
  clone.instance = InstanceId{5};
  const auto refused = accept(2, clone);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  run();
  EXPECT_EQ(ends[kConsole].seen<CloneRefused>().at(0).install_id, "other");
  EXPECT_EQ(decode_error(written(kConsole, 2, FrameType::error).at(0).payload)->code,
            ErrorCode::clone);
  EXPECT_THAT(console().paths(now), SizeIs(1));
  lose_all();
  EXPECT_TRUE(accept(3, clone)) << "reinstalled: the old one is gone";
}

TEST_F(ResumeTest, NoCommonVersionIsSaidClearly) {
  Hello future = host().hello(facts(1, "eth0"), WallTime{});
  future.version_min = 2;
  future.version_max = 3;
  const auto refused = accept(1, future);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  EXPECT_EQ(refused.error().what, "protocol versions 2..3 offered, 1..1 supported");
  future.version_min = 1;
  EXPECT_TRUE(accept(2, future));
}

TEST_F(ResumeTest, TheWelcomeNegotiatesTheHeartbeats) {
  Hello hello = host().hello(facts(1, "eth0"), WallTime{});
  hello.heartbeat = {.active = 700ms, .standby = 500ms, .dead_after = 5};
  ASSERT_TRUE(accept(1, hello));
  run();
  const auto welcome = decode_welcome(written(kConsole, 1, FrameType::welcome).at(0).payload);
  EXPECT_EQ(welcome->heartbeat, (HeartbeatTimers{700ms, 1000ms, 5}));
  EXPECT_EQ(welcome->detach_ttl, 600s);
}

}  // namespace
}  // namespace edge::tunnel
