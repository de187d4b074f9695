// A host whose whole disk was put back to an older state: no event of it is lost or doubled, and it
// is said.
#include <fmt/format.h>

#include "hostile_fixture.hpp"

namespace edge::console {
namespace {

const std::string kPutBackHost = "/api/v1/hosts/hv-01";

void say_event(FakeHost& host, std::int64_t n, const std::string& life,
               const std::string& kind = "k") {
  host.say(tunnel::Channel::events, {{"type", "event"},
                                     {"n", n},
                                     {"time", "2026-01-02T03:04:05.678Z"},
                                     {"kind", kind},
                                     {"data", json::object{{"number", n}, {"life", life}}}});
}

class PutBackTest : public ConsoleTest {
 protected:
  bool acknowledged(const FakeHost& host, std::int64_t n) {
    return run_until([&] { return host.event_acked == n; });
  }
  bool away(FakeHost& host) {
    host.pull("eth0");
    return run_until([&] { return !online(); });
  }
  /// Events 1..10, all acknowledged, and then it is away.
  bool had_ten(FakeHost& host) {
    host.connect(console->port(), "eth0");
    if (!joined(host)) { return false; }
    for (int n = 1; n <= 10; ++n) { say_event(host, n, "first"); }
    return acknowledged(host, 10) && away(host);
  }
  bool comes(FakeHost& host) {
    host.connect(console->port(), "eth0");
    return joined(host);
  }
  /// "first 1" for each, in the order of n, which has no holes.
  std::vector<std::string> events() {
    std::vector<std::string> out;
    const json::object page = get(kPutBackHost + "/events?after=0&limit=1000");
    for (const json::value& one : page.at("events").as_array()) {
      const json::object& data = one.at("data").as_object();
      EXPECT_EQ(one.at("n"), json::value(out.size() + 1));
      out.push_back(fmt::format("{} {}", std::string_view(data.at("life").as_string()),
                                data.at("number").as_int64()));
    }
    return out;
  }
  std::uint64_t times_noticed() { return console->fleet().counters().stores_put_back; }
};

TEST_F(PutBackTest, EventsThatUseOldNumbersAgainAreKeptOnceAndTheOldOnesStay) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(had_ten(host));
  FakeHost older(io, ca, "hv-01", "install-1", 4801);
  ASSERT_TRUE(comes(older));
  for (const int n : {5, 6}) { say_event(older, n, "first"); }
  for (const int n : {7, 8, 9}) { say_event(older, n, "second"); }
  ASSERT_TRUE(acknowledged(older, 9));
  const auto all = events();
  ASSERT_EQ(all.size(), 13U);
  EXPECT_EQ(all[9], "first 10");
  EXPECT_EQ(std::vector(all.begin() + 10, all.end()),
            (std::vector<std::string>{"second 7", "second 8", "second 9"}));
  const json::object shown = get(kPutBackHost);
  EXPECT_EQ(shown.at("last_event"), json::value(13));
  EXPECT_EQ(shown.at("store_put_back").at("after"), json::value(6));
  EXPECT_EQ(shown.at("store_put_back").at("n"), json::value(11));
  EXPECT_NE(call("GET", "/metrics").body.find("uplink_console_stores_put_back_total 1\n"),
            std::string::npos);

  stop();
  start(port);
  EXPECT_EQ(get(kPutBackHost).at("store_put_back"), shown.at("store_put_back"));
  ASSERT_TRUE(run_until([&] { return older.closed > 0; }));
  older.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return online() && older.sessions_started > 1; }));
  say_event(older, 6, "first");  // As one that did not hear the acknowledgement.
  for (const int n : {7, 8, 9, 10}) { say_event(older, n, "second"); }
  ASSERT_TRUE(acknowledged(older, 10));
  EXPECT_EQ(events().size(), 14U);
  EXPECT_EQ(events().back(), "second 10");
  EXPECT_EQ(times_noticed(), 0U) << "since this start";
}

TEST_F(PutBackTest, TheSameBackupMayBePutBackTwice) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(had_ten(host));
  FakeHost older(io, ca, "hv-01", "install-1", 4802);
  ASSERT_TRUE(comes(older));
  for (const int n : {7, 8}) { say_event(older, n, "second"); }
  ASSERT_TRUE(acknowledged(older, 8));
  ASSERT_TRUE(away(older));
  FakeHost again(io, ca, "hv-01", "install-1", 4803);
  ASSERT_TRUE(comes(again));
  say_event(again, 6, "first");
  for (const int n : {7, 8}) { say_event(again, n, "third"); }
  ASSERT_TRUE(acknowledged(again, 8));
  const auto all = events();
  ASSERT_EQ(all.size(), 14U);
  EXPECT_EQ(std::vector(all.begin() + 10, all.end()),
            (std::vector<std::string>{"second 7", "second 8", "third 7", "third 8"}));
  EXPECT_EQ(get(kPutBackHost).at("store_put_back").at("n"), json::value(13));
  EXPECT_EQ(times_noticed(), 2U);
}

TEST_F(PutBackTest, NothingIsAcknowledgedThatWasNotSaidInTheSession) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(had_ten(host));
  FakeHost older(io, ca, "hv-01", "install-1", 4804);
  ASSERT_TRUE(comes(older));
  say_event(older, 3, "first");
  ASSERT_TRUE(run_until([&] { return older.event_acked != 0; }));
  EXPECT_EQ(older.event_acked, 3) << "it may have given 4 to another event";
}

TEST_F(PutBackTest, WhatTheDiskHasNotTakenYetIsToldApartToo) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(comes(host));
  StuckDisk disk(console->db());
  const auto taken = [this](std::size_t bytes) {
    return run_until([&] { return console->host("hv-01")->held().events == bytes; });
  };
  const std::size_t each = json::serialize(json::object{{"number", 1}, {"life", "first"}}).size();
  for (const int n : {1, 2, 3}) { say_event(host, n, "first"); }
  ASSERT_TRUE(taken(3 * each));
  ASSERT_TRUE(away(host));
  FakeHost older(io, ca, "hv-01", "install-1", 4805);
  ASSERT_TRUE(comes(older));
  say_event(older, 2, "first");  // It waits already.
  for (const int n : {3, 4}) { say_event(older, n, "other"); }
  ASSERT_TRUE(taken(5 * each));
  EXPECT_EQ(older.event_acked, 0);
  disk.open();
  ASSERT_TRUE(acknowledged(older, 4));
  EXPECT_EQ(events(),
            (std::vector<std::string>{"first 1", "first 2", "first 3", "other 3", "other 4"}));
}

TEST_F(PutBackTest, AHostWhoseRowIsLostGivesNoNumberTwice) {
  {
    auto db = ConsoleDb::open(folder.file("console.db"));
    ASSERT_TRUE(db);
    std::vector<EventRow> rows;
    for (std::int64_t n = 1; n <= 3; ++n) {
      rows.push_back({.seq = 0,
                      .host = "hv-01",
                      .n = n,
                      .time = wall_now(),
                      .time_text = "2026-01-02T03:04:05.678Z",
                      .kind = "k",
                      .data = fmt::format(R"({{"number":{},"life":"first"}})", n)});
    }
    ASSERT_TRUE(db->add_events(rows));
    ASSERT_TRUE(db->hosts()->empty());
  }
  start();
  FakeHost host(io, ca, "hv-01", "install-2");
  ASSERT_TRUE(comes(host));
  EXPECT_EQ(get(kPutBackHost).at("last_event"), json::value(0)) << "nobody looked yet";
  for (const int n : {1, 2}) { say_event(host, n, "second"); }
  ASSERT_TRUE(acknowledged(host, 2));
  EXPECT_EQ(events(),
            (std::vector<std::string>{"first 1", "first 2", "first 3", "second 1", "second 2"}));
  EXPECT_EQ(get(kPutBackHost).at("last_event"), json::value(5));
}

TEST_F(PutBackTest, TheMarkerOfEventsThatTheHostGaveUpIsNoOtherEvent) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(had_ten(host));
  FakeHost again(io, ca, "hv-01", "install-1", 4806);  // It heard no acknowledgement above 5.
  ASSERT_TRUE(comes(again));
  say_event(again, 8, "marker", "events.dropped");
  for (const int n : {9, 10, 11}) { say_event(again, n, "first"); }
  ASSERT_TRUE(acknowledged(again, 11));
  EXPECT_EQ(events().size(), 11U);
  EXPECT_EQ(times_noticed(), 0U);
  EXPECT_FALSE(get(kPutBackHost).contains("store_put_back"));
}

TEST_F(PutBackTest, AnotherInstallationHasNoSuchRecord) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(had_ten(host));
  FakeHost older(io, ca, "hv-01", "install-1", 4807);
  ASSERT_TRUE(comes(older));
  say_event(older, 7, "second");
  ASSERT_TRUE(acknowledged(older, 7));
  ASSERT_TRUE(get(kPutBackHost).contains("store_put_back"));
  ASSERT_TRUE(away(older));
  FakeHost reinstalled(io, ca, "hv-01", "install-2", 4808);
  ASSERT_TRUE(comes(reinstalled));
  EXPECT_FALSE(get(kPutBackHost).contains("store_put_back"));
  for (const int n : {1, 2}) { say_event(reinstalled, n, "third"); }
  ASSERT_TRUE(acknowledged(reinstalled, 2));
  EXPECT_EQ(times_noticed(), 1U);
}

}  // namespace
}  // namespace edge::console
