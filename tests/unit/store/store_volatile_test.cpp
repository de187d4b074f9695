// A life in memory while the file cannot be used: what it knows, what it refuses, what comes back.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "store/io/sha256.hpp"
#include "store/io/store.hpp"
#include "temp_folder.hpp"

namespace edge::store {
namespace {

const Error kReadOnly{Errc::denied, 0, "read-only"};

IncomingCommand command(int n) {
  const std::string payload = "p" + std::to_string(n);
  return {.id = "00000000-0000-4000-8000-00000000000" + std::to_string(n),
          .payload = payload,
          .sha256 = sha256(payload),
          .command_class = "model"};
}

class StoreVolatile : public testing::Test {
 protected:
  Store open() { return Store::open(path, kNow).value(); }
  Store open_volatile() {
    return Store::open_volatile(path, scratch.path(), kReadOnly, kNow).value();
  }
  /// A store that ran command 1, holds command 2, and said three events, two of them heard.
  void live() {
    Store store = open();
    const Revision revision{.number = 7, .model = "{}", .cause = command(1).id, .time = kNow};
    ASSERT_TRUE(store.receive(command(1), kNow));
    ASSERT_TRUE(store.start(command(1).id, "boot", "", kNow));
    ASSERT_TRUE(store.finish(command(1).id, CommandState::done, "{}", revision, kNow));
    ASSERT_TRUE(store.receive(command(2), kNow));
    for (int n = 0; n < 3; ++n) { ASSERT_TRUE(store.add_event(kNow, "old", "{}")); }
    ASSERT_TRUE(store.ack_events(2));
    ASSERT_TRUE(store.remember_adapter(MacAddress{{2, 0, 0, 0, 0, 1}}, "eth0", kNow));
  }
  TempFolder folder, scratch;
  std::string path = folder.file("s.db");
};

TEST_F(StoreVolatile, KnowsWhatTheFileHoldsAndRefusesWhatIsNew) {
  live();
  Store store = open_volatile();
  EXPECT_FALSE(store.standing().durable);
  EXPECT_TRUE(store.standing().journal_known);
  EXPECT_EQ(store.newest_revision().value()->number, 7);
  EXPECT_EQ(store.adapters()->size(), 1U);
  const auto known = store.receive(command(1), kNow);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->receipt, Receipt::known);
  EXPECT_EQ(known->state, CommandState::done);
  const auto fresh = store.receive(command(3), kNow);
  ASSERT_FALSE(fresh);
  EXPECT_EQ(fresh.error().code, Errc::denied);
  EXPECT_NE(fresh.error().what.find("read-only"), std::string::npos) << fresh.error().what;
  EXPECT_FALSE(store.start(command(2).id, "boot", "", kNow)) << "nothing runs that is not on disk";
  EXPECT_FALSE(store.finish(command(2).id, CommandState::done, "{}", std::nullopt, kNow));
  EXPECT_EQ(store.unfinished()->size(), 1U);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path())) << "the copy is gone";
}

TEST_F(StoreVolatile, AWalThatNobodyCheckpointedIsReadAsWell) {
  Store held = open();  // Open: its WAL stays.
  ASSERT_TRUE(held.receive(command(1), kNow));
  ASSERT_GT(std::filesystem::file_size(path + "-wal"), 0U);
  EXPECT_EQ(open_volatile().unfinished()->size(), 1U);
}

TEST_F(StoreVolatile, AFileThatCannotBeReadMeansThatTheJournalIsNotKnown) {
  std::ofstream(path) << std::string(8192, 'x');
  const Store store = open_volatile();
  EXPECT_FALSE(store.standing().journal_known);
  std::filesystem::remove(path);
  EXPECT_TRUE(open_volatile().standing().journal_known) << "there never was one";
}

TEST_F(StoreVolatile, ANewerFileIsRefusedHereToo) {
  { open(); }
  ASSERT_TRUE(Database::open(path)->execute("PRAGMA user_version=77"));
  EXPECT_EQ(Store::open_volatile(path, scratch.path(), kReadOnly, kNow).error().code,
            Errc::unsupported);
}

TEST_F(StoreVolatile, EachLifeIsAnInstallationOfItsOwn) {
  live();
  const std::string durable = open().identity()->install_id;
  const std::string first = open_volatile().identity()->install_id;
  EXPECT_NE(first, durable);
  EXPECT_NE(open_volatile().identity()->install_id, first) << "its event numbers start again";
}

TEST_F(StoreVolatile, GoesBackIntoTheFileItCameFrom) {
  live();
  std::string identity;
  {
    Store store = open_volatile();
    identity = store.identity()->install_id;
    EXPECT_EQ(store.add_event(kNow, "new", "{}").value(), 4);
    ASSERT_TRUE(store.ack_events(4));
    ASSERT_TRUE(store.add_event(kNow, "newer", "{}"));
    ASSERT_TRUE(store.remember_adapter(MacAddress{{2, 0, 0, 0, 0, 2}}, "eth1", kNow));
    ASSERT_TRUE(store.ack_result(command(1).id));
    ASSERT_TRUE(store.hand_over(path, kNow));
  }
  Store store = open();
  EXPECT_EQ(store.identity()->install_id, identity) << "the Console counts on with its numbers";
  EXPECT_EQ(store.acked_events().value(), 4);
  const auto events = store.events_after(0, 100).value();
  ASSERT_EQ(events.size(), 5U);
  EXPECT_EQ(events[3].kind, "new");
  EXPECT_EQ(events[4].number, 5);
  EXPECT_EQ(store.adapters()->size(), 2U);
  EXPECT_TRUE(store.unacked_results(10)->empty());
  EXPECT_EQ(store.unfinished()->size(), 1U) << "it waited, and may run now";
  EXPECT_EQ(store.newest_revision().value()->number, 7);
}

TEST_F(StoreVolatile, FromNothingItsEventsComeFirstAndTheUnheardOnesAfterThem) {
  live();
  const std::string aside = folder.file("elsewhere");
  std::filesystem::rename(path, aside);
  Store store = open_volatile();
  std::filesystem::rename(aside, path);
  EXPECT_EQ(store.add_event(kNow, "new", "{}").value(), 1);
  ASSERT_TRUE(store.hand_over(path, kNow));
  const auto events = open().events_after(0, 100).value();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, "new");
  EXPECT_EQ(events[1].kind, "old");
  EXPECT_EQ(events[1].number, 2);
}

TEST_F(StoreVolatile, IntoANewFileGoesWhatWasRebuilt) {
  Store store = open_volatile();
  ASSERT_TRUE(store.add_revision({.number = 12, .model = "{}", .cause = "rebuilt", .time = kNow}));
  ASSERT_TRUE(store.hand_over(path, kNow));
  EXPECT_EQ(open().newest_revision().value()->number, 12);
}

TEST_F(StoreVolatile, TroubleIsKnownUntilAProbeSucceeds) {
  Store store = open();
  EXPECT_FALSE(store.trouble());
  std::filesystem::remove(path);
  ASSERT_TRUE(store.trouble());
  EXPECT_EQ(store.trouble()->code, Errc::not_found);
  EXPECT_FALSE(open_volatile().probe(kNow)) << "a life in memory has no good end by itself";
}

TEST_F(StoreVolatile, DamagedFilesAreKeptInABoundedNumber) {
  for (int n = 0; n < 5; ++n) {
    for (const char* suffix : {"", "-wal", "-shm"}) { std::filesystem::remove(path + suffix); }
    std::ofstream(path) << std::string(8192, 'x') << n;
    ASSERT_TRUE(Store::open(path, kNow)->opened().corrupt_file);
  }
  for (int n = 1; n <= 5; ++n) {
    EXPECT_EQ(std::filesystem::exists(path + ".corrupt-" + std::to_string(n)), n > 2) << n;
  }
}

TEST_F(StoreVolatile, ANumberThatTheKernelShowsIsGivenAgain) {
  Store store = open();
  const MacAddress one{{2, 0, 0, 0, 0, 1}}, two{{2, 0, 0, 0, 0, 2}};
  ASSERT_TRUE(store.restore_adapter({.base_mac = two, .number = 9, .last_name = "eth1"}));
  EXPECT_EQ(store.remember_adapter(two, "eth1", kNow)->number, 9U);
  EXPECT_EQ(store.remember_adapter(one, "eth0", kNow)->number, 10U);
  ASSERT_TRUE(store.restore_adapter({.base_mac = one, .number = 9, .last_name = "eth0"}));
  EXPECT_EQ(store.remember_adapter(one, "eth0", kNow)->number, 10U) << "a number is never moved";
}

}  // namespace
}  // namespace edge::store
