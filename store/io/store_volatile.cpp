// Store: a life in memory while the file cannot be used, and the way back to it.
#include <array>

#include "store/io/store_state.hpp"

namespace edge::store {
namespace {

/// Rows of `from`, each of `Columns` columns, written by `insert`. Numbers travel as text: the
/// columns' types turn them back.
template <std::size_t Columns>
Result<void> copy_rows(Database& from, std::string_view select, Database& to,
                       std::string_view insert) {
  EDGE_ASSIGN(Query rows, from.query(select));
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return {}; }
    std::array<std::string, Columns> row;
    for (std::size_t n = 0; n < Columns; ++n) { row[n] = rows.text(static_cast<int>(n)); }
    EDGE_ASSIGN(Query put, to.query(insert));
    std::apply([&](const auto&... column) { put.bind(column...); }, row);
    EDGE_TRY(put.run());
  }
}

/// The events of `from` become those of `to`, under their numbers: the Console counts on with them.
/// What `to` had and the Console had not comes after them.
Result<void> take_events(Database& from, Database& to, bool copied, std::int64_t first) {
  constexpr std::string_view insert =
      "INSERT OR REPLACE INTO events(number,time,kind,json) VALUES(?1,?2,?3,?4)";
  if (copied) {
    EDGE_ASSIGN(Query stale, to.query("DELETE FROM events WHERE number>?1"));
    EDGE_TRY(stale.bind(first).run());
    return copy_rows<4>(
        from, fmt::format("SELECT number,time,kind,json FROM events WHERE number>{}", first), to,
        insert);
  }
  EDGE_TRY(to.execute(
      "CREATE TEMP TABLE unheard AS SELECT time,kind,json FROM events WHERE number>"
      "(SELECT coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE key='events_acked'),0))"
      " ORDER BY number;"
      "DELETE FROM events; DELETE FROM sqlite_sequence WHERE name='events'"));
  EDGE_TRY(
      copy_rows<4>(from, "SELECT number,time,kind,json FROM events ORDER BY number", to, insert));
  return to.execute(
      "INSERT INTO events(time,kind,json) SELECT time,kind,json FROM unheard;"
      "DROP TABLE unheard");
}

Result<void> take_over(Database& from, Database& to, bool copied, std::int64_t first) {
  EDGE_TRY(take_events(from, to, copied, first));
  EDGE_TRY(copy_rows<4>(from, "SELECT mac,number,last_name,first_seen FROM adapters", to,
                        "INSERT OR IGNORE INTO adapters VALUES(?1,?2,?3,?4)"));
  EDGE_ASSIGN(const std::int64_t known, to.integer("SELECT count(*) FROM revisions"));
  // A file that has its content knows best what it knew; a new one takes all that was rebuilt.
  EDGE_TRY(copy_rows<2>(from,
                        known > 0 ? "SELECT key,value FROM settings WHERE key IN "
                                    "('install_id','events_acked','clock_floor','epoch')"
                                  : "SELECT key,value FROM settings WHERE key<>'volatile_origin'",
                        to, "INSERT OR REPLACE INTO settings VALUES(?1,?2)"));
  if (known == 0) {
    EDGE_TRY(copy_rows<4>(from, "SELECT number,model,cause,time FROM revisions", to,
                          "INSERT INTO revisions VALUES(?1,?2,?3,?4)"));
  }
  EDGE_TRY(copy_rows<4>(from, "SELECT adapter,family,json,stored FROM leases", to,
                        "INSERT OR REPLACE INTO leases VALUES(?1,?2,?3,?4)"));
  EDGE_TRY(copy_rows<4>(from, "SELECT adapter,endpoint,addresses,stored FROM endpoints", to,
                        "INSERT OR REPLACE INTO endpoints VALUES(?1,?2,?3,?4)"));
  EDGE_TRY(copy_rows<2>(from, "SELECT adapter,json FROM reputation", to,
                        "INSERT OR REPLACE INTO reputation VALUES(?1,?2)"));
  return copy_rows<1>(from, "SELECT id FROM journal WHERE result_acked=1", to,
                      "UPDATE journal SET result_acked=1 WHERE id=?1 AND finished IS NOT NULL");
}

}  // namespace

Result<Store> Store::open_volatile(const std::string& path, const std::string& scratch_folder,
                                   const Error& why, WallTime now) {
  auto copy = read_into_memory(path, scratch_folder, host_migrations());
  if (!copy && (copy.error().code == Errc::unsupported || copy.error().code == Errc::conflict)) {
    return std::unexpected(std::move(copy).error());
  }
  EDGE_ASSIGN(Store store, Store::open(":memory:", now));
  const bool copied = copy.has_value();
  if (copied) {
    store.state_->database = std::move(*copy);
    store.state_->outcome.created = false;
  }
  store.state_->standing = {.durable = false,
                            .reason = why.what,
                            .journal_known = copied || FileId::of(path) == FileId{}};
  store.state_->volatile_why = why;
  EDGE_ASSIGN(const auto origin, store.setting("install_id"));
  EDGE_TRY(store.put_setting("volatile_origin", copied ? origin.value_or("") : ""));
  EDGE_ASSIGN(const std::string fresh, random_uuid());
  EDGE_TRY(store.put_setting("install_id", fresh));
  EDGE_ASSIGN(store.state_->first_event,
              store.state_->database.integer("SELECT coalesce(max(number),0) FROM events"));
  return store;
}

Result<void> Store::hand_over(const std::string& path, WallTime now, const StoreOptions& options) {
  EDGE_ASSIGN(Store file, Store::open(path, now, options));
  EDGE_TRY(file.state_->reserve.ensure());
  EDGE_ASSIGN(const auto origin, setting("volatile_origin"));
  EDGE_ASSIGN(const auto there, file.setting("install_id"));
  const bool copied = origin && there && !there->empty() && *origin == *there;
  return file.state_->write([&]() -> Result<void> {
    return take_over(state_->database, file.state_->database, copied, state_->first_event);
  });
}

}  // namespace edge::store
