// What a large fleet is asked to do so that one Console can bear it.
#include "console/load.hpp"

#include <gtest/gtest.h>

namespace edge::console {
namespace {

using namespace std::chrono_literals;

constexpr tunnel::HeartbeatTimers kFastest{.active = 250ms, .standby = 1000ms, .dead_after = 3};

TEST(ConsoleLoad, ASmallFleetBeatsAsFastAsConfigured) {
  EXPECT_EQ(timers_for(kFastest, 0, 10'000), kFastest);
  EXPECT_EQ(timers_for(kFastest, 2'000, 10'000), kFastest);
}

TEST(ConsoleLoad, ALargeFleetBeatsSlowerSoThatTheSumStays) {
  const auto timers = timers_for(kFastest, 10'000, 10'000);
  EXPECT_EQ(timers.active, 1250ms);
  EXPECT_EQ(timers.standby, 5000ms);
  EXPECT_EQ(timers.dead_after, 3U);
  for (const std::size_t hosts : {3'000UZ, 10'000UZ, 50'000UZ}) {
    const auto slower = timers_for(kFastest, hosts, 10'000);
    const double per_s =
        static_cast<double>(hosts) * (1000.0 / static_cast<double>(slower.active.count()) +
                                      1000.0 / static_cast<double>(slower.standby.count()));
    EXPECT_NEAR(per_s, 10'000, 10) << hosts;
  }
}

TEST(ConsoleLoad, NoHeartbeatIsSlowerThanTheProtocolAllows) {
  const auto timers = timers_for(kFastest, 10'000'000, 100);
  EXPECT_EQ(timers.active, 1min);
  EXPECT_EQ(timers.standby, 1min);
}

TEST(ConsoleLoad, ComingBackIsSpreadOverTheTimeOfItsHandshakes) {
  EXPECT_EQ(spread_for(0, 250), 0ms);
  EXPECT_EQ(spread_for(20'000, 250), 100s);
}

}  // namespace
}  // namespace edge::console
