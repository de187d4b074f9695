// The child that asks for the lease: asked again, deaf, killed, replaced.
#include "tests/unit/dhcp/lease_engine_fixture.hpp"

#include <gtest/gtest.h>

namespace edge::dhcp {
namespace {

TEST_F(LeaseEngineTest, WithoutALeaseTheServerIsAskedEveryFourSeconds) {
  start();
  hear(HookReason::preinit);
  run_for(2s);
  hear(HookReason::reconfigure);
  for (int i = 0; i < 3; ++i) {
    EXPECT_GE(count(run_for(4s), "hup"), 1) << i;
    hear(HookReason::reconfigure);
  }
}

TEST_F(LeaseEngineTest, ManyUnansweredKicksReplaceTheChildForAHelperMayBeDead) {
  start();
  hear(HookReason::preinit);
  std::string orders;
  for (int i = 0; i < 200; ++i) {
    const std::string some = run_for(100ms);
    orders += some + " ";
    if (count(some, "kill") > 0) {
      engine.on_child_exited(now());
      ++generation;
    }
    hear(HookReason::reconfigure);
  }
  EXPECT_EQ(count(orders, "kill"), 1);
}

TEST_F(LeaseEngineTest, ALostSignalIsSentAgainAndADeafChildIsReplaced) {
  bind();
  engine.revalidate(now());
  const std::string orders = run_for(3s);
  EXPECT_GE(count(orders, "hup"), 20);
  EXPECT_EQ(count(orders, "kill"), 1);
  EXPECT_EQ(engine.phase(), LeasePhase::bound);
  EXPECT_EQ(shown(engine.on_child_exited(now())), "start");
}

TEST_F(LeaseEngineTest, AHeardSignalIsNotRepeated) {
  bind();
  run_for(300s);  // T1: the SIGHUP.
  hear(HookReason::reconfigure);
  EXPECT_EQ(run_for(3s), "");
}

TEST_F(LeaseEngineTest, AChildThatNeverSpeaksIsReplaced) {
  start();
  EXPECT_EQ(count(run_for(9s), "kill"), 0);
  EXPECT_EQ(count(run_for(2s), "kill"), 1);
}

TEST_F(LeaseEngineTest, NoSignalBeforeTheFirstEventOfAChild) {
  start();
  engine.on_short_pull(now());
  EXPECT_EQ(count(run_for(1s), "hup"), 0);
  EXPECT_EQ(hear(HookReason::preinit), "");
  EXPECT_GE(count(run_for(100ms), "hup"), 1);
}

TEST_F(LeaseEngineTest, AKilledChildIsReplacedAtOnceAndTheLeaseStays) {
  bind();
  pass(60s);
  EXPECT_EQ(shown(engine.on_child_exited(now())), "start");
  EXPECT_EQ(engine.phase(), LeasePhase::bound);
}

TEST_F(LeaseEngineTest, AfterAConflictAChildThatProbesDeclinesAndAQuickOneFollows) {
  bind();
  EXPECT_EQ(shown(engine.on_conflict(router_b, now())), "quiet none:conflict kill");
  EXPECT_EQ(shown(engine.on_child_exited(now())), "start(arp)");
  generation = 2;
  hear(HookReason::preinit);
  EXPECT_EQ(count(run_for(10s), "hup"), 0);  // Probing takes 5 s; a SIGHUP would start it over.
  EXPECT_EQ(hear(HookReason::bound, lease()), "bound:server_answered gateway? kill");
  EXPECT_EQ(shown(engine.on_child_exited(now())), "start");
}

TEST_F(LeaseEngineTest, StopEndsTheChildAndSaysNothingAboutTheLease) {
  bind();
  EXPECT_EQ(shown(engine.stop(now())), "quiet term");
  EXPECT_FALSE(engine.finished());
  EXPECT_EQ(run_for(400ms), "term");  // The first one was lost.
  EXPECT_EQ(hear(HookReason::expire), "");
  EXPECT_EQ(count(run_for(2s), "kill"), 1);
  EXPECT_EQ(shown(engine.on_child_exited(now())), "");
  EXPECT_TRUE(engine.finished());
  EXPECT_EQ(engine.next_deadline(), std::nullopt);
}

TEST_F(LeaseEngineTest, AChildThatNeverStartsGetsMorePatienceEachTime) {
  start();
  EXPECT_EQ(count(run_for(9s), "kill"), 0);
  EXPECT_EQ(count(run_for(2s), "kill"), 1);
  engine.on_child_exited(now());
  EXPECT_EQ(count(run_for(19s), "kill"), 0) << "20 s from the second start";
  EXPECT_GE(count(run_for(3s), "kill"), 1);
}

TEST_F(LeaseEngineTest, AChildThatWasSlowToStartMayBeSlowToAnswer) {
  start();
  pass(8s);  // A machine under load.
  hear(HookReason::preinit);
  hear(HookReason::carrier);
  hear(HookReason::bound, lease());
  engine.on_carrier(false, now());
  engine.on_carrier(true, now());
  EXPECT_EQ(count(run_for(7s), "kill"), 0);
  EXPECT_GE(count(run_for(3s), "kill"), 1);
}

}  // namespace
}  // namespace edge::dhcp
