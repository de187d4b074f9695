// What the Console's database lets go, and in which turns.
#include "console_db_fixture.hpp"

namespace edge::console {
namespace {

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

}  // namespace
}  // namespace edge::console
