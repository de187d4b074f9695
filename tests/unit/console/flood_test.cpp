// Hosts that say more than a Console can keep, or never read: what it holds of them is bounded.
#include "hostile_fixture.hpp"

namespace edge::console {
namespace {

TEST_F(HostileHostTest, LargeEventsThatTheDiskDoesNotTakeAreBoundedInBytes) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  StuckDisk disk(console->db());
  for (int n = 1; n <= 256; ++n) {
    host.say(tunnel::Channel::events, {{"type", "event"},
                                       {"n", n},
                                       {"time", "2026-01-02T03:04:05.678Z"},
                                       {"kind", "flood"},
                                       {"data", std::string(15'000, 'x')}});
    ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::events) < 500'000; }));
  }
  ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::events) == 0; }));
  EXPECT_GT(console->host("hv-66")->held_bytes(), 900'000U);
  EXPECT_LE(console->host("hv-66")->held_bytes(), Host::events_waiting_bytes_max);
  disk.open();
  ASSERT_TRUE(run_until([&] { return host.event_acked > 0; }));
  EXPECT_LT(host.event_acked, 256) << "the rest is said again in the next session";
  ASSERT_TRUE(run_until([&] { return console->host("hv-66")->held_bytes() == 0; }));
  expect_service();
}

TEST_F(HostileHostTest, ResultsThatTheDiskDoesNotTakeAreAskedForAgain) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.mute = true;
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  const std::string commands = "/api/v1/hosts/hv-66/commands";
  for (int n = 1; n <= 6; ++n) {
    ASSERT_EQ(call("POST", commands,
                   json::serialize(json::object{
                       {"id", own_id(n)},
                       {"operations",
                        json::array{json::object{{"op", "network.delete"}, {"network", "n"}}}}}))
                  .status,
              202U);
  }
  ASSERT_TRUE(run_until([&] { return host.received.size() == 6; }));
  StuckDisk disk(console->db());
  for (int n = 1; n <= 6; ++n) {
    host.say(tunnel::Channel::commands, {{"type", "result"},
                                         {"id", own_id(n)},
                                         {"state", "done"},
                                         {"revision", n},
                                         {"plan", json::array{std::string(400'000, 'p')}}});
    ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::commands) == 0; }));
  }
  EXPECT_LE(console->host("hv-66")->held_bytes(), Host::results_storing_bytes_max);
  host.mute = false;
  disk.open();
  ASSERT_TRUE(run_until([&] { return host.result_acks.size() == 6; }));
  EXPECT_EQ(host.received[own_id(1)], 1);
  EXPECT_EQ(host.received[own_id(6)], 2) << "its journal answers again";
  EXPECT_EQ(console->host("hv-66")->held_bytes(), 0U);
  EXPECT_EQ(console->host("hv-66")->pending(), 0U);
  expect_service();
}

TEST_F(HostileHostTest, InventedResultsAreFewAndSmall) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  const auto result_of = [&](int n, std::size_t bytes) {
    host.say(tunnel::Channel::commands, {{"type", "result"},
                                         {"id", own_id(n)},
                                         {"state", "done"},
                                         {"plan", json::array{std::string(bytes, 'p')}}});
  };
  result_of(1, 500'000);
  ASSERT_TRUE(run_until([&] { return host.result_acks.contains(own_id(1)); }));
  const auto kept = json::serialize(get("/api/v1/hosts/hv-66/commands/" + own_id(1)));
  EXPECT_LT(kept.size(), 2000U);
  EXPECT_NE(kept.find("at most 65536 are kept"), std::string::npos) << kept;
  for (int n = 2; n <= 600; ++n) {
    result_of(n, 1);
    ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::commands) < 100'000; }));
  }
  ASSERT_TRUE(run_until([&] {
    return host.unread(tunnel::Channel::commands) == 0 &&
           console->host("hv-66")->held_bytes() == 0 &&
           host.result_acks.size() >= Host::own_results_burst;
  }));
  EXPECT_LT(host.result_acks.size(), Host::own_results_burst + 60) << "one a second beyond";
  expect_service();
}

TEST_F(HostileHostTest, AnswersThatAHostNeverReadsAreBounded) {
  start();
  Rude& deaf = welcomed(1);
  ASSERT_EQ(call("POST", "/api/v1/hosts/hv-66/commands",
                 json::serialize(json::object{
                     {"id", own_id(1)},
                     {"operations",
                      json::array{json::object{{"op", "network.delete"}, {"network", "n"}}}}}))
                .status,
            202U);
  const auto text = tunnel::to_bytes(
      json::serialize(json::object{{"type", "state"}, {"id", own_id(1)}, {"state", "confirming"}}));
  constexpr std::uint64_t count = 20'000;
  for (std::uint64_t seq = 1; seq <= count; ++seq) {
    deaf.say(tunnel::encode_frame(
        {.type = FrameType::data, .flags = tunnel::flag_critical, .channel = 1, .seq = seq}, text));
    if (seq % 1000 == 0) {
      ASSERT_TRUE(run_until([&] { return console->host("hv-66")->stats().delivered == seq; }));
    }
  }
  EXPECT_GT(console->fleet().counters().bad_messages, 0U);
  EXPECT_LE(console->host("hv-66")->held_bytes(), Host::replies_bytes_max);
  EXPECT_EQ(call("POST", "/api/v1/hosts/hv-66/commands/" + own_id(1) + "/confirm").status, 409U);
  expect_service();
}

TEST_F(HostileHostTest, AnOpenFloodThatReadsNoAnswersEndsItsStreams) {
  start();
  Rude& rude_one = barge_in();
  tunnel::Hello hello = hello_of("hv-66", 1);
  hello.streams = tunnel::StreamGrant{};
  rude_one.say(encode(hello));
  ASSERT_TRUE(run_until([&] { return rude_one.count(FrameType::welcome) == 1; }));
  constexpr std::uint32_t count = 3000;  // The window, and all that may wait for it, and more.
  for (std::uint32_t i = 1; i <= count; ++i) {
    rude_one.say(tunnel::encode_frame(
        {.type = FrameType::data, .flags = tunnel::flag_critical, .channel = 5, .seq = i},
        encode(tunnel::StreamFrame{.kind = tunnel::StreamKind::open,
                                   .stream = {2 * i},
                                   .text = "10.0.0.1:22",
                                   .data = {}})));
    if (i % 100 == 0) {
      ASSERT_TRUE(run_until([&] { return console->host("hv-66")->stats().delivered == i; }));
    }
  }
  EXPECT_EQ(console->fleet().counters().bad_messages, 1U);
  expect_service();
}

TEST_F(HostileHostTest, AQuarantinedHostLosesAllItsPathsAndIsNotLetIn) {
  start();
  Rude& quiet = welcomed(1);
  for (std::uint32_t path = 2; path <= 4; ++path) {
    Rude& bad = welcomed(path);
    bad.say(encode(hello_of("hv-66", path)));  // HELLO twice.
    ASSERT_TRUE(run_until([&] { return bad.closed; }));
  }
  ASSERT_TRUE(run_until([&] { return quiet.closed; }, 5s));
  EXPECT_EQ(tunnel::decode_error(quiet.payload(FrameType::error))->code,
            tunnel::ErrorCode::quarantined);
  Rude& again = barge_in();
  again.say(encode(hello_of("hv-66", 5)));
  ASSERT_TRUE(run_until([&] { return again.closed; }));
  EXPECT_EQ(tunnel::decode_error(again.payload(FrameType::error))->code,
            tunnel::ErrorCode::quarantined);
  expect_service();
}

TEST_F(HostileHostTest, WhatAHostDoesNotReadIsBoundedOverAllItsPaths) {
  HostOptions options;
  options.unread_bytes_max = 100'000;
  start(0, options);
  Rude& deaf = rude.emplace_back(io, ca, ca.host("hv-66"), console->port(), Manner::deaf);
  ASSERT_TRUE(run_until([&] { return deaf.connected(); }));
  deaf.say(encode(hello_of("hv-66", 1)));
  ASSERT_TRUE(run_until([&] { return online("hv-66"); }));
  const std::string large(900'000, 'x');
  ASSERT_EQ(call("POST", "/api/v1/hosts/hv-66/commands",
                 json::serialize(json::object{
                     {"id", own_id(1)},
                     {"operations",
                      json::array{json::object{{"op", "network.delete"}, {"network", large}}}}}))
                .status,
            202U);
  ASSERT_TRUE(run_until([&] { return console->host("hv-66")->path_count() == 0; }, 5s));
  expect_service();
}

TEST_F(HostileHostTest, RevisionsThatGrowAreWrittenAsOftenAsSnapshots) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  StuckDisk disk(console->db());
  const std::size_t before = console->db().pending();
  for (int n = 1; n <= 400; ++n) {
    host.say(tunnel::Channel::telemetry, {{"type", "snapshot"}, {"revision", n}});
    host.say(tunnel::Channel::commands, {{"type", "result"},
                                         {"id", "00000000-0000-4000-8000-000000000001"},
                                         {"state", "done"},
                                         {"plan", json::array{std::string(20'000, 'p')}},
                                         {"revision", 1000 + n}});
    ASSERT_TRUE(run_until([&] {
      return host.unread(tunnel::Channel::telemetry) + host.unread(tunnel::Channel::commands) <
             100'000;
    }));
  }
  ASSERT_TRUE(run_until([&] {
    return host.unread(tunnel::Channel::telemetry) + host.unread(tunnel::Channel::commands) == 0;
  }));
  // Results until there is no room for them, each with its revision.
  EXPECT_LE(console->db().pending(), before + 2 * (Host::results_storing_bytes_max / 20'000) + 20);
  disk.open();
  expect_service();
}

TEST_F(HostileHostTest, EventNumbersNearTheEndOfNumbersAreRefused) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  const std::int64_t end = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t n : {end, end - 1, std::int64_t{1} << 53, std::int64_t{1} << 33}) {
    host.event(n);
  }
  host.event(1);
  host.event(1000);  // What lies between was pruned there.
  ASSERT_TRUE(run_until([&] { return host.event_acked == 1000; }));
  EXPECT_EQ(console->fleet().counters().bad_messages, 4U);
  FakeHost reinstalled(io, ca, "hv-66", "install-2");
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online("hv-66"); }));
  stop();
  start();
  reinstalled.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return reinstalled.sessions_started == 1; }));
  reinstalled.event(1);
  ASSERT_TRUE(run_until([&] { return reinstalled.event_acked == 1; }));
  EXPECT_EQ(get("/api/v1/hosts/hv-66/events").at("last").as_int64(), 1001);
}

TEST_F(HostileHostTest, OfALargeEventOnlyTheSizeIsKept) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  host.say(tunnel::Channel::events, {{"type", "event"},
                                     {"n", 1},
                                     {"time", "2026-01-02T03:04:05.678Z"},
                                     {"kind", "flood"},
                                     {"data", std::string(60'000, 'x')}});
  ASSERT_TRUE(run_until([&] { return host.event_acked == 1; }));
  const auto kept = call("GET", "/api/v1/hosts/hv-66/events").body;
  EXPECT_LT(kept.size(), 1000U);
  EXPECT_NE(kept.find("\"dropped_bytes\":60002"), std::string::npos) << kept;
}

TEST_F(HostileHostTest, ACertificateWithALongTailIsRefused) {
  start();
  auto pair = ca.host("hv-66");
  for (int i = 0; i < 60; ++i) { pair.certificate += ca.pem(); }
  Rude& one = rude.emplace_back(io, ca, pair, console->port(), Manner::hears);
  ASSERT_TRUE(run_until([&] { return one.closed || one.refused; }));
  EXPECT_EQ(console->fleet().doorstep().waiting(), 0U);
  EXPECT_EQ(one.heard.size(), 0U);
  expect_service();
}

TEST_F(HostileHostTest, NonsenseInAFloodIsCountedAndItsHostServed) {
  start();
  FakeHost noisy(io, ca, "hv-01");
  noisy.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(noisy));
  for (int i = 0; i < 200; ++i) { noisy.say(tunnel::Channel::commands, {{"type", "nonsense"}}); }
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 200; }));
  noisy.event(1);
  EXPECT_TRUE(run_until([&] { return noisy.event_acked == 1; }));
}

}  // namespace
}  // namespace edge::console
