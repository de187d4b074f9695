// The Console's database: commands once, the first result stands, events once and in order.
#include "console_db_fixture.hpp"

namespace edge::console {
namespace {

TEST_F(ConsoleDbTest, TheSameCommandIsKnownWhateverItsKeyOrder) {
  EXPECT_EQ(db.add_command("hv-01", kCommand, R"({"a":1,"b":[2]})", kNow)->added, Added::fresh);
  const auto again =
      db.add_command("hv-01", kCommand, R"({ "b": [2], "a": 1 })", kNow + 1s).value();
  EXPECT_EQ(again.added, Added::known);
  EXPECT_EQ(again.row.queued, kNow);
  EXPECT_EQ(again.row.message, R"({"a":1,"b":[2]})")
      << "the host must see the same bytes each time";
  EXPECT_EQ(db.add_command("hv-01", kCommand, R"({"a":1,"b":[3]})", kNow)->added, Added::id_reuse);
  EXPECT_EQ(db.add_command("hv-02", kCommand, R"({"a":2})", kNow)->added, Added::fresh)
      << "ids are per host";
  EXPECT_EQ(db.unfinished()->size(), 2U);
}

TEST_F(ConsoleDbTest, TheFirstResultStands) {
  ASSERT_TRUE(db.add_command("hv-01", kCommand, "{}", kNow));
  EXPECT_EQ(db.finish_command("hv-01", kCommand, CommandState::done, R"({"revision":2})", kNow + 1s)
                ->state,
            CommandState::done);
  const auto second =
      db.finish_command("hv-01", kCommand, CommandState::refused, "{}", kNow + 2s).value();
  EXPECT_EQ(second.state, CommandState::done);
  EXPECT_EQ(second.result, R"({"revision":2})");
  EXPECT_EQ(second.finished, kNow + 1s);
  EXPECT_TRUE(db.unfinished()->empty());
}

TEST_F(ConsoleDbTest, AResultOfTheHostsOwnCommandIsKept) {
  ASSERT_TRUE(db.finish_command("hv-01", kCommand, CommandState::done, "{}", kNow));
  EXPECT_EQ(db.command("hv-01", kCommand).value()->state, CommandState::done);
}

TEST_F(ConsoleDbTest, EventsAreKeptOnceAndInOrder) {
  const EventRow first[]{event(1), event(2)};
  const EventRow second[]{event(2), event(3)};
  const EventRow other[]{event(1, "hv-02")};
  EXPECT_EQ(db.add_events(first)->seq, 2);
  EXPECT_EQ(db.add_events(second)->stored, 1);
  EXPECT_EQ(db.add_events(other)->last, 1);
  const auto found = db.events_of("hv-01", 1, 10)->rows;
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].n, 2);
  EXPECT_EQ(found[1].n, 3);
  const auto all = db.events_since(0, 10).value();
  ASSERT_EQ(all.size(), 4U);
  for (std::size_t i = 1; i < all.size(); ++i) { EXPECT_GT(all[i].seq, all[i - 1].seq); }
}

TEST_F(ConsoleDbTest, ANumberThatIsGivenAgainIsAnotherEventAndFollowsTheHighest) {
  db = ConsoleDb::open(":memory:").value();
  const EventRow first[]{event(1), event(2), event(3), event(4)};
  ASSERT_TRUE(db.add_events(first));
  EventRow third = event(3);
  third.data = R"({"other":1})";
  EventRow fourth = event(4);
  fourth.time_text = "2026-01-01T00:00:01Z";
  const EventRow again[]{event(2), third, fourth, third};
  const EventsAdded added = db.add_events(again, kNow).value();
  EXPECT_EQ(added.stored, 2);
  EXPECT_EQ(added.put_back, 1);
  EXPECT_EQ(added.last, 6);
  EXPECT_EQ(added.line.branches(),
            (std::vector<EventLine::Branch>{{.from = 3, .shift = 2, .time = kNow}}));
  const auto rows = db.events_of("hv-01", 4, 10)->rows;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].data, third.data);
  EXPECT_EQ(rows[1].time_text, fourth.time_text);
  EXPECT_EQ(db.events_of("hv-01", 0, 4)->rows[2].data, "{}") << "what was there stays";
  EXPECT_EQ(db.add_events(again)->stored, 0) << "in each session after that, too";
}

TEST_F(ConsoleDbTest, ANumberWhoseEventWasPrunedIsNoRepetition) {
  for (std::int64_t n = 1; n <= 9; ++n) {
    const EventRow one[]{event(n)};
    ASSERT_TRUE(db.add_events(one));
  }
  ASSERT_TRUE(db.prune());
  const EventRow old[]{event(2)};
  const EventsAdded added = db.add_events(old, kNow).value();
  EXPECT_EQ(added.put_back, 1);
  EXPECT_EQ(added.last, 10);
}

TEST_F(ConsoleDbTest, AfterAStoreWasPutBackNumbersRunAwayNoFasterThanBefore) {
  const EventRow first[]{event(1), event(2)};
  ASSERT_TRUE(db.add_events(first));
  EventRow other = event(1);
  other.kind = "other";
  const EventRow far[]{other, event(ConsoleDb::event_hole_end + 10), event(2)};
  const EventsAdded added = db.add_events(far, kNow).value();
  EXPECT_EQ(added.refused, 1);
  EXPECT_EQ(added.stored, 2);
  EXPECT_EQ(added.last, 4);
}

TEST_F(ConsoleDbTest, AnAbortIsNeverTakenBackAndAFinishedCommandGetsNoWord) {
  const HostRow host{.id = "hv-01", .install_id = "i-1"};
  const auto word = [this] { return db.command("hv-01", kCommand).value()->word; };
  EXPECT_FALSE(db.put_word(host, kCommand, Word::confirm).value()) << "there is none";
  ASSERT_TRUE(db.add_command("hv-01", kCommand, "{}", kNow));
  EXPECT_EQ(word(), Word::none);
  EXPECT_TRUE(db.put_word(host, kCommand, Word::confirm).value());
  EXPECT_EQ(word(), Word::confirm);
  ASSERT_TRUE(db.end_confirm("hv-01", kCommand));
  EXPECT_EQ(word(), Word::none);
  EXPECT_TRUE(db.put_word(host, kCommand, Word::abort).value());
  EXPECT_FALSE(db.put_word(host, kCommand, Word::confirm).value());
  ASSERT_TRUE(db.end_confirm("hv-01", kCommand));
  EXPECT_EQ(word(), Word::abort);
  EXPECT_EQ(db.unfinished()->front().word, Word::abort);
  ASSERT_TRUE(db.finish_command("hv-01", kCommand, CommandState::rolled_back, "{}", kNow));
  EXPECT_FALSE(db.put_word(host, kCommand, Word::abort).value());
}

TEST_F(ConsoleDbTest, AnotherInstallationEndsConfirmsAndNoAborts) {
  const std::string aborted = "0192f0c1-2345-4678-89ab-cdef01234568";
  HostRow host;
  host.id = "hv-01";
  host.install_id = "i-1";
  const HostRow other{.id = "hv-02", .install_id = "i-3"};
  ASSERT_TRUE(db.put_host(host));
  ASSERT_TRUE(db.add_command("hv-01", kCommand, "{}", kNow));
  ASSERT_TRUE(db.add_command("hv-01", aborted, "{}", kNow));
  ASSERT_TRUE(db.add_command("hv-02", kCommand, "{}", kNow));
  ASSERT_TRUE(db.put_word(host, kCommand, Word::confirm).value());
  ASSERT_TRUE(db.put_word(host, aborted, Word::abort).value());
  ASSERT_TRUE(db.put_word(other, kCommand, Word::confirm).value());
  ASSERT_TRUE(db.put_host(host));
  EXPECT_EQ(db.command("hv-01", kCommand).value()->word, Word::confirm) << "it is the same one";
  host.install_id = "i-2";
  ASSERT_TRUE(db.put_host(host));
  EXPECT_EQ(db.command("hv-01", kCommand).value()->word, Word::none);
  EXPECT_EQ(db.command("hv-01", aborted).value()->word, Word::abort);
  EXPECT_EQ(db.command("hv-02", kCommand).value()->word, Word::confirm);

  ASSERT_TRUE(db.put_word(host, kCommand, Word::confirm).value());
  ASSERT_TRUE(db.put_host(host));
  EXPECT_EQ(db.command("hv-01", kCommand).value()->word, Word::confirm);
}

TEST_F(ConsoleDbTest, AConfirmForANewInstallationThatWasNotWrittenYetStays) {
  HostRow host;
  host.id = "hv-01";
  host.install_id = "i-1";
  ASSERT_TRUE(db.put_host(host));
  ASSERT_TRUE(db.add_command("hv-01", kCommand, "{}", kNow));
  host.install_id = "i-2";  // The disk did not take it when the host came.
  ASSERT_TRUE(db.put_word(host, kCommand, Word::confirm).value());
  ASSERT_TRUE(db.put_host(host));
  EXPECT_EQ(db.command("hv-01", kCommand).value()->word, Word::confirm);
}

TEST_F(ConsoleDbTest, AnOrderOfARenewalStaysWhateverElseIsWrittenOfTheHost) {
  HostRow host;
  host.id = "hv-01";
  HostRow ordered = host;
  ordered.renewal = RenewalOrder{
      .state = RenewalOrder::State::sent, .ordered = kNow, .ended = std::nullopt, .said = {}};
  ASSERT_TRUE(db.put_renewal(ordered)) << "of a host that is not in the table yet, too";
  ASSERT_TRUE(db.put_host(host));
  const auto order = [this] { return db.hosts()->front().renewal; };
  ASSERT_TRUE(order());
  EXPECT_EQ(order()->state, RenewalOrder::State::sent);
  EXPECT_EQ(order()->ordered, kNow);
  EXPECT_FALSE(order()->ended);
  ordered.renewal->state = RenewalOrder::State::refused;
  ordered.renewal->ended = kNow + 1s;
  ordered.renewal->said = "proving: no path";
  ASSERT_TRUE(db.put_renewal(ordered));
  EXPECT_EQ(order()->state, RenewalOrder::State::refused);
  EXPECT_EQ(order()->ended, kNow + 1s);
  EXPECT_EQ(order()->said, "proving: no path");
}

TEST_F(ConsoleDbTest, AListOfEventsEndsAtItsBytesOrAtItsLimitAndSaysSo) {
  db = ConsoleDb::open(":memory:", {.recent_bytes_max = 10}).value();
  EXPECT_FALSE(db.events_of("hv-01", 0, 2)->more) << "none at all";
  for (std::int64_t n = 1; n <= 2; ++n) {
    EventRow large = event(n);
    large.data = R"({"a":"12345"})";
    const EventRow one[]{large};
    ASSERT_TRUE(db.add_events(one));
  }
  const auto cut = db.events_of("hv-01", 0, 10).value();
  ASSERT_EQ(cut.rows.size(), 1U) << "one of any size";
  EXPECT_EQ(cut.rows.front().n, 1) << "oldest first";
  EXPECT_TRUE(cut.more);
  EXPECT_FALSE(db.events_of("hv-01", 1, 10)->more);

  db = ConsoleDb::open(":memory:").value();
  const EventRow two[]{event(1), event(2)};
  ASSERT_TRUE(db.add_events(two));
  EXPECT_FALSE(db.events_of("hv-01", 0, 2)->more);
  EXPECT_EQ(db.events_of("hv-01", 0, 1)->rows.size(), 1U);
  EXPECT_TRUE(db.events_of("hv-01", 0, 1)->more);
}

TEST_F(ConsoleDbTest, AListOfCommandsEndsAtItsBytesOrAtItsLimitAndSaysSo) {
  db = ConsoleDb::open(":memory:").value();
  const auto id = [](int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); };
  for (int n = 1; n <= 20; ++n) {
    ASSERT_TRUE(db.add_command("hv-01", id(n), R"({"a":1})", kNow));
    const std::string result = "\"" + std::string((1U << 20) - 2, 'x') + "\"";
    ASSERT_TRUE(db.finish_command("hv-01", id(n), CommandState::done, result, kNow));
  }
  const auto large = db.recent_commands("hv-01", 1000).value();
  ASSERT_EQ(large.rows.size(), 3U) << "with their messages four are above 4 MiB";
  EXPECT_EQ(large.rows.front().id, id(20)) << "newest first";
  EXPECT_TRUE(large.more);
  EXPECT_TRUE(db.recent_commands("hv-01", 2)->more);

  db = ConsoleDb::open(":memory:", {.recent_bytes_max = 10}).value();
  EXPECT_FALSE(db.recent_commands("hv-01", 2)->more) << "none at all";
  for (int n = 1; n <= 2; ++n) {
    ASSERT_TRUE(db.add_command("hv-01", id(n), R"({"a":"123"})", kNow));
  }
  EXPECT_EQ(db.recent_commands("hv-01", 2)->rows.size(), 1U) << "one of any size";
  EXPECT_TRUE(db.recent_commands("hv-01", 2)->more);

  db = ConsoleDb::open(":memory:").value();
  for (int n = 1; n <= 2; ++n) { ASSERT_TRUE(db.add_command("hv-01", id(n), "{}", kNow)); }
  EXPECT_FALSE(db.recent_commands("hv-01", 2)->more);
  EXPECT_EQ(db.recent_commands("hv-01", 1)->rows.size(), 1U);
  EXPECT_TRUE(db.recent_commands("hv-01", 1)->more);
}

TEST(ConsoleClock, TimeRoundTripsAndNonsenseIsRefused) {
  EXPECT_EQ(to_iso8601(kNow), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(parse_iso8601("2023-11-14T22:13:20.000Z"), kNow);
  EXPECT_EQ(parse_iso8601("2023-11-14T22:13:20Z"), kNow);
  EXPECT_EQ(parse_iso8601("2023-11-14T22:13:20.5Z"), kNow + 500ms);
  EXPECT_EQ(parse_iso8601("2023-11-14T22:13:20.123456Z"), kNow + 123ms);
  EXPECT_EQ(parse_iso8601("2023-11-14T23:13:20+01:00"), kNow) << "as the host reads it";
  for (const char* bad : {"", "soon", "2023-11-14", "2023-13-14T22:13:20Z", "2023-02-30T00:00:00Z",
                          "2023-11-14T25:13:20Z", "2023-11-14T22:13:20", "2023-11-14T22:13:20.Z",
                          "2023-11-14T22:13:20+24:00"}) {
    EXPECT_FALSE(parse_iso8601(bad)) << bad;
  }
}

}  // namespace
}  // namespace edge::console
