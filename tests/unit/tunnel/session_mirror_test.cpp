// Small frames over two paths at once: which two, at what rate, and what is left when one dies.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/delivery_fixture.hpp"

namespace edge::tunnel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST_F(DeliveryTest, SmallFramesOfChannels0And1GoOverBothPaths_OthersOverOne) {
  two_paths();
  send(kHost, Channel::control, "ctl");
  send(kHost, Channel::commands, "cmd");
  send(kHost, Channel::commands, "big", 4096);
  send(kHost, Channel::commands, "toobig", 4097);
  send(kHost, Channel::events, "event");
  send(kHost, Channel::telemetry, "gauge");
  run();
  EXPECT_THAT(data_on(kHost, 1), testing::AllOf(HasSubstr("ctl cmd big"), HasSubstr("toobig"),
                                                HasSubstr("event gauge")));
  EXPECT_EQ(data_on(kHost, 2), "ctl cmd big......... ");
  EXPECT_EQ(ends[kConsole].got(Channel::commands), "cmd big......... toobig...... ");
  EXPECT_EQ(console().stats().duplicates, 3U);
  EXPECT_EQ(host().stats().mirrored, 3U);
}

TEST_F(DeliveryTest, MirroringNeedsADisjointPath_OneThatDrainsIsOneWhileItLasts) {
  connect(1, "eth0");
  connect(2, "eth1");
  host().drain(PathId{2}, true, now);
  forget();
  send(kHost, Channel::commands, "drained");
  run();
  EXPECT_EQ(data_on(kHost, 2), "drained ");
  host().drain(PathId{2}, false, now);
  host().on_path_lost(PathId{2}, PathCause::eof, {}, now);
  send(kHost, Channel::commands, "alone");
  run();
  EXPECT_EQ(data_on(kHost, 1), "drained alone ");
}

TEST_F(DeliveryTest, AMirroredFrameThatLosesOneOfItsPathsGetsAnotherAtOnce_TheOneLeftMayBeDying) {
  two_paths();
  connect(3, "eth2");
  cut(1);
  cut(2);
  send(kHost, Channel::commands, "both");
  run();
  EXPECT_EQ(ends[kConsole].got(Channel::commands), "");
  host().on_path_lost(PathId{2}, PathCause::eof, {}, now);
  run();
  EXPECT_EQ(ends[kConsole].got(Channel::commands), "both ") << "over 3, without any wait";
}

TEST_F(DeliveryTest, NothingIsMirroredOrAcknowledgedOverAMeteredPath) {
  connect_metered(2, "wwan0");
  ASSERT_EQ(host().active(), PathId{2}) << "the only one";
  connect(1, "eth0");
  advance(3s);
  ASSERT_EQ(host().active(), PathId{1}) << "another is always preferred";
  ASSERT_EQ(console().active(), PathId{1});
  advance(100ms);
  forget();
  send(kHost, Channel::commands, "up");
  send(kConsole, Channel::commands, "down");
  advance(40ms);
  EXPECT_EQ(ends[kConsole].got(Channel::commands), "up ");
  EXPECT_EQ(ends[kHost].got(Channel::commands), "down ");
  for (const std::size_t end : {kHost, kConsole}) {
    EXPECT_EQ(data_on(end, 2), "");
    EXPECT_THAT(written(end, 2, FrameType::ack), SizeIs(0));
    EXPECT_FALSE(written(end, 1, FrameType::ack).empty());
  }
  advance(60s);
  EXPECT_LE(written(kHost, 2, FrameType::ping).size(), 60U / 5 * 4 / 3 + 1) << "every 3.75..5 s";
}

TEST_F(DeliveryTest, OverAMeteredPathGoesWhatStaysUnacknowledgedElsewhere) {
  connect(1, "eth0");
  connect_metered(2, "wwan0");
  advance(100ms);
  forget();
  cut(1);
  send(kConsole, Channel::commands, "cut");
  advance(49ms);
  EXPECT_EQ(ends[kHost].got(Channel::commands), "");
  advance(2ms);
  EXPECT_EQ(ends[kHost].got(Channel::commands), "cut ") << "max(2*srtt, 50 ms)";
  advance(5s);
  send(kConsole, Channel::commands, "alone");
  run();
  EXPECT_EQ(ends[kHost].got(Channel::commands), "cut alone ");
  advance(25ms);
  EXPECT_FALSE(written(kHost, 2, FrameType::ack).empty());
  EXPECT_EQ(console().queued_bytes(Channel::commands), 0U);
}

TEST_F(DeliveryTest, OfThreePathsTheMirrorTakesTheOneThatIsNotMetered) {
  connect(1, "eth0");
  connect_metered(2, "wwan0");
  connect(3, "eth1");
  advance(100ms);
  forget();
  send(kHost, Channel::commands, "x");
  run();
  EXPECT_EQ(data_on(kHost, 1) + data_on(kHost, 3), "x x ");
  EXPECT_EQ(data_on(kHost, 2), "");
}

TEST_F(DeliveryTest, TwoEndpointsOverOneAdapterAreNotMirrored) {
  connect(1, "eth0");
  PathFacts other = facts(2, "eth0");
  other.endpoint = "console:2";
  ASSERT_TRUE(accept(2, host().hello(other, WallTime{})));
  run();
  ASSERT_THAT(host().paths(now), SizeIs(2));
  forget();
  send(kHost, Channel::commands, "x");
  run();
  EXPECT_EQ(data_on(kHost, 1), "x ");
  EXPECT_EQ(data_on(kHost, 2), "");
}

TEST_F(DeliveryTest, AMirroredFrameOutlivesASilentCutOfTheActivePath) {
  two_paths();
  cut(1);
  send(kConsole, Channel::commands, "now");
  run();
  EXPECT_EQ(ends[kHost].got(Channel::commands), "now ");
}

class SlowMirrorTest : public DeliveryTest {
 protected:
  static SessionOptions slow() {
    SessionOptions options = host_options();
    options.mirror.frames_per_s = 10;
    options.mirror.burst = 2;
    return options;
  }
  SlowMirrorTest() : DeliveryTest(slow()) {}
};

TEST_F(SlowMirrorTest, BeyondItsRateTheMirrorRests) {
  two_paths();
  for (const char* text : {"1", "2", "3"}) { send(kHost, Channel::commands, text); }
  run();
  EXPECT_EQ(data_on(kHost, 2), "1 2 ");
  advance(101ms);
  send(kHost, Channel::commands, "4");
  run();
  EXPECT_EQ(data_on(kHost, 2), "1 2 4 ");
}

}  // namespace
}  // namespace edge::tunnel
