// The Console against a host over real TLS on loopback: nothing is lost or doubled, whoever
// restarts.
#include <spdlog/spdlog.h>

#include "console_fixture.hpp"

namespace edge::console {
namespace {

std::string id_of(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }
json::object command(int n) {
  return {{"id", id_of(n)},
          {"operations", json::array{json::object{{"op", "network.delete"}, {"network", "n"}}}}};
}
const std::string kCommands = "/api/v1/hosts/hv-01/commands";

TEST_F(ConsoleTest, AHostComesWithTwoPathsAndIsShown) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  host.connect(console->port(), "eth1");
  ASSERT_TRUE(run_until([&] {
    return online() && console->host("hv-01")->path_count() == 2 && host.sessions_started > 0;
  }));
  host.say(tunnel::Channel::telemetry,
           {{"type", "snapshot"},
            {"revision", 3},
            {"ports", json::array{json::object{{"port", "eth0"}}}},
            {"model", json::object{}},
            {"paths", json::array{json::object{{"path", "eth9/x:1"},
                                               {"port", "eth9"},
                                               {"state", "down"},
                                               {"broken_step", "carrier"},
                                               {"cause", "no carrier"},
                                               {"last_failure", "tcp: it was: refused"}}}}});
  ASSERT_TRUE(
      run_until([&] { return get("/api/v1/hosts/hv-01").at("revision") == json::value(3); }));
  const auto shown = get("/api/v1/hosts/hv-01");
  EXPECT_TRUE(shown.at("online").as_bool());
  const auto& paths = shown.at("paths").as_array();
  ASSERT_EQ(paths.size(), 3U);
  EXPECT_EQ(paths[0].at("path"), "eth0/console.test:1");
  EXPECT_EQ(paths[2].at("broken_step"), "carrier") << "what only the host can know";
  EXPECT_EQ(
      paths[2].at("last_failure"),
      (json::object{
          {"cause", "tcp"}, {"detail", "it was: refused"}, {"time", nullptr}, {"seen_by", "host"}}))
      << "in the form of what the Console saw itself";
  EXPECT_EQ(shown.at("ports").as_array().size(), 1U);
  EXPECT_EQ(get("/api/v1/hosts").at("hosts").as_array().size(), 1U);
  ASSERT_TRUE(run_until([&] {
    const auto now = get("/api/v1/hosts/hv-01");
    for (const auto& path : now.at("paths").as_array()) {
      if (path.at("state") == "active" && path.as_object().contains("rtt_ms")) { return true; }
    }
    return false;
  }));
}

TEST_F(ConsoleTest, TheListOfHostsComesInPagesWhereThatIsAsked) {
  start();
  for (const char* id : {"hv-03", "hv-01", "hv-02"}) { console->fleet().expect(id); }
  const auto listed = [this](const std::string& parameters) {
    std::string out;
    const json::object page = get("/api/v1/hosts" + parameters);
    for (const json::value& host : page.at("hosts").as_array()) {
      out += std::string(host.at("host").as_string()) + " ";
    }
    return out + (page.at("more").as_bool() ? "more" : "end");
  };
  EXPECT_EQ(listed(""), "hv-01 hv-02 hv-03 end") << "all of them";
  EXPECT_EQ(listed("?limit=2"), "hv-01 hv-02 more");
  EXPECT_EQ(listed("?limit=2&after=hv-02"), "hv-03 end");
  EXPECT_EQ(listed("?limit=1&after=hv-01"), "hv-02 more");
  EXPECT_EQ(listed("?limit=3"), "hv-01 hv-02 hv-03 end");
  EXPECT_EQ(listed("?after=hv-015"), "hv-02 hv-03 end") << "one that is not there";
  EXPECT_EQ(listed("?after=hv-03"), "end");
}

TEST_F(ConsoleTest, WhoIsTurnedAwayAtADoorIsCounted) {
  start();
  for (int i = 0; i < 3; ++i) { console->fleet().handshake_refused(); }
  EXPECT_NE(call("GET", "/metrics").body.find("uplink_console_handshakes_refused_total 3\n"),
            std::string::npos);
}

TEST_F(ConsoleTest, TheLoopTurnsWhileAListOfManyHostsIsMade) {
  start();
  const auto level = spdlog::get_level();
  spdlog::set_level(spdlog::level::warn);  // Each of them would be a line.
  for (int n = 0; n < 10'000; ++n) { console->fleet().expect(fmt::format("hv-{:05}", n)); }
  spdlog::set_level(level);
  HttpRequest request;
  request.method = "GET";
  request.target = "/api/v1/hosts";
  request.authorization = "Bearer " + std::string(kToken);
  std::optional<std::size_t> bytes;
  boost::asio::co_spawn(
      io, console->api.answer(request),
      [&](std::exception_ptr, HttpResponse response) { bytes = response.body.size(); });
  int turns = 0;
  io.restart();
  while (!bytes && io.run_one() > 0) { ++turns; }
  ASSERT_TRUE(bytes);
  EXPECT_GT(*bytes, 10'000U * 100);
  EXPECT_GE(turns, 3) << "a heartbeat has its turn between two parts of it";
}

TEST_F(ConsoleTest, ACommandIsAnsweredWithItsFinalState) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  const auto done = post(kCommands + "?wait=10", command(1));
  EXPECT_EQ(done.at("state"), "done");
  EXPECT_EQ(done.at("revision"), json::value(1));
  EXPECT_EQ(done.at("plan").as_array().at(0), "ip link add x");
  ASSERT_TRUE(run_until([&] { return host.result_acks.contains(id_of(1)); }));
  EXPECT_EQ(post(kCommands, command(1)).at("state"), "done")
      << "the same again gets the stored answer";
  auto other = command(1);
  other["operations"].as_array().emplace_back(json::object{{"op", "x"}});
  EXPECT_EQ(call("POST", kCommands, json::serialize(other)).status, 409U);
  EXPECT_EQ(host.received.at(id_of(1)), 1);
  EXPECT_EQ(call("GET", "/api/v1/hosts/nobody").status, 404U);
  EXPECT_EQ(call("GET", kCommands + "/" + id_of(9)).status, 404U);
}

TEST_F(ConsoleTest, CommandsOfAnOfflineHostWaitAndRunInOrder) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); })) << "offline when its last path is gone";
  for (int n = 1; n <= 20; ++n) {
    EXPECT_EQ(call("POST", kCommands, json::serialize(command(n))).status, 202U);
  }
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 0; }));
  for (int n = 1; n <= 20; ++n) {
    EXPECT_EQ(get(kCommands + "/" + id_of(n)).at("revision"), json::value(n))
        << "in the order sent";
  }
}

TEST_F(ConsoleTest, APulledCableLosesNothing) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  host.connect(console->port(), "eth1");
  ASSERT_TRUE(run_until([&] {
    return online() && console->host("hv-01")->path_count() == 2 && host.sessions_started > 0;
  }));
  const auto session = host.session_id();
  for (int n = 1; n <= 60; ++n) {
    EXPECT_EQ(call("POST", kCommands, json::serialize(command(n))).status, 202U);
    if (n == 30) { host.pull("eth0"); }
  }
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 0; }));
  EXPECT_EQ(host.executed(), 60U);
  for (const auto& [id, times] : host.received) { EXPECT_EQ(times, 1) << id; }
  EXPECT_EQ(host.session_id(), session);
  EXPECT_TRUE(online());
}

TEST_F(ConsoleTest, ARevokedHostsCommandsWaitUndeliveredAndNewOnesAreRefused) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  host.connect(port, "eth0");
  ASSERT_TRUE(joined(host));
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); }));
  ASSERT_EQ(call("POST", kCommands, json::serialize(command(1))).status, 202U);
  const std::string revoke = "/api/v1/hosts/hv-01/revoke";
  EXPECT_EQ(post(revoke, {{"reason", "sold"}}).at("revoked").at("reason"), "sold");
  const auto since = get("/api/v1/hosts/hv-01").at("revoked").at("since");
  const auto refused = call("POST", kCommands, json::serialize(command(2)));
  EXPECT_EQ(refused.status, 409U);
  EXPECT_NE(refused.body.find("revoked by the Console: sold"), std::string::npos) << refused.body;
  EXPECT_EQ(call("POST", "/api/v1/hosts/hv-01/forwards",
                 R"({"listen":"127.0.0.1:0","to":"127.0.0.1:22"})")
                .status,
            409U);
  EXPECT_EQ(post(revoke, {}).at("revoked").at("since"), since) << "revoked once";
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return !host.refusal.empty(); }));
  EXPECT_EQ(host.refusal, "revoked by the Console");
  stop();
  start(port);
  EXPECT_EQ(get(kCommands + "/" + id_of(1)).at("state"), "queued");
  EXPECT_TRUE(host.received.empty());
  EXPECT_EQ(call("DELETE", revoke).status, 204U);
  EXPECT_EQ(call("DELETE", revoke).status, 204U) << "lifted twice is lifted";
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 0; }));
  EXPECT_EQ(get(kCommands + "/" + id_of(1)).at("state"), "done");
  EXPECT_EQ(host.received, (std::map<std::string, int>{{id_of(1), 1}}));
}

TEST_F(ConsoleTest, ARestartOfTheConsoleLosesNoCommandAndNoResult) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  host.mute = true;  // It executes, and its results do not reach the first Console.
  for (int n = 1; n <= 10; ++n) {
    ASSERT_EQ(call("POST", kCommands, json::serialize(command(n))).status, 202U);
  }
  ASSERT_TRUE(run_until([&] { return host.executed() == 10; }));
  stop();
  start(port);
  EXPECT_EQ(console->host("hv-01")->pending(), 10U);
  EXPECT_EQ(get(kCommands + "/" + id_of(3)).at("state"), "queued");
  host.mute = false;
  ASSERT_TRUE(run_until([&] { return host.closed > 0; }));
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until(
      [&] { return console->host("hv-01")->pending() == 0 && host.result_acks.size() == 10; }));
  EXPECT_EQ(host.executed(), 10U);
  for (int n = 1; n <= 10; ++n) { EXPECT_EQ(get(kCommands + "/" + id_of(n)).at("state"), "done"); }
}

TEST_F(ConsoleTest, EventsAreKeptOnceInOrderAndAcknowledgedWhenOnDisk) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  for (int n = 1; n <= 50; ++n) { host.event(n); }
  ASSERT_TRUE(run_until([&] { return host.event_acked == 50; }));
  stop();
  start(port);
  ASSERT_TRUE(run_until([&] { return host.closed > 0; }));
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 1; }));
  for (int n = 41; n <= 60; ++n) {
    host.event(n);
  }  // As a host that did not hear the acknowledgement.
  ASSERT_TRUE(run_until([&] { return host.event_acked == 60; }));
  const auto page = get("/api/v1/hosts/hv-01/events?after=0");
  const auto& events = page.at("events").as_array();
  ASSERT_EQ(events.size(), 60U);
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].at("n"), json::value(i + 1));
    EXPECT_EQ(events[i].at("data").at("number"), json::value(i + 1));
  }
  EXPECT_EQ(page.at("last"), json::value(60));
  EXPECT_EQ(get("/api/v1/hosts/hv-01/events?after=58").at("events").as_array().size(), 2U);
}

TEST_F(ConsoleTest, AHelloThatIsNotTheCertificatesIsRefusedWithAReason) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.hello_as = "hv-02";
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return host.closed > 0; }));
  EXPECT_NE(host.refusal.find("hv-02"), std::string::npos) << host.refusal;
  EXPECT_EQ(console->host("hv-02"), nullptr);
  EXPECT_EQ(console->host("hv-01"), nullptr);
  EXPECT_EQ(console->fleet().doorstep().refused(), 1U);
}

TEST_F(ConsoleTest, AConfirmReachesTheHostOnlyForACommandOnItsWay) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  host.mute = true;
  json::object by_hand = command(1);
  by_hand["confirm"] = "manual";
  ASSERT_EQ(call("POST", kCommands, json::serialize(by_hand)).status, 202U);
  ASSERT_TRUE(run_until([&] { return host.executed() == 1; }));
  host.say(tunnel::Channel::commands,
           {{"type", "state"}, {"id", id_of(1)}, {"state", "confirming"}});
  ASSERT_TRUE(
      run_until([&] { return get(kCommands + "/" + id_of(1)).at("state") == "confirming"; }));
  EXPECT_FALSE(host.confirms.contains(id_of(1)));
  EXPECT_EQ(call("POST", kCommands + "/" + id_of(1) + "/confirm").status, 202U);
  ASSERT_TRUE(run_until([&] { return host.confirms.contains(id_of(1)); }));
  host.answer(id_of(1));
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 0; }));
  EXPECT_EQ(call("POST", kCommands + "/" + id_of(1) + "/confirm").status, 409U);
}

TEST_F(ConsoleTest, AChangeThatIsTriedOutIsConfirmedAsSoonAsTheConsoleHearsOfIt) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  host.mute = true;
  ASSERT_EQ(call("POST", kCommands, json::serialize(command(1))).status, 202U);
  ASSERT_TRUE(run_until([&] { return host.executed() == 1; }));
  host.say(tunnel::Channel::commands,
           {{"type", "state"}, {"id", id_of(1)}, {"state", "confirming"}});
  EXPECT_TRUE(run_until([&] { return host.confirms.contains(id_of(1)); }));
}

TEST_F(ConsoleTest, MalformedMessagesAreCountedAndHarmNothing) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 0; }));
  host.say(tunnel::Channel::commands, {{"type", "result"}, {"id", "x"}, {"state", "marvellous"}});
  host.say(tunnel::Channel::commands, {{"id", 5}});
  host.say(tunnel::Channel::events, {{"type", "event"}, {"n", -1}});
  host.say(tunnel::Channel::events, {{"type", "event"}, {"n", 1}, {"kind", "k"}, {"time", "soon"}});
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 4; }));
  EXPECT_TRUE(online());
  EXPECT_EQ(post(kCommands + "?wait=10", command(1)).at("state"), "done");
}

TEST_F(ConsoleTest, WithoutTheTokenNothingButThePageIsShown) {
  start();
  HttpRequest request;
  request.method = "GET";
  std::vector<unsigned> statuses;
  for (const char* target : {"/", "/api/v1/hosts", "/metrics", "/nothing"}) {
    request.target = target;
    boost::asio::co_spawn(
        io, console->api.answer(request),
        [&](std::exception_ptr, HttpResponse response) { statuses.push_back(response.status); });
  }
  ASSERT_TRUE(run_until([&] { return statuses.size() == 4; }));
  EXPECT_EQ(statuses, (std::vector<unsigned>{200, 401, 401, 401}));
  EXPECT_NE(call("GET", "/metrics").body.find("uplink_console_hosts_online 0"), std::string::npos);
  EXPECT_EQ(call("POST", "/api/v1/enrolment-tokens").status, 501U);
}

TEST_F(ConsoleTest, TheRevisionsOfAHostAreAskedForAndRememberedWhileItIsAway) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  host.say(
      tunnel::Channel::telemetry,
      {{"type", "snapshot"},
       {"revision", 7},
       {"revisions", json::array{json::object{{"revision", 7}}, json::object{{"revision", 6}}}}});
  const std::string revisions = "/api/v1/hosts/hv-01/revisions";
  auto live = get(revisions);
  EXPECT_TRUE(live.at("live").as_bool());
  EXPECT_EQ(live.at("revisions").as_array().at(0).at("revision"), 7);
  EXPECT_EQ(get(revisions + "/7").at("cause"), "x");
  EXPECT_EQ(call("GET", revisions + "/seven").status, 404U);
  ASSERT_TRUE(run_until([&] { return get("/api/v1/hosts/hv-01").contains("revisions"); }));
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); }));
  auto kept = get(revisions + "?limit=1");
  EXPECT_FALSE(kept.at("live").as_bool());
  EXPECT_EQ(kept.at("revisions").as_array().size(), 1U);
  EXPECT_EQ(call("GET", revisions + "/7").status, 503U);
}

TEST_F(ConsoleTest, ASnapshotInPartsIsJoinedAndWhatNeverCameIsCounted) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  const std::string text = R"({"type":"snapshot","revision":9,"ports":[]})";
  const auto part = [&](std::size_t at, std::size_t bytes, std::int64_t skipped) {
    host.say(tunnel::Channel::telemetry, {{"type", "part"},
                                          {"of", 4},
                                          {"at", at},
                                          {"bytes", text.size()},
                                          {"text", text.substr(at, bytes)},
                                          {"skipped", skipped}});
  };
  part(0, 20, 3);
  part(20, 10, 0);
  part(30, text.size() - 30, 0);
  ASSERT_TRUE(
      run_until([&] { return get("/api/v1/hosts/hv-01").at("revision") == json::value(9); }));
  EXPECT_EQ(get("/api/v1/hosts/hv-01").at("snapshot_gaps"), 3);
  EXPECT_EQ(console->fleet().counters().snapshots, 1U);
  part(20, 10, 0);  // Without its beginning.
  part(0, text.size() + 1, 0);
  host.say(tunnel::Channel::telemetry,
           {{"type", "part"}, {"of", 5}, {"at", 0}, {"bytes", 2}, {"text", "[]"}});
  host.say(tunnel::Channel::telemetry,
           {{"type", "part"}, {"of", 6}, {"at", 0}, {"bytes", 70'000}, {"text", "x"}});
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 2; }));
  EXPECT_EQ(console->fleet().counters().snapshots, 2U) << "what said it was whole";
}

TEST_F(ConsoleTest, ATrialIsEndedOnDemandAndOnlyOneThatTheHostHas) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  EXPECT_EQ(call("POST", kCommands + "/" + id_of(1) + "/abort").status, 409U);
  host.mute = true;
  auto tried = command(1);
  tried["confirm"] = "manual";
  ASSERT_EQ(call("POST", kCommands, json::serialize(tried)).status, 202U);
  ASSERT_TRUE(run_until([&] { return host.received.contains(id_of(1)); }));
  host.say(tunnel::Channel::commands,
           {{"type", "state"}, {"id", id_of(1)}, {"state", "confirming"}});
  ASSERT_TRUE(
      run_until([&] { return get(kCommands + "/" + id_of(1)).at("state") == "confirming"; }));
  EXPECT_TRUE(host.confirms.empty());
  EXPECT_EQ(call("POST", kCommands + "/" + id_of(1) + "/abort").status, 202U);
  EXPECT_TRUE(run_until([&] { return host.aborts.contains(id_of(1)); }));
}

TEST_F(ConsoleTest, TheHighestRevisionThatAHostEverToldIsToldToItWhenItComesAgain) {
  const auto told = [](std::int64_t revision) {
    return json::object{{"type", "snapshot"}, {"revision", revision}};
  };
  start();
  {
    FakeHost host(io, ca, "hv-01");
    host.connect(console->port(), "eth0");
    ASSERT_TRUE(joined(host));
    host.say(tunnel::Channel::telemetry, told(57));
    ASSERT_TRUE(run_until([&] { return console->fleet().counters().snapshots == 1; }));
    EXPECT_TRUE(host.known_revisions.empty()) << "nothing was known when it came";
  }
  stop();
  start();
  FakeHost host(io, ca, "hv-01", "install-2");  // Its disk is new: it counts from 1.
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  host.say(tunnel::Channel::telemetry, told(1));
  ASSERT_TRUE(run_until([&] { return !host.known_revisions.empty(); }));
  EXPECT_EQ(host.known_revisions, std::vector<std::int64_t>{57});
}

}  // namespace
}  // namespace edge::console
