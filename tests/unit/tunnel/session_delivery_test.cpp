// Frames over several paths: in order, once, copied, resent, bounded.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/delivery_fixture.hpp"

namespace edge::tunnel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST_F(DeliveryTest, BothDirectionsInOrderPerChannel) {
  two_paths();
  for (const char* text : {"a", "b", "c"}) {
    send(kHost, Channel::events, text);
    send(kConsole, Channel::commands, text);
  }
  run();
  EXPECT_EQ(ends[kConsole].got(Channel::events), "a b c ");
  EXPECT_EQ(ends[kHost].got(Channel::commands), "a b c ");
  EXPECT_EQ(host().stats().delivered, 3U);
}

TEST_F(DeliveryTest, WithoutASessionNothingIsAccepted) {
  const auto early = host().send(Channel::commands, to_bytes("x"), now);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Errc::transient);
  connect(1, "eth0");
  EXPECT_TRUE(host().send(Channel::commands, to_bytes("x"), now));
}

TEST_F(DeliveryTest, PayloadLimitsAre1MiBOnCommandsAnd64KiBElsewhere) {
  two_paths();
  EXPECT_TRUE(host().send(Channel::commands, Bytes(1 << 20), now));
  EXPECT_EQ(host().send(Channel::commands, Bytes((1 << 20) + 1), now).error().code,
            Errc::invalid_input);
  EXPECT_TRUE(host().send(Channel::events, Bytes(64 << 10), now));
  EXPECT_EQ(host().send(Channel::events, Bytes((64 << 10) + 1), now).error().code,
            Errc::invalid_input);
  run();
  EXPECT_EQ(console().stats().delivered, 2U);
}

TEST_F(PlainDeliveryTest, AnUnacknowledgedFrameIsCopiedAfter50ms_ThenToAThirdPathAfterTwiceThat) {
  connect(1, "eth0");
  connect(2, "eth1");
  connect(3, "eth2");
  advance(100ms);
  forget();
  cut(1);
  cut(2);
  send(kConsole, Channel::commands, "cmd");
  send(kConsole, Channel::events, "event");
  send(kConsole, Channel::telemetry, "gauge");
  advance(50ms - 1ns);
  EXPECT_EQ(data_on(kConsole, 2), "");
  advance(1ns);
  EXPECT_EQ(data_on(kConsole, 2), "cmd event ");
  EXPECT_EQ(data_on(kConsole, 3), "");
  advance(100ms - 1ns);
  EXPECT_EQ(data_on(kConsole, 3), "");
  advance(1ns);
  EXPECT_EQ(data_on(kConsole, 3), "cmd event ");
  EXPECT_EQ(ends[kHost].got(Channel::commands), "cmd ");
  EXPECT_EQ(console().stats().copied, 4U);
  advance(100ms);
  EXPECT_EQ(data_on(kConsole, 1), "cmd event gauge ") << "no path carries a frame twice";
}

TEST_F(PlainDeliveryTest, TheCopyWaitsTwoRoundTripsOnALongPath) {
  connect(1, "eth0");
  connect(2, "eth1");
  for (int i = 0; i < 60; ++i) {  // PONGs come back after up to 100 ms.
    wires[1].from[kConsole].held = true;
    advance(100ms);
    wires[1].from[kConsole].held = false;
    run();
  }
  forget();
  cut(1);
  const Duration wait = 2 * host().paths(now)[0].srtt.value();
  ASSERT_GT(wait, 60ms);
  send(kHost, Channel::commands, "cmd");
  advance(wait - 1ns);
  EXPECT_EQ(data_on(kHost, 2), "");
  advance(1ns);
  EXPECT_EQ(data_on(kHost, 2), "cmd ");
}

TEST_F(PlainDeliveryTest, AnAcknowledgedFrameIsNotCopied) {
  two_paths();
  send(kHost, Channel::commands, "cmd");
  advance(200ms);
  EXPECT_EQ(data_on(kHost, 2), "");
  EXPECT_EQ(host().stats().copied, 0U);
  EXPECT_EQ(host().queued_bytes(Channel::commands), 0U);
}

TEST_F(PlainDeliveryTest, APathThatComesLaterTakesOverdueFramesAtOnce) {
  connect(1, "eth0");
  advance(100ms);
  cut(1, true, false);
  send(kHost, Channel::commands, "cmd");
  advance(60ms);
  forget();
  connect(2, "eth1");
  EXPECT_EQ(data_on(kHost, 2), "cmd ");
  EXPECT_EQ(ends[kConsole].got(Channel::commands), "cmd ");
}

TEST_F(PlainDeliveryTest, ADeadPathsFramesAreResentInOrderOverTheNewActive) {
  two_paths();
  cut(1);
  for (const char* text : {"1", "2", "3"}) { send(kHost, Channel::bulk, text); }
  send(kHost, Channel::commands, "cmd");
  run();
  EXPECT_EQ(ends[kConsole].got(Channel::bulk), "");
  host().on_path_lost(PathId{1}, PathCause::reset, {}, now);
  run();
  EXPECT_EQ(data_on(kHost, 2), "cmd 1 2 3 ");
  EXPECT_EQ(ends[kConsole].got(Channel::bulk), "1 2 3 ");
  EXPECT_EQ(host().stats().resent, 4U);
}

TEST_F(PlainDeliveryTest, AFrameWithALivingCarrierIsNotResent) {
  two_paths();
  wires[2].from[kHost].held = true;
  cut(1);
  send(kHost, Channel::commands, "cmd");
  advance(60ms);
  ASSERT_EQ(data_on(kHost, 2), "cmd ");
  host().on_path_lost(PathId{1}, PathCause::reset, {}, now);
  run();
  EXPECT_EQ(host().stats().resent, 0U);
  wires[2].from[kHost].held = false;
  run();
  EXPECT_EQ(ends[kConsole].got(Channel::commands), "cmd ");
}

TEST_F(PlainDeliveryTest, SelectivelyAcknowledgedFramesAreNotResent) {
  connect(1, "eth0");
  connect(2, "eth1");
  forget();
  wires[1].from[kHost].held = true;
  send(kHost, Channel::bulk, "1");
  run();
  // Number 2 overtakes over the other path.
  inject(kConsole, 2, data_frame(Channel::bulk, 2));
  wires[1].from[kHost].queue.clear();
  send(kHost, Channel::bulk, "2");
  advance(20ms);
  EXPECT_EQ(console().reorder_bytes(Channel::bulk), 1U);
  wires[1].from[kHost].queue.clear();
  host().on_path_lost(PathId{1}, PathCause::reset, {}, now);
  run();
  EXPECT_EQ(host().stats().resent, 1U);
}

TEST_F(PlainDeliveryTest, ASuspectActivePathGetsCompanyForAllThatMatters) {
  two_paths();
  cut(1);
  advance(400ms);
  ASSERT_EQ(host().paths(now).front().state, PathState::suspect);
  forget();
  send(kHost, Channel::commands, "big", 5000);
  send(kHost, Channel::events, "event");
  send(kHost, Channel::bulk, "bulk");
  run();
  EXPECT_EQ(data_on(kHost, 2), "big......... event ");
  EXPECT_EQ(data_on(kHost, 1), "big......... event bulk ");
}

class EarlySuspicionTest : public DeliveryTest {
 protected:
  static SessionOptions patient() {
    SessionOptions options = host_options();
    options.mirror.enabled = false;
    options.tail_copy_min = 10s;
    return options;
  }
  EarlySuspicionTest() : DeliveryTest(patient()) {}
};

TEST_F(EarlySuspicionTest, SuspicionCopiesWhatIsUnderWay) {
  two_paths();
  cut(1);
  send(kHost, Channel::events, "event");
  send(kHost, Channel::bulk, "bulk");
  while (host().paths(now)[0].state != PathState::suspect) {
    ASSERT_EQ(data_on(kHost, 2), "");
    advance(1ms);
  }
  EXPECT_EQ(data_on(kHost, 2), "event ");
  EXPECT_EQ(ends[kConsole].got(Channel::events), "event ");
}

TEST_F(DeliveryTest, AcksLeaveAfterTwoFramesOr20ms_OverEveryPath) {
  two_paths();
  send(kHost, Channel::events, "1");
  advance(20ms - 1ns);
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), SizeIs(0));
  advance(1ns);
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), SizeIs(1));
  EXPECT_THAT(written(kConsole, 2, FrameType::ack), SizeIs(1));
  EXPECT_EQ(host().queued_bytes(Channel::events), 0U);
  send(kHost, Channel::events, "2");
  send(kHost, Channel::events, "3");
  run();
  EXPECT_THAT(written(kConsole, 2, FrameType::ack), SizeIs(2));
}

TEST_F(DeliveryTest, AnAckRidesInFrontOfData) {
  two_paths();
  send(kHost, Channel::events, "1");
  run();
  send(kConsole, Channel::events, "answer");
  run();
  EXPECT_THAT(written(kConsole, 2, FrameType::ack), SizeIs(1));
}

TEST_F(DeliveryTest, EveryAckIsComplete) {
  two_paths();
  send(kHost, Channel::events, "1");
  advance(20ms);
  send(kHost, Channel::commands, "2");
  advance(20ms);
  const auto acks = written(kConsole, 1, FrameType::ack);
  ASSERT_THAT(acks, SizeIs(2));
  EXPECT_THAT(
      decode_ack(acks[1].payload)->channels,
      ElementsAre(ChannelAck{Channel::commands, 2, {}}, ChannelAck{Channel::events, 2, {}}));
}

TEST_F(DeliveryTest, DuplicatesAreAcknowledged_ButNeverFasterThanEvery20ms) {
  two_paths();
  send(kHost, Channel::events, "1");
  advance(20ms);
  forget();
  for (int i = 0; i < 100; ++i) { inject(kConsole, 2, data_frame(Channel::events, 1)); }
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), SizeIs(0));
  advance(20ms);
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), SizeIs(1));
  EXPECT_EQ(ends[kConsole].got(Channel::events), "");
}

TEST_F(DeliveryTest, WithoutPathsCommandsAndEventsQueueUpToTheLimit_TelemetryForgets) {
  two_paths();
  cut(1);
  cut(2);
  host().on_path_lost(PathId{1}, PathCause::carrier, {}, now);
  host().on_path_lost(PathId{2}, PathCause::carrier, {}, now);
  const Bytes large(60'000);
  Result<void> refused;
  for (int i = 0; i < 100 && refused; ++i) { refused = host().send(Channel::events, large, now); }
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_LE(host().queued_bytes(Channel::events), host_options().queue_bytes_max[2]);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(host().send(Channel::telemetry, to_bytes("g" + std::to_string(i)), now));
    ASSERT_TRUE(host().send(Channel::telemetry, large, now));
  }
  EXPECT_LE(host().queued_bytes(Channel::telemetry), host_options().queue_bytes_max[3]);
  connect(3, "eth0");
  advance(1s);
  EXPECT_THAT(ends[kConsole].got(Channel::telemetry), testing::StartsWith("<"));
  EXPECT_THAT(ends[kConsole].got(Channel::telemetry), HasSubstr("g19"));
  EXPECT_EQ(host().queued_bytes(Channel::events), 0U);
}

/// A trial that waits for its confirmation says so behind a megabyte of results that nobody reads.
TEST_F(DeliveryTest, OnAFullChannelOneWhatMustBeSaidNowHasItsOwnRoom_WithinBounds) {
  two_paths();
  host().on_path_lost(PathId{1}, PathCause::carrier, {}, now);
  host().on_path_lost(PathId{2}, PathCause::carrier, {}, now);
  Result<void> refused;
  while (refused) { refused = host().send(Channel::commands, Bytes(1000), now); }
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_THAT(refused.error().what, HasSubstr("wait for the peer"));
  ASSERT_TRUE(
      host().send(Channel::commands, to_bytes("confirming"), now, SendRoom::reserved).has_value());
  do {
    refused = host().send(Channel::commands, Bytes(1000), now, SendRoom::reserved);
  } while (refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  const SessionOptions limits = host_options();
  EXPECT_LE(host().queued_bytes(Channel::commands),
            limits.queue_bytes_max[1] + limits.reserved_bytes);
  connect(3, "eth0");
  advance(1s);
  EXPECT_THAT(ends[kConsole].got(Channel::commands), HasSubstr("confirming "));
  EXPECT_EQ(host().queued_bytes(Channel::commands), 0U);
}

TEST_F(DeliveryTest, ControlFramesMayOvertake_DataKeepsItsOrder) {
  two_paths();
  ASSERT_TRUE(host().send(Channel::events, to_bytes("x"), now));
  for (const Action& action : host().take_actions()) {
    const auto* out = std::get_if<SendBytes>(&action);
    ASSERT_NE(out, nullptr);
    EXPECT_EQ(out->kind, SendKind::data);
  }
}

TEST_F(DeliveryTest, OneEncodedFrameIsSharedByAllItsCarriers) {
  two_paths();
  ASSERT_TRUE(host().send(Channel::commands, to_bytes("x"), now));
  std::vector<SharedBytes> buffers;
  for (const Action& action : host().take_actions()) {
    if (const auto* out = std::get_if<SendBytes>(&action)) { buffers.push_back(out->bytes); }
  }
  ASSERT_THAT(buffers, SizeIs(2));
  EXPECT_EQ(buffers[0], buffers[1]);
}

}  // namespace
}  // namespace edge::tunnel
