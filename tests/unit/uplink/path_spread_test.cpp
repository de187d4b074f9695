// When paths come back that the Console told when.
#include <array>
#include <functional>

#include "path_engine_fixture.hpp"

namespace edge::uplink {
namespace {

class PathSpreadTest : public PathEngineTest {};

TEST_F(PathSpreadTest, ConsoleDictatesWhenToComeBack) {
  welcome("a");
  engine.on_retry_later({"a", 0}, 10s, 30s, now);
  EXPECT_GE(*engine.next_deadline(), now + 10s);
  EXPECT_LT(*engine.next_deadline(), now + 40s);
}

TEST_F(PathSpreadTest, ToldOnAllPathsTheFirstComesBackInTheFirstPartOfTheSpread) {
  for (const bool preferred_first : {true, false}) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      engine = PathEngine(1, seed);
      for (const char* port : {"a", "b"}) { welcome(port); }
      for (const char* port : {preferred_first ? "a" : "b", preferred_first ? "b" : "a"}) {
        engine.on_retry_later({port, 0}, 10s, 60s, now);
      }
      EXPECT_GE(*status("a").next_dial, now + 10s);
      EXPECT_LE(*status("a").next_dial, now + 40s);
      EXPECT_GE(*status("b").next_dial, now + 40s);
      EXPECT_LE(*status("b").next_dial, now + 70s);
    }
  }
}

TEST_F(PathSpreadTest, TheArrivalsOfAFleetAreEvenWhateverItsHostsHave) {
  std::array<unsigned, 10> slices{};
  unsigned paths = 0;
  for (std::uint64_t host = 0; host < 3000; ++host) {
    engine = PathEngine(1, host);
    const std::vector<std::string> ports{"a", "b", "c"};
    const std::size_t mine = 1 + host % ports.size();
    for (std::size_t i = 0; i < mine; ++i) { welcome(ports[i]); }
    for (std::size_t i = 0; i < mine; ++i) { engine.on_retry_later({ports[i], 0}, 0s, 100s, now); }
    for (const PathStatus& one : engine.status()) {
      ++slices.at(static_cast<std::size_t>((*one.next_dial - now) / 10s));
      ++paths;
    }
  }
  for (const unsigned slice : slices) {
    EXPECT_GT(slice, paths / 10 * 85 / 100);
    EXPECT_LT(slice, paths / 10 * 115 / 100);
  }
}

TEST_F(PathSpreadTest, APathThatCannotComeTakesNoPartOfTheSpread) {
  Duration longest{};
  Duration shortest = 1h;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    engine = PathEngine(1, seed);
    welcome("b");
    engine.set_port(up("a"), now);
    engine.on_dial_failed({"a", 0}, {Step::tcp, "timeout"}, now);
    engine.set_port(dark("c"), now);
    engine.on_retry_later({"b", 0}, 0s, 60s, now);
    longest = std::max(longest, *status("b").next_dial - now);
    shortest = std::min(shortest, *status("b").next_dial - now);
  }
  EXPECT_LT(shortest, 10s);
  EXPECT_GT(longest, 50s);
}

TEST_F(PathSpreadTest, TurnedAwayAtTheDoorTheStandbyComesLaterButNoLaterThanSaid) {
  PortFacts second = up("a");
  second.rank = 1;
  engine.set_port(second, now);
  engine.set_port(up("b"), now);
  engine.on_retry_later({"a", 0}, 1s, 10s, now);
  engine.on_retry_later({"b", 0}, 1s, 10s, now);
  EXPECT_LE(*status("b").next_dial, now + 6s) << "the lower rank is preferred";
  EXPECT_GE(*status("a").next_dial, now + 6s);
  EXPECT_LE(*status("a").next_dial, now + 11s);
  engine.on_deadline(*status("b").next_dial);
  engine.on_dial_failed({"b", 0}, {Step::tcp, "timeout"}, now + 6s);
  engine.on_deadline(now + 11s);
  EXPECT_EQ(status("a").state, PathState::dialing) << "it waits for nobody";
}

TEST_F(PathSpreadTest, WhatTheConsoleSpreadIsNotHurried) {
  for (const char* port : {"a", "b"}) { welcome(port); }
  engine.on_retry_later({"a", 0}, 0s, 0s, now);
  engine.on_retry_later({"b", 0}, 1h, 1h, now);
  engine.on_deadline(now);
  engine.take_actions();
  engine.on_welcome({"a", 0}, now);
  EXPECT_GE(*status("b").next_dial, now + 1h) << "or a fleet's second paths come all at once";
}

}  // namespace
}  // namespace edge::uplink
