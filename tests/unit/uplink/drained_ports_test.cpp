// PathEngine: a drained port is the worst of all, and still one.
#include <gmock/gmock.h>

#include "uplink/core/path_engine.hpp"

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// "a" and "b" are up; then a person drains "a".
class DrainedPortsTest : public testing::Test {
 protected:
  DrainedPortsTest() {
    for (const char* port : {"a", "b"}) {
      engine.set_port(facts(port), now);
      engine.on_welcome({port, 0}, now);
    }
    engine.take_actions();
  }
  static PortFacts facts(const std::string& port) {
    return {.port = port,
            .name = "eth-" + port,
            .carrier = true,
            .addresses = {IpAddress::v4(10, 0, 0, 2)}};
  }
  void drain(const std::string& port) {
    PortFacts drained = facts(port);
    drained.drained = true;
    engine.set_port(drained, now);
  }
  void unplug(const std::string& port) {
    PortFacts dark = facts(port);
    dark.carrier = false;
    dark.addresses.clear();
    engine.set_port(dark, now);
  }
  /// "dial a", "close b": since the last call.
  std::vector<std::string> done() {
    std::vector<std::string> out;
    for (const auto& action : engine.take_actions()) {
      out.push_back((action.kind == PathAction::Kind::dial ? "dial " : "close ") + action.key.port);
    }
    return out;
  }
  PathStatus status(const std::string& port) {
    for (auto& s : engine.status()) {
      if (s.key.port == port) { return s; }
    }
    return {};
  }

  MonoTime now{1h};
  PathEngine engine{1, 42};
};

TEST_F(DrainedPortsTest, TheTunnelLeavesItAndComesBackWhenNothingElseIsUp) {
  drain("a");
  EXPECT_THAT(done(), ElementsAre("close a"));
  EXPECT_EQ(status("a").broken, Step::disabled);
  EXPECT_EQ(status("a").cause, "eth-a is drained: used only when no other port is up");
  unplug("b");
  EXPECT_THAT(done(), ElementsAre("close b", "dial a")) << "or the host is out of reach";
  engine.on_welcome({"a", 0}, now);
  EXPECT_EQ(status("a").state, PathState::up);
  engine.set_port(facts("b"), now);
  EXPECT_THAT(done(), ElementsAre("dial b")) << "what carries the host goes on until b does";
  engine.on_welcome({"b", 0}, now);
  EXPECT_THAT(done(), ElementsAre("close a"));
  engine.set_port(facts("a"), now);
  EXPECT_THAT(done(), ElementsAre("dial a")) << "the drain is over";
}

TEST_F(DrainedPortsTest, APathThatIsLostAtTheOtherEndCallsForItAsWell) {
  drain("a");
  done();
  engine.on_closed({"b", 0}, {Step::tcp, "timeout"}, now);
  EXPECT_THAT(done(), ElementsAre("dial a"));
  engine.on_dial_failed({"a", 0}, {Step::tcp, "timeout"}, now);
  now += 1min;
  engine.on_deadline(now);
  EXPECT_THAT(done(), testing::UnorderedElementsAre("dial a", "dial b"));
  engine.on_welcome({"b", 0}, now);
  EXPECT_THAT(done(), ElementsAre("close a")) << "a dial ends as well";
  EXPECT_FALSE(engine.next_deadline());
}

TEST_F(DrainedPortsTest, APortThatIsTakenOutCallsForIt) {
  drain("a");
  done();
  engine.remove_port("b", now);
  EXPECT_THAT(done(), ElementsAre("close b", "dial a"));
}

TEST_F(DrainedPortsTest, AProofCallsForItOnlyWhenItFails) {
  drain("a");
  done();
  engine.redial({"b", 0}, now);
  EXPECT_THAT(done(), ElementsAre("close b", "dial b"));
  engine.on_welcome({"b", 0}, now);
  engine.redial({"b", 0}, now);
  done();
  engine.on_dial_failed({"b", 0}, {Step::tcp, "timeout"}, now);
  EXPECT_THAT(done(), ElementsAre("dial a"));
}

TEST_F(DrainedPortsTest, WhatTheConsoleSpreadIsNotGoneAroundByIt) {
  drain("a");
  done();
  engine.on_retry_later({"b", 0}, 1min, 0s, now);
  EXPECT_THAT(done(), IsEmpty());
  unplug("b");
  EXPECT_THAT(done(), ElementsAre("close b", "dial a")) << "b will not come back then";
}

TEST_F(DrainedPortsTest, WhereAllAreDrainedTheyGoOn) {
  drain("a");
  EXPECT_THAT(done(), ElementsAre("close a"));
  drain("b");
  EXPECT_THAT(done(), ElementsAre("dial a")) << "none is better than the other";
  EXPECT_EQ(status("b").state, PathState::up);
}

}  // namespace
}  // namespace edge::uplink
