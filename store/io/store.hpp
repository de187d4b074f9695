// The host's memory in one SQLite file: journal, revisions, leases, adapters, events, identity.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "store/core/records.hpp"
#include "store/io/open.hpp"

namespace edge::store {

struct StoreOptions {
  StoreLimits limits;
  std::string vfs;  ///< For tests: a registered sqlite3_vfs.
};

/// What the Console has not taken yet of a command that is over.
struct UnackedResult {
  std::int64_t place = 0;  ///< In the order of arrival; above 0.
  std::string id;
  std::string result;  ///< JSON.
};

/// Synchronous store. Every function that writes has committed (WAL, synchronous=FULL: fsynced)
/// when it returns a value, and changed nothing when it returns an Error; inside together() it is
/// durable when together() returns.
///
/// Time:    wall time is a parameter.
/// Threads: one owner at a time (StoreWorker in the daemon).
/// Errors:  of every function: no_space (disk full), corrupt, denied (read-only), transient (I/O
///          error, another process holds the file); more where said.
class Store {
 public:
  /// Opens or creates. A corrupt file is moved to `<path>.corrupt-<n>` and a new store is made; a
  /// copy
  /// `<path>.v<old>` is kept before a migration.
  /// Errors: unsupported (file written by a newer program), denied, no_space, not_found (folder
  /// missing).
  static Result<Store> open(const std::string& path, WallTime now,
                            const StoreOptions& options = {});
  /// A store in memory, for as long as the file cannot be opened (`why`). It knows what the file
  /// holds, if that can be read, takes events, leases and adapters, and refuses commands: none may
  /// run that is not on disk. It is an installation of its own (install_id), so that its event
  /// numbers are used once. `scratch_folder`: where a copy of the file may be read.
  /// Errors: unsupported and conflict, as open().
  static Result<Store> open_volatile(const std::string& path, const std::string& scratch_folder,
                                     const Error& why, WallTime now);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  const OpenOutcome& opened() const;
  const Standing& standing() const;
  /// The last failure of the disk since the last good probe(); empty: none. A file that was removed
  /// or replaced under us is one: nothing is durable any more.
  std::optional<Error> trouble() const;
  /// Writes a mark and asks for the reserve: the disk takes commands again. Errors: it does not.
  Result<void> probe(WallTime now);
  /// Of a volatile store, when the file may be good again: opens it and gives it the events, leases
  /// and adapters of this life and their install_id, in one commit. Then this store has served.
  /// Errors: as open(); no_space while there is no room for the reserve.
  Result<void> hand_over(const std::string& path, WallTime now, const StoreOptions& options = {});

  // --- Journal: delivery at least once, execution once -------------------------------------------
  /// Puts a command on disk, or says what is known under its id.
  /// Errors: invalid_input (id, size), no_space (disk full or nearly, or journal full of unacked
  /// results): refuse the command, nothing of it is kept.
  Result<ReceiveOutcome> receive(const IncomingCommand& command, WallTime now);
  /// The same for several in one commit; one failure of the disk fails them all, a bad one only
  /// itself.
  std::vector<Result<ReceiveOutcome>> receive_all(std::span<const IncomingCommand> commands,
                                                  WallTime now);
  /// stored → applying, with the boot it happens in and what is needed to take it back.
  /// Errors: not_found; conflict if it is not in state stored.
  Result<void> start(std::string_view id, std::string_view boot_id, std::string_view undo,
                     WallTime now);
  /// Marks how far an applying or confirming command came; `state` is applying or confirming.
  /// Errors: not_found; conflict if it is final or not begun.
  Result<void> mark(std::string_view id, CommandState state, std::string_view step);
  /// Ends a command: result, and the revision it made if any, in one commit.
  /// Pre: is_final(state). Errors: not_found; conflict if it is final already, or the revision
  /// number was given before; invalid_input (result or model too large).
  Result<void> finish(std::string_view id, CommandState state, std::string_view result_json,
                      const std::optional<Revision>& revision, WallTime now);
  Result<std::optional<CommandRecord>> command(std::string_view id);
  /// Not final, in order of arrival: what a restart must look at.
  Result<std::vector<CommandRecord>> unfinished();
  /// Final, not acked, in order of arrival, at most `limit`: to be sent again.
  Result<std::vector<CommandRecord>> unacked_results(std::size_t limit);
  /// The same, of places above `place` alone.
  Result<std::vector<UnackedResult>> unacked_results_after(std::int64_t place, std::size_t limit);
  /// The Console has the result. An unknown id or one without a result is fine: nothing happens.
  Result<void> ack_result(std::string_view id);
  /// Newest first, with payload and result, for history.
  Result<std::vector<CommandRecord>> recent_commands(std::size_t limit);
  /// Drops acked results older than the retention, and the oldest acked above the row limit.
  /// Returns rows dropped.
  Result<std::int64_t> prune(WallTime now);

  // --- Model revisions ---------------------------------------------------------------------------
  /// Errors: conflict if the number was given before; invalid_input (model too large).
  Result<void> add_revision(const Revision& revision);
  /// `number` belonged to a change that was taken back: no revision gets it, or one below, any
  /// more.
  Result<void> retire_revision(std::int64_t number);
  /// The highest number that a revision has, or a change that was taken back had; 0: none.
  Result<std::int64_t> highest_revision_number();
  Result<std::optional<Revision>> newest_revision();
  Result<std::optional<Revision>> revision(std::int64_t number);
  Result<std::vector<RevisionSummary>> revisions(std::size_t limit);  ///< Newest first.

  // --- Adapters and what belongs to them
  // -----------------------------------------------------------
  /// Known: updates the name. New: gets the next number. Errors: no_space above adapters_max.
  Result<AdapterRecord> remember_adapter(const MacAddress& base_mac, std::string_view name,
                                         WallTime now);
  /// A lost store is rebuilt: the number that the kernel still shows. One that is taken, by this
  /// adapter or another, stays. Errors: invalid_input (0).
  Result<void> restore_adapter(const AdapterRecord& adapter);
  Result<std::vector<AdapterRecord>> adapters();
  Result<void> put_lease(const LeaseRecord& lease);
  Result<void> remove_lease(const MacAddress& adapter, Family family);
  Result<std::vector<LeaseRecord>> leases();
  /// Addresses that last led to a WELCOME, best first, per adapter and Console endpoint
  /// ("host:port").
  Result<void> put_good_addresses(const MacAddress& adapter, std::string_view endpoint,
                                  const std::vector<IpAddress>& addresses, WallTime now);
  Result<std::vector<IpAddress>> good_addresses(const MacAddress& adapter,
                                                std::string_view endpoint);
  Result<void> put_reputation(const MacAddress& adapter, std::string_view json);
  Result<std::optional<std::string>> reputation(const MacAddress& adapter);

  // --- Events for the Console
  // ------------------------------------------------------------------------
  /// Returns its number. When full, a tenth gives way: what the Console has, else the oldest of the
  /// kinds that fill a fiftieth of the room each, else the oldest. Unacked ones leave a
  /// kEventsDropped row for each stretch of numbers.
  Result<std::int64_t> add_event(WallTime time, std::string_view kind, std::string_view json);
  /// Those above `after`, in order, at most `limit`.
  Result<std::vector<EventRecord>> events_after(std::int64_t after, std::size_t limit);
  /// The newest `limit`, in order.
  Result<std::vector<EventRecord>> newest_events(std::size_t limit);
  /// The Console has all up to `number`; never goes backwards.
  Result<void> ack_events(std::int64_t number);
  Result<std::int64_t> acked_events();

  // --- Identity and settings
  // --------------------------------------------------------------------------
  Result<Identity> identity();
  /// This store is another installation from now on: its numbers of events say nothing about those
  /// of the one before.
  Result<void> renew_install_id();
  /// A session epoch above every one handed out before.
  Result<std::int64_t> next_epoch();
  /// Raises the clock floor; a lower value changes nothing.
  Result<void> raise_clock_floor(WallTime known);
  Result<void> put_setting(std::string_view key, std::string_view value);
  Result<std::optional<std::string>> setting(std::string_view key);

  /// Runs `body` (returning Result<T>) with one commit at its end: group commit. A failure inside
  /// one function takes back only that function; a failure of the commit takes back all and is
  /// returned. When the disk fills up under a command that has begun, the held-back reserve is
  /// given up and `body` runs a second time: it must not consume what it captured.
  template <class Body>
  auto together(Body&& body) -> std::invoke_result_t<Body&> {
    EDGE_TRY(begin_group());
    auto result = body();
    auto ended = end_group();
    if (ended) { return result; }
    if (!make_room(ended.error())) { return std::unexpected(std::move(ended).error()); }
    // Once more, with the reserve's room; a new command in the same body is refused, or it would
    // take the room for itself.
    const auto begun = begin_group();
    if (!begun) {
      room_spent();
      return std::unexpected(begun.error());
    }
    result = body();
    ended = end_group();
    room_spent();
    if (!ended) { return std::unexpected(std::move(ended).error()); }
    return result;
  }

  /// Runs `body` (returning Result<void>): all that it writes, or nothing when it returns an Error.
  /// Pre: inside together(), whose commit it shares.
  template <class Body>
  Result<void> whole(Body&& body) {
    EDGE_TRY(begin_whole());
    return end_whole(body());
  }

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  Result<void> begin_group();
  Result<void> end_group();
  Result<void> begin_whole();
  Result<void> end_whole(Result<void> result);
  /// True: the reserve was given up, trying again may help. At most once until the disk has room
  /// again.
  bool make_room(const Error& error);
  void room_spent();

  std::unique_ptr<State> state_;
};

}  // namespace edge::store
