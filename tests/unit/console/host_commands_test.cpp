// Commands on their way to a host: an operator's word about them outlives a session, they outlive
// a disk that fails, and they are bounded in bytes.
#include <fmt/format.h>

#include "hostile_fixture.hpp"
#include "store/io/sqlite.hpp"

namespace edge::console {
namespace {

const std::string kQueue = "/api/v1/hosts/hv-01/commands";
constexpr std::uint64_t kOtherInstance = 4712;

std::string nth_id(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }
json::object nth_command(int n, const std::string& network = "n") {
  return {
      {"id", nth_id(n)},
      {"operations", json::array{json::object{{"op", "network.delete"}, {"network", network}}}}};
}
json::object nth_manual(int n) {
  json::object out = nth_command(n);
  out["confirm"] = "manual";
  return out;
}

void say_stored(FakeHost& host, int n) {
  host.say(tunnel::Channel::commands, {{"type", "stored"}, {"id", nth_id(n)}});
}
void say_confirming(FakeHost& host, int n) {
  host.say(tunnel::Channel::commands,
           {{"type", "state"}, {"id", nth_id(n)}, {"state", "confirming"}});
}

class HostCommandsTest : public ConsoleTest {
 protected:
  bool shown_as(int n, const char* state) {
    return run_until(
        [&] { return get(kQueue + "/" + nth_id(n)).at("state") == json::value(state); });
  }
  /// It has the command and does not answer.
  bool has_silently(FakeHost& host, const json::object& asked) {
    host.mute = true;
    host.connect(console->port(), "eth0");
    if (!joined(host) || call("POST", kQueue, json::serialize(asked)).status != 202U) {
      return false;
    }
    return run_until([&] { return host.executed() == 1; });
  }
  /// The same, up to where it waits for a word.
  bool tries_out(FakeHost& host, const json::object& asked) {
    if (!has_silently(host, asked)) { return false; }
    say_confirming(host, 1);
    return shown_as(1, "confirming");
  }
  bool gone(FakeHost& host) {
    host.pull("eth0");
    return run_until([&] { return !online(); });
  }
  bool back(FakeHost& host) {
    host.mute = true;
    host.connect(console->port(), "eth0");
    return joined(host);
  }
  unsigned ask(int n, const std::string& what) {
    return call("POST", kQueue + "/" + nth_id(n) + "/" + what).status;
  }
  /// All that the Console said before this was heard: a command comes behind it.
  bool all_is_heard(FakeHost& host, int n) {
    return call("POST", kQueue, json::serialize(nth_manual(n))).status == 202U &&
           run_until([&] { return host.received.contains(nth_id(n)); });
  }
};

TEST_F(HostCommandsTest, AConfirmThatWasAcceptedReachesTheHostInItsNextSession) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  FakeHost again(io, ca, "hv-01", "install-1", kOtherInstance);
  ASSERT_TRUE(back(again));
  say_stored(again, 1);
  say_confirming(again, 1);
  ASSERT_TRUE(run_until([&] { return again.confirms.contains(nth_id(1)); }));
  ASSERT_TRUE(all_is_heard(again, 2));
  EXPECT_EQ(again.confirms, (std::map<std::string, int>{{nth_id(1), 1}}));
  EXPECT_TRUE(host.confirms.empty());
}

TEST_F(HostCommandsTest, AConfirmIsNotForTheTrialOfAnotherInstallation) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  FakeHost reinstalled(io, ca, "hv-01", "install-2", kOtherInstance);
  ASSERT_TRUE(back(reinstalled));
  say_confirming(reinstalled, 1);
  reinstalled.say(tunnel::Channel::commands, {{"type", "nonsense"}});  // Heard behind it.
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 1; }));
  ASSERT_TRUE(all_is_heard(reinstalled, 2));
  EXPECT_TRUE(reinstalled.confirms.empty());
}

TEST_F(HostCommandsTest, AnAcceptedAbortReachesTheHostInItsNextSessionAndNothingIsConfirmed) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(has_silently(host, nth_command(1)));
  say_stored(host, 1);
  ASSERT_TRUE(shown_as(1, "stored"));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "abort"), 202U);
  FakeHost again(io, ca, "hv-01", "install-1", kOtherInstance);
  ASSERT_TRUE(back(again));
  say_stored(again, 1);
  say_stored(again, 1);
  ASSERT_TRUE(run_until([&] { return again.aborts.contains(nth_id(1)); }));
  say_confirming(again, 1);  // It was begun before the host heard of the abort.
  ASSERT_TRUE(run_until([&] { return again.aborts.at(nth_id(1)) > 1; }));
  ASSERT_TRUE(all_is_heard(again, 2));
  EXPECT_EQ(again.aborts.at(nth_id(1)), 2) << "once as it was stored, once as it was tried out";
  EXPECT_EQ(ask(1, "confirm"), 409U);
  EXPECT_TRUE(again.confirms.empty());
  EXPECT_TRUE(host.aborts.empty());
}

TEST_F(HostCommandsTest, AConfirmThatWasAcceptedIsSaidAfterARestartOfTheConsole) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  EXPECT_TRUE(get(kQueue + "/" + nth_id(1)).at("word").is_null());
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  stop();
  start(port);
  EXPECT_EQ(get(kQueue + "/" + nth_id(1)).at("word"), "confirm");
  FakeHost again(io, ca, "hv-01", "install-1", kOtherInstance);
  ASSERT_TRUE(back(again));
  say_stored(again, 1);
  say_confirming(again, 1);
  EXPECT_TRUE(run_until([&] { return again.confirms.contains(nth_id(1)); }));
  EXPECT_TRUE(host.confirms.empty());
  again.answer(nth_id(1));
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 0; }));
}

TEST_F(HostCommandsTest, AnAbortThatWasAcceptedIsSaidAfterARestartOfTheConsoleAndStands) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(has_silently(host, nth_command(1)));  // The Console itself would confirm it.
  say_stored(host, 1);
  ASSERT_TRUE(shown_as(1, "stored"));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "abort"), 202U);
  stop();
  start(port);
  EXPECT_EQ(ask(1, "abort"), 202U) << "it was accepted before";
  FakeHost again(io, ca, "hv-01", "install-1", kOtherInstance);
  ASSERT_TRUE(back(again));
  say_confirming(again, 1);
  ASSERT_TRUE(run_until([&] { return again.aborts.contains(nth_id(1)); }));
  EXPECT_EQ(ask(1, "confirm"), 409U);
  ASSERT_TRUE(all_is_heard(again, 2));
  EXPECT_TRUE(again.confirms.empty());
  stop();
  start(port);
  FakeHost third(io, ca, "hv-01", "install-1", kOtherInstance + 1);
  ASSERT_TRUE(back(third));
  say_confirming(third, 1);
  EXPECT_TRUE(run_until([&] { return third.aborts.contains(nth_id(1)); }))
      << "until the result, however often";
  EXPECT_TRUE(third.confirms.empty());
}

TEST_F(HostCommandsTest, AConfirmEndsWithItsInstallationOverARestartToo) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  FakeHost reinstalled(io, ca, "hv-01", "install-2", kOtherInstance);
  ASSERT_TRUE(back(reinstalled));
  ASSERT_TRUE(all_is_heard(reinstalled, 2));
  stop();
  start(port);
  EXPECT_TRUE(get(kQueue + "/" + nth_id(1)).at("word").is_null());
  FakeHost again(io, ca, "hv-01", "install-2", kOtherInstance + 1);
  ASSERT_TRUE(back(again));
  say_confirming(again, 1);
  ASSERT_TRUE(shown_as(1, "confirming"));
  ASSERT_TRUE(all_is_heard(again, 3));
  EXPECT_TRUE(again.confirms.empty());
  EXPECT_TRUE(reinstalled.confirms.empty());
}

/// Why: the whole disk of a host was put back to before the command. It knows nothing of it, is
/// sent it again, and tries it out again; what was confirmed may be what broke it.
TEST_F(HostCommandsTest, AConfirmIsNotForASecondTrialOfTheSameCommand) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  FakeHost older(io, ca, "hv-01", "install-1", kOtherInstance);
  ASSERT_TRUE(back(older));
  older.say(tunnel::Channel::commands,
            {{"type", "state"}, {"id", nth_id(1)}, {"state", "applying"}});
  ASSERT_TRUE(shown_as(1, "applying"));
  EXPECT_EQ(ask(1, "confirm"), 409U) << "nobody can have seen it";
  say_confirming(older, 1);
  ASSERT_TRUE(shown_as(1, "confirming"));
  EXPECT_TRUE(older.confirms.empty());
  EXPECT_TRUE(get(kQueue + "/" + nth_id(1)).at("word").is_null());
  EXPECT_EQ(ask(1, "confirm"), 202U);
  EXPECT_TRUE(run_until([&] { return older.confirms.contains(nth_id(1)); }));
}

TEST_F(HostCommandsTest, AConfirmOnDiskCountsWhenTheDiskRefusesTheAbortBesideIt) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  auto beside = store::Database::open(folder.file("console.db"));
  ASSERT_TRUE(beside);
  ASSERT_TRUE(beside->execute(
      "CREATE TRIGGER broken BEFORE UPDATE OF word ON commands WHEN NEW.word='abort'"
      " BEGIN SELECT RAISE(ABORT,'broken'); END"));
  StuckDisk disk(console->db());
  std::map<std::string, unsigned> status;
  for (const std::string what : {"confirm", "abort"}) {
    HttpRequest request;
    request.method = "POST";
    request.target = kQueue + "/" + nth_id(1) + "/" + what;
    request.authorization = "Bearer " + std::string(kToken);
    const std::size_t before = console->db().pending();
    boost::asio::co_spawn(io, console->api.answer(request),
                          [&status, what](std::exception_ptr, HttpResponse response) {
                            status[what] = response.status;
                          });
    ASSERT_TRUE(run_until([&] { return console->db().pending() > before; }));
  }
  disk.open();
  ASSERT_TRUE(run_until([&] { return status.size() == 2; }));
  EXPECT_EQ(status["confirm"], 409U) << "an abort was on its way";
  EXPECT_EQ(status["abort"], 500U);
  EXPECT_EQ(get(kQueue + "/" + nth_id(1)).at("word"), "confirm");
  EXPECT_TRUE(run_until([&] { return host.confirms.contains(nth_id(1)); })) << "as it is on disk";
  EXPECT_TRUE(host.aborts.empty());
}

TEST_F(HostCommandsTest, AWordThatTheDiskDoesNotTakeIsNeitherAcceptedNorSaid) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(has_silently(host, nth_command(1)));
  say_stored(host, 1);
  ASSERT_TRUE(shown_as(1, "stored"));
  auto beside = store::Database::open(folder.file("console.db"));
  ASSERT_TRUE(beside);
  ASSERT_TRUE(
      beside->execute("CREATE TRIGGER broken BEFORE UPDATE OF word ON commands BEGIN"
                      " SELECT RAISE(ABORT,'broken'); END"));
  EXPECT_EQ(ask(1, "abort"), 500U);
  say_confirming(host, 1);
  ASSERT_TRUE(run_until([&] { return host.confirms.contains(nth_id(1)); }))
      << "it was not aborted: its trial is confirmed as any";
  EXPECT_TRUE(host.aborts.empty());
  EXPECT_EQ(ask(1, "confirm"), 500U);
  ASSERT_TRUE(beside->execute("DROP TRIGGER broken"));
  EXPECT_EQ(ask(1, "abort"), 202U);
  EXPECT_TRUE(run_until([&] { return host.aborts.contains(nth_id(1)); }));
}

TEST_F(HostCommandsTest, WhileAnAbortIsOnItsWayToTheDiskNothingIsConfirmed) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(has_silently(host, nth_command(1)));
  say_stored(host, 1);
  ASSERT_TRUE(shown_as(1, "stored"));
  StuckDisk disk(console->db());
  HttpRequest request;
  request.method = "POST";
  request.target = kQueue + "/" + nth_id(1) + "/abort";
  request.authorization = "Bearer " + std::string(kToken);
  std::optional<unsigned> status;
  boost::asio::co_spawn(
      io, console->api.answer(request),
      [&](std::exception_ptr, HttpResponse response) { status = response.status; });
  const std::size_t before = console->db().pending();
  ASSERT_TRUE(run_until([&] { return console->db().pending() > before; }));
  say_confirming(host, 1);
  host.say(tunnel::Channel::commands, {{"type", "nonsense"}});  // Heard behind it.
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 1; }));
  EXPECT_FALSE(status) << "not accepted before it is on disk";
  EXPECT_TRUE(host.aborts.empty());
  disk.open();
  ASSERT_TRUE(run_until([&] { return status.has_value(); }));
  EXPECT_EQ(*status, 202U);
  ASSERT_TRUE(run_until([&] { return host.aborts.contains(nth_id(1)); }));
  EXPECT_TRUE(host.confirms.empty());
}

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

TEST_F(HostCommandsTest, AConfirmThatWaitsForTheHostDoesNotGoAheadOfALaterAbort) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  EXPECT_EQ(ask(1, "abort"), 202U);
  ASSERT_TRUE(back(host));
  EXPECT_EQ(host.sessions_started, 1) << "it is resumed, with what waited";
  ASSERT_TRUE(run_until([&] { return host.aborts.contains(nth_id(1)); }));
  say_confirming(host, 1);
  ASSERT_TRUE(run_until([&] { return host.aborts.at(nth_id(1)) == 2; }));
  ASSERT_TRUE(all_is_heard(host, 2));
  EXPECT_TRUE(host.confirms.empty());
  EXPECT_EQ(console->host("hv-01")->held_bytes(), 0U);
}

TEST_F(HostCommandsTest, AConfirmThatWaitsForTheHostReachesItWhenItIsBack) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  ASSERT_TRUE(back(host));
  EXPECT_TRUE(run_until([&] { return host.confirms.contains(nth_id(1)); }));
}

TEST_F(HostCommandsTest, AfterAReinstallNothingIsConfirmedThatNobodyHasSeen) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(tries_out(host, nth_manual(1)));
  ASSERT_TRUE(gone(host));
  FakeHost reinstalled(io, ca, "hv-01", "install-2", kOtherInstance);
  ASSERT_TRUE(back(reinstalled));
  EXPECT_EQ(ask(1, "confirm"), 409U);
  EXPECT_TRUE(shown_as(1, "sent"));
  EXPECT_EQ(ask(1, "abort"), 409U) << "it may be on its way, or on the disk of the one before";
  say_confirming(reinstalled, 1);
  ASSERT_TRUE(shown_as(1, "confirming"));
  EXPECT_EQ(ask(1, "confirm"), 202U);
  EXPECT_TRUE(run_until([&] { return reinstalled.confirms.contains(nth_id(1)); }));
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
