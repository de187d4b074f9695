// Store: durable events for the Console, bounded, with a marker in place of what had to go.
#include <set>

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

/// First number that an earlier marker stands for.
std::optional<std::int64_t> from_of_marker(std::string_view text) {
  boost::system::error_code ec;
  const auto parsed = boost::json::parse(text, ec);
  if (ec || !parsed.is_object()) { return std::nullopt; }
  const auto* from = parsed.get_object().if_contains("from");
  if (from == nullptr || !from->is_int64()) { return std::nullopt; }
  return from->get_int64();
}

/// Rows that stand one behind the other and give way to one marker, under the number of the last.
struct Run {
  std::int64_t first_row = 0;
  std::int64_t from = 0;  ///< Of the marker.
  std::int64_t to = 0;
  std::int64_t rows = 0;
};

/// A kind that holds a fiftieth of all rows: ports that flap, paths that come and go.
Result<std::set<std::string>> frequent_kinds(Database& database, std::int64_t rows) {
  std::set<std::string> out;
  EDGE_ASSIGN(Query kinds,
              database.query("SELECT kind FROM events GROUP BY kind HAVING count(*)*50>=?1"));
  kinds.bind(rows);
  while (true) {
    EDGE_ASSIGN(const bool found, kinds.step());
    if (!found) { return out; }
    out.insert(kinds.text(0));
  }
}

/// The oldest runs of `kinds` (nullptr: of all) that make room for `wanted` rows; nothing: they do
/// not.
Result<std::vector<Run>> runs_to_drop(Database& database, std::int64_t acked, std::int64_t wanted,
                                      const std::set<std::string>* kinds) {
  std::vector<Run> out;
  std::int64_t gain = 0;
  std::optional<Run> run;
  const auto end_run = [&] {
    if (run && run->rows > 1) { out.push_back(*run); }
    run.reset();
  };
  EDGE_ASSIGN(Query rows, database.query("SELECT number,kind,CASE kind WHEN ?2 THEN json END FROM "
                                         "events WHERE number>?1 ORDER BY number"));
  rows.bind(acked, kEventsDropped);
  while (gain < wanted) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return std::vector<Run>{}; }
    const std::int64_t number = rows.integer(0);
    const std::string kind = rows.text(1);
    const bool marker = kind == kEventsDropped;
    if (kinds != nullptr && !marker && !kinds->contains(kind)) {
      end_run();
      continue;
    }
    if (!run) {
      const auto from = marker ? from_of_marker(rows.text(2)) : std::nullopt;
      run = Run{.first_row = number, .from = std::max(acked + 1, from.value_or(number))};
    } else {
      ++gain;
    }
    run->to = number;
    ++run->rows;
  }
  end_run();
  return out;
}

/// Those that the Console has go first. Of the others a tenth: the oldest of frequent kinds, and
/// only where they do not suffice the oldest of all. What was there of them is in a marker.
Result<void> drop_oldest_events(Database& database, std::int64_t rows, std::int64_t acked) {
  std::int64_t wanted = rows / 10 + 1;
  {
    EDGE_ASSIGN(Query drop, database.query("DELETE FROM events WHERE number IN (SELECT number FROM "
                                           "events WHERE number<=?1 ORDER BY number LIMIT ?2)"));
    EDGE_TRY(drop.bind(acked, wanted).run());
  }
  const std::int64_t freed = database.changes();
  if (freed >= wanted) { return {}; }
  wanted -= freed;  // Not next time: each time costs a count of all.
  EDGE_ASSIGN(const auto frequent, frequent_kinds(database, rows));
  EDGE_ASSIGN(auto runs, runs_to_drop(database, acked, wanted, &frequent));
  if (runs.empty()) { EDGE_ASSIGN(runs, runs_to_drop(database, acked, wanted, nullptr)); }
  if (runs.empty()) {  // Few rows, large ones: all but the last.
    EDGE_ASSIGN(runs, runs_to_drop(database, acked, rows - freed - 1, nullptr));
  }
  for (const Run& run : runs) {
    EDGE_ASSIGN(Query drop, database.query("DELETE FROM events WHERE number>=?1 AND number<?2"));
    EDGE_TRY(drop.bind(run.first_row, run.to).run());
    EDGE_ASSIGN(Query mark, database.query("UPDATE events SET kind=?2,json=?3 WHERE number=?1"));
    const std::string json =
        fmt::format(R"({{"from":{},"to":{},"count":{}}})", run.from, run.to, run.to - run.from + 1);
    EDGE_TRY(mark.bind(run.to, kEventsDropped, json).run());
  }
  return {};
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
