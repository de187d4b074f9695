// The Console's database: commands, each once, the operator's word about them, and their results.
#include "console/console_db.hpp"
#include "console/console_db_rows.hpp"

namespace edge::console {

namespace {

using namespace db_rows;
using store::Query;

constexpr std::string_view kCommand =
    "SELECT seq,host,id,message,state,result,queued,finished,word FROM commands ";
CommandRow to_command(Query& row) {
  CommandRow out;
  out.seq = row.integer(0);
  out.host = row.text(1);
  out.id = row.text(2);
  out.message = row.text(3);
  out.state = parse_command_state(row.text(4)).value_or(CommandState::indeterminate);
  out.result = row.text(5);
  out.queued = from_ms(row.integer(6));
  if (!row.is_null(7)) { out.finished = from_ms(row.integer(7)); }
  out.word = parse_word(row.text(8));
  return out;
}

}  // namespace

Result<bool> ConsoleDb::put_word(const HostRow& host, std::string_view id, Word word) {
  return database_.transaction([&]() -> Result<bool> {
    EDGE_TRY(put_host(host));
    EDGE_ASSIGN(Query row, database_.query("UPDATE commands SET word=?3 WHERE host=?1 AND id=?2"
                                           " AND finished IS NULL AND (?3='abort' OR"
                                           " word<>'abort')"));
    EDGE_TRY(row.bind(host.id, id, to_string(word)).run());
    return database_.changes() > 0;
  });
}

Result<void> ConsoleDb::end_confirm(std::string_view host, std::string_view id) {
  EDGE_ASSIGN(Query row, database_.query("UPDATE commands SET word='' WHERE host=?1 AND id=?2"
                                         " AND word='confirm' AND finished IS NULL"));
  return row.bind(host, id).run();
}

Result<std::optional<CommandRow>> ConsoleDb::command(std::string_view host, std::string_view id) {
  EDGE_ASSIGN(Query rows, database_.query(std::string(kCommand) + "WHERE host=?1 AND id=?2"));
  EDGE_ASSIGN(const bool found, rows.bind(host, id).step());
  if (!found) { return std::nullopt; }
  return to_command(rows);
}

Result<AddOutcome> ConsoleDb::add_command(std::string_view host, std::string_view id,
                                          std::string_view message, WallTime now) {
  return database_.transaction([&]() -> Result<AddOutcome> {
    EDGE_ASSIGN(auto known, command(host, id));
    if (known) {
      const bool same = same_json(known->message, message);
      return AddOutcome{.added = same ? Added::known : Added::id_reuse, .row = std::move(*known)};
    }
    EDGE_ASSIGN(Query row, database_.query("INSERT INTO commands(host,id,message,state,queued)"
                                           " VALUES(?1,?2,?3,'queued',?4)"));
    EDGE_TRY(row.bind(host, id, message, to_ms(now)).run());
    CommandRow fresh;
    fresh.seq = database_.last_insert_id();
    fresh.host = host;
    fresh.id = id;
    fresh.message = message;
    fresh.queued = now;
    return AddOutcome{.added = Added::fresh, .row = std::move(fresh)};
  });
}

Result<CommandRow> ConsoleDb::finish_command(std::string_view host, std::string_view id,
                                             CommandState state, std::string_view result,
                                             WallTime now) {
  return database_.transaction([&]() -> Result<CommandRow> {
    EDGE_ASSIGN(auto known, command(host, id));
    if (known && known->finished) { return std::move(*known); }
    // An upsert uses up a seq also where it only updates.
    if (known) {
      EDGE_ASSIGN(Query row, database_.query("UPDATE commands SET state=?3,result=?4,finished=?5"
                                             " WHERE host=?1 AND id=?2"));
      EDGE_TRY(row.bind(host, id, to_string(state), result, to_ms(now)).run());
    } else {
      EDGE_ASSIGN(
          Query row,
          database_.query("INSERT INTO commands(host,id,message,state,result,queued,finished)"
                          " VALUES(?1,?2,'{}',?3,?4,?5,?5)"));
      EDGE_TRY(row.bind(host, id, to_string(state), result, to_ms(now)).run());
      wrote_.insert(std::string(host));
    }
    EDGE_ASSIGN(auto found, command(host, id));
    if (!found) { return fail(Errc::corrupt, "a command vanished while its result was stored"); }
    return std::move(*found);
  });
}

Result<std::vector<CommandRow>> ConsoleDb::unfinished() {
  EDGE_ASSIGN(Query rows,
              database_.query(std::string(kCommand) + "WHERE finished IS NULL ORDER BY seq"));
  return all_rows(std::move(rows), to_command);
}

Result<RecentCommands> ConsoleDb::recent_commands(std::string_view host, std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              database_.query(std::string(kCommand) + "WHERE host=?1 ORDER BY seq DESC LIMIT ?2"));
  rows.bind(host, limit + 1);  // One more tells whether there are more.
  RecentCommands out;
  std::size_t bytes = 0;
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return out; }
    out.more = out.rows.size() == limit;
    if (out.more) { return out; }
    CommandRow row = to_command(rows);
    bytes += row.message.size() + row.result.size();
    out.more = !out.rows.empty() && bytes > limits_.recent_bytes_max;
    if (out.more) { return out; }
    out.rows.push_back(std::move(row));
  }
}

}  // namespace edge::console
