#include "tests/unit/dhcp/lease_engine_fixture.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace edge::dhcp {
namespace {

TEST_F(LeaseEngineTest, AFirstLeaseIsBoundProbedAndItsGatewayLearned) {
  EXPECT_EQ(start(), "start");
  EXPECT_EQ(hear(HookReason::preinit), "");
  EXPECT_EQ(hear(HookReason::bound, lease()), "bound:server_answered conflict? gateway?");
  EXPECT_EQ(shown(engine.on_gateway_answer(router_a, now())), "bound:gateway_answered");
  EXPECT_EQ(engine.lease()->gateway_mac, router_a);
  EXPECT_EQ(engine.lease()->acquired, wall);
}

TEST_F(LeaseEngineTest, ASwitchThatSwallowsPacketsIsMetWithABurst) {
  start();
  hear(HookReason::preinit);
  EXPECT_GE(count(run_for(150ms), "hup"), 4);
  hear(HookReason::reconfigure);
  hear(HookReason::bound, lease());
  EXPECT_EQ(run_for(4s), "");  // Answered: quiet.
}

TEST_F(LeaseEngineTest, APullHoldsTheLeaseAndTheExpireThatFollowsMeansNothing) {
  bind();
  EXPECT_EQ(shown(engine.on_carrier(false, now())), "quiet held:carrier_lost");
  EXPECT_EQ(hear(HookReason::no_carrier), "");
  EXPECT_EQ(hear(HookReason::expire), "");
  EXPECT_EQ(engine.phase(), LeasePhase::held);
  EXPECT_EQ(run_for(60s), "");
}

TEST_F(LeaseEngineTest, OnReturnTheServerAndTheGatewayAreAskedAtOnce) {
  bind();
  engine.on_carrier(false, now());
  pass(5s);
  EXPECT_EQ(shown(engine.on_carrier(true, now())), "hup gateway?");
  hear(HookReason::reconfigure, lease());  // Carries the old lease.
  EXPECT_EQ(engine.phase(), LeasePhase::held);
  EXPECT_EQ(hear(HookReason::renew, lease()), "bound:server_answered conflict?");
}

TEST_F(LeaseEngineTest, WithTheServerDeadTheKnownGatewayMakesTheLeaseUsable) {
  bind();
  engine.on_carrier(false, now());
  engine.on_carrier(true, now());
  EXPECT_EQ(shown(engine.on_gateway_answer(router_a, now())), "stored:gateway_answered");
  hear(HookReason::expire);
  EXPECT_EQ(engine.phase(), LeasePhase::stored);
  EXPECT_GE(count(run_for(20s), "hup"), 5);  // And the server is asked on.
}

TEST_F(LeaseEngineTest, AfterAConflictItsChildIsNotBelievedAnyMore) {
  bind();
  engine.on_conflict(router_b, now());
  EXPECT_EQ(engine.phase(), LeasePhase::none);
  EXPECT_EQ(hear(HookReason::renew, lease()), "");  // The answer to a SIGHUP that was under way.
  EXPECT_EQ(engine.phase(), LeasePhase::none);
}

TEST_F(LeaseEngineTest, EventsOfAnEarlierChildAreIgnored) {
  start();
  EXPECT_EQ(shown(engine.on_child_exited(now())), "start");
  EXPECT_EQ(hear(HookReason::bound, lease()), "");
  generation = 2;
  EXPECT_EQ(hear(HookReason::bound, lease()), "bound:server_answered conflict? gateway?");
}

TEST_F(LeaseEngineTest, AnotherGatewayIsTrustedOnlyAfterTheServersSilenceAndAProbe) {
  bind();
  engine.on_carrier(false, now());
  engine.on_carrier(true, now());
  EXPECT_EQ(shown(engine.on_gateway_answer(router_b, now())), "conflict?");
  EXPECT_EQ(count(run_for(2400ms), "stored"), 0);
  EXPECT_EQ(count(run_for(200ms), "stored:gateway_answered"), 1);
}

TEST_F(LeaseEngineTest, AConflictFoundBeforeTheUseOfAStoredLeasePreventsIt) {
  bind();
  engine.on_carrier(false, now());
  engine.on_carrier(true, now());
  engine.on_gateway_answer(router_b, now());
  EXPECT_EQ(shown(engine.on_conflict(router_b, now())), "quiet none:conflict kill");
  EXPECT_EQ(count(run_for(5s), "stored"), 0);
}

TEST_F(LeaseEngineTest, ASilentGatewayKeepsTheLeaseHeldAndIsAskedAgain) {
  start(stored_lease());
  hear(HookReason::preinit);
  EXPECT_EQ(shown(engine.on_gateway_silent(now())), "");
  EXPECT_EQ(engine.phase(), LeasePhase::held);
  EXPECT_EQ(count(run_for(5s), "gateway?"), 1);
}

TEST_F(LeaseEngineTest, AStoredLeaseIsTakenOverAtStartUnlessItIsOver) {
  EXPECT_EQ(start(stored_lease()), "held:started start gateway?");
  LeaseEngine other;
  Lease old = stored_lease();
  old.acquired = wall - 601s;
  EXPECT_EQ(shown(other.start(old, true, now())), "start");
  LeaseEngine third;
  old.acquired = wall + 1h;  // The clock went back: nobody knows.
  EXPECT_EQ(shown(third.start(old, true, now())), "start");
}

TEST_F(LeaseEngineTest, AStoredLeaseEndsWhenItsOwnTimeIsOver) {
  start(stored_lease(), false);
  EXPECT_EQ(count(run_for(539s), "none:expired"), 0);
  EXPECT_EQ(count(run_for(2s), "none:expired"), 1);
}

TEST_F(LeaseEngineTest, ANakEndsTheLeaseAtOnce) {
  bind();
  EXPECT_EQ(hear(HookReason::nak), "quiet none:refused");
  EXPECT_EQ(hear(HookReason::nak), "");
}

TEST_F(LeaseEngineTest, AnotherNetworkIsAChangeOfEffect) {
  bind();
  Lease other = lease();
  other.address = parse_prefix("10.9.9.9/24").value();
  other.routers = {IpAddress::v4(10, 9, 9, 1)};
  const LeaseActions actions = engine.on_hook(
      {.reason = HookReason::bound, .interface = "br0", .generation = 1, .lease = other}, now());
  EXPECT_EQ(shown(actions), "bound:server_answered conflict? gateway?");
  EXPECT_TRUE(std::get<LeaseUpdate>(actions[0]).effect_changed);
  EXPECT_EQ(engine.lease()->gateway_mac, std::nullopt);
}

TEST_F(LeaseEngineTest, ARenewalIsAHupAtT1AndChangesNoEffect) {
  bind();
  EXPECT_EQ(run_for(299s), "");
  EXPECT_EQ(count(run_for(1s), "hup"), 1);
  hear(HookReason::reconfigure, lease());
  const LeaseActions actions = engine.on_hook(
      {.reason = HookReason::renew, .interface = "br0", .generation = 1, .lease = lease()}, now());
  EXPECT_EQ(shown(actions), "bound:server_answered");
  EXPECT_FALSE(std::get<LeaseUpdate>(actions[0]).effect_changed);
  EXPECT_EQ(run_for(299s), "");
}

TEST_F(LeaseEngineTest, UnansweredRenewalsKeepTheLeaseInUseUntilItsEnd) {
  bind();
  std::string orders = run_for(300s);
  hear(HookReason::reconfigure, lease());
  pass(1s);
  EXPECT_EQ(hear(HookReason::expire), "");  // dhcpcd gave up; the lease has not.
  EXPECT_EQ(engine.phase(), LeasePhase::bound);
  // The child answers every SIGHUP, the server none.
  for (int second = 0; second < 298; ++second) {
    orders = run_for(1s);
    if (count(orders, "start") > 0) { ++generation; }
    if (count(orders, "kill") > 0) {
      engine.on_child_exited(now());
      ++generation;
    }
    hear(HookReason::reconfigure);
    ASSERT_EQ(engine.phase(), LeasePhase::bound) << second;
  }
  EXPECT_EQ(count(run_for(2s), "none:expired"), 1);
}

TEST_F(LeaseEngineTest, AShortPullIsAskedAboutWhileTheLeaseStaysInUse) {
  bind();
  EXPECT_EQ(shown(engine.on_short_pull(now())), "hup gateway?");
  EXPECT_EQ(engine.phase(), LeasePhase::bound);
  hear(HookReason::reconfigure);
  // Neither answers: it is another wire.
  EXPECT_EQ(hear(HookReason::expire), "");
  EXPECT_EQ(shown(engine.on_gateway_silent(now())), "held:gateway_silent");
}

TEST_F(LeaseEngineTest, AnAnswerThatOvertakesTheCarrierEventKeepsTheLeaseBound) {
  bind();
  engine.on_carrier(false, now());
  hear(HookReason::no_carrier);
  hear(HookReason::carrier);
  EXPECT_EQ(hear(HookReason::reboot, lease()).substr(0, 21), "bound:server_answered");
  EXPECT_EQ(shown(engine.on_carrier(true, now())), "hup gateway?");
  EXPECT_EQ(engine.phase(), LeasePhase::bound);
}

TEST_F(LeaseEngineTest, AnAnswerToAQuestionBeforeThePullSaysNothingOfTheCableThatFollows) {
  bind();
  engine.on_carrier(false, now());
  EXPECT_EQ(hear(HookReason::reboot, lease()), "held:carrier_lost");
  hear(HookReason::no_carrier);
  EXPECT_EQ(shown(engine.on_carrier(true, now())), "hup gateway?");
  EXPECT_EQ(engine.phase(), LeasePhase::held);
  EXPECT_EQ(hear(HookReason::reboot, lease()).substr(0, 21), "bound:server_answered");
}

TEST_F(LeaseEngineTest, AnEndlessLeaseNeedsNoRenewal) {
  start();
  Lease endless = lease();
  endless.lease_time = endless.renewal_time = endless.rebinding_time = Lease::forever;
  hear(HookReason::bound, endless);
  EXPECT_EQ(engine.next_deadline(), std::nullopt);
}

TEST_F(LeaseEngineTest, ALeaseOfOneSecondDoesNotBecomeAStorm) {
  start();
  Lease brief = lease();
  brief.lease_time = brief.renewal_time = brief.rebinding_time = 1s;
  hear(HookReason::bound, brief);
  EXPECT_LE(count(run_for(990ms), "hup"), 8);
}

/// Every input in every order keeps the engine's promises. The seed of a failure is printed.
TEST_F(LeaseEngineTest, RandomLivesKeepTheInvariants) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    engine = LeaseEngine();
    generation = 0;
    bool child = false;
    const auto note = [&](const LeaseActions& actions) {
      for (const LeaseAction& action : actions) {
        if (const auto* begun = std::get_if<StartChild>(&action)) {
          ASSERT_FALSE(child) << "two children";
          child = true;
          generation = begun->generation;
        }
        if (std::holds_alternative<SendHup>(action)) { ASSERT_TRUE(child); }
        if (const auto* update = std::get_if<LeaseUpdate>(&action)) {
          ASSERT_EQ(update->lease.has_value(), update->phase != LeasePhase::none);
        }
      }
    };
    note(engine.start(random.chance(50) ? std::optional(stored_lease()) : std::nullopt,
                      random.chance(50), now()));
    for (int step = 0; step < 200; ++step) {
      const auto reason = static_cast<HookReason>(random.below(15));
      switch (random.below(9)) {
        case 0: note(engine.on_carrier(random.chance(50), now())); break;
        case 1: note(engine.on_short_pull(now())); break;
        case 2: note(engine.revalidate(now())); break;
        case 3:
          if (child) {
            child = false;
            note(engine.on_child_exited(now()));
          }
          break;
        case 4:
          note(engine.on_gateway_answer(random.chance(50) ? router_a : router_b, now()));
          break;
        case 5: note(engine.on_gateway_silent(now())); break;
        case 6:
          if (random.chance(10)) { note(engine.on_conflict(router_b, now())); }
          break;
        default:
          if (!child) { break; }
          note(engine.on_hook({.reason = reason,
                               .interface = "br0",
                               .generation = generation,
                               .lease = reason == HookReason::bound || reason == HookReason::renew
                                            ? std::optional(lease())
                                            : std::nullopt},
                              now()));
      }
      pass(std::chrono::milliseconds(random.below(3000)));
      const auto next = engine.next_deadline();
      if (next && *next <= mono) { note(engine.on_deadline(now())); }
      ASSERT_TRUE(!engine.next_deadline() || *engine.next_deadline() > mono)
          << "a deadline that stays due spins";
      ASSERT_EQ(engine.lease().has_value(), engine.phase() != LeasePhase::none);
    }
  }
}

}  // namespace
}  // namespace edge::dhcp
