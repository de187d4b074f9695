// As many paths as a session may have, and more: what each costs, and which of them stay.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/unit/tunnel/session_pair.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

class ManyPathsTest : public SessionPair {
 protected:
  static constexpr auto limit = static_cast<std::uint32_t>(Session::paths_max);

  void one_over_each_of_32_ports() {
    for (std::uint32_t id = 1; id <= limit; ++id) { connect(id, "eth" + std::to_string(id)); }
    advance(100ms);
    forget();
  }
  /// Numbers of the paths over which the Console acknowledged since the last forget(), one for each
  /// acknowledgement.
  std::multiset<std::uint32_t> acknowledged_over() {
    std::multiset<std::uint32_t> out;
    for (std::uint32_t id = 1; id <= limit; ++id) {
      for (std::size_t n = written(kConsole, id, FrameType::ack).size(); n > 0; --n) {
        out.insert(id);
      }
    }
    return out;
  }
  std::set<std::uint32_t> ids(std::size_t end) {
    std::set<std::uint32_t> out;
    for (const PathView& path : ends[end].session.paths(now)) { out.insert(path.path.value); }
    return out;
  }
  std::size_t paths_over(std::size_t end, const std::string& adapter) {
    const auto all = ends[end].session.paths(now);
    return static_cast<std::size_t>(
        std::ranges::count(all, adapter, [](const PathView& path) { return path.facts.adapter; }));
  }
};

TEST_F(ManyPathsTest, OneSmallFrameIsAcknowledgedOverFourPathsNotOver32) {
  one_over_each_of_32_ports();
  send(kHost, Channel::events, "x");
  advance(20ms);
  const auto over = acknowledged_over();
  EXPECT_THAT(over, SizeIs(Session::ack_paths_max));
  EXPECT_TRUE(over.contains(console().active()->value));
  EXPECT_EQ(host().queued_bytes(Channel::events), 0U);
}

TEST_F(ManyPathsTest, EachPathHasItsTurnToCarryAnAcknowledgement) {
  one_over_each_of_32_ports();
  const std::uint32_t rounds = limit - Session::ack_paths_max + 1;
  for (std::uint32_t i = 0; i < rounds; ++i) {
    send(kHost, Channel::events, "x");
    advance(20ms);
  }
  const auto over = acknowledged_over();
  EXPECT_THAT(over, SizeIs(rounds * Session::ack_paths_max));
  EXPECT_THAT(std::set<std::uint32_t>(over.begin(), over.end()), SizeIs(limit));
}

TEST_F(ManyPathsTest, TheFourAreOverDifferentPorts) {
  for (std::uint32_t id = 1; id < limit; ++id) {
    connect(id, "eth" + std::to_string(id / 17), 0, "console:" + std::to_string(id));
  }
  connect(limit, "eth2");
  advance(100ms);
  forget();
  send(kHost, Channel::events, "x");
  advance(20ms);
  std::set<std::string> ports;
  for (const std::uint32_t id : acknowledged_over()) { ports.insert(wires[id].facts.adapter); }
  EXPECT_THAT(ports, SizeIs(3)) << "there are no more";
}

TEST_F(ManyPathsTest, AnAcknowledgementArrivesThoughTheBestFourAreCut) {
  one_over_each_of_32_ports();
  for (std::uint32_t id = 1; id <= Session::ack_paths_max; ++id) { cut(id, false, true); }
  send(kHost, Channel::events, "x");
  advance(100ms);
  EXPECT_EQ(host().queued_bytes(Channel::events), 0U) << "the copy's went over another one";
}

TEST_F(ManyPathsTest, BeyondTheLimitEachPortKeepsOne_AndBothEndsLetTheSameGo) {
  for (std::uint32_t id = 1; id < limit; ++id) {
    connect(id, "eth0", 0, "console:" + std::to_string(id));
  }
  connect(limit, "eth1");
  advance(100ms);
  ASSERT_THAT(ids(kHost), SizeIs(limit));
  forget();

  connect(limit + 1, "eth2");
  EXPECT_EQ(dead(kConsole).path, PathId{limit - 1}) << "the newest of the port that has most";
  EXPECT_EQ(dead(kConsole).cause, PathCause::superseded);
  EXPECT_THAT(dead(kConsole).detail, HasSubstr("more than 32 paths"));
  EXPECT_THAT(dead(kConsole).detail, HasSubstr("one of 31 over its port"));
  EXPECT_EQ(dead(kHost).path, PathId{limit - 1});

  for (std::uint32_t id = limit + 2; id < limit + 12; ++id) {
    connect(id, "eth0", 0, "console:" + std::to_string(id));
  }
  EXPECT_EQ(ids(kHost), ids(kConsole));
  for (const std::size_t end : {kHost, kConsole}) {
    EXPECT_THAT(ids(end), SizeIs(limit));
    EXPECT_EQ(paths_over(end, "eth1"), 1U) << "a port with many takes from itself";
    EXPECT_EQ(paths_over(end, "eth2"), 1U);
    EXPECT_TRUE(ids(end).contains(host().active()->value));
  }
}

TEST_F(ManyPathsTest, OfPortsWithOneEachTheLeastPreferredGoes_NeverTheActiveOne) {
  for (std::uint32_t id = 1; id <= limit; ++id) {
    connect(id, "eth" + std::to_string(id), id == 9 ? 7 : 1);
  }
  advance(100ms);
  forget();
  connect(limit + 1, "eth99");
  EXPECT_EQ(dead(kConsole).path, PathId{9});
  EXPECT_EQ(dead(kHost).path, PathId{9});
  EXPECT_EQ(host().active(), PathId{1});
}

}  // namespace
}  // namespace edge::tunnel
