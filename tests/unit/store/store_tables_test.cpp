// Revisions, adapters, leases, events and identity.
#include <gtest/gtest.h>

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "store/io/store.hpp"
#include "temp_folder.hpp"

namespace edge::store {
namespace {

using namespace std::chrono_literals;

constexpr MacAddress kMac1{{0x02, 0, 0, 0, 0, 1}}, kMac2{{0x02, 0, 0, 0, 0, 0xfe}};

Store memory(StoreLimits limits = {}) {
  return std::move(Store::open(":memory:", kNow, {.limits = limits, .vfs = {}}).value());
}

TEST(StoreRevisions, AreBoundedByNumberAndBytesAndTheNewestAlwaysStays) {
  Store store = memory({.revisions_max = 3, .revisions_bytes_max = 250});
  const auto add = [&](std::int64_t n, std::size_t bytes) {
    return store.add_revision(
        {.number = n, .model = std::string(bytes, 'm'), .cause = "c", .time = kNow});
  };
  for (std::int64_t n = 1; n <= 5; ++n) { ASSERT_TRUE(add(n, 10)); }
  const auto held = store.revisions(10).value();
  ASSERT_EQ(held.size(), 3U);
  EXPECT_EQ(held.front().number, 5);
  EXPECT_EQ(held.back().number, 3);
  EXPECT_EQ(held.back().model_bytes, 10);
  ASSERT_TRUE(add(6, 245));
  EXPECT_EQ(store.revisions(10)->size(), 1U);
  ASSERT_TRUE(add(7, 251));
  EXPECT_EQ(store.newest_revision().value()->number, 7);
  EXPECT_FALSE(store.revision(6).value());
}

TEST(StoreRevisions, ANumberThatWasTakenBackIsNeverGivenAgainNotEvenAfterReopening) {
  TempFolder folder;
  {
    Store store = Store::open(folder.file("store.db"), kNow).value();
    EXPECT_EQ(store.highest_revision_number(), 0);
    ASSERT_TRUE(store.add_revision({1, "{}", "a", kNow}));
    ASSERT_TRUE(store.retire_revision(3));
    ASSERT_TRUE(store.retire_revision(2)) << "a lower one changes nothing";
  }
  Store store = Store::open(folder.file("store.db"), kNow).value();
  EXPECT_EQ(store.highest_revision_number(), 3);
  EXPECT_EQ(store.newest_revision().value()->number, 1);
  EXPECT_EQ(store.add_revision({3, "{}", "b", kNow}).error().code, Errc::conflict);
  EXPECT_TRUE(store.add_revision({4, "{}", "c", kNow}));
  EXPECT_EQ(store.highest_revision_number(), 4);
}

TEST(StoreAdapters, KeepTheirNumberForEverAndUnderEveryName) {
  TempFolder folder;
  {
    Store store = Store::open(folder.file("s.db"), kNow).value();
    EXPECT_EQ(store.remember_adapter(kMac1, "eth0", kNow)->number, 1U);
    EXPECT_EQ(store.remember_adapter(kMac2, "eth1", kNow)->number, 2U);
  }
  Store store = Store::open(folder.file("s.db"), kNow).value();
  const auto renamed = store.remember_adapter(kMac1, "enp3s0", kNow + 1h).value();
  EXPECT_EQ(renamed.number, 1U);
  EXPECT_EQ(renamed.last_name, "enp3s0");
  EXPECT_EQ(renamed.first_seen, kNow);
  const auto all = store.adapters().value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].base_mac, kMac2);
}

TEST(StoreAdapters, OneTooManyIsRefusedByName) {
  Store store = memory({.adapters_max = 1});
  ASSERT_TRUE(store.remember_adapter(kMac1, "eth0", kNow));
  const auto refused = store.remember_adapter(kMac2, "eth1", kNow);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_NE(refused.error().what.find("02:00:00:00:00:fe"), std::string::npos);
  EXPECT_TRUE(store.remember_adapter(kMac1, "eth9", kNow));
}

TEST(StoreLeases, AreKeptPerAdapterAndFamily) {
  Store store = memory();
  ASSERT_TRUE(store.put_lease(
      {.adapter = kMac1, .family = Family::v4, .json = "{\"a\":1}", .stored = kNow}));
  ASSERT_TRUE(
      store.put_lease({.adapter = kMac1, .family = Family::v6, .json = "{}", .stored = kNow}));
  ASSERT_TRUE(store.put_lease(
      {.adapter = kMac1, .family = Family::v4, .json = "{\"a\":2}", .stored = kNow + 1s}));
  auto leases = store.leases().value();
  ASSERT_EQ(leases.size(), 2U);
  EXPECT_EQ(leases[0].json, "{\"a\":2}");
  EXPECT_EQ(leases[0].stored, kNow + 1s);
  ASSERT_TRUE(store.remove_lease(kMac1, Family::v4));
  leases = store.leases().value();
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0].family, Family::v6);
}

TEST(StoreEndpoints, KeepTheLastGoodAddressesPerAdapterAndEndpoint) {
  Store store = memory();
  const std::vector<IpAddress> addresses{parse_ip("198.51.100.7").value(),
                                         parse_ip("2001:db8::1").value()};
  ASSERT_TRUE(store.put_good_addresses(kMac1, "console.example.net:8443", addresses, kNow));
  EXPECT_EQ(store.good_addresses(kMac1, "console.example.net:8443").value(), addresses);
  EXPECT_TRUE(store.good_addresses(kMac2, "console.example.net:8443")->empty());
  EXPECT_TRUE(store.good_addresses(kMac1, "other:1")->empty());
}

TEST(StoreEvents, NumbersAreConsecutiveAndSurviveReopening) {
  TempFolder folder;
  {
    Store store = Store::open(folder.file("s.db"), kNow).value();
    EXPECT_EQ(store.add_event(kNow, "a", "{}").value(), 1);
    EXPECT_EQ(store.add_event(kNow, "b", "{\"x\":1}").value(), 2);
    ASSERT_TRUE(store.ack_events(1));
  }
  Store store = Store::open(folder.file("s.db"), kNow).value();
  EXPECT_EQ(store.add_event(kNow + 1s, "c", "{}").value(), 3);
  EXPECT_EQ(store.acked_events().value(), 1);
  ASSERT_TRUE(store.ack_events(0));
  EXPECT_EQ(store.acked_events().value(), 1) << "never backwards";
  const auto events = store.events_after(1, 10).value();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, "b");
  EXPECT_EQ(events[0].json, "{\"x\":1}");
  EXPECT_EQ(events[1].time, kNow + 1s);
  EXPECT_EQ(store.newest_events(2)->front().number, 2);
}

TEST(StoreEvents, WhenFullTheOldestGoAndTheUnackedOnesLeaveOneMarker) {
  Store store = memory({.events_max = 20});
  for (int n = 1; n <= 20; ++n) { ASSERT_TRUE(store.add_event(kNow, "k", "{}")); }
  ASSERT_TRUE(store.ack_events(5));
  for (int n = 21; n <= 60; ++n) { ASSERT_EQ(store.add_event(kNow, "k", "{}").value(), n); }
  const auto events = store.events_after(0, 100).value();
  EXPECT_LE(events.size(), 20U);
  ASSERT_EQ(events.front().kind, kEventsDropped);
  EXPECT_EQ(events.front().json, fmt::format(R"({{"from":6,"to":{},"count":{}}})",
                                             events.front().number, events.front().number - 5));
  for (std::size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(events[i].kind, "k");
    EXPECT_EQ(events[i].number, events[i - 1].number + 1) << "no hole after the marker";
  }
  EXPECT_EQ(events.back().number, 60);
}

/// Why: weeks of a flapping port would push out the one word about the trial that was taken back.
TEST(StoreEvents, WhenFullTheRareOnesStayAndEachStretchBetweenThemLeavesAMarker) {
  Store store = memory({.events_max = 1000});
  const auto kind_of = [](std::int64_t n) { return n % 450 == 7 ? "rare" : "flap"; };
  for (std::int64_t n = 1; n <= 5000; ++n) {
    ASSERT_EQ(store.add_event(kNow, kind_of(n), "{}").value(), n);
  }
  const auto events = store.events_after(0, 2000).value();
  EXPECT_LE(events.size(), 1000U);
  std::int64_t next = 1;
  std::size_t rare = 0;
  for (const auto& event : events) {
    if (event.kind == kEventsDropped) {
      const auto data = boost::json::parse(event.json).as_object();
      EXPECT_EQ(data.at("from").as_int64(), next);
      EXPECT_EQ(data.at("to").as_int64(), event.number);
      EXPECT_EQ(data.at("count").as_int64(), event.number - next + 1);
    } else {
      EXPECT_EQ(event.number, next) << "no hole that nothing stands for";
      EXPECT_EQ(event.kind, kind_of(event.number));
      rare += event.kind == "rare" ? 1 : 0;
    }
    next = event.number + 1;
  }
  EXPECT_EQ(next, 5001);
  EXPECT_EQ(rare, 12U) << "all that there were";
}

TEST(StoreEvents, WhereAllAreRareTheOldestGo) {
  Store store = memory({.events_max = 100});
  for (int n = 1; n <= 300; ++n) {
    ASSERT_TRUE(store.add_event(kNow, fmt::format("kind-{}", n % 97), "{}"));
  }
  const auto events = store.events_after(0, 1000).value();
  EXPECT_LE(events.size(), 100U);
  EXPECT_EQ(events.front().kind, kEventsDropped);
  EXPECT_EQ(events.back().number, 300);
  EXPECT_EQ(std::ranges::count(events, kEventsDropped, &EventRecord::kind), 1);
}

TEST(StoreEvents, AckedOnesGoWithoutAMarker) {
  Store store = memory({.events_max = 20});
  for (int n = 1; n <= 20; ++n) { ASSERT_TRUE(store.add_event(kNow, "k", "{}")); }
  ASSERT_TRUE(store.ack_events(20));
  ASSERT_TRUE(store.add_event(kNow, "k", "{}"));
  const auto events = store.events_after(0, 100).value();
  EXPECT_EQ(events.front().kind, "k");
  EXPECT_GT(events.front().number, 1);
}

TEST(StoreEvents, AreBoundedByBytesToo) {
  Store store = memory({.events_bytes_max = 4000});
  for (int n = 1; n <= 100; ++n) {
    ASSERT_TRUE(store.add_event(kNow, "k", "\"" + std::string(500, 'x') + "\""));
  }
  std::size_t bytes = 0;
  const auto events = store.events_after(0, 1000).value();
  for (const auto& event : events) { bytes += event.json.size(); }
  EXPECT_LE(bytes, 4000U);
  EXPECT_FALSE(store.add_event(kNow, "k", std::string(1001, 'x')));
}

TEST(StoreIdentity, IsMadeOnceAndEpochsAndClockOnlyGrow) {
  TempFolder folder;
  std::string install_id;
  {
    Store store = Store::open(folder.file("s.db"), kNow).value();
    install_id = store.identity()->install_id;
    EXPECT_TRUE(is_command_id(install_id)) << install_id;
    EXPECT_EQ(store.next_epoch().value(), 1);
    EXPECT_EQ(store.next_epoch().value(), 2);
    ASSERT_TRUE(store.raise_clock_floor(kNow + 10s));
    ASSERT_TRUE(store.raise_clock_floor(kNow + 5s));
  }
  Store store = Store::open(folder.file("s.db"), kNow).value();
  EXPECT_EQ(store.identity()->install_id, install_id);
  EXPECT_EQ(store.identity()->epoch, 2);
  EXPECT_EQ(store.identity()->clock_floor, kNow + 10s);
  EXPECT_EQ(store.next_epoch().value(), 3);
}

TEST(StoreSettings, RoundTripIncludingTheEmptyText) {
  Store store = memory();
  EXPECT_FALSE(store.setting("k").value());
  ASSERT_TRUE(store.put_setting("k", std::string("a\0b", 3)));
  EXPECT_EQ(store.setting("k").value(), std::string("a\0b", 3));
  ASSERT_TRUE(store.put_setting("k", {}));
  EXPECT_EQ(store.setting("k").value(), "");
  ASSERT_TRUE(store.put_reputation(kMac1, "{}"));
  EXPECT_EQ(store.reputation(kMac1).value(), "{}");
  EXPECT_FALSE(store.reputation(kMac2).value());
}

}  // namespace
}  // namespace edge::store
