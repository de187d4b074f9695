#include "store/io/open.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

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

constexpr std::array<const char*, 3> kSuffixes{"", "-wal", "-shm"};

/// Numbers of the files that were moved aside before, in order.
std::vector<int> kept_aside(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string prefix = file.filename().string() + ".corrupt-";
  std::vector<int> out;
  std::error_code ec;
  for (const auto& entry :
       std::filesystem::directory_iterator(file.has_parent_path() ? file.parent_path() : ".", ec)) {
    const std::string name = entry.path().filename().string();
    int number = 0;
    if (!name.starts_with(prefix)) { continue; }
    const char* first = name.data() + prefix.size();
    const char* last = name.data() + name.size();
    const auto [end, error] = std::from_chars(first, last, number);
    if (error == std::errc{} && end == last) { out.push_back(number); }
  }
  std::ranges::sort(out);
  return out;
}

Result<std::string> move_aside(const std::string& path) {
  std::vector<int> kept = kept_aside(path);
  kept.push_back(kept.empty() ? 1 : kept.back() + 1);
  std::string target = fmt::format("{}.corrupt-{}", path, kept.back());
  for (const char* suffix : kSuffixes) {
    if (::rename((path + suffix).c_str(), (target + suffix).c_str()) != 0 && errno != ENOENT) {
      return fail_errno(errno, fmt::format("move corrupt {}{} aside", path, suffix));
    }
  }
  EDGE_TRY(sync_folder(path));
  for (std::size_t n = 0; n + corrupt_files_max < kept.size(); ++n) {
    for (const char* suffix : kSuffixes) {  // One that stays is tried again the next time.
      static_cast<void>(::unlink(fmt::format("{}.corrupt-{}{}", path, kept[n], suffix).c_str()));
    }
  }
  return target;
}

/// Errors: not_found; as open(2), read(2), write(2).
Result<void> copy_file(const std::string& from, const std::string& to) {
  const UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) { return fail_errno(errno, fmt::format("read {}", from)); }
  const UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!out) { return fail_errno(errno, fmt::format("write {}", to)); }
  std::vector<char> block(1U << 20);
  while (true) {
    const ssize_t got = ::read(in.get(), block.data(), block.size());
    if (got == 0) { return {}; }
    if (got < 0) { return fail_errno(errno, fmt::format("read {}", from)); }
    for (ssize_t done = 0; done < got;) {
      const ssize_t put =
          ::write(out.get(), block.data() + done, static_cast<std::size_t>(got - done));
      if (put <= 0) { return fail_errno(errno, fmt::format("write {}", to)); }
      done += put;
    }
  }
}

/// A folder that goes with the scope, with all that is in it.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make(const std::string& below) {
    std::string name = below + "/store-copy-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      return fail_errno(errno, fmt::format("make a folder below {}", below));
    }
    return ScratchFolder(std::move(name));
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ScratchFolder(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) { std::filesystem::remove_all(path_, ignored); }
  }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<void> backup(Database& from, Database& to) {
  sqlite3_backup* job = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
  if (job == nullptr) {
    return std::unexpected(sqlite_error(to.handle(), sqlite3_errcode(to.handle()), "copy"));
  }
  const int copied = sqlite3_backup_step(job, -1);
  const int finished = sqlite3_backup_finish(job);
  if (copied != SQLITE_DONE) { return std::unexpected(sqlite_error(nullptr, copied, "copy")); }
  if (finished != SQLITE_OK) { return std::unexpected(sqlite_error(nullptr, finished, "copy")); }
  return {};
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

Result<Database> read_into_memory(const std::string& path, const std::string& scratch_folder,
                                  Migrations migrations) {
  EDGE_ASSIGN(const ScratchFolder scratch, ScratchFolder::make(scratch_folder));
  const std::string copy = scratch.file("store.db");
  EDGE_TRY(copy_file(path, copy));
  if (auto wal = copy_file(path + "-wal", copy + "-wal");
      !wal && wal.error().code != Errc::not_found) {
    return std::unexpected(std::move(wal).error());
  }
  EDGE_ASSIGN(Database memory, Database::open(std::string(kMemory)));
  {
    EDGE_ASSIGN(Database file, Database::open(copy));
    EDGE_TRY(check(file));
    // An in-memory database has no WAL: its header must not ask for one.
    EDGE_TRY(file.execute("PRAGMA journal_mode=DELETE"));
    EDGE_TRY(backup(file, memory));
  }
  EDGE_TRY(migrate(memory, std::string(kMemory), migrations));
  return memory;
}

}  // namespace edge::store
