#include "uplink/core/renewal.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;
using Action = Renewal::Action;

constexpr WallTime year{std::chrono::seconds(1'800'000'000)};
constexpr auto days = [](int n) { return std::chrono::hours(24 * n); };

/// A host that is online with a Console that signs; its certificate is of 90 days.
class RenewalTest : public testing::Test {
 protected:
  void SetUp() override {
    engine.set_identity(RenewalFacts{year, year + days(90), "g1"}, now, wall);
    engine.on_online(true, now, wall);
    engine.on_session(now, wall);
    engine.on_offer("g1", 0s, false, now, wall);
    ASSERT_TRUE(engine.take_actions().empty()) << "nothing is due";
  }
  void pass(Duration time) {
    now += time;
    wall += std::chrono::duration_cast<std::chrono::milliseconds>(time);
    engine.on_deadline(now, wall);
  }
  /// Runs from deadline to deadline until an action comes; nullopt: none within `limit`.
  std::optional<Action> next_action(Duration limit) {
    const MonoTime end = now + limit;
    while (true) {
      const auto actions = engine.take_actions();
      if (!actions.empty()) { return actions.front(); }
      const auto due = engine.next_deadline();
      if (!due || *due > end) { return std::nullopt; }
      pass(*due - now);
    }
  }
  void begun() {
    ASSERT_TRUE(engine.order(now, wall));
    ASSERT_EQ(engine.take_actions(), std::vector{Action::ask});
  }
  void kept() {
    begun();
    ASSERT_TRUE(engine.on_answer());
    ASSERT_EQ(engine.take_actions(), std::vector{Action::keep});
    engine.on_kept();
    ASSERT_EQ(engine.take_actions(), std::vector{Action::prove});
  }

  MonoTime now{1000s};
  WallTime wall = year;
  Renewal engine{7};
};

TEST_F(RenewalTest, GoesThroughItsStepsOneByOne) {
  kept();
  engine.on_proved();
  EXPECT_EQ(engine.take_actions(), std::vector{Action::adopt});
  EXPECT_EQ(engine.step(), RenewalStep::adopting);
  engine.on_adopted(wall);
  engine.set_identity(RenewalFacts{wall, wall + days(90), "g1"}, now, wall);
  EXPECT_EQ(engine.step(), RenewalStep::rest);
  EXPECT_TRUE(engine.last()->good);
  EXPECT_FALSE(next_action(days(50)));
  EXPECT_EQ(next_action(days(20)), Action::ask) << "and from there again";
}

TEST_F(RenewalTest, IsDueAroundTwoThirdsOfTheLifetimeButNotForAllAtOnce) {
  std::set<WallTime> moments;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Renewal one(seed);
    one.set_identity(RenewalFacts{year, year + days(90), ""}, now, wall);
    EXPECT_GE(*one.due(), year + days(54));
    EXPECT_LE(*one.due(), year + days(66));
    moments.insert(*one.due());
  }
  EXPECT_GT(moments.size(), 40U);
  EXPECT_EQ(next_action(days(67)), Action::ask);
}

TEST_F(RenewalTest, FindsAWallClockThatWasSetWithinAnHour) {
  wall += days(80);
  EXPECT_EQ(next_action(1h), Action::ask);
}

TEST_F(RenewalTest, NothingIsBegunWithoutAConsoleThatSigns) {
  engine.on_session(now, wall);
  wall += days(80);
  EXPECT_FALSE(next_action(days(1)));
  EXPECT_EQ(engine.order(now, wall).error().code, Errc::unsupported);
  engine.on_online(false, now, wall);
  EXPECT_EQ(engine.order(now, wall).error().code, Errc::transient);
  engine.on_online(true, now, wall);
  engine.on_session(now, wall);
  engine.on_offer("g1", 0s, false, now, wall);
  EXPECT_EQ(next_action(1s), Action::ask) << "due long ago";
}

TEST_F(RenewalTest, AnotherGenerationIsRenewedForOnceAndSpread) {
  engine.on_offer("g2", 600s, false, now, wall);
  const MonoTime before = now;
  ASSERT_EQ(next_action(600s), Action::ask);
  EXPECT_GT(now, before) << "not all hosts at once";
  ASSERT_TRUE(engine.on_answer());
  engine.on_kept();
  engine.on_proved();
  engine.on_adopted(wall);
  engine.take_actions();
  // A Console that offers one generation and signs with another is not asked for ever.
  engine.set_identity(RenewalFacts{wall, wall + days(90), "g1"}, now, wall);
  EXPECT_FALSE(next_action(days(40)));
}

TEST_F(RenewalTest, WhoHasLittleTimeLeftDoesNotWaitForTheSpread) {
  engine.set_identity(RenewalFacts{year, year + days(90), "g1"}, now, wall);
  wall = year + days(90) - 60s;
  engine.on_offer("g2", 86'400s, false, now, wall);
  EXPECT_EQ(next_action(15s), Action::ask);
}

TEST_F(RenewalTest, AConsolesOrderIsFollowedAtOnce) {
  engine.on_offer("g1", 600s, true, now, wall);
  EXPECT_EQ(engine.take_actions(), std::vector{Action::ask});
  EXPECT_EQ(engine.order(now, wall).error().code, Errc::conflict);
  engine.on_offer("g1", 600s, true, now, wall);
  EXPECT_TRUE(engine.take_actions().empty()) << "one at a time";
}

TEST_F(RenewalTest, AnAnswerThatDoesNotComeIsAFailureAndTriedAgainLater) {
  wall += days(70);
  ASSERT_EQ(next_action(1h), Action::ask);
  pass(Renewal::answer_within);
  EXPECT_EQ(engine.step(), RenewalStep::rest);
  EXPECT_FALSE(engine.last()->good);
  EXPECT_EQ(engine.last()->what, "asking: no answer within 30 s");
  EXPECT_FALSE(engine.on_answer()) << "too late";
  const MonoTime failed = now;
  ASSERT_EQ(next_action(2min), Action::ask);
  EXPECT_GE(now - failed, 30s);
}

TEST_F(RenewalTest, RepeatedFailuresComeEverSlowerUpToSixHours) {
  wall += days(70);
  Duration longest{};
  for (int i = 0; i < 12; ++i) {
    const MonoTime before = now;
    ASSERT_EQ(next_action(7h), Action::ask);
    longest = now - before;
    engine.on_failed("no", now, wall);
  }
  EXPECT_GE(longest, 3h);
  EXPECT_LE(longest, 6h);
}

TEST_F(RenewalTest, AShortCertificateIsTriedAgainSoon) {
  engine.set_identity(RenewalFacts{wall - 10min, wall + 1min, "g1"}, now, wall);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(next_action(30s), Action::ask) << i;
    engine.on_failed("no", now, wall);
  }
}

TEST_F(RenewalTest, AnOrderThatFailsIsNotRepeated) {
  begun();
  engine.on_failed("the Console refused: no", now, wall);
  EXPECT_FALSE(next_action(days(40)));
}

TEST_F(RenewalTest, CutWhileAskingItWaitsForTheSessionToResume) {
  begun();
  engine.on_online(false, now, wall);
  pass(1h);
  EXPECT_EQ(engine.step(), RenewalStep::asking);
  engine.on_online(true, now, wall);
  EXPECT_TRUE(engine.on_answer()) << "it was under way";
}

TEST_F(RenewalTest, CutWhileAskingANewSessionIsAskedAnew) {
  begun();
  engine.on_online(false, now, wall);
  engine.on_online(true, now, wall);
  engine.on_session(now, wall);
  EXPECT_FALSE(engine.on_answer()) << "of another session";
  EXPECT_TRUE(engine.take_actions().empty());
  engine.on_offer("g1", 600s, false, now, wall);
  EXPECT_EQ(engine.take_actions(), std::vector{Action::ask});
}

TEST_F(RenewalTest, CutWhileProvingItIsProvedOnceThereIsAWay) {
  kept();
  engine.on_online(false, now, wall);
  engine.on_unproved("no route", now, wall);
  EXPECT_FALSE(next_action(10min)) << "it proves nothing while there is no way";
  EXPECT_EQ(engine.step(), RenewalStep::proving);
  engine.on_online(true, now, wall);
  EXPECT_EQ(next_action(1s), Action::prove);
  engine.on_unproved("timeout", now, wall);
  EXPECT_EQ(next_action(Renewal::prove_again), Action::prove);
}

TEST_F(RenewalTest, AProofThatNeverComesThroughIsGivenUp) {
  kept();
  for (unsigned i = 1; i < Renewal::proofs_max; ++i) {
    engine.on_unproved("timeout", now, wall);
    ASSERT_EQ(next_action(Renewal::prove_again), Action::prove);
  }
  engine.on_unproved("timeout", now, wall);
  EXPECT_EQ(engine.step(), RenewalStep::rest);
  EXPECT_EQ(engine.last()->what, "proving: timeout");
}

TEST_F(RenewalTest, ARefusedIdentityEndsItAndTheGenerationIsStillWanted) {
  engine.on_offer("g2", 0s, false, now, wall);
  ASSERT_EQ(next_action(1s), Action::ask);
  ASSERT_TRUE(engine.on_answer());
  engine.on_kept();
  engine.take_actions();
  engine.on_failed("the Console does not know its CA", now, wall);
  EXPECT_EQ(engine.last()->what, "proving: the Console does not know its CA");
  EXPECT_EQ(next_action(2min), Action::ask);
}

TEST_F(RenewalTest, WithoutAnIdentityThereIsNothingToRenew) {
  engine.set_identity(std::nullopt, now, wall);
  EXPECT_FALSE(engine.due());
  EXPECT_FALSE(next_action(days(100)));
}

}  // namespace
}  // namespace edge::uplink
