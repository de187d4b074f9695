// A kernel that cannot be read is told once, when that is long, and once when it is over.
#include "uplink/core/kernel_sight.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime looked{1h};

TEST(KernelSightTest, ALookThatFailsForAMomentIsNoNews) {
  KernelSight sight;
  EXPECT_FALSE(sight.on_look(true, looked));
  EXPECT_FALSE(sight.on_look(false, looked + 1s));
  EXPECT_FALSE(sight.on_look(false, looked + 5s));
  EXPECT_FALSE(sight.on_look(true, looked + 6s));
  EXPECT_FALSE(sight.on_look(false, looked + 7s)) << "counted anew";
}

TEST(KernelSightTest, EachLongWhileIsToldOnceWithItsEnd) {
  KernelSight sight;
  for (const Duration at : {Duration(0s), Duration(1h)}) {
    EXPECT_FALSE(sight.on_look(false, looked + at));
    EXPECT_FALSE(sight.on_look(false, looked + at + KernelSight::tell_after - 1ms));
    const auto begin = sight.on_look(false, looked + at + KernelSight::tell_after);
    ASSERT_TRUE(begin);
    EXPECT_FALSE(begin->readable);
    EXPECT_EQ(begin->lasted, KernelSight::tell_after);
    EXPECT_FALSE(sight.on_look(false, looked + at + 10min));
    const auto end = sight.on_look(true, looked + at + 11min);
    ASSERT_TRUE(end);
    EXPECT_TRUE(end->readable);
    EXPECT_EQ(end->lasted, Duration(11min));
    EXPECT_FALSE(sight.on_look(true, looked + at + 12min));
  }
}

}  // namespace
}  // namespace edge::uplink
