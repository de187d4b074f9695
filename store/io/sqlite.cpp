#include "store/io/sqlite.hpp"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/assert.hpp"

namespace edge::store {
namespace {

Errc errc_of(int code, int os_errno) {
  if (os_errno == ENOSPC || os_errno == EDQUOT) { return Errc::no_space; }
  switch (code & 0xff) {
    case SQLITE_FULL: return Errc::no_space;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT: return Errc::corrupt;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return Errc::denied;
    case SQLITE_CONSTRAINT: return Errc::conflict;
    case SQLITE_CANTOPEN:
      return os_errno == EACCES || os_errno == EPERM || os_errno == EROFS ? Errc::denied
                                                                          : Errc::not_found;
    case SQLITE_BUSY:  // Somebody else's transaction ends.
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT: return Errc::transient;
    default: return Errc::invalid_input;
  }
}

/// sqlite3_system_errno() keeps its value after the failure it belongs to: only ask it for these.
int errno_of(sqlite3* db, int code) {
  const int primary = code & 0xff;
  const bool has_errno =
      primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL;
  return db != nullptr && has_errno ? sqlite3_system_errno(db) : 0;
}

}  // namespace

Error sqlite_error(sqlite3* db, int code, std::string_view where) {
  const int os_errno = errno_of(db, code);
  const char* message = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  // The system's word says more than "unable to open database file": read-only, no space.
  const std::string why = os_errno == 0 ? "" : fmt::format(" ({})", std::strerror(os_errno));
  return Error{errc_of(code, os_errno), os_errno, fmt::format("{}: {}{}", where, message, why)};
}

// --- Query ---------------------------------------------------------------------------------------

Query::Query(sqlite3* db, sqlite3_stmt* statement, bool* lent)
    : db_(db), statement_(statement), lent_(lent) {
  *lent_ = true;
}

Query::Query(Query&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      lent_(std::exchange(other.lent_, nullptr)),
      bind_code_(other.bind_code_) {}

Query::~Query() {
  if (statement_ == nullptr) { return; }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  *lent_ = false;
}

Result<bool> Query::step() {
  if (bind_code_ != SQLITE_OK) { return std::unexpected(sqlite_error(db_, bind_code_, "bind")); }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) { return true; }
  if (code == SQLITE_DONE) { return false; }
  Error error = sqlite_error(db_, code, "sqlite");
  sqlite3_reset(statement_);
  return std::unexpected(std::move(error));
}

Result<void> Query::run() {
  while (true) {
    EDGE_ASSIGN(const bool row, step());
    if (!row) { break; }
  }
  sqlite3_reset(statement_);
  return {};
}

bool Query::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Query::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) { return {}; }
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::uint8_t> Query::blob(int column) const {
  const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) { return {}; }
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Query::bind_integer(int index, std::int64_t value) {
  if (bind_code_ == SQLITE_OK) { bind_code_ = sqlite3_bind_int64(statement_, index, value); }
}

void Query::bind_text(int index, std::string_view value) {
  if (bind_code_ != SQLITE_OK) { return; }
  // A null data pointer would bind NULL, not the empty text.
  const char* data = value.data() != nullptr ? value.data() : "";
  bind_code_ =
      sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void Query::bind_blob(int index, std::span<const std::uint8_t> value) {
  if (bind_code_ != SQLITE_OK) { return; }
  bind_code_ = sqlite3_bind_blob64(statement_, index, value.data(), value.size(), SQLITE_TRANSIENT);
}

void Query::bind_null(int index) {
  if (bind_code_ == SQLITE_OK) { bind_code_ = sqlite3_bind_null(statement_, index); }
}

// --- Database ------------------------------------------------------------------------------------

struct Database::State {
  struct Cached {
    sqlite3_stmt* statement = nullptr;
    bool lent = false;
  };

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    for (auto& [sql, cached] : statements) { sqlite3_finalize(cached.statement); }
    sqlite3_close_v2(db);
  }

  sqlite3* db = nullptr;
  int depth = 0;                ///< Open transaction() calls.
  std::optional<Error> broken;  ///< SQLite itself took the whole transaction back, and why.
  /// Node-based: Query keeps a pointer to `lent`. Transparent: lookups do not copy the text.
  std::map<std::string, Cached, std::less<>> statements;
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::string& path, const DatabaseOptions& options) {
  auto state = std::make_unique<State>();
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &state->db, flags,
                                   options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (code != SQLITE_OK) {
    return std::unexpected(sqlite_error(state->db, code, fmt::format("open {}", path)));
  }
  sqlite3_busy_timeout(state->db, options.busy_timeout_ms);
  Database database(std::move(state));
  // journal_size_limit: a WAL that once grew is cut back at the next checkpoint.
  auto configured = database.execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
      "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=16777216");
  if (!configured) { return fail_in(fmt::format("open {}", path), configured.error()); }
  return database;
}

Result<void> Database::execute(const char* sql) {
  const int code = sqlite3_exec(state_->db, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) { return std::unexpected(sqlite_error(state_->db, code, "sqlite")); }
  return {};
}

Result<Query> Database::query(std::string_view sql) {
  auto found = state_->statements.find(sql);
  if (found == state_->statements.end()) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(state_->db, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) { return std::unexpected(sqlite_error(state_->db, code, "prepare")); }
    found =
        state_->statements.emplace(std::string(sql), State::Cached{.statement = statement}).first;
  }
  EDGE_ASSERT(!found->second.lent);
  return Query(state_->db, found->second.statement, &found->second.lent);
}

Result<std::int64_t> Database::integer(std::string_view sql) {
  EDGE_ASSIGN(Query rows, query(sql));
  EDGE_ASSIGN(const bool row, rows.step());
  if (!row) { return fail(Errc::not_found, "no row"); }
  return rows.integer(0);
}

Result<std::string> Database::text(std::string_view sql) {
  EDGE_ASSIGN(Query rows, query(sql));
  EDGE_ASSIGN(const bool row, rows.step());
  if (!row) { return fail(Errc::not_found, "no row"); }
  return rows.text(0);
}

std::int64_t Database::changes() const { return sqlite3_changes64(state_->db); }
std::int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(state_->db); }
bool Database::in_transaction() const { return state_->depth > 0; }
sqlite3* Database::handle() const { return state_->db; }

Result<void> Database::begin() {
  // Some failures (full disk, I/O) make SQLite roll everything back by itself. What follows in the
  // same outer transaction must not begin, and commit, one of its own.
  if (state_->broken) { return std::unexpected(*state_->broken); }
  EDGE_TRY(execute(state_->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT nested"));
  ++state_->depth;
  return {};
}

Result<void> Database::commit() {
  const bool outermost = state_->depth == 1;
  if (state_->broken) {
    Error error = *state_->broken;
    take_back();
    return std::unexpected(std::move(error));
  }
  auto committed = execute(outermost ? "COMMIT" : "RELEASE nested");
  if (!committed) {
    take_back();
    if (outermost) { overwrite_failed(); }
    return committed;
  }
  --state_->depth;
  return {};
}

/// A sync that failed may come after all frames of the commit: whole in the WAL, they would be
/// found at the next start. The next commit takes their place, so there is one at once: the version
/// in page 1, as it is. A disk that refuses this too may keep them.
void Database::overwrite_failed() {
  if (const auto version = integer("PRAGMA user_version")) {
    static_cast<void>(execute(fmt::format("PRAGMA user_version={}", *version).c_str()));
  }
}

void Database::take_back() {
  const bool outermost = state_->depth == 1;
  if (sqlite3_get_autocommit(state_->db) == 0) {
    // A roll-back that fails has rolled back already, or will at close: nothing is left to do.
    static_cast<void>(execute(outermost ? "ROLLBACK" : "ROLLBACK TO nested; RELEASE nested"));
  } else if (!outermost && !state_->broken) {
    state_->broken =
        Error{Errc::transient, 0, "the transaction was rolled back by an earlier failure"};
    if (const int code = sqlite3_extended_errcode(state_->db); code != SQLITE_OK) {
      state_->broken = sqlite_error(state_->db, code, "sqlite");
    }
  }
  --state_->depth;
  if (state_->depth == 0) { state_->broken.reset(); }
}

}  // namespace edge::store
