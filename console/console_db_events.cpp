// The Console's database: events of hosts, each once and in order.
#include "console/console_db.hpp"
#include "console/console_db_rows.hpp"

namespace edge::console {

namespace {

using namespace db_rows;
using store::Query;

/// Of PROTOCOL.md, channel 2.
constexpr std::string_view kDroppedMarker = "events.dropped";

constexpr std::string_view kEvent = "SELECT seq,host,n,time,time_text,kind,data FROM events ";
EventRow to_event(Query& row) {
  return {.seq = row.integer(0),
          .host = row.text(1),
          .n = row.integer(2),
          .time = from_ms(row.integer(3)),
          .time_text = row.text(4),
          .kind = row.text(5),
          .data = row.text(6)};
}

}  // namespace

Result<EventsAdded> ConsoleDb::add_events(std::span<const EventRow> events, WallTime now) {
  auto added = database_.transaction([&]() -> Result<EventsAdded> {
    EventsAdded out;
    if (!events.empty()) {
      const std::string& host = events.front().host;
      EDGE_ASSIGN(out.last, last_event(host));
      EDGE_ASSIGN(out.line, event_line(host));
      for (std::size_t i = 0; i < events.size(); ++i) {
        const std::int64_t before = out.stored;
        EDGE_TRY(add_event(events[i], now, out));
        if (out.stored > before) { out.fresh.push_back(i); }
      }
      if (out.put_back > 0) { EDGE_TRY(put_event_line(host, out.line)); }
      if (out.stored > 0) { EDGE_TRY(count_events(events)); }
    }
    EDGE_ASSIGN(out.seq, last_seq());
    return out;
  });
  settle_pruned(added ? End::kept : End::taken_back);
  return added;
}

/// A host sends its events in order: one that is not above the highest came before, or its number
/// is given again; also where what had it was pruned, for a host repeats only what it sent last. A
/// marker for events that the host gave up takes the number of one of them, which may be here.
Result<void> ConsoleDb::add_event(const EventRow& event, WallTime now, EventsAdded& out) {
  std::int64_t n = out.line.n_of(event.n);
  if (n <= out.last) {
    EDGE_ASSIGN(const bool known, has_event(event, n));
    if (known || event.kind == kDroppedMarker) { return {}; }
    out.line.branch(event.n, out.last, now);
    ++out.put_back;
    n = out.last + 1;
  }
  if (n - out.last >= event_hole_end) {
    ++out.refused;
    return {};
  }
  EDGE_ASSIGN(Query row, database_.query("INSERT INTO events(host,n,time,time_text,kind,data)"
                                         " VALUES(?1,?2,?3,?4,?5,?6)"));
  EDGE_TRY(
      row.bind(event.host, n, to_ms(event.time), event.time_text, event.kind, event.data).run());
  out.last = n;
  ++out.stored;
  return {};
}

Result<bool> ConsoleDb::has_event(const EventRow& event, std::int64_t n) {
  EDGE_ASSIGN(Query row,
              database_.query("SELECT time_text,kind,data FROM events WHERE host=?1 AND n=?2"));
  EDGE_ASSIGN(const bool found, row.bind(event.host, n).step());
  return found && row.text(0) == event.time_text && row.text(1) == event.kind &&
         same_json(row.text(2), event.data);
}

Result<EventLine> ConsoleDb::event_line(std::string_view host) {
  EDGE_ASSIGN(Query row, database_.query("SELECT line FROM event_lines WHERE host=?1"));
  EDGE_ASSIGN(const bool found, row.bind(host).step());
  return found ? parse_event_line(row.text(0)) : EventLine{};
}

Result<void> ConsoleDb::put_event_line(std::string_view host, const EventLine& line) {
  EDGE_ASSIGN(Query row,
              database_.query("INSERT OR REPLACE INTO event_lines(host,line) VALUES(?1,?2)"));
  return row.bind(host, to_text(line)).run();
}

/// One that says much at once does not have the disk until the next prune().
Result<void> ConsoleDb::count_events(std::span<const EventRow> events) {
  const std::string& host = events.front().host;
  wrote_.insert(host);
  Unpruned& since = unpruned_[host];
  since.events += static_cast<std::int64_t>(events.size());
  for (const EventRow& event : events) {
    since.bytes += static_cast<std::int64_t>(event.data.size());
  }
  if (since.events < limits_.unpruned_events_max && since.bytes < limits_.unpruned_bytes_max) {
    return {};
  }
  EDGE_ASSIGN(Query old,
              database_.query("DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq,"
                              " row_number() OVER newest AS age,"
                              " sum(length(CAST(data AS BLOB))) OVER newest AS bytes FROM events"
                              " WHERE host=?1 WINDOW newest AS (ORDER BY n DESC))"
                              " WHERE age>?2 OR bytes>?3)"));
  EDGE_TRY(old.bind(host, limits_.events_per_host_max, limits_.event_bytes_per_host_max).run());
  since = {};
  pruned_.insert(host);
  return {};
}

/// Only the outermost transaction tells. Where it was taken back, so was the pruning in it: those
/// hosts are due again, in the next round and with the next that they write.
void ConsoleDb::settle_pruned(End end) {
  if (database_.in_transaction()) { return; }
  if (end == End::taken_back) {
    for (const std::string& host : pruned_) {
      wrote_.insert(host);
      unpruned_[host].events = limits_.unpruned_events_max;
    }
  }
  pruned_.clear();
}

Result<EventList> ConsoleDb::events_of(std::string_view host, std::int64_t after,
                                       std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              database_.query(std::string(kEvent) + "WHERE host=?1 AND n>?2 ORDER BY n LIMIT ?3"));
  rows.bind(host, after, limit + 1);  // One more tells whether there are more.
  EventList out;
  std::size_t bytes = 0;
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return out; }
    out.more = out.rows.size() == limit;
    if (out.more) { return out; }
    EventRow row = to_event(rows);
    bytes += row.data.size();
    out.more = !out.rows.empty() && bytes > limits_.recent_bytes_max;
    if (out.more) { return out; }
    out.rows.push_back(std::move(row));
  }
}

Result<std::vector<EventRow>> ConsoleDb::events_since(std::int64_t seq, std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              database_.query(std::string(kEvent) + "WHERE seq>?1 ORDER BY seq LIMIT ?2"));
  rows.bind(seq, limit);
  return all_rows(std::move(rows), to_event);
}

Result<std::int64_t> ConsoleDb::last_seq() {
  return database_.integer("SELECT coalesce(max(seq),0) FROM events");
}

Result<std::int64_t> ConsoleDb::last_event(std::string_view host) {
  EDGE_ASSIGN(Query row, database_.query("SELECT coalesce(max(n),0) FROM events WHERE host=?1"));
  EDGE_ASSIGN(const bool found, row.bind(host).step());
  return found ? row.integer(0) : 0;
}

}  // namespace edge::console
