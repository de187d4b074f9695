// All points: every system call with which the store changes the disk fails, or is the last one of
// its process, in turn. After each the store opens by itself and shows the state before or after.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "store/io/sha256.hpp"
#include "store/io/store.hpp"
#include "syscall_points.hpp"

namespace edge::store {
namespace {

namespace fs = std::filesystem;
constexpr WallTime now{std::chrono::milliseconds(1'700'000'000'000)};
constexpr std::string_view id = "00000000-0000-4000-8000-000000000001";
constexpr std::array all_strikes{Strike::die,       Strike::die_torn,  Strike::io_error,
                                 Strike::io_errors, Strike::disk_full, Strike::disk_stays_full};
/// Every point, with the strikes that differ most; with STORE_STRIKES=all each of them (4 min).
std::span<const Strike> strikes_of_this_run() {
  static constexpr std::array few{Strike::die, Strike::io_error, Strike::disk_stays_full};
  const char* wish = std::getenv("STORE_STRIKES");
  if (wish != nullptr && std::string_view(wish) == "all") { return all_strikes; }
  return few;
}
const std::span<const Strike> strikes = strikes_of_this_run();
constexpr int points_max = 2000;

/// Of this program: children that are struck remove nothing, so it goes with all that is in it.
/// In memory where the machine has that: the sync itself is not what is measured here.
class Root {
 public:
  Root() {
    const std::string base = fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = base + "/edge-points-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  ~Root() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};
const Root root;

class Folder {
 public:
  Folder() {
    std::string pattern = root.path() + "/XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  void become(const Folder& other) const {
    fs::remove_all(path_);
    fs::copy(other.path_, path_, fs::copy_options::recursive);
  }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

StoreOptions small() { return {.limits = {.revisions_max = 3, .reserve_bytes = 65536}}; }

/// What is done to a store, how far it came by what the store says, and what must hold besides.
struct Story {
  std::string name;
  std::function<void(const Folder&)> prepare;
  std::function<int(const Folder&, int& progress)> run;
  /// Opens what is left; the steps that are in it, -1: a mixture. Runs unstruck.
  std::function<int(const Folder&)> reached;
  int steps = 0;
};

/// Every point of a story under every strike. Prints the table that the closing note quotes.
void all_points(const Story& story) {
  const Folder fresh;
  story.prepare(fresh);
  const Folder folder;
  folder.become(fresh);
  const auto run = [&](int& progress) { return story.run(folder, progress); };
  const Outcome whole = run_struck(folder.path(), 0, Strike::none, run);
  ASSERT_EQ(whole.status, 0) << "the story itself fails";
  ASSERT_EQ(whole.progress, story.steps);
  ASSERT_EQ(story.reached(folder), story.steps);
  ASSERT_GT(whole.points, story.steps);
  for (const Strike strike : strikes) {
    std::map<int, int> ends;  // Steps that were in the store -> how often.
    int struck = 0;
    for (int nth = 1; nth <= points_max; ++nth) {
      SCOPED_TRACE(fmt::format("{}: {} at point {}", story.name, name_of(strike), nth));
      folder.become(fresh);
      const Outcome out = run_struck(folder.path(), nth, strike, run);
      if (out.points < nth) { break; }
      struck += out.fired ? 1 : 0;
      const int reached = story.reached(folder);
      EXPECT_GE(reached, out.progress) << "what was acknowledged is lost";
      EXPECT_LE(reached, out.progress + 1) << "what was not begun is there";
      ++ends[reached];
      int again = 0;
      EXPECT_EQ(story.run(folder, again), 0) << "it does not go on from there";
      EXPECT_EQ(story.reached(folder), story.steps);
      if (testing::Test::HasFailure()) { return; }
    }
    std::string table;
    for (const auto& [reached, count] : ends) { table += fmt::format(" {}:{}", reached, count); }
    fmt::print("points: {}; {}: {} struck; steps in the store after it:{}\n", story.name,
               name_of(strike), struck, table);
    EXPECT_GT(struck, 0);
  }
}

// --- the life of a command -----------------------------------------------------------------------

IncomingCommand command() {
  const std::string payload(6000, 'p');  // More than a page: several writes per commit.
  return {.id = std::string(id),
          .payload = payload,
          .sha256 = sha256(payload),
          .command_class = "model"};
}

Revision revision(std::int64_t number) {
  return {.number = number, .model = std::string(9000, 'm'), .cause = "c", .time = now};
}

/// -1: a mixture.
int life_of(Store& store) {
  const auto found = store.command(id);
  const auto newest = store.newest_revision();
  const auto events = store.newest_events(10);
  if (!found || !newest || !events) { return -1; }
  const std::int64_t revised = *newest ? (*newest)->number : 0;
  if (!*found) { return revised == 3 ? 0 : -1; }
  const CommandRecord& record = **found;
  const bool done = record.state == CommandState::done;
  if (record.payload != command().payload || record.result.empty() == done) { return -1; }
  if (done != (revised >= 4)) { return -1; }
  if (record.state == CommandState::stored) { return 1; }
  if (record.state == CommandState::applying) { return 2; }
  if (record.state == CommandState::confirming) { return 3; }
  if (!record.result_acked) { return revised == 4 ? 4 : -1; }
  if (revised == 4) { return 5; }
  return events->empty() ? 6 : 7;
}

Result<void> live(Store& store, int step) {
  switch (step) {
    case 1: {
      EDGE_ASSIGN(const auto outcome, store.receive(command(), now));
      return outcome.receipt == Receipt::fresh ? Result<void>{} : fail(Errc::conflict, "known");
    }
    case 2: return store.start(id, "boot", "{\"undo\":1}", now);
    case 3: return store.mark(id, CommandState::confirming, "applied");
    case 4: return store.finish(id, CommandState::done, "{\"ok\":1}", revision(4), now);
    case 5: return store.ack_result(id);
    case 6: return store.add_revision(revision(5));
    case 7: {
      EDGE_ASSIGN(const auto number, store.add_event(now, "kind", "{}"));
      return number > 0 ? Result<void>{} : fail(Errc::conflict, "no number");
    }
    default: return fail(Errc::invalid_input, "no such step");
  }
}
constexpr int life_steps = 7;

/// From wherever the store stands to the end; returns at the first failure.
int live_on(const Folder& folder, int& progress) {
  auto store = Store::open(folder.file("s.db"), now, small());
  if (!store) { return 2; }
  progress = life_of(*store);
  while (progress < life_steps) {
    if (!live(*store, progress + 1)) { return 3; }
    ++progress;
  }
  return 0;
}

int life_on_disk(const Folder& folder) {
  auto store = Store::open(folder.file("s.db"), now, small());
  return store && !store->opened().corrupt_file ? life_of(*store) : -1;
}

void three_revisions(const Folder& folder) {
  auto store = Store::open(folder.file("s.db"), now, small());
  ASSERT_TRUE(store) << store.error().what;
  for (int n = 1; n <= 3; ++n) { ASSERT_TRUE(store->add_revision(revision(n))); }
}

TEST(StorePoints, TheLifeOfACommand) {
  all_points({"life of a command", three_revisions, live_on, life_on_disk, life_steps});
}

/// The same with a WAL that a killed daemon left: recovery and checkpoint are on the way.
TEST(StorePoints, TheLifeOfACommandAfterAKill) {
  const auto prepare = [](const Folder& folder) {
    three_revisions(folder);
    const auto left = run_struck(folder.path(), 0, Strike::none, [&](int&) {
      auto store = Store::open(folder.file("s.db"), now, small());
      for (int n = 0; n < 40; ++n) {
        if (!store->put_setting(fmt::format("key-{}", n), std::string(4000, 'v'))) { return 1; }
      }
      ::_exit(0);  // Not closed: the WAL stays.
    });
    ASSERT_EQ(left.status, 0);
    ASSERT_GT(fs::file_size(folder.file("s.db-wal")), 150'000U);
  };
  all_points({"life after a kill", prepare, live_on, life_on_disk, life_steps});
}

// --- several commands in one commit --------------------------------------------------------------

std::string group_id(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }

int group_on_disk(const Folder& folder) {
  auto store = Store::open(folder.file("s.db"), now, small());
  if (!store) { return -1; }
  std::array<int, 4> count{};
  const auto all = store->recent_commands(100);
  if (!all) { return -1; }
  for (const auto& record : *all) {
    ++count[record.state == CommandState::stored ? 1U
            : record.state == CommandState::done ? 3U
                                                 : 2U];
  }
  const auto newest = store->newest_revision();
  const bool revised = newest && *newest && (*newest)->number == 11;
  if (all->empty()) { return 0; }
  if (count[1] == 8) { return 1; }
  if (count[2] == 8) { return 2; }
  return count[3] == 8 && revised ? 3 : -1;
}

int run_group(const Folder& folder, int& progress) {
  progress = group_on_disk(folder);
  auto store = Store::open(folder.file("s.db"), now, small());
  if (!store) { return 2; }
  if (progress == 0) {
    std::vector<IncomingCommand> group;
    for (int n = 0; n < 8; ++n) {
      group.push_back(command());
      group.back().id = group_id(n);
    }
    for (const auto& outcome : store->receive_all(group, now)) {
      if (!outcome) { return 3; }
    }
    ++progress;
  }
  const auto each = [&](const std::function<Result<void>(int)>& body) {
    return store->together([&]() -> Result<void> {
      for (int n = 0; n < 8; ++n) { EDGE_TRY(body(n)); }
      return {};
    });
  };
  if (progress == 1) {
    if (!each([&](int n) { return store->start(group_id(n), "boot", "", now); })) { return 4; }
    ++progress;
  }
  if (progress == 2) {
    const auto end = [&](int n) {
      return store->finish(group_id(n), CommandState::done, "{}", revision(4 + n), now);
    };
    if (!each(end)) { return 5; }
    ++progress;
  }
  return 0;
}

TEST(StorePoints, EightCommandsInOneCommit) {
  all_points({"eight commands in one commit", three_revisions, run_group, group_on_disk, 3});
}

// --- opening -------------------------------------------------------------------------------------

/// 0: no store, 1: one that opens. Steps of an opening: one.
int open_first(const Folder& folder, int& progress) {
  const auto store = Store::open(folder.file("s.db"), now, small());
  if (!store) { return 2; }
  progress = 1;
  return 0;
}

TEST(StorePoints, TheFirstOpening) {
  const auto reached = [](const Folder& folder) {
    // What a struck opening left must never be taken for damage, nor for another program's.
    const bool there = fs::exists(folder.file("s.db"));
    const auto store = Store::open(folder.file("s.db"), now, small());
    if (!store || store->opened().corrupt_file) { return -1; }
    return there && !store->opened().created ? 1 : 0;
  };
  // Opening to look is opening as well: what is checked is that nothing stands in its way.
  const Folder fresh;
  const Folder folder;
  int struck = 0;
  for (const Strike strike : strikes) {
    for (int nth = 1; nth <= points_max; ++nth) {
      SCOPED_TRACE(fmt::format("{} at point {}", name_of(strike), nth));
      folder.become(fresh);
      const Outcome out = run_struck(folder.path(), nth, strike,
                                     [&](int& progress) { return open_first(folder, progress); });
      if (out.points < nth) { break; }
      struck += out.fired ? 1 : 0;
      const int there = reached(folder);
      ASSERT_GE(there, out.progress == 1 && out.status == 0 ? 1 : 0);
      ASSERT_EQ(reached(folder), 1);
    }
  }
  fmt::print("points: first opening; all strikes: {} struck; a store each time\n", struck);
  EXPECT_GT(struck, 60);
}

/// A damaged file is found: it is either still in its place or whole at its side, never gone.
TEST(StorePoints, ADamagedFileIsMovedAside) {
  const Folder fresh;
  three_revisions(fresh);
  {
    std::FILE* file = std::fopen(fresh.file("s.db").c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    std::fputs("damage", file);
    std::fclose(file);
  }
  const auto bytes = fs::file_size(fresh.file("s.db"));
  const Folder folder;
  int struck = 0;
  for (const Strike strike : strikes) {
    for (int nth = 1; nth <= points_max; ++nth) {
      SCOPED_TRACE(fmt::format("{} at point {}", name_of(strike), nth));
      folder.become(fresh);
      const Outcome out = run_struck(folder.path(), nth, strike,
                                     [&](int& progress) { return open_first(folder, progress); });
      if (out.points < nth) { break; }
      struck += out.fired ? 1 : 0;
      const auto store = Store::open(folder.file("s.db"), now, small());
      ASSERT_TRUE(store) << store.error().what;
      ASSERT_TRUE(fs::exists(folder.file("s.db.corrupt-1")));
      ASSERT_EQ(fs::file_size(folder.file("s.db.corrupt-1")), bytes);
      ASSERT_FALSE(fs::exists(folder.file("s.db.corrupt-2"))) << "a good one was moved aside";
    }
  }
  fmt::print("points: damaged file; all strikes: {} struck; kept aside each time\n", struck);
  EXPECT_GT(struck, 60);
}

// --- an upgrade ----------------------------------------------------------------------------------

constexpr std::array<const char*, 1> schema_1{
    "CREATE TABLE t(a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400)"
    " INSERT INTO t SELECT printf('%0200d', i) FROM n"};
constexpr std::array<const char*, 3> schema_3{schema_1[0], "ALTER TABLE t ADD COLUMN b DEFAULT 7",
                                              "UPDATE t SET a=a||'!', b=b+1"};

/// 0: the old schema, whole; 1: the new one, whole, and the copy of the old one, whole.
int upgraded(const Folder& folder) {
  auto database = Database::open(folder.file("s.db"));
  if (!database) { return -1; }
  const auto version = database->integer("PRAGMA user_version");
  const auto rows = database->integer("SELECT count(*) FROM t");
  const auto sound = database->text("PRAGMA integrity_check");
  if (!version || !rows || *rows != 400 || !sound || *sound != "ok") { return -1; }
  if (*version == 1) {
    return database->integer("SELECT count(*) FROM t WHERE length(a)=200") == 400 ? 0 : -1;
  }
  if (*version != 3) { return -1; }
  auto copy = Database::open(folder.file("s.db.v1"));
  const bool kept = copy && copy->integer("PRAGMA user_version") == 1 &&
                    copy->integer("SELECT count(*) FROM t WHERE length(a)=200") == 400;
  const auto changed = database->integer("SELECT count(*) FROM t WHERE length(a)=201 AND b=8");
  return kept && changed == 400 ? 1 : -1;
}

TEST(StorePoints, AnUpgradeInPlace) {
  const auto prepare = [](const Folder& folder) {
    ASSERT_TRUE(open_database(folder.file("s.db"), schema_1));
  };
  const auto run = [](const Folder& folder, int& progress) {
    const auto opened = open_database(folder.file("s.db"), schema_3);
    if (!opened) { return 2; }
    progress = 1;
    return 0;
  };
  all_points({"upgrade in place", prepare, run, upgraded, 1});
}

// --- back from memory ----------------------------------------------------------------------------

constexpr std::string_view said_in_memory = "said in memory";

/// 0: the file as it was; 1: with what the volatile life brought, once.
int handed_over(const Folder& folder) {
  auto store = Store::open(folder.file("s.db"), now, small());
  if (!store || store->opened().corrupt_file) { return -1; }
  const auto events = store->newest_events(100);
  const auto command_kept = store->command(id);
  const auto newest = store->newest_revision();
  if (!events || !command_kept || !*command_kept || !newest || !*newest) { return -1; }
  int old_ones = 0;
  int new_ones = 0;
  for (const auto& event : *events) { (event.kind == said_in_memory ? new_ones : old_ones) += 1; }
  if (old_ones != 5 || (*newest)->number != 3) { return -1; }
  const auto adapters = store->adapters();
  if (new_ones == 0) { return adapters && adapters->empty() ? 0 : -1; }
  return new_ones == 4 && adapters && adapters->size() == 1 ? 1 : -1;
}

TEST(StorePoints, BackFromMemory) {
  const auto prepare = [](const Folder& folder) {
    three_revisions(folder);
    auto store = Store::open(folder.file("s.db"), now, small());
    ASSERT_TRUE(store);
    for (int n = 0; n < 5; ++n) { ASSERT_TRUE(store->add_event(now, "old", "{}")); }
    ASSERT_TRUE(store->ack_events(3));
    ASSERT_TRUE(store->receive(command(), now));
  };
  const auto run = [](const Folder& folder, int& progress) {
    if (handed_over(folder) == 1) {
      progress = 1;
      return 0;
    }
    const Folder scratch;
    auto store = Store::open_volatile(folder.file("s.db"), scratch.path(),
                                      {Errc::denied, 0, "read-only"}, now);
    if (!store) { return 2; }
    for (int n = 0; n < 4; ++n) {
      if (!store->add_event(now, said_in_memory, "{}")) { return 3; }
    }
    if (!store->restore_adapter({.base_mac = MacAddress{}, .number = 4})) { return 4; }
    if (!store->hand_over(folder.file("s.db"), now, small())) { return 5; }
    progress = 1;
    return 0;
  };
  all_points({"back from memory", prepare, run, handed_over, 1});
}

}  // namespace
}  // namespace edge::store
