// Store: the command journal. Each step is one commit, so a crash leaves a command before or after
// it.
#include <algorithm>

#include "base/assert.hpp"
#include "store/io/store_state.hpp"

namespace edge::store {
namespace {

constexpr std::string_view kColumns =
    "SELECT "
    "id,payload,sha256,class,state,result,result_acked,boot_id,step,undo,received,started,finished"
    " FROM journal ";

CommandRecord to_record(Query& row) {
  CommandRecord out;
  out.id = row.text(0);
  out.payload = row.text(1);
  const auto digest = row.blob(2);
  std::ranges::copy(digest.first(std::min(digest.size(), out.sha256.size())), out.sha256.begin());
  out.command_class = row.text(3);
  // A word that this program does not know can only be a state it does not understand: never run it
  // again.
  out.state = parse_command_state(row.text(4)).value_or(CommandState::indeterminate);
  out.result = row.text(5);
  out.result_acked = row.integer(6) != 0;
  out.boot_id = row.text(7);
  out.step = row.text(8);
  out.undo = row.text(9);
  out.received = from_ms(row.integer(10));
  if (!row.is_null(11)) { out.started = from_ms(row.integer(11)); }
  if (!row.is_null(12)) { out.finished = from_ms(row.integer(12)); }
  return out;
}

Result<std::vector<CommandRecord>> records(Database& database, std::string_view where,
                                           std::size_t limit) {
  EDGE_ASSIGN(Query rows, database.query(fmt::format("{}{} LIMIT ?1", kColumns, where)));
  rows.bind(limit);
  return all_rows(rows, to_record);
}

UnackedResult to_unacked(Query& row) {
  return {.place = row.integer(0), .id = row.text(1), .result = row.text(2)};
}

Result<std::int64_t> drop_oldest_acked(Database& database, std::int64_t count) {
  EDGE_ASSIGN(Query rows, database.query("DELETE FROM journal WHERE seq IN (SELECT seq FROM journal"
                                         " WHERE result_acked=1 ORDER BY seq LIMIT ?1)"));
  EDGE_TRY(rows.bind(count).run());
  return database.changes();
}

Result<void> check_incoming(const IncomingCommand& command, const StoreLimits& limits) {
  if (!is_command_id(command.id)) {
    return fail(
        Errc::invalid_input,
        fmt::format("command id \"{}\" is not a UUID; expected 8-4-4-4-12 lower-case hex digits",
                    command.id.substr(0, 64)));
  }
  if (command.payload.size() > limits.payload_bytes_max) {
    return fail(Errc::invalid_input,
                fmt::format("command {} has {} bytes; at most {} are allowed", command.id,
                            command.payload.size(), limits.payload_bytes_max));
  }
  return {};
}

/// What went wrong when an UPDATE of a command in a certain state met no row.
Result<void> explain_miss(Store& store, std::string_view id, std::string_view wanted) {
  EDGE_ASSIGN(const auto found, store.command(id));
  if (!found) { return fail(Errc::not_found, fmt::format("command {} is not in the journal", id)); }
  return fail(Errc::conflict,
              fmt::format("command {} is {}, it must be {}", id, to_string(found->state), wanted));
}

}  // namespace

Result<ReceiveOutcome> Store::receive(const IncomingCommand& command, WallTime now) {
  EDGE_TRY(check_incoming(command, state_->limits));
  Database& database = state_->database;
  {
    EDGE_ASSIGN(Query rows, database.query("SELECT sha256,state,result FROM journal WHERE id=?1"));
    EDGE_ASSIGN(const bool known, rows.bind(command.id).step());
    if (known) {
      const bool same = std::ranges::equal(rows.blob(0), command.sha256);
      return ReceiveOutcome{
          .receipt = same ? Receipt::known : Receipt::id_reuse,
          .state = parse_command_state(rows.text(1)).value_or(CommandState::indeterminate),
          .result = rows.text(2)};
    }
  }
  EDGE_TRY(state_->must_be_durable());
  if (state_->refuse_new) {
    return fail(Errc::no_space, "disk is full: what is left is held for commands that have begun");
  }
  if (auto held = state_->reserve.ensure(); !held) {
    state_->note(held.error());
    return std::unexpected(std::move(held).error());
  }
  return state_->write([&]() -> Result<ReceiveOutcome> {
    if (!state_->journal_usage) {
      EDGE_ASSIGN(const std::int64_t rows, database.integer("SELECT count(*) FROM journal"));
      state_->journal_usage = Usage{.rows = rows};
    }
    Usage& usage = *state_->journal_usage;
    if (usage.rows >= state_->limits.journal_rows_max) {
      // A hundredth more than needed, so that a full journal does not pay this for each command.
      EDGE_ASSIGN(const std::int64_t dropped,
                  drop_oldest_acked(database, 1 + state_->limits.journal_rows_max / 100));
      if (dropped == 0) {
        return fail(Errc::no_space,
                    fmt::format("the journal holds {} commands whose results the Console has "
                                "not taken; no more until it does",
                                usage.rows));
      }
      usage.rows -= dropped;
    }
    EDGE_ASSIGN(Query row,
                database.query("INSERT INTO journal(id,payload,sha256,class,state,received)"
                               " VALUES(?1,?2,?3,?4,'stored',?5)"));
    EDGE_TRY(
        row.bind(command.id, command.payload, command.sha256, command.command_class, to_ms(now))
            .run());
    ++usage.rows;
    return ReceiveOutcome{};
  });
}

std::vector<Result<ReceiveOutcome>> Store::receive_all(std::span<const IncomingCommand> commands,
                                                       WallTime now) {
  using Outcomes = std::vector<Result<ReceiveOutcome>>;
  auto received = together([&]() -> Result<Outcomes> {
    Outcomes out;
    for (const IncomingCommand& command : commands) { out.push_back(receive(command, now)); }
    return out;
  });
  if (received) { return std::move(*received); }
  return Outcomes(commands.size(), std::unexpected(received.error()));
}

Result<void> Store::start(std::string_view id, std::string_view boot_id, std::string_view undo,
                          WallTime now) {
  EDGE_TRY(state_->must_be_durable());
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row,
                state_->database.query("UPDATE journal SET state='applying',boot_id=?2,undo=?3,"
                                       "started=?4 WHERE id=?1 AND state='stored'"));
    EDGE_TRY(row.bind(id, boot_id, undo, to_ms(now)).run());
    if (state_->database.changes() == 0) { return explain_miss(*this, id, "stored"); }
    return {};
  });
}

Result<void> Store::mark(std::string_view id, CommandState state, std::string_view step) {
  EDGE_ASSERT(state == CommandState::applying || state == CommandState::confirming);
  EDGE_TRY(state_->must_be_durable());
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row, state_->database.query("UPDATE journal SET state=?2,step=?3 WHERE id=?1"
                                                  " AND state IN ('applying','confirming')"));
    EDGE_TRY(row.bind(id, to_string(state), step).run());
    if (state_->database.changes() == 0) {
      return explain_miss(*this, id, "applying or confirming");
    }
    return {};
  });
}

Result<void> Store::finish(std::string_view id, CommandState state, std::string_view result_json,
                           const std::optional<Revision>& revision, WallTime now) {
  EDGE_ASSERT(is_final(state));
  if (result_json.size() > state_->limits.result_bytes_max) {
    return fail(Errc::invalid_input,
                fmt::format("result of command {} has {} bytes; at most {} are allowed", id,
                            result_json.size(), state_->limits.result_bytes_max));
  }
  EDGE_TRY(state_->must_be_durable());
  return state_->must_write([&]() -> Result<void> {
    if (revision) { EDGE_TRY(add_revision(*revision)); }
    EDGE_ASSIGN(Query row,
                state_->database.query("UPDATE journal SET state=?2,result=?3,finished=?4,undo=''"
                                       " WHERE id=?1 AND finished IS NULL"));
    EDGE_TRY(row.bind(id, to_string(state), result_json, to_ms(now)).run());
    if (state_->database.changes() == 0) { return explain_miss(*this, id, "unfinished"); }
    return {};
  });
}

Result<std::optional<CommandRecord>> Store::command(std::string_view id) {
  EDGE_ASSIGN(Query rows, state_->database.query(fmt::format("{}WHERE id=?1", kColumns)));
  rows.bind(id);
  return optional_row(rows, to_record);
}

Result<std::vector<CommandRecord>> Store::unfinished() {
  return records(state_->database, "WHERE finished IS NULL ORDER BY seq",
                 static_cast<std::size_t>(state_->limits.journal_rows_max));
}

Result<std::vector<CommandRecord>> Store::unacked_results(std::size_t limit) {
  return records(state_->database, "WHERE finished IS NOT NULL AND result_acked=0 ORDER BY seq",
                 limit);
}

Result<std::vector<UnackedResult>> Store::unacked_results_after(std::int64_t place,
                                                                std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              state_->database.query("SELECT seq,id,result FROM journal WHERE finished IS NOT NULL"
                                     " AND result_acked=0 AND seq>?1 ORDER BY seq LIMIT ?2"));
  rows.bind(place, limit);
  return all_rows(rows, to_unacked);
}

Result<void> Store::ack_result(std::string_view id) {
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row, state_->database.query("UPDATE journal SET result_acked=1 WHERE id=?1"
                                                  " AND finished IS NOT NULL AND result_acked=0"));
    return row.bind(id).run();
  });
}

Result<std::vector<CommandRecord>> Store::recent_commands(std::size_t limit) {
  return records(state_->database, "ORDER BY seq DESC", limit);
}

Result<std::int64_t> Store::prune(WallTime now) {
  return state_->must_write([&]() -> Result<std::int64_t> {
    Database& database = state_->database;
    std::int64_t dropped = 0;
    {
      EDGE_ASSIGN(Query old,
                  database.query("DELETE FROM journal WHERE result_acked=1 AND finished<?1"));
      EDGE_TRY(old.bind(to_ms(now - state_->limits.journal_retention)).run());
      dropped = database.changes();
    }
    EDGE_ASSIGN(const std::int64_t rows, database.integer("SELECT count(*) FROM journal"));
    state_->journal_usage = Usage{.rows = rows};
    if (rows > state_->limits.journal_rows_max) {
      EDGE_ASSIGN(const std::int64_t more,
                  drop_oldest_acked(database, rows - state_->limits.journal_rows_max));
      state_->journal_usage->rows -= more;
      dropped += more;
    }
    return dropped;
  });
}

}  // namespace edge::store
