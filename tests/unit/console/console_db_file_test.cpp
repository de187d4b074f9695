// What the Console's database keeps on disk: over a restart, of older schemas, certificates and
// former models.
#include "console_db_fixture.hpp"

namespace edge::console {
namespace {

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

}  // namespace
}  // namespace edge::console
