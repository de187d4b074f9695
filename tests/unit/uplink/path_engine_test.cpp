// When a path is dialled, waits and is closed, and what is said to be broken.
#include <array>
#include <functional>

#include "path_engine_fixture.hpp"

namespace edge::uplink {
namespace {

TEST_F(PathEngineTest, DialsAtOnceWhenCarrierAndAddressAreThere_NotBefore) {
  engine.set_port(dark("a"), now);
  EXPECT_TRUE(kinds().empty());
  EXPECT_EQ(status("a").broken, Step::carrier);
  PortFacts no_lease = dark("a");
  no_lease.carrier = true;
  engine.set_port(no_lease, now);
  EXPECT_TRUE(kinds().empty());
  EXPECT_EQ(status("a").broken, Step::lease);
  engine.set_port(up("a"), now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial});
}

TEST_F(PathEngineTest, ARedialEndsAPathThatIsUpAndDialsItAtOnce) {
  welcome("a");
  engine.redial({"a", 0}, now);
  EXPECT_EQ(kinds(), (std::vector{Kind::close, Kind::dial}));
  engine.redial({"a", 0}, now);  // It is being dialled: nothing to end.
  EXPECT_TRUE(kinds().empty());
  engine.on_welcome({"a", 0}, now);
  EXPECT_EQ(engine.up_count(), 1U);
}

TEST_F(PathEngineTest, ARedialOfAPathThatWaitsBringsItForward_ButNotWhatTheConsoleToldToWait) {
  welcome("a");
  engine.on_closed({"a", 0}, {Step::tcp, "reset"}, now);
  for (int i = 0; i < 6; ++i) {
    now += 20s;
    engine.on_deadline(now);
    engine.on_dial_failed({"a", 0}, {Step::tcp, "refused"}, now);
  }
  engine.redial({"a", 0}, now);
  EXPECT_LE(*status("a").next_dial, now + PathEngine::hurry_spread);
  engine.take_actions();
  now += PathEngine::hurry_spread;
  engine.on_deadline(now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial});
  engine.on_retry_later({"a", 0}, 60s, 0s, now);
  engine.redial({"a", 0}, now);
  EXPECT_GE(*status("a").next_dial, now + 60s);
}

TEST_F(PathEngineTest, WhoRefusedIsToldOfThePresentBreakOnly) {
  engine.set_port(up("a"), now);
  engine.on_dial_failed({"a", 0}, {.step = Step::tcp, .text = "refused", .refused = true}, now);
  EXPECT_TRUE(status("a").refused);
  now += 20s;
  engine.on_deadline(now);
  EXPECT_TRUE(status("a").refused) << "dialled again: the last word still stands";
  PortFacts silent = up("a");
  silent.gateway_reachable = false;
  engine.set_port(silent, now);
  EXPECT_FALSE(status("a").refused) << "that a dead gateway is broken was not said by the Console";
  engine.set_port(up("a"), now);
  engine.on_dial_failed({"a", 0}, {.step = Step::console, .text = "full", .answered = true}, now);
  EXPECT_TRUE(status("a").answered);
  EXPECT_FALSE(status("a").refused);
  engine.set_port(dark("a"), now);
  EXPECT_FALSE(status("a").answered) << "the cable is out now";
  engine.set_port(up("a"), now);
  EXPECT_FALSE(status("a").answered);
  EXPECT_EQ(status("a").broken, Step::tcp) << "carrier and address are there: it is dialled";
  engine.on_welcome({"a", 0}, now);
  engine.redial({"a", 0}, now);
  EXPECT_FALSE(status("a").answered);
}

TEST_F(PathEngineTest, OnlyWelcomeMakesAPathCount) {
  engine.set_port(up("a"), now);
  EXPECT_EQ(engine.up_count(), 0U);
  EXPECT_NE(status("a").broken, Step::none);
  engine.on_welcome({"a", 0}, now);
  EXPECT_EQ(engine.up_count(), 1U);
  EXPECT_EQ(status("a").broken, Step::none);
}

TEST_F(PathEngineTest, CarrierLossClosesAtOnceAndNamesTheStep) {
  welcome("a");
  engine.set_port(dark("a"), now);
  EXPECT_EQ(kinds(), std::vector{Kind::close});
  EXPECT_EQ(status("a").broken, Step::carrier);
  EXPECT_FALSE(engine.next_deadline());  // Nothing to retry until the cable is back.
}

TEST_F(PathEngineTest, ChangedAddressClosesAndRedials_SameFactsDoNothing) {
  welcome("a");
  engine.set_port(up("a"), now);
  EXPECT_TRUE(kinds().empty());
  engine.set_port(up("a", IpAddress::v4(10, 0, 0, 3)), now);
  EXPECT_EQ(kinds(), (std::vector{Kind::close, Kind::dial}));
}

TEST_F(PathEngineTest, OneMoreAddressLeavesAPathThatIsUpAloneAndWakesOneThatWaits) {
  welcome("a");
  PortFacts two = up("a");
  two.addresses.push_back(IpAddress::v4(10, 0, 0, 3));
  engine.set_port(two, now);
  EXPECT_TRUE(kinds().empty()) << "a router that advertises prefixes would cut it with each";
  engine.on_closed({"a", 0}, {Step::tcp, "timeout"}, now);
  two.addresses.push_back(IpAddress::v4(10, 0, 0, 4));
  engine.set_port(two, now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial});
  engine.on_welcome({"a", 0}, now);
  two.addresses.erase(two.addresses.begin());
  engine.set_port(two, now);
  EXPECT_EQ(kinds(), (std::vector{Kind::close, Kind::dial})) << "it may be the one in use";
}

TEST_F(PathEngineTest, AnAddressThatArrivesDuringADialIsDialledWithAtOnce) {
  engine.set_port(up("a"), now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial});
  PortFacts two = up("a");
  two.addresses.push_back(IpAddress::v4(10, 0, 0, 3));
  engine.set_port(two, now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial}) << "the first may be of the family that is broken";
}

TEST_F(PathEngineTest, FailedDialWaitsWithBackoffAndTriesAgain) {
  engine.set_port(up("a"), now);
  kinds();
  engine.on_dial_failed({"a", 0}, {Step::tcp, "refused"}, now);
  ASSERT_TRUE(engine.next_deadline());
  EXPECT_LE(*engine.next_deadline() - now, 500ms);
  now = *engine.next_deadline();
  engine.on_deadline(now - 1ns);
  EXPECT_TRUE(kinds().empty());
  engine.on_deadline(now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial});
  EXPECT_EQ(status("a").cause, "refused");  // What broke stays visible while we try again.
}

TEST_F(PathEngineTest, BackoffIsCappedAt15sWithoutAnyPathAndIdentityAt5min) {
  engine.set_port(up("a"), now);
  for (const bool lasting : {false, true}) {
    Duration longest{};
    for (int i = 0; i < 200; ++i) {
      engine.on_dial_failed({"a", 0}, {Step::tls, "x", lasting}, now);
      longest = std::max(longest, *engine.next_deadline() - now);
      now = *engine.next_deadline();
      engine.on_deadline(now);
    }
    EXPECT_LE(longest, lasting ? Duration(5min) : Duration(15s));
    EXPECT_GT(longest, lasting ? Duration(2min) : Duration(10s));
  }
}

TEST_F(PathEngineTest, FailuresOfOneKindDoNotGrowTheBackoffOfTheOther) {
  for (const bool lasting : {false, true}) {
    engine = PathEngine{1, 42};
    engine.set_port(up("a"), now);
    for (int i = 0; i < 12; ++i) {
      engine.on_dial_failed({"a", 0}, {Step::tcp, "x", lasting}, now);
      now = *engine.next_deadline();
      engine.on_deadline(now);
    }
    engine.on_dial_failed({"a", 0}, {Step::tls, "y", !lasting}, now);
    EXPECT_LE(*status("a").next_dial - now, 500ms) << "the first of its kind";
  }
}

TEST_F(PathEngineTest, AClockThatIsSetDialsAtOnceWhatFailedByDatesAndNothingElse) {
  for (const char* port : {"a", "b", "c"}) { engine.set_port(up(port), now); }
  const auto fail_all = [this] {
    engine.on_dial_failed({"a", 0}, {Step::clock, "1970"}, now);
    engine.on_dial_failed({"b", 0}, {Step::tls, "expired", true}, now);
    engine.on_dial_failed({"c", 0}, {Step::tcp, "no answer"}, now);
  };
  for (int i = 0; i < 10; ++i) {
    fail_all();
    now += 6min;
    engine.on_deadline(now);
  }
  fail_all();
  engine.take_actions();
  engine.on_clock_set(now);
  std::vector<std::string> dialled;
  for (const auto& action : engine.take_actions()) { dialled.push_back(action.key.port); }
  EXPECT_EQ(dialled, (std::vector<std::string>{"a", "b"}));
  engine.on_clock_set(now);
  EXPECT_TRUE(kinds().empty()) << "they are being dialled";
}

TEST_F(PathEngineTest, ReplugDialsAtOnceWhateverTheBackoffHadGrownTo) {
  engine.set_port(up("a"), now);
  for (int i = 0; i < 20; ++i) {
    engine.on_dial_failed({"a", 0}, {Step::tcp, "x"}, now);
    now = *engine.next_deadline();
    engine.on_deadline(now);
  }
  engine.set_port(dark("a"), now);
  kinds();
  now += 10min;
  engine.set_port(up("a"), now);
  EXPECT_EQ(kinds(), std::vector{Kind::dial});
}

/// Why: a plug that makes contact at last, on a host with one cable.
TEST_F(PathEngineTest, AFlappingCableThatRestsIsDialledWithinTwoSeconds) {
  for (const Duration pace : {50ms, 700ms, 1900ms}) {
    engine = PathEngine{1, 42};
    for (int i = 0; i < 100; ++i) {
      engine.set_port(dark("a"), now);
      now += pace;
      engine.set_port(up("a"), now);
      if (status("a").state == PathState::dialing) {
        engine.on_dial_failed({"a", 0}, {Step::tcp, "unreachable"}, now);
      }
      ASSERT_LE(*status("a").next_dial, now + 2s);
      now += pace;
      engine.on_deadline(now);
      if (status("a").state == PathState::dialing) {
        engine.on_dial_failed({"a", 0}, {Step::tcp, "unreachable"}, now);
      }
    }
  }
}

TEST_F(PathEngineTest, FlappingCableGetsABurstOfDialsThenARest) {
  engine.set_port(up("a"), now);
  std::size_t dials = engine.take_actions().size();
  for (int i = 0; i < 600; ++i) {  // 10 per second for a minute.
    now += 50ms;
    engine.set_port(dark("a"), now);
    now += 50ms;
    engine.set_port(up("a"), now);
    for (const auto& action : engine.take_actions()) { dials += action.kind == Kind::dial ? 1 : 0; }
  }
  EXPECT_GE(dials, 6U);
  EXPECT_LE(dials, 40U);
}

TEST_F(PathEngineTest, ServerSideOnlyWhenEveryUsablePortFailsBeyondOurOwnNetwork) {
  engine.set_port(up("a"), now);
  engine.set_port(up("b"), now);
  EXPECT_FALSE(engine.server_side());
  engine.on_dial_failed({"a", 0}, {Step::tcp, "refused"}, now);
  EXPECT_FALSE(engine.server_side());
  engine.on_dial_failed({"b", 0}, {Step::console, "retry later"}, now);
  EXPECT_TRUE(engine.server_side());
  PortFacts no_gateway = up("b");
  no_gateway.gateway_reachable = false;
  engine.set_port(no_gateway, now);
  engine.on_dial_failed({"b", 0}, {Step::tcp, "timeout"}, now);
}

TEST_F(PathEngineTest, DeadGatewayIsNamedBelowTcp) {
  engine.set_port(up("a"), now);
  engine.on_dial_failed({"a", 0}, {Step::tcp, "timeout"}, now);
  PortFacts facts = up("a");
  facts.gateway_reachable = false;
  engine.set_port(facts, now);
  EXPECT_EQ(status("a").broken, Step::gateway);
}

TEST_F(PathEngineTest, RemovedPortLeavesNothing) {
  welcome("a");
  engine.remove_port("a", now);
  EXPECT_EQ(kinds(), std::vector{Kind::close});
  EXPECT_TRUE(engine.status().empty());
  engine.on_closed({"a", 0}, {Step::tcp, "late"}, now);
  EXPECT_FALSE(engine.next_deadline());
}

TEST_F(PathEngineTest, AnotherListOfEndpointsClosesWhatLeftDialsWhatCameAndLeavesTheRestAlone) {
  engine.set_endpoints({0, 1}, now);
  engine.set_port(up("a"), now);
  engine.set_port(dark("b"), now);
  engine.take_actions();
  engine.on_welcome({"a", 0}, now);
  engine.on_welcome({"a", 1}, now);
  engine.set_endpoints({2, 1}, now);
  const auto actions = engine.take_actions();
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_EQ(actions[0], (PathAction{Kind::close, {"a", 0}, {}}));
  EXPECT_EQ(actions[1], (PathAction{Kind::dial, {"a", 2}, {}}));
  EXPECT_EQ(engine.up_count(), 1U);
  EXPECT_EQ(engine.status().size(), 4U);
  EXPECT_EQ(status("b").broken, Step::carrier);
  engine.on_closed({"a", 0}, {Step::tcp, "late news"}, now);  // Of a path that is no more.
  engine.set_port(up("b"), now);
  EXPECT_EQ(kinds(), (std::vector{Kind::dial, Kind::dial}));
  engine.remove_port("a", now);
  EXPECT_EQ(engine.status().size(), 2U);
}

}  // namespace
}  // namespace edge::uplink
