// The two halves of a channel: numbering, window, queue limits, acknowledgement, reordering.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "start_time.hpp"
#include "tunnel/core/receive_channel.hpp"
#include "tunnel/core/send_channel.hpp"
#include "tunnel/core/token_bucket.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

FrameHeader header_of(const InFlight& entry) {
  return decode_header(std::span<const std::byte, header_bytes>(entry.bytes->data(), header_bytes));
}

TEST(SendChannelTest, NumbersFromOneAtTheFirstTransmission) {
  SendChannel channel(Channel::events, {});
  ASSERT_TRUE(channel.push(to_bytes("a")));
  ASSERT_TRUE(channel.push(to_bytes("b")));
  EXPECT_EQ(channel.next_seq(), 1U);
  InFlight* first = channel.launch(t0);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(header_of(*first), (FrameHeader{FrameType::data, flag_critical, 2, 1, 1}));
  EXPECT_EQ(as_text(ByteSpan(*first->bytes).subspan(header_bytes)), "a");
  EXPECT_EQ(header_of(*channel.launch(t0)).seq, 2U);
  EXPECT_EQ(channel.launch(t0), nullptr);
  EXPECT_EQ(channel.next_seq(), 3U);
}

TEST(SendChannelTest, TheWindowIs256FramesBeyondTheAcknowledged) {
  SendChannel channel(Channel::commands, {});
  for (int i = 0; i < 300; ++i) { ASSERT_TRUE(channel.push(to_bytes("x"))); }
  while (channel.launch(t0) != nullptr) {}
  EXPECT_EQ(channel.next_seq(), 257U);
  EXPECT_FALSE(channel.can_launch());
  ASSERT_TRUE(channel.on_ack(2, {}));
  EXPECT_TRUE(channel.can_launch());
  while (channel.launch(t0) != nullptr) {}
  EXPECT_EQ(channel.next_seq(), 258U);
}

TEST(SendChannelTest, TheWindowIs256KiB_ButOneLargeFramePasses) {
  SendChannel channel(Channel::commands,
                      {.payload_bytes_max = 1 << 20, .queue_bytes_max = 4 << 20});
  ASSERT_TRUE(channel.push(Bytes(1 << 20)));
  ASSERT_TRUE(channel.push(Bytes(1)));
  ASSERT_NE(channel.launch(t0), nullptr);
  EXPECT_EQ(channel.launch(t0), nullptr);
  ASSERT_TRUE(channel.on_ack(2, {}));
  ASSERT_NE(channel.launch(t0), nullptr);

  ASSERT_TRUE(channel.push(Bytes(window_bytes - 1)));
  ASSERT_TRUE(channel.push(Bytes(1)));
  EXPECT_NE(channel.launch(t0), nullptr) << "exactly the window";
  EXPECT_EQ(channel.launch(t0), nullptr) << "one byte more";
}

TEST(SendChannelTest, AFullQueueStillTakesALittleOfWhatIsReserved) {
  SendChannel channel(Channel::commands, {.queue_bytes_max = 1000, .reserved_bytes = 100});
  ASSERT_TRUE(channel.push(Bytes(1000)));
  const auto full = channel.push(Bytes(1));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::no_space);
  EXPECT_THAT(full.error().what, HasSubstr("1000 bytes in 1 frames wait"));
  EXPECT_TRUE(channel.push(Bytes(60), SendRoom::reserved));
  EXPECT_EQ(channel.push(Bytes(41), SendRoom::reserved).error().code, Errc::no_space);
  EXPECT_TRUE(channel.push(Bytes(40), SendRoom::reserved));
  EXPECT_EQ(channel.held_bytes(), 1100U);
}

TEST(SendChannelTest, WhatIsReservedIsBoundedInFramesToo) {
  SendChannel channel(Channel::commands,
                      {.queue_frames_max = 3, .reserved_bytes = 100, .reserved_frames = 1});
  for (int i = 0; i < 3; ++i) { ASSERT_TRUE(channel.push(Bytes(1))); }
  EXPECT_EQ(channel.push(Bytes(1)).error().code, Errc::no_space);
  EXPECT_TRUE(channel.push(Bytes(1), SendRoom::reserved));
  EXPECT_EQ(channel.push(Bytes(1), SendRoom::reserved).error().code, Errc::no_space);
}

TEST(SendChannelTest, SelectiveAcksFreeTheBytesButNotTheWindow) {
  SendChannel channel(Channel::commands, {});
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(channel.push(Bytes(100)));
    channel.launch(t0);
  }
  const SackRange ranges[] = {{3, 3}, {5, 5}};
  ASSERT_TRUE(channel.on_ack(2, ranges));
  std::vector<bool> sacked;
  for (const InFlight& entry : channel.in_flight()) { sacked.push_back(entry.sacked()); }
  EXPECT_THAT(sacked, ElementsAre(false, true, false, true));
  EXPECT_EQ(channel.held_bytes(), 400U);
  ASSERT_TRUE(channel.on_ack(6, {}));
  EXPECT_EQ(channel.held_bytes(), 0U);
  EXPECT_EQ(channel.held_frames(), 0U);
}

TEST(SendChannelTest, AnOldAckChangesNothing) {
  SendChannel channel(Channel::commands, {});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(channel.push(Bytes(1)));
    channel.launch(t0);
  }
  ASSERT_TRUE(channel.on_ack(3, {}));
  const SackRange stale[] = {{2, 2}};
  ASSERT_TRUE(channel.on_ack(1, stale));
  EXPECT_EQ(channel.held_frames(), 1U);
  EXPECT_FALSE(channel.in_flight().front().sacked());
}

TEST(SendChannelTest, AnAckOfWhatWasNeverSentIsRefusedAndChangesNothing) {
  SendChannel channel(Channel::commands, {});
  ASSERT_TRUE(channel.push(Bytes(1)));
  ASSERT_TRUE(channel.push(Bytes(1)));
  channel.launch(t0);
  const auto beyond = channel.on_ack(3, {});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, Errc::corrupt);
  const SackRange range[] = {{2, 2}};
  EXPECT_FALSE(channel.on_ack(1, range));
  EXPECT_EQ(channel.held_frames(), 2U);
  EXPECT_TRUE(channel.on_ack(2, {}));
}

TEST(SendChannelTest, RefusesWhenFull_ButAdmitsOneFrameIntoAnEmptyQueue) {
  SendChannel channel(Channel::commands,
                      {.payload_bytes_max = 500, .queue_bytes_max = 200, .queue_frames_max = 3});
  EXPECT_THAT(channel.push(Bytes(501)).error().what, HasSubstr("payload of 501 bytes exceeds 500"));
  ASSERT_TRUE(channel.push(Bytes(500)));
  EXPECT_EQ(channel.push(Bytes(1)).error().code, Errc::no_space);
  channel.launch(t0);
  EXPECT_EQ(channel.push(Bytes(1)).error().code, Errc::no_space) << "in flight counts";
  ASSERT_TRUE(channel.on_ack(2, {}));
  ASSERT_TRUE(channel.push(Bytes(100)));
  ASSERT_TRUE(channel.push(Bytes(100)));
  EXPECT_FALSE(channel.push(Bytes(1)));
  channel.launch(t0);
  channel.launch(t0);
  ASSERT_TRUE(channel.on_ack(4, {}));
  for (int i = 0; i < 3; ++i) { ASSERT_TRUE(channel.push({})); }
  EXPECT_FALSE(channel.push({})) << "three frames are the most";
}

TEST(SendChannelTest, DropsTheOldestAndSaysHowManyInTheirPlace) {
  SendChannel channel(Channel::telemetry,
                      {.queue_bytes_max = 30, .overflow = Overflow::drop_oldest});
  for (const char* text : {"0123456789", "a123456789", "b123456789", "c123456789", "d123456789"}) {
    ASSERT_TRUE(channel.push(to_bytes(text)));
  }
  InFlight* marker = channel.launch(t0);
  EXPECT_EQ(header_of(*marker).flags, flag_critical | flag_gap);
  EXPECT_EQ(*ByteReader(ByteSpan(*marker->bytes).subspan(header_bytes)).take<std::uint64_t>(), 2U);
  InFlight* next = channel.launch(t0);
  EXPECT_EQ(header_of(*next).flags, flag_critical);
  EXPECT_EQ(as_text(ByteSpan(*next->bytes).subspan(header_bytes)), "b123456789");
}

TEST(SendChannelTest, NeverDropsWhatIsInFlight) {
  SendChannel channel(Channel::telemetry,
                      {.queue_bytes_max = 20, .overflow = Overflow::drop_oldest});
  ASSERT_TRUE(channel.push(Bytes(10)));
  ASSERT_TRUE(channel.push(Bytes(10)));
  channel.launch(t0);
  channel.launch(t0);
  ASSERT_TRUE(channel.push(Bytes(10))) << "dropped itself, nothing else could go";
  EXPECT_EQ(channel.held_frames(), 2U);
  ASSERT_TRUE(channel.on_ack(3, {}));
  ASSERT_TRUE(channel.push(Bytes(10)));
  EXPECT_EQ(header_of(*channel.launch(t0)).flags & flag_gap, flag_gap);
}

class ReceiveChannelTest : public testing::Test {
 protected:
  Result<ReceiveChannel::Outcome> accept(std::uint64_t seq, std::size_t bytes = 1) {
    std::vector<Frame> ready;
    auto outcome =
        channel.accept({{.type = FrameType::data, .channel = 1, .seq = seq}, Bytes(bytes)}, ready);
    for (const Frame& frame : ready) { released.push_back(frame.header.seq); }
    return outcome;
  }
  using Outcome = ReceiveChannel::Outcome;
  ReceiveChannel channel;
  std::vector<std::uint64_t> released;
};

TEST_F(ReceiveChannelTest, ReleasesInOrderAndOnce) {
  EXPECT_EQ(accept(2), Outcome::held);
  EXPECT_EQ(accept(4), Outcome::held);
  EXPECT_EQ(accept(2), Outcome::duplicate);
  EXPECT_EQ(accept(1), Outcome::released);
  EXPECT_EQ(accept(1), Outcome::duplicate);
  EXPECT_EQ(accept(2), Outcome::duplicate);
  EXPECT_EQ(accept(3), Outcome::released);
  EXPECT_THAT(released, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(channel.next_expected(), 5U);
  EXPECT_EQ(channel.held_bytes(), 0U);
}

TEST_F(ReceiveChannelTest, ReportsTheLowestEightRanges) {
  EXPECT_TRUE(channel.sacks().empty());
  for (const std::uint64_t seq : {3, 4, 5, 8}) { ASSERT_TRUE(accept(seq)); }
  EXPECT_THAT(channel.sacks(), ElementsAre(SackRange{3, 5}, SackRange{8, 8}));
  for (std::uint64_t seq = 10; seq < 30; seq += 2) { ASSERT_TRUE(accept(seq)); }
  EXPECT_EQ(channel.sacks().size(), sack_ranges_max);
  EXPECT_EQ(channel.sacks().back(), (SackRange{20, 20}));
}

TEST_F(ReceiveChannelTest, TheWindowHoldsFramesAndBytes) {
  EXPECT_EQ(accept(256), Outcome::held);
  EXPECT_THAT(accept(257).error().what, HasSubstr("seq 257 is beyond the window 1..256"));
  EXPECT_FALSE(accept(UINT64_MAX));
  EXPECT_FALSE(accept(0));
  EXPECT_EQ(accept(2, window_bytes - 1), Outcome::held);
  EXPECT_FALSE(accept(3, 1));
  EXPECT_EQ(channel.held_bytes(), window_bytes);
  EXPECT_EQ(accept(1, 1 << 20), Outcome::released) << "what is next needs no room";
  EXPECT_EQ(channel.held_bytes(), 1U);
  EXPECT_EQ(accept(258), Outcome::held) << "the window moved";
}

TEST(TokenBucketTest, StartsFullAndRefills) {
  TokenBucket bucket(10, 3, t0);
  EXPECT_TRUE(bucket.take(t0));
  EXPECT_TRUE(bucket.take(t0));
  EXPECT_TRUE(bucket.take(t0));
  EXPECT_FALSE(bucket.take(t0 + 99ms));
  EXPECT_TRUE(bucket.take(t0 + 101ms));
  for (int i = 0; i < 3; ++i) { EXPECT_TRUE(bucket.take(t0 + 1h)); }
  EXPECT_FALSE(bucket.take(t0 + 1h));
}

}  // namespace
}  // namespace edge::tunnel
