// A thin owner of sqlite3 and its statements: open, bind, step, transactions; failures as Result.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace edge::store {

/// The Error for a SQLite result code, with the connection's message.
/// FULL, or IOERR with ENOSPC/EDQUOT: no_space. CORRUPT, NOTADB: corrupt. READONLY, PERM, EACCES:
/// denied. CONSTRAINT: conflict. CANTOPEN with ENOENT: not_found. BUSY and LOCKED (another process
/// holds it for longer than `busy_timeout_ms`), other IOERR, NOMEM: transient.
Error sqlite_error(sqlite3* db, int code, std::string_view where);

/// A statement on loan from its Database's cache; given back, reset and unbound, at the end of
/// scope. Columns count from 0, parameters from 1. Threads: those of the Database. Must not outlive
/// it.
class Query {
 public:
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  Query(const Query&) = delete;
  ~Query();

  /// Binds the parameters 1..N. Text is copied. nullptr and an empty optional bind NULL.
  template <class... Args>
  Query& bind(const Args&... args) {
    int index = 0;
    (bind_one(++index, args), ...);
    return *this;
  }
  /// True: a row is there. Errors: as sqlite_error; a failed bind is reported here.
  Result<bool> step();
  /// Runs to the end and resets, for statements whose rows do not matter.
  Result<void> run();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  std::string text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;  ///< Valid until the next step.

 private:
  friend class Database;
  Query(sqlite3* db, sqlite3_stmt* statement, bool* lent);
  void bind_integer(int index, std::int64_t value);
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::span<const std::uint8_t> value);
  void bind_null(int index);
  template <class T>
  void bind_one(int index, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      bind_integer(index, static_cast<std::int64_t>(value));
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      bind_text(index, value);
    } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
      bind_null(index);
    } else if constexpr (requires {
                           value.has_value();
                           *value;
                         }) {
      if (value) {
        bind_one(index, *value);
      } else {
        bind_null(index);
      }
    } else {
      bind_blob(index, std::span<const std::uint8_t>(value));
    }
  }

  sqlite3* db_;
  sqlite3_stmt* statement_;
  bool* lent_;  ///< The cache's mark; its address is stable.
  int bind_code_ = 0;
};

struct DatabaseOptions {
  std::string vfs;             ///< Registered sqlite3_vfs; empty: the default one.
  int busy_timeout_ms = 2000;  ///< For a person's sqlite3 beside the daemon.
};

/// One connection. Threads: one at a time; moves with its owner.
class Database {
 public:
  /// Opens or creates `path` (":memory:" works), in WAL mode with synchronous=FULL, foreign keys
  /// on. Errors: as sqlite_error; a file that is no database is `corrupt`.
  static Result<Database> open(const std::string& path, const DatabaseOptions& options = {});
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  /// Runs one or more statements without parameters.
  Result<void> execute(const char* sql);
  /// A prepared statement, cached by its text. Pre: the same text is not on loan already.
  Result<Query> query(std::string_view sql);
  /// First column of the first row; not_found if there is none.
  Result<std::int64_t> integer(std::string_view sql);
  Result<std::string> text(std::string_view sql);

  std::int64_t changes() const;  ///< Rows written by the last statement.
  std::int64_t last_insert_id() const;
  bool in_transaction() const;  ///< Between begin() and its end.
  sqlite3* handle() const;

  /// Runs `body` (returning Result<T>) in BEGIN IMMEDIATE..COMMIT, or in a savepoint when a
  /// transaction is open already; any failure takes all of it back.
  template <class Body>
  auto transaction(Body&& body) -> std::invoke_result_t<Body&> {
    EDGE_TRY(begin());
    auto result = body();
    if (!result) {
      take_back();
      return result;
    }
    if (auto committed = commit(); !committed) {
      return std::unexpected(std::move(committed).error());
    }
    return result;
  }

  /// The parts of transaction(), for a group whose body is not one function. Each begin() is
  /// followed by one commit() (which takes back when it fails) or one take_back().
  Result<void> begin();
  Result<void> commit();
  void take_back();

 private:
  struct State;
  void overwrite_failed();
  explicit Database(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace edge::store
