#include "tunnel/core/clock_trust.hpp"

#include <gtest/gtest.h>

#include "start_time.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using Days = std::chrono::duration<int, std::ratio<86400>>;

/// 2027-01-15, our certificate 10 days to each side, the floor 2 days ago.
constexpr WallTime today{1'800'000'000s};
constexpr TimeBounds own{today - Days(10), today + Days(10)};
constexpr WallTime floor_time = today - Days(2);

class ClockTrustTest : public testing::Test {
 protected:
  ClockTrustTest() { trust.set_certificate(own); }
  static ClockReading at(WallTime wall, bool synchronised = false, MonoTime mono = t0) {
    return {.wall = wall, .mono = mono, .synchronised = synchronised};
  }
  ClockTrust trust{ClockPolicy::bounded, floor_time};
};

TEST_F(ClockTrustTest, AClockThatMayBeRightJudgesByItself) {
  for (const WallTime wall : {floor_time - ClockTrust::floor_slack, floor_time, today, own.to}) {
    EXPECT_EQ(trust.doubt(at(wall)), ClockDoubt::none);
    EXPECT_FALSE(trust.bounds(at(wall)));
    EXPECT_EQ(trust.now(at(wall)), wall);
  }
}

TEST_F(ClockTrustTest, AClockThatIsCertainlyWrongLeavesTheBoundsOfWhatIsKnown) {
  const TimeBounds known{floor_time, own.to};
  EXPECT_EQ(trust.doubt(at(WallTime{12s})), ClockDoubt::before_floor);
  EXPECT_EQ(trust.bounds(at(WallTime{12s})), known);
  EXPECT_EQ(trust.doubt(at(floor_time - ClockTrust::floor_slack - 1ms)), ClockDoubt::before_floor);
  EXPECT_EQ(trust.doubt(at(own.to + 1ms)), ClockDoubt::after_certificate);
  EXPECT_EQ(trust.bounds(at(today + Days(730))), known);
}

TEST_F(ClockTrustTest, WithoutAFloorOurCertificateIsTheBound) {
  ClockTrust fresh(ClockPolicy::bounded, {});
  EXPECT_EQ(fresh.doubt(at(WallTime{12s})), ClockDoubt::none) << "nothing is known yet";
  EXPECT_FALSE(fresh.bounds(at(WallTime{12s})));
  fresh.set_certificate(own);
  EXPECT_EQ(fresh.doubt(at(own.from - 1ms)), ClockDoubt::before_certificate);
  EXPECT_EQ(fresh.doubt(at(own.from)), ClockDoubt::none);
  EXPECT_EQ(fresh.bounds(at(WallTime{12s})), own);
}

TEST_F(ClockTrustTest, ASynchronisedClockIsNeverInDoubt) {
  for (const WallTime wall : {WallTime{12s}, today + Days(730)}) {
    EXPECT_EQ(trust.doubt(at(wall, true)), ClockDoubt::none);
    EXPECT_FALSE(trust.bounds(at(wall, true)));
  }
}

TEST_F(ClockTrustTest, StrictPolicyKnowsTheDoubtAndKeepsToTheClock) {
  ClockTrust strict(ClockPolicy::strict, floor_time);
  strict.set_certificate(own);
  EXPECT_EQ(strict.doubt(at(WallTime{12s})), ClockDoubt::before_floor);
  EXPECT_FALSE(strict.bounds(at(WallTime{12s})));
  EXPECT_EQ(strict.now(at(WallTime{12s})), WallTime{12s});
}

TEST_F(ClockTrustTest, ACertificateThatEndedBeforeTheFloorHasEnded) {
  EXPECT_TRUE(trust.raise_floor(own.to));
  EXPECT_TRUE(trust.bounds(at(WallTime{12s}))) << "one moment is left";
  EXPECT_TRUE(trust.raise_floor(own.to + 1ms));
  EXPECT_FALSE(trust.bounds(at(WallTime{12s})));
}

TEST_F(ClockTrustTest, TheFloorOnlyRises) {
  EXPECT_FALSE(trust.raise_floor(floor_time));
  EXPECT_FALSE(trust.raise_floor(floor_time - 1h));
  EXPECT_TRUE(trust.raise_floor(today));
  EXPECT_EQ(trust.floor(), today);
}

TEST_F(ClockTrustTest, TheConsolesWordIsWeighedAgainstAllThatIsKnown) {
  const TimeBounds peer{today - Days(30), today + Days(5)};
  const auto within = overlap(TimeBounds{floor_time, own.to}, peer);
  ASSERT_EQ(within, (TimeBounds{floor_time, peer.to}));
  EXPECT_EQ(trust.weigh(today, *within, peer), TimeOffer::take);
  EXPECT_EQ(trust.weigh(peer.to, *within, peer), TimeOffer::take);
  EXPECT_EQ(trust.weigh(peer.to + 1ms, *within, peer), TimeOffer::refuse) << "expired by its word";
  EXPECT_EQ(trust.weigh(floor_time - 1ms, *within, peer), TimeOffer::contradict);
  EXPECT_EQ(trust.weigh(peer.from - 1ms, *within, peer), TimeOffer::refuse);
  EXPECT_EQ(trust.weigh(WallTime{}, *within, peer), TimeOffer::refuse);
}

TEST_F(ClockTrustTest, TheConsolesTimeStandsInUntilTheClockIsRight) {
  trust.use_console_time(today, t0);
  const auto wrong = at(WallTime{12s}, false, t0 + 5s);
  EXPECT_TRUE(trust.uses_console_time(wrong));
  EXPECT_EQ(trust.now(wrong), today + 5s);
  EXPECT_FALSE(trust.bounds(wrong)) << "strict from here on";
  // Somebody sets the clock: forward, then a synchronised one to whatever it says.
  EXPECT_FALSE(trust.uses_console_time(at(today + 5s, false, t0 + 5s)));
  EXPECT_EQ(trust.now(at(today - 1h, false, t0 + 5s)), today - 1h);
  EXPECT_EQ(trust.now(at(today + Days(700), true, t0 + 5s)), today + Days(700));
  // It is lost again: the Console's time went on with the monotonic clock.
  EXPECT_EQ(trust.now(at(WallTime{12s}, false, t0 + 1h)), today + 1h);
}

TEST(TimeBoundsTest, OverlapIsWhatBothShareEndsIncluded) {
  const TimeBounds a{today, today + 2h};
  EXPECT_EQ(overlap(a, {today + 2h, today + 3h}), (TimeBounds{today + 2h, today + 2h}));
  EXPECT_FALSE(overlap(a, {today + 2h + 1ms, today + 3h}));
  EXPECT_FALSE(overlap(a, {today + 1h, today})) << "a term that ends before it begins";
  EXPECT_TRUE(a.contains(today) && a.contains(today + 2h) && !a.contains(today - 1ms));
}

}  // namespace
}  // namespace edge::tunnel
