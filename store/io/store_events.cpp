// Store: durable events for the Console, bounded, with a marker in place of what had to go.
#include <boost/json.hpp>

#include "store/io/store_state.hpp"

namespace edge::store {
namespace {

constexpr std::string_view kAckedKey = "events_acked";

EventRecord to_event(Query& row) {
  return {.number = row.integer(0),
          .time = from_ms(row.integer(1)),
          .kind = row.text(2),
          .json = row.text(3)};
}

Result<Usage> count_events(Database& database) {
  EDGE_ASSIGN(Query rows,
              database.query("SELECT count(*),coalesce(sum(length(json)),0) FROM events"));
  EDGE_ASSIGN(const bool found, rows.step());
  if (!found) { return fail(Errc::corrupt, "count of events gave no row"); }
  return Usage{.rows = rows.integer(0), .bytes = rows.integer(1)};
}

/// First number that an earlier marker stands for, if the oldest row is one.
Result<std::optional<std::int64_t>> marker_from(Database& database) {
  EDGE_ASSIGN(Query rows, database.query("SELECT kind,json FROM events ORDER BY number LIMIT 1"));
  EDGE_ASSIGN(const bool found, rows.step());
  if (!found || rows.text(0) != kEventsDropped) { return std::nullopt; }
  boost::system::error_code ec;
  const auto parsed = boost::json::parse(rows.text(1), ec);
  if (ec || !parsed.is_object()) { return std::nullopt; }
  const auto* from = parsed.get_object().if_contains("from");
  if (from == nullptr || !from->is_int64()) { return std::nullopt; }
  return from->get_int64();
}

/// Drops the oldest tenth, at least one row net. Unacked ones leave a marker under the number of
/// the last dropped.
Result<void> drop_oldest_events(Database& database, std::int64_t rows, std::int64_t acked) {
  std::int64_t last = 0;
  {
    EDGE_ASSIGN(Query at,
                database.query("SELECT number FROM events ORDER BY number LIMIT 1 OFFSET ?1"));
    EDGE_ASSIGN(const bool found, at.bind(rows / 10 + 1).step());
    if (!found) { return {}; }
    last = at.integer(0);
  }
  EDGE_ASSIGN(const auto earlier, marker_from(database));
  EDGE_ASSIGN(const std::int64_t oldest, database.integer("SELECT min(number) FROM events"));
  const std::int64_t from = std::max(acked + 1, earlier.value_or(oldest));
  const bool marked = last > acked;
  {
    EDGE_ASSIGN(Query drop, database.query("DELETE FROM events WHERE number<?1+?2"));
    EDGE_TRY(drop.bind(last, marked ? 0 : 1).run());
  }
  if (!marked) { return {}; }
  EDGE_ASSIGN(Query mark, database.query("UPDATE events SET kind=?2,json=?3 WHERE number=?1"));
  const std::string json =
      fmt::format(R"({{"from":{},"to":{},"count":{}}})", from, last, last - from + 1);
  return mark.bind(last, kEventsDropped, json).run();
}

}  // namespace

Result<std::int64_t> Store::add_event(WallTime time, std::string_view kind, std::string_view json) {
  const auto bytes = static_cast<std::int64_t>(json.size());
  if (bytes > state_->limits.events_bytes_max / 4) {
    return fail(Errc::invalid_input, fmt::format("event {} has {} bytes; at most {} are allowed",
                                                 kind, bytes, state_->limits.events_bytes_max / 4));
  }
  return state_->must_write([&]() -> Result<std::int64_t> {
    Database& database = state_->database;
    if (!state_->events_usage) { EDGE_ASSIGN(state_->events_usage, count_events(database)); }
    while (state_->events_usage->rows >= state_->limits.events_max ||
           state_->events_usage->bytes + bytes > state_->limits.events_bytes_max) {
      EDGE_ASSIGN(const std::int64_t acked, acked_events());
      EDGE_TRY(drop_oldest_events(database, state_->events_usage->rows, acked));
      EDGE_ASSIGN(const Usage left, count_events(database));
      if (left.rows >= state_->events_usage->rows) { break; }  // One row is left: a marker.
      state_->events_usage = left;
    }
    EDGE_ASSIGN(Query row, database.query("INSERT INTO events(time,kind,json) VALUES(?1,?2,?3)"));
    EDGE_TRY(row.bind(to_ms(time), kind, json).run());
    ++state_->events_usage->rows;
    state_->events_usage->bytes += bytes;
    return database.last_insert_id();
  });
}

Result<std::vector<EventRecord>> Store::events_after(std::int64_t after, std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              state_->database.query("SELECT number,time,kind,json FROM events WHERE number>?1"
                                     " ORDER BY number LIMIT ?2"));
  rows.bind(after, limit);
  return all_rows(rows, to_event);
}

Result<std::vector<EventRecord>> Store::newest_events(std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              state_->database.query("SELECT number,time,kind,json FROM (SELECT * FROM events"
                                     " ORDER BY number DESC LIMIT ?1) ORDER BY number"));
  rows.bind(limit);
  return all_rows(rows, to_event);
}

Result<void> Store::ack_events(std::int64_t number) {
  EDGE_ASSIGN(const std::int64_t acked, acked_events());
  if (number <= acked) { return {}; }
  return put_setting(kAckedKey, std::to_string(number));
}

Result<std::int64_t> Store::acked_events() {
  EDGE_ASSIGN(const auto acked, setting(kAckedKey));
  return std::atoll(acked.value_or("0").c_str());
}

}  // namespace edge::store
