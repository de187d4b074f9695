// What the parts of Store share. Private to store/io.
#pragma once

#include <fmt/format.h>

#include <map>

#include "store/io/reserve.hpp"
#include "store/io/sqlite.hpp"
#include "store/io/store.hpp"

namespace edge::store {

inline std::int64_t to_ms(WallTime time) { return time.time_since_epoch().count(); }
inline WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

/// Rows and bytes of a bounded table, counted once and then kept up; a failed write makes it
/// unknown.
struct Usage {
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
};

/// Bytes of each kept revision by its number; counted and kept up like Usage.
using RevisionBytes = std::map<std::int64_t, std::int64_t>;

/// The schema of the host's store.
Migrations host_migrations();
/// A random UUID (version 4). Errors: transient, if the kernel gives no random bytes.
Result<std::string> random_uuid();

/// Which file a path leads to now; {0, 0}: none.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  static FileId of(const std::string& path);
  bool operator==(const FileId&) const = default;
};

/// The disk does not take what it should, whoever asked.
inline bool is_disk_trouble(Errc code) {
  return code == Errc::no_space || code == Errc::denied || code == Errc::transient ||
         code == Errc::corrupt;
}

struct Store::State {
  Database database;
  OpenOutcome outcome;
  StoreLimits limits;
  Reserve reserve;
  std::string path;
  FileId file{};  ///< As opened; in memory: {0, 0}.
  Standing standing{};
  Error volatile_why{Errc::transient, 0, ""};  ///< Of a store that is not durable.
  std::int64_t first_event = 0;  ///< Of a volatile store: the newest event when it began.
  std::optional<Error> trouble{};
  int group_depth = 0;
  bool wants_room = false;  ///< A write that must land met a full disk inside a group.
  bool refuse_new = false;  ///< The reserve was given up for what has begun: nothing new may begin.
  std::optional<Usage> journal_usage;
  std::optional<Usage> events_usage;
  std::optional<RevisionBytes> revision_bytes;

  void note(const Error& error) {
    if (is_disk_trouble(error.code)) { trouble = error; }
  }
  /// Nothing of a command is written where it would not last.
  Result<void> must_be_durable() const {
    if (standing.durable) { return {}; }
    return fail(volatile_why.code, "there is no usable store: " + standing.reason);
  }
  void forget_usage() {
    journal_usage.reset();
    events_usage.reset();
    revision_bytes.reset();
  }

  /// A write that may be refused.
  template <class Body>
  auto write(Body&& body) -> std::invoke_result_t<Body&> {
    auto result = database.transaction(body);
    if (!result) {
      forget_usage();
      note(result.error());
    }
    return result;
  }
  /// A write for something that has begun: on a full disk the reserve is given up for it.
  template <class Body>
  auto must_write(Body&& body) -> std::invoke_result_t<Body&> {
    auto result = write(body);
    if (result || result.error().code != Errc::no_space) { return result; }
    if (group_depth > 0) {
      wants_room = true;
      return result;
    }
    // Inside another write only the outermost one may try again.
    if (database.in_transaction() || !reserve.release()) { return result; }
    return write(body);
  }
};

/// At most one row, made by `row` from the Query. Pre: the query is bound.
template <class Row>
auto optional_row(Query& rows, Row&& row)
    -> Result<std::optional<std::invoke_result_t<Row&, Query&>>> {
  EDGE_ASSIGN(const bool found, rows.step());
  if (!found) { return std::nullopt; }
  return row(rows);
}
/// All rows, each made by `row`.
template <class Row>
auto all_rows(Query& rows, Row&& row) -> Result<std::vector<std::invoke_result_t<Row&, Query&>>> {
  std::vector<std::invoke_result_t<Row&, Query&>> out;
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return out; }
    out.push_back(row(rows));
  }
}

}  // namespace edge::store
