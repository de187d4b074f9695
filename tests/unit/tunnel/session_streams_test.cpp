// The streams' channel in a session: agreement, urgency, suspicion, outages.
#include <gmock/gmock.h>

#include "tests/unit/tunnel/session_pair.hpp"
#include "tunnel/core/stream_feed.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SessionStreamsTest : public SessionPair {
 protected:
  void two_paths() {
    connect(1, "eth0");
    connect(2, "eth1");
    advance(100ms);
    forget();
  }
  /// TCP without acknowledgements soon sends nothing in the whole direction either: what the other
  /// end thinks of the path comes over another one. Ends 376 ms after the cut of what `from` sends.
  void one_way_and_soon_both(std::size_t from) {
    two_paths();
    cut(1, from == kHost, from == kConsole);
    send(from, Channel::streams, "1");
    advance(200ms);
    cut(1);
    advance(176ms);
  }
};

SessionOptions without_streams() {
  SessionOptions options;
  options.host = "hv-01";
  options.install_id = "install";
  options.streams.reset();
  return options;
}

class OldPeerTest : public SessionStreamsTest {
 protected:
  OldPeerTest() { ends[kHost] = TestEnd(without_streams(), 1); }
};

TEST_F(SessionStreamsTest, BothEndsLearnWhatTheOtherGrants) {
  connect(1, "eth0");
  EXPECT_EQ(ends[kHost].seen<SessionStarted>().at(0).streams, StreamGrant{});
  EXPECT_EQ(ends[kConsole].seen<SessionStarted>().at(0).streams, StreamGrant{});
  EXPECT_EQ(host().stream_room(), StreamPace::allowed_first);
}

/// Seen in the simulation: 122 ms instead of 14 for a command on a line of 0.8 Mbit/s that had just
/// taken over from a fast one, behind stream frames of 8 KiB.
TEST_F(SessionStreamsTest, AnotherPathIsNotGivenWhatAFastOneTook) {
  two_paths();
  for (int i = 0; i < 64; ++i) {
    for (int k = 0; k < 4; ++k) { send(kHost, Channel::streams, "bulk", 16 << 10); }
    advance(25ms);
  }
  ASSERT_GT(host().stream_frame_bytes(), StreamPace::allowed_first / 16);
  host().on_carrier_lost("eth0", now);
  run();
  EXPECT_EQ(host().stream_frame_bytes(), StreamPace::allowed_first / 16);
}

TEST_F(OldPeerTest, NothingIsSaidOnTheStreamsChannel) {
  connect(1, "eth0");
  EXPECT_EQ(ends[kConsole].seen<SessionStarted>().at(0).streams, std::nullopt);
  EXPECT_EQ(console().stream_room(), 0U);
  EXPECT_EQ(console().send(Channel::streams, to_bytes("x"), now).error().code, Errc::unsupported);
}

TEST_F(OldPeerTest, DataThatWasNotAgreedOnIsAViolation) {
  connect(1, "eth0");
  inject(kConsole, 1, data_frame(Channel::streams, 1));
  EXPECT_EQ(dead(kConsole).cause, PathCause::protocol);
  EXPECT_THAT(dead(kConsole).detail, HasSubstr("not agreed on"));
}

TEST_F(SessionStreamsTest, AGapMarkerInStreamsIsAViolation) {
  two_paths();
  inject(kConsole, 1, data_frame(Channel::streams, 1, 8, flag_gap));
  EXPECT_THAT(dead(kConsole).detail, HasSubstr("bad gap marker"));
}

TEST_F(SessionStreamsTest, MoreOutOfOrderThanTheStreamsWindowHolds) {
  two_paths();
  cut(1, false, true);
  cut(2, false, true);
  for (std::uint64_t seq = 2; seq < 18; ++seq) {
    inject(kConsole, 1, data_frame(Channel::streams, seq, 64 << 10));
  }
  EXPECT_EQ(console().reorder_bytes(Channel::streams), streams_window_bytes);
  inject(kConsole, 1, data_frame(Channel::streams, 18, 1));
  EXPECT_THAT(dead(kConsole).detail, HasSubstr("out of order"));
}

TEST_F(SessionStreamsTest, StreamsTelemetryAndBulkAreTheLeastUrgent) {
  two_paths();
  for (const auto channel : {Channel::streams, Channel::telemetry, Channel::bulk}) {
    ASSERT_TRUE(host().send(channel, to_bytes("x"), now));
    for (const Action& action : host().take_actions()) {
      if (const auto* out = std::get_if<SendBytes>(&action)) {
        EXPECT_EQ(out->kind, SendKind::bulk);
      }
    }
  }
}

TEST_F(SessionStreamsTest, StreamsAreNeitherMirroredNorCopiedWhileAllIsWell) {
  two_paths();
  cut(1);  // Not noticed yet.
  send(kHost, Channel::streams, "1");
  advance(200ms);
  EXPECT_EQ(data_on(kHost, 1), "1 ");
  EXPECT_EQ(data_on(kHost, 2), "");
}

TEST_F(SessionStreamsTest, ASuspectPathIsLeftByWhatItCarriesAndByWhatFollows) {
  two_paths();
  ASSERT_EQ(host().active(), PathId{1});
  cut(1);
  send(kHost, Channel::streams, "1");
  send(kHost, Channel::streams, "2");
  advance(400ms);
  EXPECT_EQ(host().active(), PathId{1}) << "only suspect";
  EXPECT_EQ(data_on(kHost, 2), "1 2 ");
  send(kHost, Channel::streams, "3");
  run();
  EXPECT_EQ(data_on(kHost, 2), "1 2 3 ");
  EXPECT_EQ(data_on(kHost, 1), "1 2 ");
  EXPECT_EQ(ends[kConsole].got(Channel::streams), "1 2 3 ");
}

TEST_F(SessionStreamsTest, AOneWayCutIsLeftAsQuickly_ThoughTheSenderHearsThePeer) {
  two_paths();
  cut(1, true, false);
  send(kHost, Channel::streams, "1");
  advance(376ms);
  EXPECT_EQ(ends[kConsole].got(Channel::streams), "1 ");
}

TEST_F(SessionStreamsTest, AOneWayCutThatTcpMakesATwoWayOneIsLeftAsQuickly_Upwards) {
  one_way_and_soon_both(kHost);
  EXPECT_EQ(ends[kConsole].got(Channel::streams), "1 ");
}

TEST_F(SessionStreamsTest, AOneWayCutThatTcpMakesATwoWayOneIsLeftAsQuickly_Downwards) {
  one_way_and_soon_both(kConsole);
  EXPECT_EQ(ends[kHost].got(Channel::streams), "1 ");
}

TEST_F(SessionStreamsTest, AnOldViewFromAnotherPathDoesNotCountAgainstANewerPing) {
  two_paths();
  cut(1);  // Nothing but what the test says comes over it.
  inject(kHost, 1, encode(Ping{.nonce = 50}));
  inject(kHost, 2, encode(ViewOfPath{.wire_id = 1, .view = view_silent, .nonce = 49}));
  EXPECT_EQ(host().active(), PathId{1});
  EXPECT_EQ(host().paths(now)[0].state, PathState::active);
  inject(kHost, 2, encode(ViewOfPath{.wire_id = 99, .view = view_silent, .nonce = 60}));
  EXPECT_EQ(host().active(), PathId{1}) << "of a path that is gone";
  inject(kHost, 2, encode(ViewOfPath{.wire_id = 1, .view = view_silent, .nonce = 50}));
  EXPECT_EQ(host().active(), PathId{2});
  const auto first = [&] { return host().paths(now)[0].state; };
  inject(kHost, 2, encode(ViewOfPath{.wire_id = 1, .view = 0, .nonce = 49}));
  EXPECT_EQ(first(), PathState::suspect) << "said before";
  inject(kHost, 1, encode(Pong{.nonce = 1}));
  EXPECT_EQ(first(), PathState::suspect) << "whose answer to an older PING stood in a queue";
  inject(kHost, 1, encode(Ping{.nonce = 51}));
  EXPECT_EQ(first(), PathState::standby);
}

TEST_F(SessionStreamsTest, APathThatComesWhileTheOnlyOneIsSuspectTakesOver) {
  connect(1, "eth0");
  advance(100ms);
  forget();
  cut(1);
  send(kHost, Channel::streams, "1");
  advance(400ms);
  connect(2, "eth1");
  advance(1ms);
  EXPECT_EQ(ends[kConsole].got(Channel::streams), "1 ");
}

TEST_F(SessionStreamsTest, TheyGoOnAfterAnOutageOfAllPaths) {
  two_paths();
  cut(1);
  cut(2);
  for (const char* text : {"1", "2", "3"}) { send(kHost, Channel::streams, text); }
  host().on_carrier_lost("eth0", now);
  host().on_carrier_lost("eth1", now);
  console().on_path_lost(PathId{1}, PathCause::eof, {}, now);
  console().on_path_lost(PathId{2}, PathCause::eof, {}, now);
  run();
  send(kHost, Channel::streams, "4");
  advance(30s);
  connect(3, "eth0");
  EXPECT_EQ(ends[kConsole].got(Channel::streams), "1 2 3 4 ");
}

TEST_F(SessionStreamsTest, TheyAreAcknowledgedByThePieceNotByTheFrame) {
  two_paths();
  for (int i = 0; i < 3; ++i) { send(kHost, Channel::streams, "x", 8000); }
  run();
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), IsEmpty());
  send(kHost, Channel::streams, "x", 9000);
  run();
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), SizeIs(1)) << "33 KB";
  send(kHost, Channel::streams, "x");
  advance(20ms);
  EXPECT_THAT(written(kConsole, 1, FrameType::ack), SizeIs(2)) << "the last one after 20 ms";
}

TEST_F(SessionStreamsTest, RoomIsWhatIsAllowedAndNotUnderWay) {
  two_paths();
  cut(1);
  const std::size_t all = host().stream_room();
  send(kHost, Channel::streams, "x", 10'000);
  EXPECT_EQ(host().stream_room(), all - 10'000);
  for (int i = 0; i < 255; ++i) { send(kHost, Channel::streams, "x"); }
  EXPECT_EQ(host().stream_room(), 0U) << "256 frames are under way";
}

TEST_F(SessionStreamsTest, FramesOfAFormerSessionDoNotReachTheNextOne) {
  connect(1, "eth0");
  StreamMux near(Role::console, {});
  near.start(StreamGrant{}, console().id());
  ASSERT_TRUE(near.open("t:1"));
  Hello restarted = host().hello(facts(2, "eth1"), WallTime{});
  restarted.instance = InstanceId{77};
  restarted.session = SessionId{0};
  ASSERT_TRUE(accept(2, restarted));
  EXPECT_FALSE(feed_streams(console(), near, now)) << "it has not heard of the new session yet";
  near.start(StreamGrant{}, console().id());
  EXPECT_FALSE(feed_streams(console(), near, now));
}

/// The engines of both ends over the session, through a change of path.
TEST_F(SessionStreamsTest, TheMultiplexersGoThroughAFailover) {
  two_paths();
  StreamMux near(Role::console, {});
  StreamMux far(Role::host, {});
  near.start(StreamGrant{}, console().id());
  far.start(StreamGrant{}, host().id());
  const auto turn = [&] {
    for (int i = 0; i < 20; ++i) {
      feed_streams(console(), near, now);
      feed_streams(host(), far, now);
      run();
      for (auto [end, mux] : {std::pair(kConsole, &near), std::pair(kHost, &far)}) {
        for (const Deliver& deliver : ends[end].seen<Deliver>()) {
          ASSERT_TRUE(mux->on_frame(deliver.payload));
        }
        ends[end].actions.clear();
      }
    }
  };
  const StreamId id = near.open("t:1").value();
  turn();
  far.accept(id);
  turn();
  near.take_actions();
  far.take_actions();
  std::string got;
  const auto read = [&] {
    for (const StreamAction& action : far.take_actions()) {
      if (const auto* data = std::get_if<StreamData>(&action)) {
        got += as_text(data->bytes);
        far.consumed(id, data->bytes.size());
      }
    }
  };
  near.write(id, to_bytes("one "));
  turn();
  read();
  cut(1);
  near.write(id, to_bytes("two "));
  turn();
  host().on_carrier_lost("eth0", now);
  near.write(id, to_bytes("three"));
  turn();
  read();
  EXPECT_EQ(got, "one two three");
}

}  // namespace
}  // namespace edge::tunnel
