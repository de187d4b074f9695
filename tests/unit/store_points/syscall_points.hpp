// Every system call by which a store changes its folder, as a numbered point that can fail or kill.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace edge::store {

/// What happens at the chosen point.
enum class Strike {
  none,
  die,        ///< The process ends before the call.
  die_torn,   ///< A write does its first half, then the process ends; other calls: as die.
  io_error,   ///< This call fails with EIO.
  io_errors,  ///< This one and all after it.
  disk_full,  ///< This call fails with ENOSPC, where it needs room.
  disk_stays_full,
};
const char* name_of(Strike strike);
bool kills(Strike strike);

/// Of a child: how it ended, how many points it passed, how far it said it came.
struct Outcome {
  bool killed = false;
  bool fired = false;  ///< The chosen point was reached.
  int points = 0;
  int progress = 0;
  int status = 0;  ///< As the body returned; of a killed child 0.
};

/// Runs `body` in a child process, in which the `nth` point (from 1) below `folder` is struck.
/// Points: open that creates, write, truncate, allocate, sync, rename, unlink; of files below
/// `folder`. `body` gets a counter of the steps that were acknowledged to it.
Outcome run_struck(const std::string& folder, int nth, Strike strike,
                   const std::function<int(int& progress)>& body);

}  // namespace edge::store
