#include "base/backoff.hpp"

#include <gtest/gtest.h>

namespace edge {
namespace {

using namespace std::chrono_literals;

TEST(BackoffTest, StaysBetweenFloorAndTheDoublingCeiling) {
  Random random(7);
  Backoff backoff({.base = 500ms, .cap = 4s, .floor = 50ms});
  for (const Duration ceiling : {500ms, 1000ms, 2000ms, 4000ms, 4000ms, 4000ms}) {
    const Duration delay = backoff.next(random);
    EXPECT_GE(delay, 50ms);
    EXPECT_LE(delay, ceiling);
  }
}

TEST(BackoffTest, ResetStartsOver) {
  Random random(7);
  Backoff backoff({.base = 500ms, .cap = 30s, .floor = 50ms});
  for (int i = 0; i < 60; ++i) { EXPECT_LE(backoff.next(random), 30s); }
  backoff.reset();
  EXPECT_LE(backoff.next(random), 500ms);
}

}  // namespace
}  // namespace edge
