// The Console's database: commands once, the first result stands, events once and in order.
#include "console/console_db.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "console/clock.hpp"
#include "tests/unit/store/temp_folder.hpp"

namespace edge::console {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};
constexpr std::string_view kCommand = "0192f0c1-2345-4678-89ab-cdef01234567";

EventRow event(std::int64_t n, std::string host = "hv-01") {
  return {.seq = 0,
          .host = std::move(host),
          .n = n,
          .time = kNow,
          .time_text = "2026-01-01T00:00:00Z",
          .kind = "k",
          .data = "{}"};
}

class ConsoleDbTest : public testing::Test {
 protected:
  ConsoleDb db = ConsoleDb::open(":memory:", {.events_per_host_max = 5, .commands_max = 3}).value();
};

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

TEST_F(ConsoleDbTest, PruneKeepsTheNewestAndEverythingUnfinished) {
  for (std::int64_t n = 1; n <= 9; ++n) {
    const EventRow one[]{event(n)};
    ASSERT_TRUE(db.add_events(one));
    const std::string id = "00000000-0000-4000-8000-00000000000" + std::to_string(n);
    ASSERT_TRUE(db.add_command("hv-01", id, R"({"a":1})", kNow));
    if (n != 1) { ASSERT_TRUE(db.finish_command("hv-01", id, CommandState::done, "{}", kNow)); }
  }
  EXPECT_EQ(db.prune()->dropped, 4 + 5);
  EXPECT_EQ(db.events_of("hv-01", 0, 100)->rows.front().n, 5);
  EXPECT_EQ(db.unfinished()->size(), 1U);
  EXPECT_EQ(db.recent_commands("hv-01", 100)->rows.size(), 4U);
  EXPECT_EQ(db.prune()->dropped, 0) << "nobody wrote since";
}

TEST_F(ConsoleDbTest, EachTurnOfPruneTakesItsShareOfTheHostsThatWrote) {
  db = ConsoleDb::open(":memory:", {.events_per_host_max = 2, .prune_hosts_max = 2}).value();
  const auto write = [this](const std::string& host, std::int64_t first) {
    for (std::int64_t n = first; n < first + 3; ++n) {
      const EventRow one[]{event(n, host)};
      ASSERT_TRUE(db.add_events(one));
    }
  };
  for (const char* host : {"hv-01", "hv-02", "hv-03"}) { write(host, 1); }
  const Pruned first = db.prune().value();
  EXPECT_EQ(first.dropped, 2);
  EXPECT_TRUE(first.more);
  write("hv-01", 4);
  const Pruned second = db.prune().value();
  EXPECT_EQ(second.dropped, 1) << "the one that had no turn, before the one that wrote again";
  EXPECT_FALSE(second.more);
  EXPECT_EQ(db.events_of("hv-03", 0, 10)->rows.front().n, 2);
  EXPECT_EQ(db.prune()->dropped, 3);
  EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.front().n, 5);
}

TEST_F(ConsoleDbTest, ATurnOfPruneForgetsNothingOfWhatAHostWrote) {
  db =
      ConsoleDb::open(":memory:", {.event_bytes_per_host_max = 10'000, .unpruned_bytes_max = 2'000})
          .value();
  EventRow large = event(1);
  large.data = "\"" + std::string(998, 'x') + "\"";
  for (; large.n <= 100; ++large.n) {
    const EventRow one[]{large};
    ASSERT_TRUE(db.add_events(one));
    ASSERT_TRUE(db.prune());
    ASSERT_LE(db.events_of("hv-01", 0, 1000)->rows.size(), 12U) << "10,000 bytes, and 2,000 more";
  }
}

TEST_F(ConsoleDbTest, WhatATransactionThatFailedPrunedIsPrunedAgain) {
  db = ConsoleDb::open(":memory:", {.events_per_host_max = 2, .unpruned_events_max = 6}).value();
  for (std::int64_t n = 1; n <= 5; ++n) {
    const EventRow one[]{event(n)};
    ASSERT_TRUE(db.add_events(one));
  }
  const Result<void> turn = db.together([this]() -> Result<void> {
    EXPECT_EQ(db.prune()->dropped, 3);
    return fail(Errc::no_space, "the disk is full");
  });
  ASSERT_FALSE(turn);
  EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.size(), 5U);
  EXPECT_EQ(db.prune()->dropped, 3);

  const EventRow more[]{event(6), event(7)};
  const Result<void> write = db.together([this, &more]() -> Result<void> {
    EXPECT_TRUE(db.add_events(more));
    EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.size(), 2U) << "with them it has said enough";
    return fail(Errc::no_space, "the disk is full");
  });
  ASSERT_FALSE(write);
  EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.back().n, 5);
  ASSERT_TRUE(db.add_events(more));
  EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.size(), 2U);
}

TEST_F(ConsoleDbTest, TheOwnCommandsOfAHostPushOutNoneThatWasSentToAnother) {
  ASSERT_TRUE(db.add_command("hv-01", kCommand, R"({"a":1})", kNow));
  ASSERT_TRUE(db.finish_command("hv-01", kCommand, CommandState::done, "{}", kNow));
  for (int n = 1; n <= 10; ++n) {
    const std::string id = fmt::format("00000000-0000-4000-8000-{:012}", n);
    ASSERT_TRUE(db.finish_command("hv-02", id, CommandState::done, "{}", kNow));
  }
  EXPECT_EQ(db.prune()->dropped, 0);
  EXPECT_TRUE(db.command("hv-01", kCommand).value()) << "three such may stay";
}

TEST_F(ConsoleDbTest, ATurnOfPruneTakesOnlySomeOfTheCommandsAndSaysThatMoreAreLeft) {
  db = ConsoleDb::open(":memory:", {.commands_max = 2, .commands_per_turn = 3}).value();
  const auto id = [](int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); };
  for (int n = 1; n <= 10; ++n) {
    ASSERT_TRUE(db.add_command("hv-01", id(n), R"({"a":1})", kNow));
    ASSERT_TRUE(db.finish_command("hv-01", id(n), CommandState::done, "{}", kNow));
  }
  for (const std::int64_t share : {3, 3, 2}) {
    const Pruned turn = db.prune().value();
    EXPECT_EQ(turn.dropped, share);
    EXPECT_EQ(turn.more, share == 3);
  }
  const auto kept = db.recent_commands("hv-01", 100).value().rows;
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept.back().id, id(9));
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

TEST_F(ConsoleDbTest, AResultUsesUpNoNumberOfTheCommands) {
  const std::string other = "0192f0c1-2345-4678-89ab-cdef01234568";
  const auto first = db.add_command("hv-01", kCommand, R"({"a":1})", kNow).value();
  ASSERT_TRUE(db.finish_command("hv-01", kCommand, CommandState::done, "{}", kNow));
  ASSERT_TRUE(db.finish_command("hv-01", kCommand, CommandState::done, "{}", kNow));
  const auto second = db.add_command("hv-01", other, R"({"a":1})", kNow).value();
  EXPECT_EQ(second.row.seq, first.row.seq + 1);
}

TEST_F(ConsoleDbTest, AHostThatSaysMuchAtOnceIsPrunedAtOnce) {
  db = ConsoleDb::open(":memory:", {.events_per_host_max = 50,
                                    .event_bytes_per_host_max = 10'000,
                                    .unpruned_events_max = 20,
                                    .unpruned_bytes_max = 2'000})
           .value();
  const EventRow other[]{event(1, "hv-02")};
  ASSERT_TRUE(db.add_events(other));
  const auto kept = [this] { return db.events_of("hv-01", 0, 1000).value().rows; };
  for (std::int64_t n = 1; n <= 200; ++n) {
    const EventRow one[]{event(n)};
    ASSERT_TRUE(db.add_events(one));
    ASSERT_LE(kept().size(), 50U + 20U);
  }
  EXPECT_EQ(kept().back().n, 200);
  for (std::int64_t n = 201; n <= 240; ++n) {
    EventRow large = event(n);
    large.data = "\"" + std::string(998, 'x') + "\"";
    const EventRow one[]{large};
    ASSERT_TRUE(db.add_events(one));
  }
  EXPECT_LE(kept().size(), 12U);
  EXPECT_EQ(kept().back().n, 240);
  EXPECT_EQ(db.events_of("hv-02", 0, 10)->rows.size(), 1U) << "nobody else's";
}

TEST_F(ConsoleDbTest, AHostsOwnCommandsTakeNobodysPlace) {
  db = ConsoleDb::open(":memory:", {.own_per_host_max = 3}).value();
  const auto id = [](int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); };
  ASSERT_TRUE(db.add_command("hv-01", kCommand, R"({"a":1})", kNow));
  ASSERT_TRUE(db.finish_command("hv-01", kCommand, CommandState::done, "{}", kNow));
  for (int n = 1; n <= 5; ++n) {
    ASSERT_TRUE(db.finish_command("hv-02", id(n), CommandState::done, "{}", kNow));
  }
  EXPECT_EQ(db.prune()->dropped, 2);
  EXPECT_EQ(db.recent_commands("hv-02", 100)->rows.size(), 3U);
  EXPECT_EQ(db.recent_commands("hv-02", 100)->rows.front().id, id(5));
  EXPECT_TRUE(db.command("hv-01", kCommand).value()) << "one that was sent";
}

TEST(ConsoleDbFile, EverythingIsThereAfterReopening) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  {
    auto db = ConsoleDb::open(path).value();
    HostRow host;
    host.id = "hv-01";
    host.install_id = "i";
    host.event_base = 7;
    host.first_seen = kNow;
    host.changed = kNow + 1s;
    ASSERT_TRUE(db.put_host(host));
    ASSERT_TRUE(db.put_snapshot("hv-01", "{\"revision\":1}", kNow));
    ASSERT_TRUE(db.add_command("hv-01", kCommand, "{}", kNow));
    const EventRow one[]{event(10)};
    ASSERT_TRUE(db.add_events(one));
    EventRow other = event(10);
    other.kind = "other";
    const EventRow two[]{other};
    ASSERT_TRUE(db.add_events(two, kNow));
    ASSERT_TRUE(db.put_word(host, kCommand, Word::confirm).value());
  }
  auto db = ConsoleDb::open(path).value();
  const auto hosts = db.hosts().value();
  ASSERT_EQ(hosts.size(), 1U);
  EXPECT_EQ(hosts[0].event_base, 7);
  EXPECT_EQ(hosts[0].last_event, 11);
  EXPECT_EQ(hosts[0].event_line.n_of(10), 11);
  EXPECT_EQ(db.unfinished()->front().word, Word::confirm);
  EXPECT_EQ(hosts[0].snapshot, "{\"revision\":1}");
  EXPECT_EQ(hosts[0].changed, kNow + 1s);
  EXPECT_EQ(db.unfinished()->size(), 1U);
  EXPECT_EQ(db.last_seq().value(), 2);
}

TEST(ConsoleDbFile, PruneReadsNoTableFromEndToEnd) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  ASSERT_TRUE(ConsoleDb::open(path));
  auto file = store::Database::open(path).value();
  std::string all;
  for (const std::string_view statement : ConsoleDb::prune_statements()) {
    auto plan = file.query(fmt::format("EXPLAIN QUERY PLAN {}", statement)).value();
    while (plan.step().value()) { all += plan.text(3) + "\n"; }
  }
  // Of the commands an index is walked over, which has their numbers alone.
  const std::string walk = "SCAN commands USING INDEX commands_ended";
  ASSERT_NE(all.find(walk), std::string::npos) << all;
  all.erase(all.find(walk), walk.size());
  EXPECT_EQ(all.find("SCAN"), std::string::npos) << all;
  EXPECT_NE(all.find("SEARCH events"), std::string::npos) << all;
  EXPECT_NE(all.find("commands_own (host=? AND seq<?)"), std::string::npos) << all;
}

TEST(ConsoleDbFile, WhatWasNotPrunedBeforeTheEndIsPrunedAfterTheStart) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  const DbLimits limits{.events_per_host_max = 2};
  {
    auto db = ConsoleDb::open(path, limits).value();
    HostRow host;
    host.id = "hv-01";
    ASSERT_TRUE(db.put_host(host));
    for (std::int64_t n = 1; n <= 5; ++n) {
      const EventRow one[]{event(n)};
      ASSERT_TRUE(db.add_events(one));
    }
  }
  auto db = ConsoleDb::open(path, limits).value();
  EXPECT_EQ(db.prune()->dropped, 3);
  EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.front().n, 4);
  EXPECT_EQ(db.last_event("hv-01").value(), 5);
  EXPECT_EQ(db.last_event("hv-02").value(), 0);
}

TEST(ConsoleDbFile, ARevocationStaysUntilItIsLiftedWhateverElseIsWrittenOfTheHost) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  HostRow host;
  host.id = "hv-01";
  host.first_seen = kNow;
  host.changed = kNow;
  HostRow gone = host;
  gone.revoked = Revocation{.time = kNow + 2s, .reason = "stolen"};
  {
    auto db = ConsoleDb::open(path).value();
    ASSERT_TRUE(db.put_revocation(gone)) << "of a host that is not in the table yet, too";
    host.changed = kNow + 5s;
    ASSERT_TRUE(db.put_host(host));
  }
  {
    auto db = ConsoleDb::open(path).value();
    const auto hosts = db.hosts().value();
    ASSERT_EQ(hosts.size(), 1U);
    ASSERT_TRUE(hosts[0].revoked);
    EXPECT_EQ(hosts[0].revoked->time, kNow + 2s);
    EXPECT_EQ(hosts[0].revoked->reason, "stolen");
    EXPECT_EQ(hosts[0].changed, kNow + 5s);
    ASSERT_TRUE(db.put_revocation(host));
  }
  EXPECT_FALSE(ConsoleDb::open(path)->hosts()->front().revoked);
}

/// The schemas as they were released, not as the program has them today.
constexpr const char* kSchema1 =
    "CREATE TABLE hosts(id TEXT PRIMARY KEY, install_id TEXT NOT NULL, event_base INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL, software TEXT NOT NULL, first_seen INTEGER NOT NULL, changed INTEGER "
    "NOT NULL,"
    " snapshot TEXT NOT NULL DEFAULT '', snapshot_time INTEGER) WITHOUT ROWID;"
    "CREATE TABLE commands(seq INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, id TEXT NOT "
    "NULL,"
    " message TEXT NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL DEFAULT '', queued INTEGER "
    "NOT NULL,"
    " finished INTEGER, UNIQUE(host,id));"
    "CREATE INDEX commands_open ON commands(seq) WHERE finished IS NULL;"
    "CREATE INDEX commands_host ON commands(host,seq);"
    "CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, n INTEGER NOT "
    "NULL,"
    " time INTEGER NOT NULL, time_text TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL, "
    "UNIQUE(host,n));"
    "INSERT INTO hosts VALUES('hv-01','i-1',7,'b','uplinkd 1',3,4,'{\"revision\":5}',4);"
    "INSERT INTO commands(host,id,message,state,queued) VALUES('hv-01',"
    "'0192f0c1-2345-4678-89ab-cdef01234567','{\"a\":1}','queued',3);"
    "INSERT INTO events(host,n,time,time_text,kind,data) VALUES('hv-01',11,3,'t','k','{}');"
    "PRAGMA user_version=1";
constexpr const char* kSchema2 =
    "CREATE TABLE forwards(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " host TEXT NOT NULL, listen TEXT NOT NULL UNIQUE, target TEXT NOT NULL, created INTEGER NOT "
    "NULL);"
    "INSERT INTO forwards(id,host,listen,target,created) "
    "VALUES('f','hv-01','127.0.0.1:1','127.0.0.1:22',3);"
    "PRAGMA user_version=2";
constexpr const char* kSchema3 =
    "ALTER TABLE hosts ADD COLUMN top_revision INTEGER NOT NULL DEFAULT 0;"
    "UPDATE hosts SET top_revision=9;"
    "PRAGMA user_version=3";

TEST(ConsoleDbIssued, TheNewestCertificatesOfEachHostStayOnRecord) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  {
    auto db = ConsoleDb::open(path, {.issued_per_host_max = 3}).value();
    for (int n = 1; n <= 5; ++n) {
      for (const char* host : {"hv-01", "hv-02"}) {
        ASSERT_TRUE(db.add_issued({.host = host,
                                   .serial = fmt::format("{}-{}", host, n),
                                   .issuer = "CN=ca",
                                   .not_before = kNow,
                                   .not_after = kNow + 90h * 24,
                                   .issued = kNow + n * 1s}));
      }
    }
    EXPECT_FALSE(db.add_issued({.host = "hv-03", .serial = "hv-01-5", .issuer = ""}))
        << "a serial is given once";
  }
  auto db = ConsoleDb::open(path).value();
  const auto rows = db.issued("hv-01", 10).value();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].serial, "hv-01-5");
  EXPECT_EQ(rows[0].issuer, "CN=ca");
  EXPECT_EQ(rows[0].not_after, kNow + 90h * 24);
  EXPECT_EQ(rows[2].issued, kNow + 3s);
  EXPECT_EQ(db.issued("hv-01", 1)->size(), 1U);
  EXPECT_TRUE(db.issued("hv-09", 10)->empty());
}

constexpr const char* kSchema4 =
    "ALTER TABLE hosts ADD COLUMN revoked INTEGER;"
    "ALTER TABLE hosts ADD COLUMN revoked_reason TEXT NOT NULL DEFAULT '';"
    "PRAGMA user_version=4";
constexpr const char* kSchema5 =
    "CREATE TABLE issued(seq INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL,"
    " serial TEXT NOT NULL UNIQUE, issuer TEXT NOT NULL, not_before INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL, issued INTEGER NOT NULL);"
    "CREATE INDEX issued_host ON issued(host,seq);"
    "INSERT INTO issued(host,serial,issuer,not_before,not_after,issued) "
    "VALUES('hv-01','aa','CN=ca',1,2,3);"
    "PRAGMA user_version=5";

constexpr const char* kSchema6 =
    "CREATE TABLE former(seq INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL,"
    " install_id TEXT NOT NULL, revision INTEGER NOT NULL, model TEXT NOT NULL,"
    " time INTEGER NOT NULL);"
    "CREATE INDEX former_host ON former(host,seq);"
    "INSERT INTO former(host,install_id,revision,model,time) VALUES('hv-01','i-0',2,'{}',1);"
    "PRAGMA user_version=6";

TEST(ConsoleDbFormer, TheNewestModelsOfAHostThatLostItsStoreStayAndNoneTwiceInARow) {
  store::TempFolder folder;
  auto db = ConsoleDb::open(folder.file("console.db"), {.former_per_host_max = 2}).value();
  const auto had = [&](const char* install_id, std::int64_t revision, const char* model) {
    return db.add_former({.host = "hv-01",
                          .install_id = install_id,
                          .revision = revision,
                          .model = model,
                          .time = kNow});
  };
  ASSERT_TRUE(had("i-1", 5, R"({"networks":[],"host":{}})"));
  ASSERT_TRUE(had("i-2", 6, R"({"host":{}, "networks":[]})"));
  ASSERT_EQ(db.former("hv-01")->size(), 1U);
  EXPECT_EQ(db.former("hv-01")->front().install_id, "i-1");
  ASSERT_TRUE(had("i-3", 7, R"({"networks":[1]})"));
  ASSERT_TRUE(had("i-4", 8, R"({"networks":[2]})"));
  const auto rows = db.former("hv-01").value();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].revision, 8);
  EXPECT_EQ(rows[0].time, kNow);
  EXPECT_EQ(rows[1].model, R"({"networks":[1]})");
  EXPECT_TRUE(db.former("hv-02")->empty());
}

class ConsoleDbUpgrade : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(From, ConsoleDbUpgrade, testing::Values(1, 2, 3, 4, 5, 6));

TEST_P(ConsoleDbUpgrade, AllRowsOfAnOlderSchemaAreThereAndACopyIsKept) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  {
    auto old = store::Database::open(path).value();
    ASSERT_TRUE(old.execute(kSchema1));
    if (GetParam() >= 2) { ASSERT_TRUE(old.execute(kSchema2)); }
    if (GetParam() >= 3) { ASSERT_TRUE(old.execute(kSchema3)); }
    if (GetParam() >= 4) { ASSERT_TRUE(old.execute(kSchema4)); }
    if (GetParam() >= 5) { ASSERT_TRUE(old.execute(kSchema5)); }
    if (GetParam() >= 6) { ASSERT_TRUE(old.execute(kSchema6)); }
  }
  {
    auto db = ConsoleDb::open(path).value();
    EXPECT_EQ(db.opened().migrated_from, GetParam());
    EXPECT_EQ(db.opened().backup, fmt::format("{}.v{}", path, GetParam()));
    const auto hosts = db.hosts().value();
    ASSERT_EQ(hosts.size(), 1U);
    EXPECT_EQ(hosts[0].install_id, "i-1");
    EXPECT_EQ(hosts[0].event_base, 7);
    EXPECT_EQ(hosts[0].last_event, 11);
    EXPECT_EQ(hosts[0].snapshot, "{\"revision\":5}");
    EXPECT_EQ(hosts[0].top_revision, GetParam() >= 3 ? 9 : 0) << "its snapshot tells";
    EXPECT_FALSE(hosts[0].revoked) << "nobody is shut out by an upgrade";
    EXPECT_EQ(db.command("hv-01", kCommand).value()->message, "{\"a\":1}");
    EXPECT_EQ(db.events_of("hv-01", 0, 10)->rows.size(), 1U);
    EXPECT_EQ(db.forwards()->size(), GetParam() >= 2 ? 1U : 0U);
    EXPECT_EQ(db.issued("hv-01", 10)->size(), GetParam() >= 5 ? 1U : 0U);
    EXPECT_EQ(db.former("hv-01")->size(), GetParam() >= 6 ? 1U : 0U);
    EXPECT_EQ(db.command("hv-01", kCommand).value()->word, Word::none);
    EXPECT_FALSE(hosts[0].renewal);
    EXPECT_EQ(hosts[0].event_line, EventLine{});
    ASSERT_TRUE(db.put_word(hosts[0], kCommand, Word::abort).value());
    ASSERT_TRUE(db.add_forward({.id = "g",
                                .host = "hv-01",
                                .listen = "127.0.0.1:2",
                                .to = "127.0.0.1:22",
                                .created = kNow}));
  }
  auto copy = store::Database::open(fmt::format("{}.v{}", path, GetParam())).value();
  EXPECT_EQ(copy.integer("PRAGMA user_version").value(), GetParam());
  EXPECT_EQ(copy.integer("SELECT count(*) FROM commands").value(), 1);
}

TEST(ConsoleDbFile, ANewerOneIsRefusedInOneLineAndLeftAlone) {
  store::TempFolder folder;
  const std::string path = folder.file("console.db");
  ASSERT_TRUE(ConsoleDb::open(path));
  ASSERT_TRUE(store::Database::open(path)->execute("PRAGMA user_version=77"));
  const auto newer = ConsoleDb::open(path);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, Errc::unsupported);
  EXPECT_NE(newer.error().what.find("schema 77, this program knows 1..7"), std::string::npos)
      << newer.error().what;
  EXPECT_EQ(newer.error().what.find('\n'), std::string::npos);
  EXPECT_EQ(store::Database::open(path)->integer("PRAGMA user_version").value(), 77);
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
