// Opens a database of ours: checks it, moves a corrupt file aside, migrates with a copy kept.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/error.hpp"
#include "store/io/sqlite.hpp"

namespace edge::store {

/// What opening found. Worth a log line and an event when anything but `version` is set.
struct OpenOutcome {
  int version = 0;                    ///< Schema now.
  std::optional<int> migrated_from;   ///< Older schema that was brought up to date.
  std::optional<std::string> backup;  ///< Copy made before migrating.
  std::optional<std::string>
      corrupt_file;  ///< Where the unreadable file was moved; this one is new.
  std::string corrupt_reason;
  bool created = false;
};

/// Damaged files kept aside, the newest ones: a host that breaks one a day must not fill its disk.
inline constexpr int corrupt_files_max = 3;

struct OpenedDatabase {
  Database database;
  OpenOutcome outcome;
};

/// Entry n brings schema n to n + 1 (user_version); their number is the schema this program knows.
using Migrations = std::span<const char* const>;

/// Errors: unsupported (schema of a newer program; the file is untouched), conflict (a database of
/// another program), and as sqlite_error. `corrupt` never: such a file is moved to
/// `<path>.corrupt-<n>` with its -wal and -shm, and a new one is made.
Result<OpenedDatabase> open_database(const std::string& path, Migrations migrations,
                                     const DatabaseOptions& options = {});

/// What the file holds, in memory, at the schema of this program; the file and its folder are only
/// read. `scratch_folder` (writable) holds a copy of it for as long as this call takes.
/// Errors: as open_database; corrupt; not_found.
Result<Database> read_into_memory(const std::string& path, const std::string& scratch_folder,
                                  Migrations migrations);

}  // namespace edge::store
