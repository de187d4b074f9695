// The Console's database: its schema, hosts, forwards, certificates and former models; pruning.
#include "console/console_db.hpp"
#include "console/console_db_rows.hpp"

namespace edge::console {
namespace {

using namespace db_rows;
using store::Query;

constexpr const char* kMigrations[] = {
    // 1
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
    "UNIQUE(host,n));",
    // 2
    "CREATE TABLE forwards(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " host TEXT NOT NULL, listen TEXT NOT NULL UNIQUE, target TEXT NOT NULL, created INTEGER NOT "
    "NULL);",
    // 3
    "ALTER TABLE hosts ADD COLUMN top_revision INTEGER NOT NULL DEFAULT 0;",
    // 4
    ("ALTER TABLE hosts ADD COLUMN revoked INTEGER;"
     "ALTER TABLE hosts ADD COLUMN revoked_reason TEXT NOT NULL DEFAULT '';"),
    // 5
    ("CREATE TABLE issued(seq INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL,"
     " serial TEXT NOT NULL UNIQUE, issuer TEXT NOT NULL, not_before INTEGER NOT NULL,"
     " not_after INTEGER NOT NULL, issued INTEGER NOT NULL);"
     "CREATE INDEX issued_host ON issued(host,seq);"),
    // 6
    ("CREATE TABLE former(seq INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL,"
     " install_id TEXT NOT NULL, revision INTEGER NOT NULL, model TEXT NOT NULL,"
     " time INTEGER NOT NULL);"
     "CREATE INDEX former_host ON former(host,seq);"),
    // 7
    ("ALTER TABLE commands ADD COLUMN word TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE hosts ADD COLUMN renewal TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE hosts ADD COLUMN renewal_ordered INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE hosts ADD COLUMN renewal_ended INTEGER;"
     "ALTER TABLE hosts ADD COLUMN renewal_said TEXT NOT NULL DEFAULT '';"
     // No column of hosts: events may be there before their host's row is.
     "CREATE TABLE event_lines(host TEXT PRIMARY KEY, line TEXT NOT NULL) WITHOUT ROWID;"),
};

/// Of no schema: a program of before reads a file that has them, and keeps them up to date. What
/// was sent has a type in its message; one of the host's own has none.
constexpr const char* kIndexes[] = {
    "CREATE INDEX IF NOT EXISTS commands_own ON commands(host,seq) WHERE message='{}'",
    "CREATE INDEX IF NOT EXISTS commands_ended ON commands(seq)"
    " WHERE finished IS NOT NULL AND message<>'{}'",
};

// None reads a table from end to end: it would hold up every other job for as long. The first walks
// over an index of numbers alone: half a million of them in about as long as a sync takes.
constexpr std::string_view kPruneCommands =
    "DELETE FROM commands WHERE seq IN (SELECT seq FROM commands WHERE finished IS NOT NULL"
    " AND message<>'{}' ORDER BY seq DESC LIMIT ?2 OFFSET ?1)";
constexpr std::string_view kPruneEvents =
    "DELETE FROM events WHERE host=?1 AND n<=(SELECT n FROM events WHERE host=?1"
    " ORDER BY n DESC LIMIT 1 OFFSET ?2)";
constexpr std::string_view kPruneOwn =
    "DELETE FROM commands WHERE host=?1 AND message='{}' AND finished IS NOT NULL"
    " AND seq<=(SELECT seq FROM commands WHERE host=?1 AND message='{}'"
    " ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
constexpr std::string_view kPrune[] = {kPruneCommands, kPruneEvents, kPruneOwn};

HostRow to_host(Query& row) {
  HostRow out;
  out.id = row.text(0);
  out.install_id = row.text(1);
  out.event_base = row.integer(2);
  out.boot_id = row.text(3);
  out.software = row.text(4);
  out.first_seen = from_ms(row.integer(5));
  out.changed = from_ms(row.integer(6));
  out.snapshot = row.text(7);
  if (!row.is_null(8)) { out.snapshot_time = from_ms(row.integer(8)); }
  out.last_event = row.integer(9);
  out.top_revision = row.integer(10);
  if (!row.is_null(11)) {
    out.revoked = Revocation{.time = from_ms(row.integer(11)), .reason = row.text(12)};
  }
  out.event_line = parse_event_line(row.text(13));
  if (const auto state = parse_renewal_state(row.text(14))) {
    out.renewal = RenewalOrder{.state = *state,
                               .ordered = from_ms(row.integer(15)),
                               .ended = std::nullopt,
                               .said = row.text(17)};
    if (!row.is_null(16)) { out.renewal->ended = from_ms(row.integer(16)); }
  }
  return out;
}

}  // namespace

Result<ConsoleDb> ConsoleDb::open(const std::string& path, DbLimits limits) {
  EDGE_ASSIGN(store::OpenedDatabase opened, store::open_database(path, kMigrations));
  // A disk that is full must not keep the Console from starting: without them prune() takes longer.
  for (const char* index : kIndexes) { static_cast<void>(opened.database.execute(index)); }
  ConsoleDb db(std::move(opened), limits);
  EDGE_TRY(db.remember_hosts());
  return db;
}

/// What they wrote before the last end may not have been pruned.
Result<void> ConsoleDb::remember_hosts() {
  EDGE_ASSIGN(Query rows, database_.query("SELECT id FROM hosts"));
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return {}; }
    wrote_.insert(rows.text(0));
  }
}

Result<std::vector<HostRow>> ConsoleDb::hosts() {
  EDGE_ASSIGN(Query rows,
              database_.query("SELECT id,install_id,event_base,boot_id,software,first_seen,changed,"
                              "snapshot,snapshot_time,(SELECT coalesce(max(n),0) FROM events"
                              " WHERE host=hosts.id),top_revision,revoked,revoked_reason,"
                              "coalesce((SELECT line FROM event_lines WHERE host=hosts.id),''),"
                              "renewal,renewal_ordered,renewal_ended,renewal_said FROM hosts"
                              " ORDER BY id"));
  return all_rows(std::move(rows), to_host);
}

Result<void> ConsoleDb::put_host(const HostRow& host) {
  return database_.transaction([&]() -> Result<void> {
    EDGE_TRY(end_confirms_of_former(host));
    EDGE_ASSIGN(
        Query row,
        database_.query("INSERT INTO hosts(id,install_id,event_base,boot_id,software,first_seen,"
                        "changed,top_revision) VALUES(?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT(id)"
                        " DO UPDATE SET"
                        " install_id=excluded.install_id,event_base=excluded.event_base,"
                        "boot_id=excluded.boot_id,software=excluded.software,"
                        "changed=excluded.changed,top_revision=excluded.top_revision"));
    return row
        .bind(host.id, host.install_id, host.event_base, host.boot_id, host.software,
              to_ms(host.first_seen), to_ms(host.changed), host.top_revision)
        .run();
  });
}

/// They were for trials that only the installation of before knows.
Result<void> ConsoleDb::end_confirms_of_former(const HostRow& host) {
  {
    EDGE_ASSIGN(Query row, database_.query("SELECT install_id FROM hosts WHERE id=?1"));
    EDGE_ASSIGN(const bool found, row.bind(host.id).step());
    if (!found || row.text(0) == host.install_id) { return {}; }
  }
  EDGE_ASSIGN(Query end, database_.query("UPDATE commands SET word='' WHERE host=?1"
                                         " AND word='confirm' AND finished IS NULL"));
  return end.bind(host.id).run();
}

Result<void> ConsoleDb::put_renewal(const HostRow& host) {
  return database_.transaction([&]() -> Result<void> {
    EDGE_TRY(put_host(host));
    EDGE_ASSIGN(Query row, database_.query("UPDATE hosts SET renewal=?2,renewal_ordered=?3,"
                                           "renewal_ended=?4,renewal_said=?5 WHERE id=?1"));
    const RenewalOrder& order = *host.renewal;
    std::optional<std::int64_t> ended;
    if (order.ended) { ended = to_ms(*order.ended); }
    return row.bind(host.id, to_string(order.state), to_ms(order.ordered), ended, order.said).run();
  });
}

Result<void> ConsoleDb::put_revocation(const HostRow& host) {
  return database_.transaction([&]() -> Result<void> {
    EDGE_TRY(put_host(host));
    if (!host.revoked) {
      EDGE_ASSIGN(Query row, database_.query("UPDATE hosts SET revoked=NULL,revoked_reason=''"
                                             " WHERE id=?1"));
      return row.bind(host.id).run();
    }
    EDGE_ASSIGN(Query row,
                database_.query("UPDATE hosts SET revoked=?2,revoked_reason=?3 WHERE id=?1"));
    return row.bind(host.id, to_ms(host.revoked->time), host.revoked->reason).run();
  });
}

Result<void> ConsoleDb::put_snapshot(std::string_view host, std::string_view json, WallTime now) {
  EDGE_ASSIGN(Query row,
              database_.query("UPDATE hosts SET snapshot=?2,snapshot_time=?3 WHERE id=?1"));
  return row.bind(host, json, to_ms(now)).run();
}

Result<void> ConsoleDb::add_forward(const ForwardRow& forward) {
  EDGE_ASSIGN(Query row, database_.query("INSERT INTO forwards(id,host,listen,target,created)"
                                         " VALUES(?1,?2,?3,?4,?5)"));
  return row.bind(forward.id, forward.host, forward.listen, forward.to, to_ms(forward.created))
      .run();
}

Result<void> ConsoleDb::remove_forward(std::string_view host, std::string_view id) {
  EDGE_ASSIGN(Query row, database_.query("DELETE FROM forwards WHERE host=?1 AND id=?2"));
  return row.bind(host, id).run();
}

Result<std::vector<ForwardRow>> ConsoleDb::forwards() {
  EDGE_ASSIGN(Query rows,
              database_.query("SELECT id,host,listen,target,created FROM forwards ORDER BY seq"));
  return all_rows(std::move(rows), [](Query& row) {
    return ForwardRow{.id = row.text(0),
                      .host = row.text(1),
                      .listen = row.text(2),
                      .to = row.text(3),
                      .created = from_ms(row.integer(4))};
  });
}

Result<void> ConsoleDb::add_issued(const IssuedRow& row) {
  return database_.transaction([&]() -> Result<void> {
    EDGE_ASSIGN(Query old, database_.query("DELETE FROM issued WHERE host=?1 AND seq NOT IN (SELECT"
                                           " seq FROM issued WHERE host=?1 ORDER BY seq DESC"
                                           " LIMIT ?2)"));
    EDGE_TRY(old.bind(row.host, limits_.issued_per_host_max - 1).run());
    EDGE_ASSIGN(Query add,
                database_.query("INSERT INTO issued(host,serial,issuer,not_before,not_after,issued)"
                                " VALUES(?1,?2,?3,?4,?5,?6)"));
    return add
        .bind(row.host, row.serial, row.issuer, to_ms(row.not_before), to_ms(row.not_after),
              to_ms(row.issued))
        .run();
  });
}

Result<std::vector<IssuedRow>> ConsoleDb::issued(std::string_view host, std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              database_.query("SELECT host,serial,issuer,not_before,not_after,issued FROM issued"
                              " WHERE host=?1 ORDER BY seq DESC LIMIT ?2"));
  rows.bind(host, static_cast<std::int64_t>(limit));
  return all_rows(std::move(rows), [](Query& row) {
    return IssuedRow{.host = row.text(0),
                     .serial = row.text(1),
                     .issuer = row.text(2),
                     .not_before = from_ms(row.integer(3)),
                     .not_after = from_ms(row.integer(4)),
                     .issued = from_ms(row.integer(5))};
  });
}

Result<void> ConsoleDb::add_former(const FormerRow& row) {
  return database_.transaction([&]() -> Result<void> {
    EDGE_ASSIGN(const auto known, former(row.host));
    if (!known.empty() && same_json(known.front().model, row.model)) { return {}; }
    EDGE_ASSIGN(Query old, database_.query("DELETE FROM former WHERE host=?1 AND seq NOT IN (SELECT"
                                           " seq FROM former WHERE host=?1 ORDER BY seq DESC"
                                           " LIMIT ?2)"));
    EDGE_TRY(old.bind(row.host, limits_.former_per_host_max - 1).run());
    EDGE_ASSIGN(Query add, database_.query("INSERT INTO former(host,install_id,revision,model,time)"
                                           " VALUES(?1,?2,?3,?4,?5)"));
    return add.bind(row.host, row.install_id, row.revision, row.model, to_ms(row.time)).run();
  });
}

Result<std::vector<FormerRow>> ConsoleDb::former(std::string_view host) {
  EDGE_ASSIGN(Query rows, database_.query("SELECT host,install_id,revision,model,time FROM former"
                                          " WHERE host=?1 ORDER BY seq DESC"));
  rows.bind(host);
  return all_rows(std::move(rows), [](Query& row) {
    return FormerRow{.host = row.text(0),
                     .install_id = row.text(1),
                     .revision = row.integer(2),
                     .model = row.text(3),
                     .time = from_ms(row.integer(4))};
  });
}

Result<Pruned> ConsoleDb::prune() {
  std::vector<std::string> turn;
  auto pruned = database_.transaction([&]() -> Result<Pruned> {
    Pruned out;
    if (pruned_to_.empty() || commands_left_) { EDGE_TRY(prune_commands(out)); }
    EDGE_ASSIGN(Query events, database_.query(kPruneEvents));
    EDGE_ASSIGN(Query own, database_.query(kPruneOwn));
    // In the order of their names: who writes all the time has one turn in a round, as everybody.
    auto next = wrote_.upper_bound(pruned_to_);
    for (; turn.size() < limits_.prune_hosts_max && next != wrote_.end(); ++next) {
      EDGE_TRY(events.bind(*next, limits_.events_per_host_max).run());
      out.dropped += database_.changes();
      EDGE_TRY(own.bind(*next, limits_.own_per_host_max).run());
      out.dropped += database_.changes();
      turn.push_back(*next);
    }
    out.more = next != wrote_.end();
    return out;
  });
  if (!pruned) { return pruned; }  // The same hosts have the next turn.
  for (const std::string& host : turn) {
    wrote_.erase(host);
    pruned_.insert(host);
  }
  pruned_to_ = pruned->more ? turn.back() : std::string();
  pruned->more = pruned->more || commands_left_;
  settle_pruned(End::kept);
  return pruned;
}

Result<void> ConsoleDb::prune_commands(Pruned& out) {
  EDGE_ASSIGN(Query old, database_.query(kPruneCommands));
  EDGE_TRY(old.bind(limits_.commands_max, limits_.commands_per_turn).run());
  out.dropped += database_.changes();
  commands_left_ = database_.changes() == limits_.commands_per_turn;
  return {};
}

std::span<const std::string_view> ConsoleDb::prune_statements() { return kPrune; }

}  // namespace edge::console
