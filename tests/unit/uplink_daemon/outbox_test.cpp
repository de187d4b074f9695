// Events that are larger than their bearer takes: cut short, and never in the way of the others.
#include "uplink/daemon/outbox.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "uplink/daemon/events.hpp"

namespace edge::uplink {
namespace {

namespace json = boost::json;

class EventsInMemory : public testing::Test {
 protected:
  static store::Store open() {
    auto opened = store::Store::open(":memory:", WallTime{});
    EXPECT_TRUE(opened) << opened.error().what;
    return std::move(*opened);
  }
  template <class Predicate>
  bool until(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > deadline) { return false; }
      io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  boost::asio::io_context io{1};
  store::StoreWorker worker{io, open()};
};

class OutboxTest : public EventsInMemory {
 protected:
  ~OutboxTest() override { outbox.stop(); }
  /// As the tunnel does.
  Result<void> take(tunnel::Channel channel, std::string_view text) {
    if (channel != tunnel::Channel::events) { return {}; }
    if (text.size() > tunnel::frame_bytes_max) { return fail(Errc::invalid_input, "too large"); }
    if (room == 0) {
      ++turned_away;
      return fail(Errc::no_space, "full");
    }
    --room;
    sent.push_back(json::parse(text).as_object());
    return {};
  }
  /// Past EventLog, as a rebuilt store says that it was lost.
  void put(std::string_view kind, const std::string& data) {
    std::optional<bool> stored;
    worker.run([kind = std::string(kind),
                data](store::Store& s) { return s.add_event(WallTime{}, kind, data); },
               [&stored](const Result<std::int64_t>& number) { stored = number.has_value(); });
    ASSERT_TRUE(until([&] { return stored.has_value(); }));
    ASSERT_TRUE(*stored);
  }

  std::size_t room = 100;  ///< In messages.
  int turned_away = 0;     ///< For want of it.
  std::vector<json::object> sent;
  Outbox outbox{
      io, worker,
      [this](tunnel::Channel channel, std::string_view text) { return take(channel, text); },
      [] { return json::object{}; }};
};

TEST_F(OutboxTest, AnEventThatTheTunnelNeverTakesGoesWithoutItsDataAndHoldsUpNone) {
  const std::string large = json::serialize(json::object{{"kept", std::string(70'000, 'x')}});
  ASSERT_NO_FATAL_FAILURE(put("store.lost", large));
  ASSERT_NO_FATAL_FAILURE(put("path.up", R"({"path":"eth0"})"));
  outbox.restart();
  ASSERT_TRUE(until([&] { return sent.size() == 2; }));
  EXPECT_EQ(sent[0].at("n").as_int64(), 1);
  EXPECT_EQ(sent[0].at("type").as_string(), "event");
  EXPECT_EQ(sent[0].at("kind").as_string(), "store.lost");
  EXPECT_TRUE(sent[0].at("time").is_string());
  EXPECT_EQ(json::serialize(sent[0].at("data")),
            R"({"dropped_bytes":)" + std::to_string(large.size()) + "}");
  EXPECT_EQ(sent[1].at("n").as_int64(), 2);
  EXPECT_EQ(json::serialize(sent[1].at("data")), R"({"path":"eth0"})");
}

TEST_F(OutboxTest, WhereThereIsNoRoomForTheShortFormItIsSentWhenThereIs) {
  ASSERT_NO_FATAL_FAILURE(put("store.lost", '"' + std::string(70'000, 'x') + '"'));
  room = 0;
  outbox.restart();
  ASSERT_NO_FATAL_FAILURE(put("path.up", "{}"));
  ASSERT_TRUE(until([&] { return turned_away > 0; }));
  EXPECT_TRUE(sent.empty());
  room = 100;
  outbox.pump();
  ASSERT_TRUE(until([&] { return sent.size() == 2; }));
  EXPECT_EQ(sent[0].at("n").as_int64(), 1);
  EXPECT_EQ(sent[1].at("n").as_int64(), 2);
}

class EventLogTest : public EventsInMemory {
 protected:
  EventLogTest() {
    events.listen([this](const store::EventRecord& event) { told.push_back(event); });
  }
  /// What the event with this data became.
  std::string text_of(json::object data) {
    const std::size_t before = told.size();
    events.add("undo.refused", std::move(data));
    if (!until([&] { return told.size() > before; })) { return "nothing"; }
    return told.back().json;
  }

  EventLog events{worker};
  std::vector<store::EventRecord> told;
};

TEST_F(EventLogTest, DataUpToTheBoundIsKeptAsItIs) {
  const std::size_t frame = json::serialize(json::object{{"what", ""}}).size();
  const json::object most{{"what", std::string(EventLog::data_bytes_max - frame, 'x')}};
  EXPECT_EQ(text_of(most), json::serialize(most));
  const json::object more{{"what", std::string(EventLog::data_bytes_max - frame + 1, 'x')}};
  EXPECT_EQ(text_of(more), R"({"dropped_bytes":16385,"left_out":["what"]})");
}

TEST_F(EventLogTest, OfLargeDataTheSmallMembersAreKeptAndTheOthersNamed) {
  json::array lines;
  for (int n = 0; n < 5000; ++n) { lines.emplace_back("add link: the kernel is busy"); }
  const json::object data{{"revision", 7},
                          {"what", lines},
                          {"how", std::string(EventLog::member_bytes_max - 2, 'x')},
                          {"why", std::string(EventLog::member_bytes_max - 1, 'x')}};
  const json::object kept = json::parse(text_of(data)).as_object();
  EXPECT_EQ(kept.at("dropped_bytes").as_int64(),
            static_cast<std::int64_t>(json::serialize(data).size()));
  EXPECT_EQ(kept.at("revision").as_int64(), 7);
  EXPECT_EQ(kept.at("how"), data.at("how"));
  EXPECT_EQ(json::serialize(kept.at("left_out")), R"(["what","why"])");
  EXPECT_EQ(kept.size(), 4U);
}

TEST_F(EventLogTest, HoweverManyMembersThereAreTheEventIsWithinTheBound) {
  json::object data;
  for (int n = 0; n < 5000; ++n) {
    data["member \"" + std::to_string(n) + "\""] = std::string(n % 2 == 0 ? 10UZ : 2000UZ, 'x');
  }
  const std::string text = text_of(data);
  EXPECT_LE(text.size(), EventLog::data_bytes_max);
  EXPECT_TRUE(json::parse(text).as_object().contains("member \"0\""));
}

}  // namespace
}  // namespace edge::uplink
