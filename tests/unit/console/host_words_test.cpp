// An operator's word about a command: it outlives a session and the Console, and is for the trial
// that was seen.
#include "host_commands_fixture.hpp"

namespace edge::console {
namespace {

class HostWordsTest : public HostCommandsTest {
 protected:
  /// It tries out its first command and is gone; then somebody confirms it.
  bool goes_and_is_confirmed(FakeHost& host) {
    return tries_out(host, nth_manual(1)) && gone(host) && ask(1, "confirm") == 202U;
  }
};

TEST_F(HostWordsTest, AConfirmThatWasAcceptedReachesTheHostInItsNextSession) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(goes_and_is_confirmed(host));
  FakeHost again(io, ca, "hv-01", "install-1", kOtherInstance);
  ASSERT_TRUE(back(again));
  say_stored(again, 1);
  say_confirming(again, 1);
  ASSERT_TRUE(run_until([&] { return again.confirms.contains(nth_id(1)); }));
  ASSERT_TRUE(all_is_heard(again, 2));
  EXPECT_EQ(again.confirms, (std::map<std::string, int>{{nth_id(1), 1}}));
  EXPECT_TRUE(host.confirms.empty());
}

TEST_F(HostWordsTest, AConfirmIsNotForTheTrialOfAnotherInstallation) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(goes_and_is_confirmed(host));
  FakeHost reinstalled(io, ca, "hv-01", "install-2", kOtherInstance);
  ASSERT_TRUE(back(reinstalled));
  say_confirming(reinstalled, 1);
  reinstalled.say(tunnel::Channel::commands, {{"type", "nonsense"}});  // Heard behind it.
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 1; }));
  ASSERT_TRUE(all_is_heard(reinstalled, 2));
  EXPECT_TRUE(reinstalled.confirms.empty());
}

TEST_F(HostWordsTest, AnAcceptedAbortReachesTheHostInItsNextSessionAndNothingIsConfirmed) {
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

TEST_F(HostWordsTest, AConfirmThatWasAcceptedIsSaidAfterARestartOfTheConsole) {
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

TEST_F(HostWordsTest, AnAbortThatWasAcceptedIsSaidAfterARestartOfTheConsoleAndStands) {
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

TEST_F(HostWordsTest, AConfirmEndsWithItsInstallationOverARestartToo) {
  start();
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(goes_and_is_confirmed(host));
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
TEST_F(HostWordsTest, AConfirmIsNotForASecondTrialOfTheSameCommand) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(goes_and_is_confirmed(host));
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

TEST_F(HostWordsTest, AConfirmOnDiskCountsWhenTheDiskRefusesTheAbortBesideIt) {
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

TEST_F(HostWordsTest, AWordThatTheDiskDoesNotTakeIsNeitherAcceptedNorSaid) {
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

TEST_F(HostWordsTest, WhileAnAbortIsOnItsWayToTheDiskNothingIsConfirmed) {
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

TEST_F(HostWordsTest, AConfirmThatWaitsForTheHostDoesNotGoAheadOfALaterAbort) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(goes_and_is_confirmed(host));
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

TEST_F(HostWordsTest, AConfirmThatWaitsForTheHostReachesItWhenItIsBack) {
  start();
  FakeHost host(io, ca, "hv-01");
  ASSERT_TRUE(goes_and_is_confirmed(host));
  ASSERT_TRUE(back(host));
  EXPECT_TRUE(run_until([&] { return host.confirms.contains(nth_id(1)); }));
}

TEST_F(HostWordsTest, AfterAReinstallNothingIsConfirmedThatNobodyHasSeen) {
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

}  // namespace
}  // namespace edge::console
