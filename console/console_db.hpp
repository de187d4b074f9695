// The Console's memory in one SQLite file: hosts, commands, results, events.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
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

/// Newest first.
struct RecentCommands {
  std::vector<CommandRow> rows;
  bool more = false;  ///< Older ones were left out.
};

/// In the order of their numbers.
struct EventList {
  std::vector<EventRow> rows;
  bool more = false;  ///< Newer ones were left out.
};

/// What became of the events of one host.
struct EventsAdded {
  std::int64_t seq = 0;              ///< The newest of all hosts.
  std::int64_t last = 0;             ///< The highest n of this one.
  std::int64_t stored = 0;           ///< How many are new; the others were there.
  std::int64_t refused = 0;          ///< Numbers that are too far above the highest.
  std::int64_t put_back = 0;         ///< How often it showed that the host's store was put back.
  EventLine line;                    ///< As it is now.
  std::vector<std::size_t> fresh{};  ///< Which of them are new.
};

/// What one turn of prune() did.
struct Pruned {
  std::int64_t dropped = 0;  ///< Rows.
  bool more = false;         ///< Hosts, or commands, are left for the next turn.
};

struct DbLimits {
  std::int64_t events_per_host_max = 20'000;
  std::int64_t event_bytes_per_host_max = 16LL << 20;  ///< Of `data`.
  std::int64_t unpruned_events_max = 2'000;            ///< Of one host, since it was pruned.
  std::int64_t unpruned_bytes_max = 2LL << 20;
  std::int64_t issued_per_host_max = 200;
  std::int64_t former_per_host_max = 3;
  std::int64_t commands_max = 500'000;      ///< That were sent and are finished.
  std::int64_t commands_per_turn = 2'000;   ///< Go in one turn of prune().
  std::int64_t own_per_host_max = 1'000;    ///< Commands of a host's own.
  std::size_t recent_bytes_max = 4U << 20;  ///< Of messages, results, data in one list; or one row.
  std::size_t prune_hosts_max = 64;         ///< In one turn: a host takes a millisecond or two.
};

/// Synchronous; every write is on disk when it returns (inside together(): when that returns).
/// Threads: one owner at a time (store::Worker<ConsoleDb>).
/// Errors: as store::sqlite_error.
class ConsoleDb {
 public:
  /// So far above the highest one no event's number may be. A host that was away for long pruned
  /// what it had; nobody has so many.
  static constexpr std::int64_t event_hole_end = std::int64_t{1} << 32;

  static Result<ConsoleDb> open(const std::string& path, DbLimits limits = {});
  const store::OpenOutcome& opened() const { return outcome_; }

  Result<std::vector<HostRow>> hosts();
  /// Writes all but the snapshot, the revocation, the order of a renewal and the line of its
  /// events. Another `install_id` than before ends the confirms of its trials.
  Result<void> put_host(const HostRow& host);
  /// Writes `host.revoked`, and the host where it is not known yet.
  Result<void> put_revocation(const HostRow& host);
  /// Writes `host.renewal`, and the host where it is not known yet. Pre: there is an order.
  Result<void> put_renewal(const HostRow& host);
  Result<void> put_snapshot(std::string_view host, std::string_view json, WallTime now);

  /// Two commands are the same when their messages are equal as JSON.
  Result<AddOutcome> add_command(std::string_view host, std::string_view id,
                                 std::string_view message, WallTime now);
  /// The first final result stands; later ones change nothing. A command of the host's own is
  /// added. Returns the row as it is then.
  Result<CommandRow> finish_command(std::string_view host, std::string_view id, CommandState state,
                                    std::string_view result, WallTime now);
  /// Writes the operator's word about a command that is not finished. False: there is none such, or
  /// it was aborted: that stands.
  /// Writes the host first: a word is for what its present installation tries out, and what is
  /// written of another one ends the confirms.
  Result<bool> put_word(const HostRow& host, std::string_view id, Word word);
  /// Of a command that is not over. An abort stays.
  Result<void> end_confirm(std::string_view host, std::string_view id);
  Result<std::optional<CommandRow>> command(std::string_view host, std::string_view id);
  /// In order of arrival, over all hosts.
  Result<std::vector<CommandRow>> unfinished();
  /// At most `limit`, and of recent_bytes_max together.
  Result<RecentCommands> recent_commands(std::string_view host, std::size_t limit);

  /// All of one host, as it counts them. An event that is there under its number is skipped. Where
  /// another one is there, or none below the highest, the host's store was put back to an older
  /// state: from this number on they follow the highest n. `now`: when that was noticed. One that
  /// is event_hole_end above the highest is left out.
  Result<EventsAdded> add_events(std::span<const EventRow> events, WallTime now = {});
  /// At most `limit`, and of recent_bytes_max together.
  Result<EventList> events_of(std::string_view host, std::int64_t after, std::size_t limit);
  Result<std::vector<EventRow>> events_since(std::int64_t seq, std::size_t limit);
  Result<std::int64_t> last_seq();
  /// The newest n of one host; 0: it has none.
  Result<std::int64_t> last_event(std::string_view host);

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

  /// Keeps the tables within their limits, in turns: of the commands commands_per_turn, of the
  /// hosts that wrote since their last turn the next prune_hosts_max.
  Result<Pruned> prune();
  /// What prune() runs, for a look at the plans.
  static std::span<const std::string_view> prune_statements();

  template <class Body>
  auto together(Body&& body) -> std::invoke_result_t<Body&> {
    auto out = database_.transaction(body);
    settle_pruned(out.has_value() ? End::kept : End::taken_back);
    return out;
  }

 private:
  ConsoleDb(store::OpenedDatabase opened, DbLimits limits)
      : database_(std::move(opened.database)),
        outcome_(std::move(opened.outcome)),
        limits_(limits) {}

  store::Database database_;
  /// What became of a transaction.
  enum class End : std::uint8_t { kept, taken_back };
  struct Unpruned {
    std::int64_t events = 0;
    std::int64_t bytes = 0;
  };
  Result<void> add_event(const EventRow& event, WallTime now, EventsAdded& out);
  Result<bool> has_event(const EventRow& event, std::int64_t n);
  Result<EventLine> event_line(std::string_view host);
  Result<void> put_event_line(std::string_view host, const EventLine& line);
  Result<void> end_confirms_of_former(const HostRow& host);
  Result<void> count_events(std::span<const EventRow> events);
  Result<void> prune_commands(Pruned& out);
  void settle_pruned(End end);
  Result<void> remember_hosts();

  store::OpenOutcome outcome_;
  DbLimits limits_;
  /// What hosts wrote since count_events() pruned them; a turn of prune() looks at no bytes.
  std::map<std::string, Unpruned, std::less<>> unpruned_;
  std::set<std::string> wrote_;   ///< Hosts, since their last turn of prune().
  std::set<std::string> pruned_;  ///< Hosts, in the transaction that is open.
  std::string pruned_to_;         ///< The last host of this round; empty: one begins.
  bool commands_left_ = false;    ///< Beyond commands_max.
};

}  // namespace edge::console
