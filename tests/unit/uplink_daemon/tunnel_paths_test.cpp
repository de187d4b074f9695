// The glue of path engine, session and connections: what a Console's GOAWAY, a proof and a lost
// port do to connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "uplink/daemon/core/tunnel_paths.hpp"

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// A host, a Console's session, and connections that carry each frame at once.
class TunnelPathsTest : public testing::Test {
 protected:
  void SetUp() override {
    paths.set_endpoints({0}, now);
    for (const char* port : {"a", "b"}) {
      paths.engine().set_port(facts_of(port), now);
      run();
    }
    ASSERT_EQ(paths.engine().up_count(), 2U);
    clear();
  }
  static PortFacts facts_of(const std::string& port) {
    return {.port = port, .name = port, .carrier = true, .addresses = {IpAddress::v4(10, 0, 0, 2)}};
  }
  static tunnel::SessionOptions options_of(tunnel::Role role) {
    tunnel::SessionOptions options;
    options.role = role;
    options.host = "hv-01";
    options.install_id = "install";
    return options;
  }
  void clear() {
    dialled.clear();
    closed.clear();
    down.clear();
    proofs.clear();
  }
  /// Until neither end has anything to do.
  void run() {
    for (bool more = true; more;) {
      const auto orders = paths.take_orders(now);
      for (const Order& order : orders) { run(order); }
      auto actions = console.take_actions();
      for (tunnel::Action& action : actions) { answer(action); }
      more = !orders.empty() || !actions.empty();
    }
  }
  void run(const Order& order) {
    if (const auto* dial = std::get_if<DialOrder>(&order)) {
      dialled.push_back(dial->key.port);
      open.insert(dial->path);
      if (!reachable) { return; }
      paths.greet(dial->path,
                  {.facts = {.label = dial->key.port,
                             .port = dial->key.port,
                             .endpoint = "c",
                             .adapter = dial->key.port}},
                  now);
    } else if (const auto* done = std::get_if<CloseOrder>(&order)) {
      closed.push_back(done->path.value);
      open.erase(done->path);
      console.on_path_lost(done->path, tunnel::PathCause::eof, {}, now);
    } else if (const auto* ended = std::get_if<PathDown>(&order)) {
      down.push_back(ended->key.port);
    } else if (const auto* proof = std::get_if<ProofEnded>(&order)) {
      proofs.push_back(proof->welcomed ? "welcomed" : proof->what);
    } else if (const auto* action = std::get_if<tunnel::Action>(&order)) {
      const auto* send = std::get_if<tunnel::SendBytes>(action);
      if (send != nullptr) { hear(send->path, *send->bytes); }
    }
  }
  void hear(PathId path, const tunnel::Bytes& bytes) {
    tunnel::FrameDecoder& decoder = decoders[path];
    std::vector<tunnel::Frame> frames;
    ASSERT_TRUE(decoder.feed(bytes, frames));
    for (tunnel::Frame& frame : frames) {
      if (frame.header.type == tunnel::FrameType::hello) {
        const auto hello = tunnel::decode_hello(frame.payload);
        if (mute) { continue; }
        ASSERT_TRUE(console.accept(path, *hello, WallTime{}, now));
      } else {
        console.on_frame(path, std::move(frame), now);
      }
    }
  }
  void answer(const tunnel::Action& action) {
    if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
      paths.on_bytes(send->path, *send->bytes, now);
    } else if (const auto* dead = std::get_if<tunnel::PathDead>(&action)) {
      paths.on_lost(dead->path, tunnel::PathCause::eof, "closed", now);
    }
  }
  void pass(Duration time) {
    const MonoTime until = now + time;
    for (;;) {
      const auto host = paths.next_deadline();
      const auto far = console.next_deadline();
      const MonoTime next = std::min(host.value_or(until), far.value_or(until));
      if (next >= until) { break; }
      now = std::max(now, next);
      if (host && *host <= now) { paths.on_deadline(now); }
      if (far && *far <= now) { console.on_deadline(now); }
      run();
    }
    now = until;
  }
  void goaway(Duration spread) {
    console.send_goaway({.reason = "r",
                         .spread = std::chrono::duration_cast<std::chrono::milliseconds>(spread),
                         .endpoints = {}},
                        now);
    run();
  }

  MonoTime now{1h};
  bool reachable = true;
  bool mute = false;  ///< The Console says no WELCOME.
  std::vector<std::string> dialled;
  std::vector<std::uint32_t> closed;
  std::vector<std::string> down;
  std::vector<std::string> proofs;
  std::set<PathId> open;
  std::map<PathId, tunnel::FrameDecoder> decoders;
  TunnelPaths paths{options_of(tunnel::Role::host), Random(7),
                    [](PathId, const tunnel::Welcome&) { return WelcomeVerdict{}; }};
  tunnel::Session console{options_of(tunnel::Role::console), Random(8)};
};

TEST_F(TunnelPathsTest, AfterAGoawayEachConnectionStaysUntilTheNextOneIsWelcomed) {
  const tunnel::SessionId session = paths.session().id();
  goaway(10s);
  EXPECT_THAT(closed, IsEmpty());
  EXPECT_EQ(paths.session().path_count(), 2U);
  std::size_t fewest = 2;
  for (int i = 0; i < 110; ++i) {
    pass(100ms);
    fewest = std::min(fewest, paths.session().path_count());
  }
  EXPECT_EQ(fewest, 2U);
  EXPECT_THAT(dialled, testing::UnorderedElementsAre("a", "b"));
  EXPECT_EQ(closed.size(), 2U);
  EXPECT_THAT(down, IsEmpty());
  EXPECT_EQ(paths.engine().up_count(), 2U);
  EXPECT_EQ(paths.session().id(), session);
}

TEST_F(TunnelPathsTest, ASuccessorThatIsNotWelcomedLeavesTheFormerOneInItsPlace) {
  goaway(1s);
  mute = true;
  pass(5s);
  EXPECT_EQ(paths.session().path_count(), 2U) << "both are as they were";
  EXPECT_THAT(down, IsEmpty());
  EXPECT_GE(dialled.size(), 2U);
  mute = false;
  pass(60s);
  EXPECT_EQ(paths.engine().up_count(), 2U);
  EXPECT_THAT(down, IsEmpty());
}

TEST_F(TunnelPathsTest, APathThatIsToldToLeaveEndsWithItsCarrier_AndIsDialledWhenThatIsBack) {
  goaway(300s);
  PortFacts dark = facts_of("a");
  dark.carrier = false;
  paths.engine().set_port(dark, now);
  run();
  EXPECT_THAT(down, ElementsAre("a"));
  EXPECT_EQ(paths.session().path_count(), 1U);
  paths.engine().set_port(facts_of("a"), now);
  run();
  EXPECT_EQ(paths.session().path_count(), 2U);
  EXPECT_EQ(paths.engine().up_count(), 1U) << "the other one still has to come again";
}

TEST_F(TunnelPathsTest, AProofTakesThePlaceOfItsPathsConnection) {
  ASSERT_TRUE(paths.prove());
  run();
  EXPECT_THAT(proofs, ElementsAre("welcomed"));
  EXPECT_EQ(closed.size(), 1U);
  EXPECT_THAT(down, IsEmpty());
  EXPECT_EQ(paths.engine().up_count(), 2U);
}

TEST_F(TunnelPathsTest, AProofEndsWithItsPath) {
  reachable = false;
  const auto proof = paths.prove();
  ASSERT_TRUE(proof);
  run();
  ASSERT_EQ(dialled.size(), 1U);
  paths.remove_port(dialled.front(), now);
  run();
  EXPECT_THAT(proofs, ElementsAre("its path was closed"));
  EXPECT_THAT(closed, testing::Contains(proof->value));
}

}  // namespace
}  // namespace edge::uplink
