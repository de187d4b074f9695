// Streams between two ends: order, credit, half close, resets, and what a hostile peer may not do.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include <map>

#include "base/random.hpp"
#include "tunnel/core/stream_mux.hpp"

namespace edge::tunnel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr StreamGrant small{.window = 1000, .session_window = 1500, .streams = 2};

class StreamMuxTest : public testing::Test {
 protected:
  StreamMuxTest() {
    host.start(small, SessionId{1});
    console.start(small, SessionId{1});
  }
  /// What an application did with its streams, as words; bytes as their number.
  static std::string words(StreamMux& mux) {
    std::string out;
    for (const StreamAction& action : mux.take_actions()) {
      const auto add = [&out](std::string_view word, StreamId id, std::string_view more = "") {
        out += fmt::format("{}{}{} ", word, id.value, more);
      };
      if (const auto* a = std::get_if<StreamAsked>(&action)) {
        add("asked", a->stream, ":" + a->target);
      }
      if (const auto* a = std::get_if<StreamOpened>(&action)) { add("opened", a->stream); }
      if (const auto* a = std::get_if<StreamRefused>(&action)) {
        add("refused", a->stream, fmt::format(":{}:{}", to_string(a->refusal), a->reason));
      }
      if (const auto* a = std::get_if<StreamData>(&action)) {
        add("data", a->stream, fmt::format(":{}", a->bytes.size()));
      }
      if (const auto* a = std::get_if<StreamEof>(&action)) { add("eof", a->stream); }
      if (const auto* a = std::get_if<StreamWritable>(&action)) { add("room", a->stream); }
      if (const auto* a = std::get_if<StreamReset>(&action)) {
        add("reset", a->stream, ":" + a->reason);
      }
    }
    return out.empty() ? out : out.substr(0, out.size() - 1);
  }
  /// Carries frames both ways until none is left.
  void carry(std::size_t data_bytes = 400) {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto [from, to] : {std::pair(&console, &host), std::pair(&host, &console)}) {
        while (const auto frame = from->next(data_bytes)) {
          ASSERT_TRUE(to->on_frame(*frame));
          moved = true;
        }
      }
    }
  }
  StreamId open_one() {
    const StreamId id = console.open("t:1").value();
    carry();
    host.accept(id);
    carry();
    EXPECT_EQ(words(host), fmt::format("asked{}:t:1", id.value));
    EXPECT_EQ(words(console), fmt::format("opened{}", id.value));
    return id;
  }
  static Bytes frame(StreamKind kind, std::uint32_t stream, std::size_t bytes = 0,
                     std::uint32_t credit = 1) {
    static const Bytes data(20'000);
    const bool text = kind == StreamKind::open || kind == StreamKind::refused;
    return encode(StreamFrame{.kind = kind,
                              .stream = {stream},
                              .credit = credit,
                              .text = text ? "t:1" : "",
                              .data = ByteSpan(data).first(bytes)});
  }
  /// The host refuses the frame for this reason: all streams are over and the Console is told.
  void expect_broken(const Bytes& payload, std::string_view why) {
    const auto outcome = host.on_frame(payload);
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().what, HasSubstr(std::string(why)));
    EXPECT_EQ(host.stream_count(), 0U);
    EXPECT_FALSE(host.usable());
    EXPECT_TRUE(host.on_frame(payload)) << "ignored from now on";
    carry();
    EXPECT_FALSE(console.usable());
    EXPECT_EQ(console.stream_count(), 0U);
    EXPECT_EQ(console.open("t:1").error().code, Errc::transient);
  }
  StreamMux host{Role::host, small};
  StreamMux console{Role::console, small};
};

TEST_F(StreamMuxTest, OpensAndCarriesBothWays) {
  const StreamId id = open_one();
  EXPECT_EQ(id, StreamId{1});
  EXPECT_EQ(console.write(id, Bytes(300)), 300U);
  EXPECT_EQ(host.write(id, Bytes(5)), 5U);
  carry();
  EXPECT_EQ(words(host), "data1:300");
  EXPECT_EQ(words(console), "data1:5");
}

TEST_F(StreamMuxTest, BothEndsOpenWithNumbersOfTheirOwn) {
  EXPECT_EQ(console.open("a:1"), StreamId{1});
  EXPECT_EQ(host.open("b:1"), StreamId{2});
  EXPECT_EQ(host.open("b:2"), StreamId{4});
  carry();
  EXPECT_EQ(words(host), "asked1:a:1");
  EXPECT_EQ(words(console), "asked2:b:1 asked4:b:2");
}

TEST_F(StreamMuxTest, ARefusalIsTold) {
  const StreamId id = console.open("t:1").value();
  carry();
  host.refuse(id, StreamRefusal::not_allowed, "not in the list");
  carry();
  EXPECT_EQ(words(console), "refused1:not_allowed:not in the list");
  EXPECT_EQ(console.stream_count() + host.stream_count(), 0U);
}

TEST_F(StreamMuxTest, NothingIsWrittenBeforeItIsOpen) {
  const StreamId id = console.open("t:1").value();
  EXPECT_EQ(console.room(id), 0U);
  EXPECT_EQ(console.write(id, Bytes(1)), 0U);
}

TEST_F(StreamMuxTest, TheStreamsCreditHoldsTheSenderBack) {
  const StreamId id = open_one();
  console.write(id, Bytes(1200));
  carry();
  EXPECT_EQ(words(host), "data1:400 data1:400 data1:200");
  EXPECT_EQ(host.unconsumed_bytes(), 1000U);
  host.consumed(id, 249);
  carry();
  EXPECT_EQ(words(host), "") << "credit is granted in quarters of the window";
  host.consumed(id, 1);
  carry();
  EXPECT_EQ(words(host), "data1:200");
  EXPECT_EQ(console.unsent_bytes(), 0U);
}

TEST_F(StreamMuxTest, TheSessionsCreditHoldsAllStreamsBack) {
  const StreamId a = open_one();
  const StreamId b = open_one();
  console.write(a, Bytes(1000));
  console.write(b, Bytes(1000));
  carry();
  EXPECT_EQ(host.unconsumed_bytes(), 1500U);
  EXPECT_EQ(console.unsent_bytes(), 500U);
  words(host);
  host.consumed(a, 500);
  carry();
  EXPECT_EQ(console.unsent_bytes(), 0U) << words(host);
}

TEST_F(StreamMuxTest, StreamsTakeTurns) {
  const StreamId a = open_one();
  const StreamId b = open_one();
  console.write(a, Bytes(900));
  console.write(b, Bytes(300));
  carry(300);
  EXPECT_EQ(words(host), "data1:300 data3:300 data1:300 data1:300");
}

TEST_F(StreamMuxTest, AFullSendBufferSaysWhenThereIsRoomAgain) {
  StreamMux far(Role::host, {});
  StreamMux near(Role::console, {});
  near.start(StreamGrant{}, SessionId{1});
  far.start(StreamGrant{}, SessionId{1});
  const StreamId id = near.open("t:1").value();
  ASSERT_TRUE(far.on_frame(near.next(1).value()));
  far.accept(id);
  ASSERT_TRUE(near.on_frame(far.next(1).value()));
  words(near);
  EXPECT_EQ(near.write(id, Bytes(100'000)), StreamMux::send_buffer_bytes_max);
  EXPECT_EQ(near.room(id), 0U);
  (void)near.next(16'000);
  EXPECT_EQ(words(near), "");
  (void)near.next(16'000);
  (void)near.next(16'000);
  EXPECT_EQ(words(near), "room1") << "at half";
}

TEST_F(StreamMuxTest, HalfCloseLeavesTheOtherDirectionOpen) {
  const StreamId id = open_one();
  console.write(id, Bytes(10));
  console.finish(id);
  carry();
  EXPECT_EQ(words(host), "data1:10 eof1");
  host.write(id, Bytes(20));
  host.finish(id);
  carry();
  EXPECT_EQ(words(console), "data1:20 eof1");
  host.consumed(id, 10);
  console.consumed(id, 20);
  EXPECT_EQ(console.stream_count() + host.stream_count(), 0U);
}

TEST_F(StreamMuxTest, AStreamIsKeptUntilItsLastByteIsConsumed) {
  const StreamId id = open_one();
  console.write(id, Bytes(10));
  console.finish(id);
  host.finish(id);
  carry();
  EXPECT_EQ(host.stream_count(), 1U) << "its bytes still fill our memory";
  host.consumed(id, 10);
  EXPECT_EQ(host.stream_count(), 0U);
}

TEST_F(StreamMuxTest, AResetEndsItAtOnceAndGivesTheSessionItsCreditBack) {
  const StreamId id = open_one();
  console.write(id, Bytes(1000));
  carry();
  host.reset(id, "the target is gone");
  carry();
  EXPECT_EQ(words(console), "reset1:the target is gone");
  EXPECT_EQ(console.stream_count() + host.stream_count(), 0U);
  const StreamId other = console.open("t:1").value();
  carry();
  host.accept(other);
  carry();
  words(host);
  console.write(other, Bytes(1000));
  carry();
  EXPECT_EQ(host.unconsumed_bytes(), 1000U);
}

TEST_F(StreamMuxTest, BytesUnderWayToADeadStreamCostNoCredit) {
  const StreamId id = open_one();
  console.write(id, Bytes(1000));
  std::vector<Bytes> under_way;
  while (auto next = console.next(400)) { under_way.push_back(std::move(*next)); }
  host.reset(id, "");
  for (const Bytes& late : under_way) { ASSERT_TRUE(host.on_frame(late)); }
  EXPECT_EQ(words(host), "");
  carry();
  EXPECT_EQ(words(console), "reset1:");
  for (int i = 0; i < 5; ++i) {
    const StreamId again = open_one();
    console.write(again, Bytes(900));
    carry();
    EXPECT_EQ(host.unconsumed_bytes(), 900U) << i;
    words(host);
    console.reset(again, "");
    carry();
    words(host);
  }
}

TEST_F(StreamMuxTest, ANewSessionEndsAllStreams) {
  const StreamId id = open_one();
  console.write(id, Bytes(10));
  console.start(small, SessionId{1});
  EXPECT_EQ(words(console), "reset1:the session ended");
  EXPECT_EQ(console.open("t:1"), StreamId{1});
  EXPECT_TRUE(console.next(10));
  EXPECT_FALSE(console.next(10)) << "nothing of the former session is left";
}

TEST_F(StreamMuxTest, APeerWithoutStreamsHasNone) {
  console.start(std::nullopt, SessionId{1});
  EXPECT_EQ(console.open("t:1").error().code, Errc::unsupported);
  EXPECT_TRUE(console.on_frame(frame(StreamKind::open, 2)));
  EXPECT_EQ(words(console), "");
}

TEST_F(StreamMuxTest, StreamsBeyondTheLimitAreRefusedByBothEnds) {
  open_one();
  open_one();
  EXPECT_EQ(console.open("t:1").error().code, Errc::no_space);
  ASSERT_TRUE(host.on_frame(frame(StreamKind::open, 5)));
  EXPECT_EQ(host.stream_count(), 2U);
  const auto answer = decode_stream_frame(*host.next(1));
  EXPECT_EQ(answer->kind, StreamKind::refused);
  EXPECT_EQ(answer->stream, StreamId{5});
  EXPECT_EQ(answer->refusal, StreamRefusal::busy);
}

TEST_F(StreamMuxTest, AnOpenFloodThatReadsNoAnswers) {
  std::uint32_t number = 1;
  for (std::size_t i = 0; i < 2 + StreamMux::control_frames_max; ++i, number += 2) {
    ASSERT_TRUE(host.on_frame(frame(StreamKind::open, number)));
  }
  expect_broken(frame(StreamKind::open, number), "OPEN flood");
}

TEST_F(StreamMuxTest, AnOpenFloodThatIsRefusedAtOnce) {
  std::uint32_t number = 1;
  for (std::size_t i = 0; i < StreamMux::control_frames_max; ++i, number += 2) {
    ASSERT_TRUE(host.on_frame(frame(StreamKind::open, number)));
    host.refuse(StreamId{number}, StreamRefusal::not_allowed, "no");
  }
  EXPECT_EQ(host.control_frames(), StreamMux::control_frames_max);
  expect_broken(frame(StreamKind::open, number), "OPEN flood");
}

TEST_F(StreamMuxTest, AnOpenFloodThatIsAcceptedAndResetAtOnce) {
  std::uint32_t number = 1;
  for (std::size_t i = 0; i < StreamMux::control_frames_max; ++i, number += 2) {
    ASSERT_TRUE(host.on_frame(frame(StreamKind::open, number)));
    host.accept(StreamId{number});
    ASSERT_TRUE(host.on_frame(frame(StreamKind::reset, number)));
  }
  EXPECT_EQ(host.stream_count(), 0U);
  expect_broken(frame(StreamKind::open, number), "OPEN flood");
}

TEST_F(StreamMuxTest, OpenWithANumberOfOurs) {
  expect_broken(frame(StreamKind::open, 2), "ours to number");
}

TEST_F(StreamMuxTest, OpenWithAnOldNumber) {
  open_one();
  expect_broken(frame(StreamKind::open, 1), "OPEN of stream 1 after 1");
}

TEST_F(StreamMuxTest, DataOnAStreamThatNeverWas) {
  expect_broken(frame(StreamKind::data, 1, 5), "stream 1 was never opened");
}

TEST_F(StreamMuxTest, CreditOnAStreamThatNeverWas) {
  expect_broken(frame(StreamKind::credit, 7), "stream 7 was never opened");
}

TEST_F(StreamMuxTest, DataBeforeOpened) {
  ASSERT_TRUE(host.on_frame(frame(StreamKind::open, 1)));
  expect_broken(frame(StreamKind::data, 1, 5), "before OPENED");
}

TEST_F(StreamMuxTest, AnAnswerToAStreamOfItsOwn) {
  open_one();
  expect_broken(frame(StreamKind::opened, 1), "which the peer opened");
}

TEST_F(StreamMuxTest, TwoAnswers) {
  host.open("t:1").value();
  ASSERT_TRUE(host.on_frame(frame(StreamKind::opened, 2)));
  expect_broken(frame(StreamKind::refused, 2), "answered twice");
}

TEST_F(StreamMuxTest, DataBeyondTheStreamsCredit) {
  open_one();
  ASSERT_TRUE(host.on_frame(frame(StreamKind::data, 1, 1000)));
  expect_broken(frame(StreamKind::data, 1, 1), "its credit is 0");
}

TEST_F(StreamMuxTest, DataBeyondTheSessionsCredit) {
  open_one();
  open_one();
  ASSERT_TRUE(host.on_frame(frame(StreamKind::data, 1, 1000)));
  ASSERT_TRUE(host.on_frame(frame(StreamKind::data, 3, 500)));
  EXPECT_EQ(host.unconsumed_bytes(), 1500U);
  expect_broken(frame(StreamKind::data, 3, 1), "the session's credit is 0");
}

TEST_F(StreamMuxTest, DataAfterEof) {
  open_one();
  ASSERT_TRUE(host.on_frame(frame(StreamKind::eof, 1)));
  expect_broken(frame(StreamKind::data, 1, 1), "DATA on stream 1 after EOF");
}

TEST_F(StreamMuxTest, EofTwice) {
  open_one();
  ASSERT_TRUE(host.on_frame(frame(StreamKind::eof, 1)));
  expect_broken(frame(StreamKind::eof, 1), "EOF on stream 1 after EOF");
}

TEST_F(StreamMuxTest, CreditOverflowOfAStream) {
  open_one();
  ASSERT_TRUE(host.on_frame(frame(StreamKind::credit, 1, 0, (1U << 31) - 1000)));
  expect_broken(frame(StreamKind::credit, 1, 0, 1), "exceeds");
}

TEST_F(StreamMuxTest, CreditOverflowOfTheSession) {
  ASSERT_TRUE(host.on_frame(frame(StreamKind::credit, 0, 0, (1U << 31) - 1500)));
  expect_broken(frame(StreamKind::credit, 0, 0, 1), "exceeds");
}

TEST_F(StreamMuxTest, WhatDoesNotDecode) { expect_broken(Bytes(3), "stream frame of 3 bytes"); }

/// Random traffic both ways over many streams: every byte, in order, once, within all windows.
TEST_F(StreamMuxTest, RandomTrafficArrivesByteByByte) {
  Random random(7);
  struct Flow {
    std::uint8_t written = 0, read = 0;
    std::size_t total = 0;
  };
  for (int round = 0; round < 50; ++round) {
    const StreamId ids[] = {open_one(), open_one()};
    std::map<std::pair<int, std::uint32_t>, Flow> flows;  // By sending end.
    StreamMux* ends[] = {&host, &console};
    for (int step = 0; step < 300; ++step) {
      const int end = static_cast<int>(random.below(2));
      const StreamId id = ids[random.below(2)];
      Bytes bytes(random.below(700));
      Flow& flow = flows[{end, id.value}];
      std::uint8_t value = flow.written;
      for (std::byte& b : bytes) { b = static_cast<std::byte>(value++); }
      const std::size_t taken = ends[end]->write(id, bytes);
      flow.written = static_cast<std::uint8_t>(flow.written + taken);
      flow.total += taken;
      if (random.chance(60)) { carry(1 + random.below(500)); }
      for (int to = 0; to < 2; ++to) {
        for (const StreamAction& action : ends[to]->take_actions()) {
          const auto* data = std::get_if<StreamData>(&action);
          if (data == nullptr) { continue; }
          Flow& from = flows[{1 - to, data->stream.value}];
          for (const std::byte b : data->bytes) {
            ASSERT_EQ(b, static_cast<std::byte>(from.read++));
            --from.total;
          }
          ends[to]->consumed(data->stream, data->bytes.size());
        }
        ASSERT_LE(ends[to]->unconsumed_bytes(), small.session_window);
      }
    }
    for (const StreamId id : ids) { console.reset(id, ""); }
    carry();
    words(host);
    words(console);
  }
}

}  // namespace
}  // namespace edge::tunnel
