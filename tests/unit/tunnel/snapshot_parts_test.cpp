// Snapshots in parts: cut small, one under way, joined, and what is dropped when one is missing.
#include <gmock/gmock.h>
#include <boost/json.hpp>

#include "tests/unit/tunnel/session_pair.hpp"
#include "tunnel/core/snapshot_parts.hpp"

namespace edge::tunnel {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using testing::Each;
using testing::HasSubstr;
using testing::Le;

class SnapshotPartsTest : public SessionPair {
 protected:
  /// As a snapshot is: quotes and characters of several bytes all over.
  static std::string state(std::size_t bytes, int number) {
    std::string text = R"({"type":"snapshot","n":)" + std::to_string(number) + R"(,"model":[)";
    while (text.size() < bytes) { text += R"("Schränke ✓",)"; }
    return text + "0]}";
  }
  /// What the driver does: feeds before it takes actions, lets time pass for the acknowledgements.
  void flow(Duration duration) {
    for (Duration passed{}; passed < duration; passed += 5ms) {
      feed.feed(host(), now);
      advance(5ms);
    }
  }
  void join_all() {
    for (const Deliver& message : ends[kConsole].seen<Deliver>()) { join(message.payload); }
    ends[kConsole].actions.clear();
  }
  void join(const Bytes& payload) {
    sizes.push_back(payload.size());
    const auto object = json::parse(as_text(payload)).as_object();
    if (object.at("type") != "part") {
      whole.emplace_back(as_text(payload));
      return;
    }
    const auto taken = joiner.take(object);
    ASSERT_TRUE(taken) << taken.error().what;
    skipped += taken->skipped;
    if (taken->whole) { whole.push_back(*taken->whole); }
  }
  static json::object part(std::string_view text) { return json::parse(text).as_object(); }

  SnapshotFeed feed;
  PartJoiner joiner;
  std::vector<std::size_t> sizes;
  std::vector<std::string> whole;
  std::uint64_t skipped = 0;
};

TEST_F(SnapshotPartsTest, AnySizeArrivesWholeInFramesNoLargerThanAStreams) {
  connect(1, "eth0");
  for (const std::size_t bytes : {100UZ, 4'000UZ, 5'000UZ, 60'000UZ}) {
    feed.offer(state(bytes, 1));
    flow(2s);
    join_all();
    ASSERT_FALSE(whole.empty());
    EXPECT_EQ(whole.back(), state(bytes, 1));
  }
  EXPECT_EQ(whole.size(), 4U);
  EXPECT_THAT(sizes, Each(Le(host().stream_frame_bytes())));
  EXPECT_EQ(skipped, 0U);
  EXPECT_EQ(joiner.held_bytes(), 0U);
}

TEST_F(SnapshotPartsTest, TwoPartsAreUnderWayAndNoMore) {
  connect(1, "eth0");
  wires[1].from[kHost].held = true;
  feed.offer(state(60'000, 1));
  flow(200ms);
  EXPECT_LE(host().queued_bytes(Channel::telemetry),
            SnapshotFeed::under_way_max * host().stream_frame_bytes());
}

TEST_F(SnapshotPartsTest, WhatIsReplacedBeforeItIsSentIsCountedAndTheNewestArrives) {
  connect(1, "eth0");
  wires[1].from[kHost].held = true;
  for (int i = 1; i <= 5; ++i) {
    feed.offer(state(30'000, i));
    flow(20ms);
  }
  wires[1].from[kHost].held = false;
  flow(3s);
  join_all();
  EXPECT_THAT(whole, testing::ElementsAre(state(30'000, 1), state(30'000, 5)));
  EXPECT_EQ(skipped, 3U);
}

TEST_F(SnapshotPartsTest, ANewSessionBeginsWithTheNewestStateNotInTheMiddle) {
  connect(1, "eth0");
  wires[1].from[kHost].held = true;
  feed.offer(state(30'000, 1));
  feed.feed(host(), now);
  run();
  feed.offer(state(30'000, 2));
  wires.clear();
  ends[kConsole] = TestEnd(console_side(host_options()), 7);  // The Console was restarted.
  host().on_path_lost(PathId{1}, PathCause::eof, "", now);
  connect(2, "eth0");
  flow(2s);
  join_all();
  EXPECT_THAT(whole, testing::ElementsAre(state(30'000, 2)));
}

TEST_F(SnapshotPartsTest, WhatLacksItsBeginningIsDroppedAndTheNextOneTaken) {
  const auto middle = part(R"({"type":"part","of":1,"at":3,"bytes":6,"text":"def"})");
  const auto first = part(R"({"type":"part","of":1,"at":0,"bytes":6,"text":"abc"})");
  EXPECT_FALSE(joiner.take(middle)->whole);
  EXPECT_FALSE(joiner.take(first)->whole);
  joiner.reset();  // A gap marker.
  EXPECT_FALSE(joiner.take(middle)->whole);
  EXPECT_FALSE(joiner.take(first)->whole);
  EXPECT_FALSE(joiner.take(part(R"({"type":"part","of":2,"at":3,"bytes":6,"text":"def"})"))->whole);
  EXPECT_FALSE(joiner.take(first)->whole);
  EXPECT_EQ(joiner.take(middle)->whole, "abcdef");
}

TEST_F(SnapshotPartsTest, NeverMoreIsHeldThanASnapshotMayBe) {
  for (const char* bad :
       {R"({"of":1,"at":0,"bytes":65537,"text":"a"})", R"({"of":1,"at":0,"bytes":2,"text":"abc"})",
        R"({"of":1,"at":3,"bytes":2,"text":"a"})", R"({"of":1,"at":0,"bytes":2,"text":""})",
        R"({"of":-1,"at":0,"bytes":2,"text":"a"})", R"({"at":0,"bytes":2,"text":"a"})",
        R"({"of":1,"at":9223372036854775807,"bytes":2,"text":"a"})"}) {
    const auto taken = joiner.take(part(bad));
    ASSERT_FALSE(taken) << bad;
    EXPECT_THAT(taken.error().what, HasSubstr("part: ")) << bad;
    EXPECT_EQ(joiner.held_bytes(), 0U);
  }
}

}  // namespace
}  // namespace edge::tunnel
