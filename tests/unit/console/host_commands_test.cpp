// Commands on their way to a host: they outlive a disk that fails, and are bounded in bytes.
#include "host_commands_fixture.hpp"

namespace edge::console {
namespace {

TEST_F(HostCommandsTest, WhatIsHeldForAllHostsIsAMetric) {
  start();
  const auto shown = [this](const char* kind) {
    const std::string text = call("GET", "/metrics").body;
    const std::string name = fmt::format("\nuplink_console_pending_bytes{{kind=\"{}\"}} ", kind);
    const auto at = text.find(name);
    EXPECT_NE(at, std::string::npos) << text;
    return at == std::string::npos ? 0UL : std::stoul(text.substr(at + name.size()));
  };
  for (const char* kind : {"commands", "events", "results", "answers"}) {
    EXPECT_EQ(shown(kind), 0U) << kind;
  }
  console->fleet().expect("hv-02");
  const std::string other = "/api/v1/hosts/hv-02/commands";
  ASSERT_EQ(call("POST", other, json::serialize(nth_command(1, std::string(5'000, 'x')))).status,
            202U);
  EXPECT_GT(shown("commands"), 5'000U);
  EXPECT_EQ(shown("commands"), console->host("hv-02")->held().commands);
  ASSERT_EQ(call("POST", "/api/v1/hosts/hv-02/revoke").status, 200U);
  EXPECT_GT(shown("commands"), 5'000U) << "they are held all the same";
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  StuckDisk disk(console->db());
  host.event(1);
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->held().events > 0; }));
  EXPECT_EQ(shown("events"), console->host("hv-01")->held().events);
  disk.open();
  ASSERT_TRUE(run_until([&] { return host.event_acked == 1; }));
  EXPECT_EQ(shown("events"), 0U);
}

TEST_F(HostCommandsTest, ACommandThatWasNeverSentIsWithdrawnAndNoOther) {
  start();
  console->fleet().expect("hv-01");
  for (const int n : {1, 2}) {
    ASSERT_EQ(call("POST", kQueue, json::serialize(nth_command(n))).status, 202U);
  }
  EXPECT_EQ(ask(1, "abort"), 200U);
  const json::object ended = get(kQueue + "/" + nth_id(1));
  EXPECT_EQ(ended.at("state"), "refused");
  EXPECT_EQ(ended.at("problems").as_array().at(0).at("what"),
            "aborted at the Console before it was sent");
  EXPECT_EQ(console->host("hv-01")->pending(), 1U);
  EXPECT_EQ(call("POST", kQueue, json::serialize(nth_command(1))).status, 200U) << "that stands";
  stop();
  start();
  EXPECT_EQ(ask(2, "abort"), 409U) << "nobody knows whether it was sent before the restart";
  FakeHost host(io, ca, "hv-01");
  host.mute = true;
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  ASSERT_TRUE(all_is_heard(host, 3));
  EXPECT_EQ(host.received, (std::map<std::string, int>{{nth_id(2), 1}, {nth_id(3), 1}}));
  EXPECT_EQ(ask(3, "abort"), 409U) << "it is on its way";
}

TEST_F(HostCommandsTest, ACommandOfAHostWhoseRowNeverReachedTheDiskIsDelivered) {
  {
    auto db = ConsoleDb::open(folder.file("console.db"));
    ASSERT_TRUE(db);
    json::object message = nth_command(1);
    message["type"] = "command";
    ASSERT_TRUE(db->add_command("hv-01", nth_id(1), json::serialize(message), wall_now()));
    ASSERT_TRUE(db->hosts().value().empty());
  }
  start();
  EXPECT_EQ(get(kQueue + "/" + nth_id(1)).at("state"), "queued");
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return host.result_acks.contains(nth_id(1)); }));
  EXPECT_EQ(get(kQueue + "/" + nth_id(1)).at("state"), "done");
  EXPECT_EQ(host.received, (std::map<std::string, int>{{nth_id(1), 1}}));
}

TEST_F(HostCommandsTest, AHostsRowThatTheDiskDidNotTakeIsTriedAgain) {
  start();
  auto beside = store::Database::open(folder.file("console.db"));
  ASSERT_TRUE(beside);
  ASSERT_TRUE(
      beside->execute("CREATE TRIGGER broken BEFORE INSERT ON hosts BEGIN"
                      " SELECT RAISE(ABORT,'broken'); END"));
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  ASSERT_TRUE(run_until(
      [&] { return console->fleet().counters().db_failures > 0 && console->db().pending() == 0; }));
  EXPECT_EQ(beside->integer("SELECT count(*) FROM hosts").value(), 0);
  ASSERT_TRUE(beside->execute("DROP TRIGGER broken"));
  ASSERT_TRUE(
      run_until([&] { return beside->integer("SELECT count(*) FROM hosts").value() == 1; }));
  EXPECT_EQ(beside->text("SELECT software FROM hosts").value(), "fake 1");
}

TEST_F(HostCommandsTest, CommandsOnTheirWayToAHostAreBoundedInBytes) {
  start();
  console->fleet().expect("hv-01");  // It never comes.
  const std::string large(900 << 10, 'x');
  int taken = 0;
  HttpResponse last;
  while (taken < 30) {
    last = call("POST", kQueue, json::serialize(nth_command(taken + 1, large)));
    if (last.status != 202U) { break; }
    ++taken;
  }
  EXPECT_EQ(taken, 18) << "16 MiB";
  EXPECT_EQ(last.status, 429U);
  for (const char* part : {"wait for host hv-01", "the limit of 16777216", "when some are done"}) {
    EXPECT_NE(last.body.find(part), std::string::npos) << last.body;
  }
  EXPECT_EQ(call("POST", kQueue, json::serialize(nth_command(100))).status, 202U)
      << "a small one has room";
}

TEST_F(HostCommandsTest, CommandsOnTheirWayToAllHostsAreBoundedInBytesUntilTheyAreDone) {
  HostOptions options;
  options.fleet_pending_bytes_max = 10'000;
  options.pending_bytes_always = 0;
  start(0, options);
  console->fleet().expect("hv-02");
  const std::string half(5'000, 'x');
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(has_silently(host, nth_command(1, half)));
  const std::string other = "/api/v1/hosts/hv-02/commands";
  const auto refused = call("POST", other, json::serialize(nth_command(2, half)));
  EXPECT_EQ(refused.status, 429U);
  EXPECT_NE(refused.body.find("wait for all hosts together"), std::string::npos) << refused.body;
  EXPECT_NE(refused.body.find("the limit of 10000"), std::string::npos) << refused.body;
  host.answer(nth_id(1));
  ASSERT_TRUE(run_until([&] { return host.result_acks.contains(nth_id(1)); }));
  EXPECT_EQ(console->fleet().counters().pending_bytes, 0U);
  EXPECT_EQ(call("POST", other, json::serialize(nth_command(2, half))).status, 202U);
  // Known already, it takes no room of its own.
  EXPECT_EQ(call("POST", other, json::serialize(nth_command(3))).status, 202U);
  const std::size_t held = console->fleet().counters().pending_bytes;
  EXPECT_EQ(call("POST", other, json::serialize(nth_command(3))).status, 202U);
  EXPECT_EQ(console->fleet().counters().pending_bytes, held);
}

TEST_F(HostCommandsTest, ACommandThatIsOnItsWayTakesNoRoomWhenItIsPostedAgain) {
  HostOptions options;
  options.pending_bytes_max = 5'000;
  start(0, options);
  console->fleet().expect("hv-01");
  const std::string all(4'800, 'x');
  ASSERT_EQ(call("POST", kQueue, json::serialize(nth_command(1, all))).status, 202U);
  const std::size_t held = console->fleet().counters().pending_bytes;
  EXPECT_EQ(call("POST", kQueue, json::serialize(nth_command(2, all))).status, 429U);
  EXPECT_EQ(call("POST", kQueue, json::serialize(nth_command(1, all))).status, 202U);
  EXPECT_EQ(call("POST", kQueue, json::serialize(nth_command(1))).status, 409U) << "another one";
  EXPECT_EQ(console->fleet().counters().pending_bytes, held);
  EXPECT_EQ(console->host("hv-01")->pending(), 1U);
}

TEST_F(HostCommandsTest, HostsThatNeverComeDoNotKeepTheOthersWaiting) {
  HostOptions options;
  options.fleet_pending_bytes_max = 10'000;
  options.pending_bytes_always = 1'000;
  start(0, options);
  console->fleet().expect("hv-01");
  console->fleet().expect("hv-02");
  const auto held = [this] { return console->fleet().counters().pending_bytes; };
  const std::string nearly_all(9'800, 'x');
  ASSERT_EQ(call("POST", kQueue, json::serialize(nth_command(1, nearly_all))).status, 202U);
  const std::string other = "/api/v1/hosts/hv-02/commands";
  const std::string large = json::serialize(nth_command(2, std::string(2'000, 'x')));
  EXPECT_EQ(call("POST", other, large).status, 429U);
  int taken = 0;
  while (taken < 20 &&
         call("POST", other, json::serialize(nth_command(taken + 10))).status == 202U) {
    ++taken;
  }
  EXPECT_GT(taken, 1) << "of a host that has little";
  EXPECT_LT(taken, 20);
  EXPECT_GT(held(), options.fleet_pending_bytes_max);
  const std::size_t before = held();
  ASSERT_EQ(call("POST", "/api/v1/hosts/hv-01/revoke").status, 200U);
  ASSERT_EQ(call("POST", "/api/v1/hosts/hv-01/revoke").status, 200U) << "said again";
  EXPECT_LE(held(), options.pending_bytes_always);
  EXPECT_EQ(call("POST", other, large).status, 202U);
  const std::size_t others = held();
  ASSERT_EQ(call("DELETE", "/api/v1/hosts/hv-01/revoke").status, 204U);
  ASSERT_EQ(call("DELETE", "/api/v1/hosts/hv-01/revoke").status, 204U);
  EXPECT_GT(others, 2'000U);
  EXPECT_GT(held(), before + 2'000U) << "they are on their way again";
}

}  // namespace
}  // namespace edge::console
