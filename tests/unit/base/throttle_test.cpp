// What another party can cause at will is said seldom, and nothing of it is left uncounted.
#include "base/throttle.hpp"

#include <gtest/gtest.h>

namespace edge {
namespace {

using namespace std::chrono_literals;

TEST(Throttle, LetsABurstPassThenOnePerPeriodAndCountsTheRest) {
  Throttle throttle(3, 1min);
  MonoTime now{1h};
  for (int i = 0; i < 3; ++i) { EXPECT_EQ(throttle.pass(now), 0U); }
  for (int i = 0; i < 1000; ++i) { EXPECT_EQ(throttle.pass(now), std::nullopt); }
  now += 1min;
  EXPECT_EQ(throttle.pass(now), 1000U);
  EXPECT_EQ(throttle.pass(now), std::nullopt);
  now += 59s;
  EXPECT_EQ(throttle.pass(now), std::nullopt);
  now += 1s;
  EXPECT_EQ(throttle.pass(now), 2U);
}

TEST(Throttle, ARestGivesTheBurstBackAndNoMore) {
  Throttle throttle(2, 1s);
  MonoTime now{1h};
  EXPECT_TRUE(throttle.pass(now));
  EXPECT_TRUE(throttle.pass(now));
  now += 1h;
  EXPECT_EQ(throttle.pass(now), 0U);
  EXPECT_EQ(throttle.pass(now), 0U);
  EXPECT_EQ(throttle.pass(now), std::nullopt);
}

TEST(Throttle, AFloodOverALongTimeIsTheRateAndTheBurst) {
  Throttle throttle(10, 1min);
  std::uint64_t passed = 0;
  std::uint64_t held_back = 0;
  for (int ms = 0; ms < 3'600'000; ms += 100) {
    if (const auto more = throttle.pass(MonoTime{1h} + std::chrono::milliseconds(ms))) {
      ++passed;
      held_back += *more;
    }
  }
  EXPECT_EQ(passed, 10U + 59U);
  EXPECT_GT(held_back, 34'000U);
}

}  // namespace
}  // namespace edge
