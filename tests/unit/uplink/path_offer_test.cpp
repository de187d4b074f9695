// Addresses that the Console offers: dialled beside the host's own, which are let go for them.
#include <gtest/gtest.h>

#include <algorithm>

#include "uplink/core/path_engine.hpp"

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;
using Kind = PathAction::Kind;

/// Two ports whose paths to the host's own address are up.
class PathOfferTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* port : {"a", "b"}) {
      engine.set_port(
          {.port = port, .name = port, .carrier = true, .addresses = {IpAddress::v4(10, 0, 0, 2)}},
          now);
      engine.on_welcome({port, 0}, now);
    }
    engine.take_actions();
  }
  PathStatus status(const std::string& port, std::size_t endpoint) {
    for (const PathStatus& one : engine.status()) {
      if (one.key == PathKey{port, endpoint}) { return one; }
    }
    return {};
  }
  bool known(std::size_t endpoint) {
    return std::ranges::any_of(engine.status(), [endpoint](const PathStatus& one) {
      return one.key.endpoint == endpoint;
    });
  }
  /// The Console's GOAWAY over both paths.
  void offer() {
    for (const char* port : {"a", "b"}) { engine.on_retry_later({port, 0}, 1s, 30s, now); }
    engine.offer({7}, 1s, 30s, now + 10min, now);
  }
  void run_to(MonoTime until) {
    while (engine.next_deadline() && *engine.next_deadline() <= until) {
      now = std::max(now, *engine.next_deadline());
      engine.on_deadline(now);
    }
    now = until;
  }

  MonoTime now{1h};
  PathEngine engine{1, 42};
};

TEST_F(PathOfferTest, AnOfferIsDialledWithinTheSpread_AndNothingIsClosedForIt) {
  offer();
  EXPECT_TRUE(engine.take_actions().empty());
  const MonoTime earliest = now + 1s;
  for (const char* port : {"a", "b"}) {
    ASSERT_TRUE(status(port, 7).next_dial);
    EXPECT_GE(*status(port, 7).next_dial, earliest);
    EXPECT_LT(*status(port, 7).next_dial, earliest + 30s);
  }
  run_to(earliest + 30s);
  for (const PathAction& action : engine.take_actions()) { EXPECT_EQ(action.kind, Kind::dial); }
}

TEST_F(PathOfferTest, WhatIsWelcomedThereLetsThePathOfItsPortGo_NotThoseOfOthers) {
  offer();
  run_to(now + 31s);
  engine.on_dial_failed({"a", 0}, {.step = Step::tcp, .text = "x"}, now);
  engine.on_retry_later({"a", 0}, 1s, 30s, now);
  engine.take_actions();
  engine.on_welcome({"a", 7}, now);
  const auto actions = engine.take_actions();
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions[0], (PathAction{Kind::close, {"a", 0}, {}}));
  EXPECT_GT(*status("a", 0).next_dial, now + 9min);
}

TEST_F(PathOfferTest, WhenTheOfferedOneEndsTheHostsOwnIsDialledSoon) {
  offer();
  run_to(now + 31s);
  engine.on_retry_later({"a", 0}, 1s, 30s, now);
  engine.on_welcome({"a", 7}, now);
  engine.on_closed({"a", 7}, {.step = Step::tcp, .text = "reset"}, now);
  EXPECT_LE(*status("a", 0).next_dial, now + PathEngine::hurry_spread);
}

TEST_F(PathOfferTest, AnOfferedOneThatSaysGoodbyeAndIsNotReachedAgainGivesTheHostsOwnBack) {
  offer();
  run_to(now + 31s);
  engine.on_retry_later({"a", 0}, 1s, 30s, now);
  engine.on_welcome({"a", 7}, now);
  ASSERT_GT(*status("a", 0).next_dial, now + 9min);
  engine.on_retry_later({"a", 7}, 1s, 30s, now);  // GOAWAY there as well,
  EXPECT_GT(*status("a", 0).next_dial, now + 9min) << "its connection stands";
  engine.on_closed({"a", 7}, {.step = Step::tcp, .text = "EOF"}, now);
  EXPECT_LE(*status("a", 0).next_dial, now + PathEngine::hurry_spread);
}

TEST_F(PathOfferTest, AProofThatFailsThereGivesTheHostsOwnBack_AnotherOfferThatStandsDoesNot) {
  for (const char* port : {"a", "b"}) { engine.on_retry_later({port, 0}, 1s, 30s, now); }
  engine.offer({7, 8}, 1s, 30s, now + 10min, now);
  run_to(now + 31s);
  engine.on_retry_later({"a", 0}, 1s, 30s, now);
  engine.on_welcome({"a", 7}, now);
  engine.on_welcome({"a", 8}, now);
  engine.redial({"a", 7}, now);
  engine.on_dial_failed({"a", 7}, {.step = Step::tcp, .text = "timeout"}, now);
  EXPECT_GT(*status("a", 0).next_dial, now + 9min) << "8 stands";
  engine.redial({"a", 8}, now);
  EXPECT_GT(*status("a", 0).next_dial, now + 9min) << "it is not known to be lost";
  engine.on_dial_failed({"a", 8}, {.step = Step::tcp, .text = "timeout"}, now);
  EXPECT_LE(*status("a", 0).next_dial, now + PathEngine::hurry_spread);
}

TEST_F(PathOfferTest, AnOfferThatWasNeverUpTakesNothingFromADrainedPort) {
  engine.on_closed({"a", 0}, {.step = Step::tcp, .text = "timeout"}, now);
  engine.set_port({.port = "b",
                   .name = "b",
                   .drained = true,
                   .carrier = true,
                   .addresses = {IpAddress::v4(10, 0, 0, 2)}},
                  now);
  engine.on_dial_failed({"a", 0}, {.step = Step::tcp, .text = "timeout"}, now);
  ASSERT_EQ(status("b", 0).state, PathState::up) << "the last resort";
  engine.take_actions();
  engine.offer({7}, 1min, 30s, now + 10min, now);
  engine.on_dial_failed({"a", 0}, {.step = Step::tcp, .text = "timeout"}, now);
  run_to(now + 20s);
  engine.on_dial_failed({"a", 0}, {.step = Step::tcp, .text = "timeout"}, now);
  EXPECT_EQ(status("b", 0).state, PathState::up);
}

TEST_F(PathOfferTest, WhatIsNotUpInTimeIsForgotten_WhatIsUpWhenItEnds) {
  offer();
  const MonoTime until = now + 10min;
  run_to(now + 31s);
  engine.on_welcome({"a", 7}, now);
  run_to(until + 1s);
  EXPECT_TRUE(known(7)) << "it is up";
  EXPECT_EQ(status("a", 7).state, PathState::up);
  engine.on_closed({"a", 7}, {.step = Step::tcp, .text = "reset"}, now);
  EXPECT_FALSE(known(7));
  engine.offer({8}, 0s, 1s, now + 1min, now);
  run_to(now + 61s);
  EXPECT_FALSE(known(8));
}

TEST_F(PathOfferTest, AnAddressOfTheHostsOwnKeepsItsMoment_AndAPortThatComesDialsTheOfferAsWell) {
  engine.offer({0}, 0s, 1s, now + 1min, now);
  EXPECT_FALSE(engine.offered(0));
  offer();
  engine.take_actions();
  engine.set_port(
      {.port = "c", .name = "c", .carrier = true, .addresses = {IpAddress::v4(10, 0, 2, 2)}}, now);
  EXPECT_EQ(engine.take_actions().size(), 2U);
}

TEST_F(PathOfferTest, APathThatIsToldToLeaveIsClosedWithItsPort) {
  engine.on_retry_later({"a", 0}, 1s, 30s, now);
  EXPECT_TRUE(engine.take_actions().empty()) << "it goes on";
  engine.remove_port("a", now);
  const auto actions = engine.take_actions();
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions[0], (PathAction{Kind::close, {"a", 0}, {}}));
}

}  // namespace
}  // namespace edge::uplink
