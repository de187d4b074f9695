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

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};

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
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_BUSY, "x").code, Errc::conflict);
  EXPECT_EQ(sqlite_error(nullptr, SQLITE_IOERR_READ, "x").code, Errc::transient);
}

}  // namespace
}  // namespace edge::store
