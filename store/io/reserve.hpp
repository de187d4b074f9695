// Disk space held back, so that a command that was begun can always write its end.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.hpp"

namespace edge::store {

/// A preallocated file `<db>.reserve`. While it stands, commands may be received; on a full disk it
/// is given up for the writes that must land, and no command is received until it stands again.
///
/// Threads: its store's.
class Reserve {
 public:
  /// bytes 0: always stands, nothing is allocated (:memory:).
  Reserve(std::string path, std::int64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  /// Allocates the file if it does not stand. Errors: no_space, with what is needed; denied.
  Result<void> ensure();
  /// Gives the space to the file system. False: there was none to give.
  bool release();

 private:
  std::string path_;
  std::int64_t bytes_;
  bool held_ = false;
};

}  // namespace edge::store
