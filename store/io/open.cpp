#include "store/io/open.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "base/unique_fd.hpp"

namespace edge::store {
namespace {

constexpr std::string_view kMemory = ":memory:";
/// integrity_check also compares indexes with their tables; above this size only the pages are
/// read.
constexpr std::int64_t kFullCheckBytesMax = 32LL << 20;

/// Makes renames in the folder of `path` survive a power cut.
Result<void> sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const UniqueFd fd(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) {
    return fail_errno(errno, fmt::format("sync folder of {}", path));
  }
  return {};
}

Result<std::string> move_aside(const std::string& path) {
  std::error_code ignored;
  int n = 1;
  while (std::filesystem::exists(fmt::format("{}.corrupt-{}", path, n), ignored)) { ++n; }
  std::string target = fmt::format("{}.corrupt-{}", path, n);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (::rename((path + suffix).c_str(), (target + suffix).c_str()) != 0 && errno != ENOENT) {
      return fail_errno(errno, fmt::format("move corrupt {}{} aside", path, suffix));
    }
  }
  EDGE_TRY(sync_folder(path));
  return target;
}

/// Errors: corrupt, with what the check says first.
Result<void> check(Database& database) {
  EDGE_ASSIGN(const std::int64_t pages, database.integer("PRAGMA page_count"));
  EDGE_ASSIGN(const std::int64_t page_bytes, database.integer("PRAGMA page_size"));
  const bool full = pages * page_bytes <= kFullCheckBytesMax;
  auto verdict = database.text(full ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
  if (!verdict) { return std::unexpected(std::move(verdict).error()); }
  if (*verdict != "ok") { return fail(Errc::corrupt, *verdict); }
  return {};
}

Result<void> copy_to(Database& database, const std::string& target) {
  if (::unlink(target.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, fmt::format("replace {}", target));
  }
  EDGE_ASSIGN(Query copy, database.query("VACUUM INTO ?1"));
  return copy.bind(target).run();
}

Result<void> run_all(Database& database, Migrations missing, int version) {
  return database.transaction([&]() -> Result<void> {
    for (const char* migration : missing) { EDGE_TRY(database.execute(migration)); }
    return database.execute(fmt::format("PRAGMA user_version={}", version).c_str());
  });
}

Result<OpenOutcome> migrate(Database& database, const std::string& path, Migrations migrations) {
  const int known = static_cast<int>(migrations.size());
  OpenOutcome outcome;
  EDGE_ASSIGN(const std::int64_t found, database.integer("PRAGMA user_version"));
  EDGE_ASSIGN(const std::int64_t tables, database.integer("SELECT count(*) FROM sqlite_master"));
  if (found > known || found < 0) {
    return fail(Errc::unsupported,
                fmt::format("{} has schema {}, this program knows 1..{}: start a newer "
                            "program, or move the file away to begin anew",
                            path, found, known));
  }
  if (found == 0 && tables > 0) {
    return fail(Errc::conflict, fmt::format("{} is a database of another program", path));
  }
  outcome.version = known;
  outcome.created = found == 0;
  if (found == known) { return outcome; }
  if (found > 0) {
    outcome.migrated_from = static_cast<int>(found);
    if (path != kMemory) {
      outcome.backup = fmt::format("{}.v{}", path, found);
      EDGE_TRY(copy_to(database, *outcome.backup));
    }
  }
  EDGE_TRY(run_all(database, migrations.subspan(static_cast<std::size_t>(found)), known));
  return outcome;
}

Result<OpenedDatabase> open_once(const std::string& path, Migrations migrations,
                                 const DatabaseOptions& options) {
  if (path != kMemory) {
    // Born unreadable to others; SQLite gives -wal and -shm the same mode. It tells what goes wrong
    // here.
    const UniqueFd born(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }
  EDGE_ASSIGN(Database database, Database::open(path, options));
  EDGE_TRY(check(database));
  EDGE_ASSIGN(OpenOutcome outcome, migrate(database, path, migrations));
  if (outcome.created && path != kMemory) { EDGE_TRY(sync_folder(path)); }
  return OpenedDatabase{std::move(database), std::move(outcome)};
}

}  // namespace

Result<OpenedDatabase> open_database(const std::string& path, Migrations migrations,
                                     const DatabaseOptions& options) {
  auto opened = open_once(path, migrations, options);
  if (opened || opened.error().code != Errc::corrupt || path == kMemory) { return opened; }
  const std::string reason = opened.error().what;
  EDGE_ASSIGN(std::string aside, move_aside(path));
  EDGE_ASSIGN(OpenedDatabase fresh, open_once(path, migrations, options));
  fresh.outcome.corrupt_file = std::move(aside);
  fresh.outcome.corrupt_reason = reason;
  return fresh;
}

}  // namespace edge::store
