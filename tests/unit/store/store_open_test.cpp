// Opening what may be there: nothing, ours, older, newer, broken, another program's.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "store/io/open.hpp"
#include "store/io/store.hpp"
#include "temp_folder.hpp"

namespace edge::store {
namespace {

class StoreOpen : public testing::Test {
 protected:
  void sql(const char* text) {
    auto database = Database::open(path);
    ASSERT_TRUE(database) << database.error().what;
    const auto ran = database->execute(text);
    ASSERT_TRUE(ran) << ran.error().what;
  }
  TempFolder folder;
  std::string path = folder.file("store.db");
};

TEST_F(StoreOpen, AMissingFileIsCreatedAndAMissingFolderIsNamed) {
  EXPECT_TRUE(Store::open(path, kNow)->opened().created);
  EXPECT_FALSE(Store::open(path, kNow)->opened().created);
  const auto nowhere = Store::open(folder.file("no/store.db"), kNow);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::not_found);
  EXPECT_NE(nowhere.error().what.find("no/store.db"), std::string::npos) << nowhere.error().what;
}

TEST_F(StoreOpen, RunsInWalModeWithFullSync) {
  auto database = Database::open(path).value();
  EXPECT_EQ(database.text("PRAGMA journal_mode").value(), "wal");
  EXPECT_EQ(database.integer("PRAGMA synchronous").value(), 2);
}

TEST_F(StoreOpen, TheFileIsItsOwnersOnly) {
  ASSERT_TRUE(Store::open(path, kNow));
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(StoreOpen, ANewerFileIsRefusedInOneLineAndLeftAlone) {
  ASSERT_TRUE(Store::open(path, kNow));
  sql("PRAGMA user_version=77");
  const auto newer = Store::open(path, kNow);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, Errc::unsupported);
  EXPECT_NE(newer.error().what.find("schema 77"), std::string::npos) << newer.error().what;
  EXPECT_EQ(newer.error().what.find('\n'), std::string::npos);
  EXPECT_EQ(Database::open(path)->integer("PRAGMA user_version").value(), 77);
}

TEST_F(StoreOpen, AnotherProgramsDatabaseIsRefused) {
  sql("CREATE TABLE theirs(a)");
  EXPECT_EQ(Store::open(path, kNow).error().code, Errc::conflict);
}

TEST_F(StoreOpen, GarbageIsMovedAsideAndReportedAndTheStoreIsNew) {
  std::ofstream(path) << std::string(8192, 'x');
  {
    const auto store = Store::open(path, kNow);
    ASSERT_TRUE(store) << store.error().what;
    EXPECT_EQ(store->opened().corrupt_file, path + ".corrupt-1");
    EXPECT_FALSE(store->opened().corrupt_reason.empty());
    EXPECT_EQ(std::filesystem::file_size(path + ".corrupt-1"), 8192U);
  }
  std::filesystem::remove(path + "-wal");
  std::ofstream(path) << std::string(8192, 'y');
  EXPECT_EQ(Store::open(path, kNow)->opened().corrupt_file, path + ".corrupt-2")
      << "the first is kept";
}

TEST_F(StoreOpen, ADamagedPageIsFoundByTheCheck) {
  {
    Store store = Store::open(path, kNow).value();
    for (int n = 0; n < 200; ++n) {
      ASSERT_TRUE(store.add_event(kNow, "kind", std::string(400, 'e')));
    }
  }
  const auto pages = std::filesystem::file_size(path) / 4096;
  ASSERT_GT(pages, 10U);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    for (std::uint64_t page = 8; page < pages; ++page) {
      file.seekp(static_cast<std::streamoff>(page * 4096));
      file.write(std::string(64, '\xff').c_str(), 64);
    }
  }
  const auto store = Store::open(path, kNow);
  ASSERT_TRUE(store) << store.error().what;
  EXPECT_TRUE(store->opened().corrupt_file);
}

constexpr std::array<const char*, 1> kOld{"CREATE TABLE t(a); INSERT INTO t VALUES(1)"};
constexpr std::array<const char*, 3> kNew{kOld[0], "ALTER TABLE t ADD COLUMN b DEFAULT 7",
                                          "UPDATE t SET a=a+1"};
constexpr std::array<const char*, 2> kBad{kOld[0],
                                          "ALTER TABLE t ADD COLUMN b; SELECT nonsense FROM t"};

TEST_F(StoreOpen, AnOlderSchemaIsMigratedWithACopyKept) {
  ASSERT_TRUE(open_database(path, kOld));
  {
    auto opened = open_database(path, kNew);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(opened->outcome.version, 3);
    EXPECT_EQ(opened->outcome.migrated_from, 1);
    EXPECT_EQ(opened->outcome.backup, path + ".v1");
    EXPECT_EQ(opened->database.integer("SELECT a+b FROM t").value(), 9);
  }
  auto copy = Database::open(path + ".v1").value();
  EXPECT_EQ(copy.integer("SELECT a FROM t").value(), 1);
  EXPECT_EQ(copy.integer("PRAGMA user_version").value(), 1);
}

/// The first schema as it was released, not as the program has it today: no edit of a migration may
/// pass unseen.
constexpr const char* kFirstSchema =
    "CREATE TABLE journal("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, payload BLOB NOT NULL, sha256 BLOB NOT "
    "NULL,"
    " class TEXT NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL DEFAULT '',"
    " result_acked INTEGER NOT NULL DEFAULT 0, boot_id TEXT NOT NULL DEFAULT '',"
    " step TEXT NOT NULL DEFAULT '', undo TEXT NOT NULL DEFAULT '',"
    " received INTEGER NOT NULL, started INTEGER, finished INTEGER);"
    "CREATE INDEX journal_open ON journal(seq) WHERE finished IS NULL;"
    "CREATE INDEX journal_unacked ON journal(seq) WHERE finished IS NOT NULL AND result_acked=0;"
    "CREATE TABLE revisions(number INTEGER PRIMARY KEY, model TEXT NOT NULL, cause TEXT NOT NULL,"
    " time INTEGER NOT NULL);"
    "CREATE TABLE adapters(mac TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE,"
    " last_name TEXT NOT NULL, first_seen INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE leases(adapter TEXT NOT NULL, family INTEGER NOT NULL, json TEXT NOT NULL,"
    " stored INTEGER NOT NULL, PRIMARY KEY(adapter, family)) WITHOUT ROWID;"
    "CREATE TABLE endpoints(adapter TEXT NOT NULL, endpoint TEXT NOT NULL, addresses TEXT NOT NULL,"
    " stored INTEGER NOT NULL, PRIMARY KEY(adapter, endpoint)) WITHOUT ROWID;"
    "CREATE TABLE reputation(adapter TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE events(number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
    " kind TEXT NOT NULL, json TEXT NOT NULL);"
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version=1";
constexpr const char* kFirstRows =
    "INSERT INTO journal(seq,id,payload,sha256,class,state,undo,received,started) VALUES"
    " (1,'00000000-0000-4000-8000-000000000001','{\"a\":1}',x'01','model','confirming',"
    "  '{\"revision\":2}',5,6);"
    "INSERT INTO journal(seq,id,payload,sha256,class,state,result,received,finished) VALUES"
    " (2,'00000000-0000-4000-8000-000000000002','{}',x'02','model','done','{\"r\":2}',7,8);"
    "INSERT INTO revisions VALUES(1,'{}','default',3),(2,'{\"m\":2}','x',4);"
    "INSERT INTO adapters VALUES('020000000001',9,'eth0',3);"
    "INSERT INTO leases VALUES('020000000001',0,'{\"l\":1}',3);"
    "INSERT INTO endpoints VALUES('020000000001','console:8443','[\"192.0.2.7\"]',3);"
    "INSERT INTO reputation VALUES('020000000001','{\"s\":1}');"
    "INSERT INTO events VALUES(41,3,'path.switch','{}');"
    "INSERT INTO settings VALUES('install_id','i-1'),('epoch','12'),('events_acked','40')";

TEST_F(StoreOpen, AStoreOfTheFirstSchemaHasAllItsRowsInThisProgram) {
  sql(kFirstSchema);
  sql(kFirstRows);
  Store store = Store::open(path, kNow).value();
  EXPECT_FALSE(store.opened().created);
  if (store.opened().version > 1) {
    EXPECT_EQ(store.opened().migrated_from, 1);
    EXPECT_EQ(store.opened().backup, path + ".v1");
  }
  const auto open = store.unfinished().value();
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].state, CommandState::confirming);
  EXPECT_EQ(open[0].undo, "{\"revision\":2}");
  EXPECT_EQ(open[0].payload, "{\"a\":1}");
  const auto unheard = store.unacked_results(10).value();
  ASSERT_EQ(unheard.size(), 1U);
  EXPECT_EQ(unheard[0].result, "{\"r\":2}");
  EXPECT_EQ(store.newest_revision().value()->model, "{\"m\":2}");
  EXPECT_EQ(store.revision(1).value()->cause, "default");
  EXPECT_EQ(store.highest_revision_number(), 2);
  const MacAddress mac{{0x02, 0, 0, 0, 0, 1}};
  ASSERT_EQ(store.adapters()->size(), 1U);
  EXPECT_EQ(store.adapters()->front().number, 9U);
  EXPECT_EQ(store.leases()->front().json, "{\"l\":1}");
  EXPECT_EQ(store.good_addresses(mac, "console:8443")->size(), 1U);
  EXPECT_EQ(store.reputation(mac).value(), "{\"s\":1}");
  EXPECT_EQ(store.events_after(0, 10)->front().number, 41);
  EXPECT_EQ(store.acked_events(), 40);
  EXPECT_EQ(store.identity()->install_id, "i-1");
  EXPECT_EQ(store.next_epoch(), 13);
}

/// What a fresh store has and what an old one has become: the same tables, word by word.
TEST_F(StoreOpen, AnOldStoreEndsWithTheSchemaOfANewOne) {
  const auto schema = [](const std::string& file) {
    return Database::open(file)->text(
        "SELECT group_concat(replace(sql,' ',''),'\n') FROM (SELECT sql FROM sqlite_master"
        " WHERE sql IS NOT NULL ORDER BY name)");
  };
  sql(kFirstSchema);
  ASSERT_TRUE(Store::open(path, kNow));
  ASSERT_TRUE(Store::open(folder.file("new.db"), kNow));
  EXPECT_EQ(schema(path).value(), schema(folder.file("new.db")).value());
}

TEST_F(StoreOpen, AFailedMigrationLeavesTheOldSchema) {
  ASSERT_TRUE(open_database(path, kOld));
  EXPECT_FALSE(open_database(path, kBad));
  auto opened = open_database(path, kOld);
  ASSERT_TRUE(opened) << opened.error().what;
  EXPECT_FALSE(opened->database.query("SELECT b FROM t"));
}

TEST_F(StoreOpen, AReadOnlyFileIsDenied) {
  ASSERT_TRUE(Store::open(path, kNow));
  auto opened = Database::open("file:" + path + "?mode=ro");  // As a read-only mount would be.
  ASSERT_TRUE(opened) << opened.error().what;
  EXPECT_EQ(opened->execute("DELETE FROM settings").error().code, Errc::denied);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_READONLY, "x").code, Errc::denied);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_FULL, "x").code, Errc::no_space);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_NOTADB, "x").code, Errc::corrupt);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_CONSTRAINT, "x").code, Errc::conflict);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_IOERR_READ, "x").code, Errc::transient);
}

TEST_F(StoreOpen, AFileThatAnotherProcessHoldsIsThereAgainLater) {
  auto person = Database::open(path).value();
  auto ours = Database::open(path, {.vfs = {}, .busy_timeout_ms = 0}).value();
  ASSERT_TRUE(person.execute("BEGIN IMMEDIATE"));
  EXPECT_EQ(ours.execute("BEGIN IMMEDIATE").error().code, Errc::transient);
  ASSERT_TRUE(person.execute("ROLLBACK"));
  EXPECT_TRUE(ours.execute("BEGIN IMMEDIATE"));
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_BUSY_SNAPSHOT, "x").code, Errc::transient);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_LOCKED, "x").code, Errc::transient);
}

}  // namespace
}  // namespace edge::store
