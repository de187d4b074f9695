// Who is dialled sooner than its back-off says, because of what befell others.
#include <array>
#include <functional>

#include "path_engine_fixture.hpp"

namespace edge::uplink {
namespace {

class PathHurryTest : public PathEngineTest {};

TEST_F(PathHurryTest, TheFirstWelcomeAfterAnOutageHurriesTheOtherPaths) {
  for (const char* port : {"a", "b"}) { engine.set_port(up(port), now); }
  for (int i = 0; i < 8; ++i) {
    for (const char* port : {"a", "b"}) {
      engine.on_dial_failed({port, 0}, {Step::tcp, "refused"}, now);
    }
    now += 20s;
    engine.on_deadline(now);
  }
  engine.on_dial_failed({"b", 0}, {Step::tcp, "refused"}, now);
  engine.take_actions();
  engine.on_welcome({"a", 0}, now);
  ASSERT_TRUE(status("b").next_dial.has_value());
  EXPECT_LE(*status("b").next_dial, now + PathEngine::hurry_spread);
}

TEST_F(PathHurryTest, TheLastPathThatIsLostHurriesTheOthers_HoweverItWasLost) {
  const std::vector<std::function<void()>> losses{
      [this] { engine.on_closed({"a", 0}, {Step::tcp, "timeout"}, now); },
      [this] { engine.set_port(dark("a"), now); }, [this] { engine.remove_port("a", now); },
      [this] {
        const auto before = status("b").next_dial;
        engine.redial({"a", 0}, now);
        EXPECT_EQ(status("b").next_dial, before) << "it is not known to be lost";
        engine.on_dial_failed({"a", 0}, {Step::tcp, "timeout"}, now);
      }};
  for (const auto& lose : losses) {
    for (const bool lasting : {false, true}) {
      engine = PathEngine{1, 42};
      welcome("a");
      engine.set_port(up("b"), now);
      wear_out("b", {Step::tls, "timeout", lasting});
      lose();
      ASSERT_TRUE(status("b").next_dial);
      EXPECT_LE(*status("b").next_dial - now,
                lasting ? PathEngine::hasten_lasting : PathEngine::hurry_spread);
    }
  }
}

TEST_F(PathHurryTest, AsLongAsAnotherPathIsUpALostOneHurriesNobody) {
  for (const char* port : {"a", "c"}) { welcome(port); }
  engine.set_port(up("b"), now);
  wear_out("b", {Step::tcp, "timeout"});
  const auto before = status("b").next_dial;
  engine.on_closed({"a", 0}, {Step::tcp, "timeout"}, now);
  EXPECT_EQ(status("b").next_dial, before);
}

TEST_F(PathHurryTest, FactsThatChangeWhileNothingIsUpHurryNobody) {
  engine.set_port(up("b"), now);
  wear_out("b", {.step = Step::tls, .text = "refused", .lasting = true});
  const auto before = status("b").next_dial;
  engine.set_port(up("a"), now);
  engine.on_dial_failed({"a", 0}, {Step::tcp, "timeout"}, now);
  engine.set_port(dark("a"), now);
  engine.remove_port("a", now);
  EXPECT_EQ(status("b").next_dial, before);
}

TEST_F(PathHurryTest, APathThatIsUpForAMomentOnlyIsBoundedByItsOwnBackoff) {
  engine.set_port(up("a"), now);
  Duration longest{};
  for (int i = 0; i < 50; ++i) {
    engine.on_welcome({"a", 0}, now);
    engine.on_closed({"a", 0}, {Step::tcp, "reset"}, now);
    longest = std::max(longest, *status("a").next_dial - now);
    now = *status("a").next_dial;
    engine.on_deadline(now);
  }
  EXPECT_GT(longest, 10s);
}

/// Why: each would hurry the other, and a Console that drops what it takes would have them for
/// ever.
TEST_F(PathHurryTest, TwoPathsThatAreUpForAMomentOnlyAreBoundedByTheirBackoff) {
  for (const char* port : {"a", "b"}) { engine.set_port(up(port), now); }
  const MonoTime begin = now;
  unsigned welcomes = 0;
  while (now < begin + 10min) {
    for (const char* port : {"a", "b"}) {
      if (status(port).state != PathState::dialing) { continue; }
      engine.on_welcome({port, 0}, now);
      ++welcomes;
    }
    for (const char* port : {"a", "b"}) {
      if (status(port).state == PathState::up) {
        engine.on_closed({port, 0}, {Step::console, "EOF"}, now);
      }
    }
    now = std::min(*status("a").next_dial, *status("b").next_dial);
    engine.on_deadline(now);
  }
  EXPECT_LT(welcomes, 2 * 10 * 60 / 5) << "more seldom than each 5 s";
}

TEST_F(PathHurryTest, WhatTheConsoleToldToComeLaterStaysWhenTheLastPathIsLost) {
  for (const char* port : {"a", "b"}) { welcome(port); }
  engine.on_retry_later({"b", 0}, 1h, 1h, now);
  engine.on_closed({"b", 0}, {Step::tcp, "EOF"}, now);
  const auto said = status("b").next_dial;
  ASSERT_GE(*said, now + 1h);
  engine.on_closed({"a", 0}, {Step::tcp, "timeout"}, now);
  EXPECT_EQ(status("b").next_dial, said);
  EXPECT_LE(*status("a").next_dial, now + PathEngine::hurry_spread);
}

TEST_F(PathHurryTest, NobodyGoesAroundTheMomentThatTheConsoleGaveTheLastPath) {
  welcome("a");
  engine.set_port(up("b"), now);
  wear_out("b", {Step::tcp, "timeout"});
  const auto before = status("b").next_dial;
  engine.on_retry_later({"a", 0}, 1min, 1min, now);
  engine.on_closed({"a", 0}, {Step::tcp, "EOF"}, now);
  EXPECT_EQ(status("b").next_dial, before);
  EXPECT_GE(*status("a").next_dial, now + 1min);
}

TEST_F(PathHurryTest, AProxyThatFoundNoConsoleIsHurried_WrongCredentialsAndPortalsAreNot) {
  for (const auto& [why, hurried] : std::vector<std::pair<PathBreak, bool>>{
           {{Step::proxy, "502"}, true},
           {{.step = Step::proxy, .text = "407", .lasting = true}, false},
           {{Step::portal, "login"}, false}}) {
    engine = PathEngine{1, 42};
    engine.set_port(up("b"), now);
    for (int i = 0; i < 50; ++i) {
      engine.on_dial_failed({"b", 0}, why, now);
      now = *engine.next_deadline();
      engine.on_deadline(now);
    }
    engine.on_dial_failed({"b", 0}, why, now);
    EXPECT_FALSE(engine.server_side()) << why.text;
    const auto before = status("b").next_dial;
    welcome("a");
    EXPECT_EQ(*status("b").next_dial < *before, hurried) << why.text;
    EXPECT_FALSE(advice(why.step).empty());
  }
}

}  // namespace
}  // namespace edge::uplink
