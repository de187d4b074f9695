// What becomes of paths when the addresses of their port change: those that they run on, others,
// and those that are to be left.
#include "uplink/core/path_engine.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;
using Kind = PathAction::Kind;

const IpAddress v4 = parse_ip("192.0.2.5").value();
const IpAddress old6 = parse_ip("2001:db8:a::5").value();
const IpAddress new6 = parse_ip("2001:db8:b::5").value();

class PathSourceTest : public testing::Test {
 protected:
  static PortFacts port(const std::string& name, std::vector<IpAddress> addresses) {
    return {.port = name, .name = name, .carrier = true, .addresses = std::move(addresses)};
  }
  void up(const PortFacts& facts, const IpAddress& source) {
    engine.set_port(facts, now);
    engine.take_actions();
    engine.on_welcome({facts.port, 0}, now, source);
  }
  std::vector<std::pair<Kind, std::string>> actions() {
    std::vector<std::pair<Kind, std::string>> out;
    for (const auto& action : engine.take_actions()) {
      out.emplace_back(action.kind, action.key.port);
    }
    return out;
  }
  using Actions = std::vector<std::pair<Kind, std::string>>;

  MonoTime now{1h};
  PathEngine engine{1, 42};
};

TEST_F(PathSourceTest, AnAddressThatGoesEndsThePathOnItAndNoOther) {
  up(port("a", {v4, old6}), v4);
  engine.set_port(port("a", {v4}), now);
  EXPECT_TRUE(actions().empty()) << "it runs over IPv4";
  engine.set_port(port("a", {new6}), now);
  EXPECT_EQ(actions(), (Actions{{Kind::close, "a"}, {Kind::dial, "a"}}));
}

TEST_F(PathSourceTest, AnotherChoiceForDialsLeavesAPathWhoseAddressIsThere) {
  up(port("a", {old6}), old6);
  PortFacts facts = port("a", {new6});
  facts.others = {old6};
  engine.set_port(facts, now);
  EXPECT_TRUE(actions().empty());
  facts.others.clear();
  engine.set_port(facts, now);
  EXPECT_EQ(actions(), (Actions{{Kind::close, "a"}, {Kind::dial, "a"}}));
}

TEST_F(PathSourceTest, AnAddressToBeLeftIsLeftAtOnceWhileAnotherPathIsUp) {
  up(port("a", {old6}), old6);
  up(port("b", {v4}), v4);
  PortFacts facts = port("a", {new6});
  facts.leaving = {old6};
  engine.set_port(facts, now);
  EXPECT_EQ(actions(), (Actions{{Kind::close, "a"}, {Kind::dial, "a"}}));
  engine.on_welcome({"a", 0}, now, new6);
  EXPECT_TRUE(actions().empty());
}

TEST_F(PathSourceTest, ThePathThatIsUpAloneIsNotCut_ItMovesWhenAnotherOneIsUp) {
  up(port("a", {old6}), old6);
  engine.set_port(port("b", {v4}), now);
  engine.take_actions();
  PortFacts facts = port("a", {new6});
  facts.leaving = {old6};
  engine.set_port(facts, now);
  EXPECT_TRUE(actions().empty());
  engine.on_welcome({"b", 0}, now, v4);
  EXPECT_EQ(actions(), (Actions{{Kind::close, "a"}, {Kind::dial, "a"}}));
}

TEST_F(PathSourceTest, TwoPathsThatMoveDoItOneAfterTheOther) {
  up(port("a", {old6}), old6);
  const IpAddress other6 = parse_ip("2001:db8:c::5").value();
  up(port("b", {other6}), other6);
  for (const auto& [name, source] : {std::pair{"a", old6}, std::pair{"b", other6}}) {
    PortFacts facts = port(name, {new6});
    facts.leaving = {source};
    engine.set_port(facts, now);
  }
  EXPECT_EQ(actions(), (Actions{{Kind::close, "a"}, {Kind::dial, "a"}}));
  engine.on_welcome({"a", 0}, now, new6);
  EXPECT_EQ(actions(), (Actions{{Kind::close, "b"}, {Kind::dial, "b"}}));
}

TEST_F(PathSourceTest, RoutersThatToggleItMoveItNoFasterThanAFlappingCableDials) {
  up(port("b", {v4}), v4);
  up(port("a", {old6}), old6);
  IpAddress on = old6;
  IpAddress off = new6;
  std::size_t moves = 0;
  for (int i = 0; i < 100; ++i) {
    std::swap(on, off);
    PortFacts facts = port("a", {on});
    facts.leaving = {off};
    engine.set_port(facts, now);
    if (engine.take_actions().empty()) { continue; }
    ++moves;
    engine.on_welcome({"a", 0}, now, on);
  }
  EXPECT_LE(moves, PathEngine::immediate_burst);
  EXPECT_GE(moves, 1U);
}

TEST_F(PathSourceTest, AnotherRouterDialsWhatIsDownAtOnceAndLeavesAloneWhatIsUp) {
  up(port("b", {v4}), v4);
  engine.set_port(port("a", {new6}), now);
  engine.take_actions();
  engine.on_dial_failed({"a", 0}, {Step::tcp, "no answer"}, now);
  PortFacts facts = port("a", {new6});
  facts.router6 = parse_ip("fe80::2").value();
  engine.set_port(facts, now);
  EXPECT_EQ(actions(), (Actions{{Kind::dial, "a"}}));
  PortFacts other = port("b", {v4});
  other.router6 = facts.router6;
  engine.set_port(other, now);
  EXPECT_TRUE(actions().empty());
}

}  // namespace
}  // namespace edge::uplink
