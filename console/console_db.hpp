// The Console's memory in one SQLite file: hosts, commands, results, events.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "console/records.hpp"
#include "store/io/open.hpp"

namespace edge::console {

/// What became of a command that was posted.
enum class Added : std::uint8_t {
  fresh,     ///< On disk now.
  known,     ///< The same was posted before.
  id_reuse,  ///< This id was used for another command.
};
struct AddOutcome {
  Added added = Added::fresh;
  CommandRow row;  ///< What is on disk under this id.
};

struct DbLimits {
  std::int64_t events_per_host_max = 20'000;
  std::int64_t event_bytes_per_host_max = 16LL << 20;  ///< Of `data`.
  std::int64_t unpruned_events_max = 2'000;            ///< Of one host, since it was pruned.
  std::int64_t unpruned_bytes_max = 2LL << 20;
  std::int64_t issued_per_host_max = 200;
  std::int64_t former_per_host_max = 3;
  std::int64_t commands_max = 500'000;    ///< Finished ones beyond go, oldest first.
  std::int64_t own_per_host_max = 1'000;  ///< Of those, commands of a host's own.
};

/// Synchronous; every write is on disk when it returns (inside together(): when that returns).
/// Threads: one owner at a time (store::Worker<ConsoleDb>).
/// Errors: as store::sqlite_error.
class ConsoleDb {
 public:
  static Result<ConsoleDb> open(const std::string& path, DbLimits limits = {});
  const store::OpenOutcome& opened() const { return outcome_; }

  Result<std::vector<HostRow>> hosts();
  /// Writes all columns but the snapshot and the revocation.
  Result<void> put_host(const HostRow& host);
  /// Writes `host.revoked`, and the host where it is not known yet.
  Result<void> put_revocation(const HostRow& host);
  Result<void> put_snapshot(std::string_view host, std::string_view json, WallTime now);

  /// Two commands are the same when their messages are equal as JSON.
  Result<AddOutcome> add_command(std::string_view host, std::string_view id,
                                 std::string_view message, WallTime now);
  /// The first final result stands; later ones change nothing. A command of the host's own is
  /// added. Returns the row as it is then.
  Result<CommandRow> finish_command(std::string_view host, std::string_view id, CommandState state,
                                    std::string_view result, WallTime now);
  Result<std::optional<CommandRow>> command(std::string_view host, std::string_view id);
  /// In order of arrival, over all hosts.
  Result<std::vector<CommandRow>> unfinished();
  /// Newest first.
  Result<std::vector<CommandRow>> recent_commands(std::string_view host, std::size_t limit);

  /// All of one host. Known numbers are skipped. Returns the seq of the newest event of all hosts.
  Result<std::int64_t> add_events(std::span<const EventRow> events);
  Result<std::vector<EventRow>> events_of(std::string_view host, std::int64_t after,
                                          std::size_t limit);
  Result<std::vector<EventRow>> events_since(std::int64_t seq, std::size_t limit);
  Result<std::int64_t> last_seq();

  Result<void> add_forward(const ForwardRow& forward);
  Result<void> remove_forward(std::string_view host, std::string_view id);
  /// In order of creation, over all hosts.
  Result<std::vector<ForwardRow>> forwards();

  /// On record stay the newest issued_per_host_max of each host.
  Result<void> add_issued(const IssuedRow& row);
  /// Newest first.
  Result<std::vector<IssuedRow>> issued(std::string_view host, std::size_t limit);

  /// One that is as the newest on record is not added; the newest former_per_host_max stay.
  Result<void> add_former(const FormerRow& row);
  /// Newest first.
  Result<std::vector<FormerRow>> former(std::string_view host);

  /// Keeps the tables within their limits. Returns rows dropped.
  Result<std::int64_t> prune();

  template <class Body>
  auto together(Body&& body) -> std::invoke_result_t<Body&> {
    return database_.transaction(body);
  }

 private:
  ConsoleDb(store::OpenedDatabase opened, DbLimits limits)
      : database_(std::move(opened.database)),
        outcome_(std::move(opened.outcome)),
        limits_(limits) {}

  store::Database database_;
  struct Unpruned {
    std::int64_t events = 0;
    std::int64_t bytes = 0;
  };
  Result<void> count_events(std::span<const EventRow> events);

  store::OpenOutcome outcome_;
  DbLimits limits_;
  std::map<std::string, Unpruned, std::less<>> unpruned_;  ///< By host.
};

}  // namespace edge::console
