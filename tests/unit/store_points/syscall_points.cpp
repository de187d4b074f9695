#include "syscall_points.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/assert.hpp"

namespace edge::store {
namespace {

constexpr int exit_killed = 77;
constexpr int fd_unknown = -1;

/// Shared with the parent.
struct Board {
  int points = 0;
  int progress = 0;
  bool fired = false;
};

struct Armed {
  Board* board = nullptr;  ///< nullptr: calls go through uncounted.
  char folder[256] = {};
  int nth = 0;
  Strike strike = Strike::none;
};
Armed armed;

bool below_folder(const char* path) {
  const std::size_t length = std::strlen(armed.folder);
  return std::strncmp(path, armed.folder, length) == 0 && path[length] == '/';
}

bool is_ours(int fd) {
  char link[64];
  char path[512];
  static_cast<void>(std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd));
  const ssize_t length = ::readlink(link, path, sizeof path - 1);
  if (length <= 0) { return false; }
  path[length] = 0;
  // The folder itself is synced after a rename.
  return below_folder(path) || std::strcmp(path, armed.folder) == 0;
}

/// The errno with which this point fails; 0: it goes through. A torn write is made by `torn`.
int strike_point(bool needs_room, const std::function<void()>& torn = {}) {
  Board& board = *armed.board;
  ++board.points;
  const bool later = board.points > armed.nth;
  const bool lasting = armed.strike == Strike::io_errors || armed.strike == Strike::disk_stays_full;
  if (armed.nth == 0 || board.points < armed.nth || (later && !lasting)) { return 0; }
  const bool full = armed.strike == Strike::disk_full || armed.strike == Strike::disk_stays_full;
  if (full && !needs_room) { return 0; }
  board.fired = true;
  if (armed.strike == Strike::die_torn && torn) { torn(); }
  if (kills(armed.strike)) { ::_exit(exit_killed); }
  return full ? ENOSPC : EIO;
}

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

template <class Call>
auto guarded(int fd, bool needs_room, const std::function<void()>& torn, Call&& call)
    -> decltype(call()) {
  if (armed.board != nullptr && is_ours(fd)) {
    if (const int error = strike_point(needs_room, torn); error != 0) {
      errno = error;
      return -1;
    }
  }
  return call();
}

template <class Call>
int guarded_path(const char* path, bool needs_room, Call&& call) {
  if (armed.board != nullptr && below_folder(path)) {
    if (const int error = strike_point(needs_room); error != 0) {
      errno = error;
      return -1;
    }
  }
  return call();
}

using Open = int (*)(const char*, int, ...);
int open_struck(const char* name, const char* path, int flags, mode_t mode) {
  struct stat facts{};
  const bool creates = (flags & O_CREAT) != 0 && ::stat(path, &facts) != 0;
  const auto call = [&] { return real<Open>(name)(path, flags, mode); };
  return creates ? guarded_path(path, true, call) : call();
}

}  // namespace

const char* name_of(Strike strike) {
  switch (strike) {
    case Strike::none: return "none";
    case Strike::die: return "die";
    case Strike::die_torn: return "die in the middle of a write";
    case Strike::io_error: return "one I/O error";
    case Strike::io_errors: return "I/O errors from there on";
    case Strike::disk_full: return "disk full once";
    case Strike::disk_stays_full: return "disk full from there on";
  }
  return "";
}

bool kills(Strike strike) { return strike == Strike::die || strike == Strike::die_torn; }

Outcome run_struck(const std::string& folder, int nth, Strike strike,
                   const std::function<int(int& progress)>& body) {
  void* shared = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        fd_unknown, 0);
  EDGE_ASSERT(shared != MAP_FAILED);
  auto* board = new (shared) Board;
  const pid_t child = ::fork();
  EDGE_ASSERT(child >= 0);
  if (child == 0) {
    EDGE_ASSERT(folder.size() < sizeof armed.folder);
    std::memcpy(armed.folder, folder.c_str(), folder.size() + 1);
    armed.nth = nth;
    armed.strike = strike;
    armed.board = board;
    const int status = body(board->progress);
    armed.board = nullptr;
    ::_exit(status);
  }
  int status = 0;
  EDGE_ASSERT(::waitpid(child, &status, 0) == child);
  EDGE_ASSERT(WIFEXITED(status));
  const int code = WEXITSTATUS(status);
  const Outcome out{.killed = code == exit_killed,
                    .fired = board->fired,
                    .points = board->points,
                    .progress = board->progress,
                    .status = code == exit_killed ? 0 : code};
  ::munmap(shared, sizeof(Board));
  return out;
}

}  // namespace edge::store

// The calls themselves, in the place of the C library's: the store and SQLite alike come through
// here.
using edge::store::guarded;
using edge::store::guarded_path;
using edge::store::open_struck;
using edge::store::real;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_struck("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_struck("open64", path, flags, mode);
}

ssize_t write(int fd, const void* from, size_t bytes) {
  using Write = ssize_t (*)(int, const void*, size_t);
  const auto put = [&](size_t count) { return real<Write>("write")(fd, from, count); };
  return guarded(fd, true, [&] { static_cast<void>(put(bytes / 2)); }, [&] { return put(bytes); });
}

ssize_t pwrite64(int fd, const void* from, size_t bytes, off64_t at) {
  using Write = ssize_t (*)(int, const void*, size_t, off64_t);
  const auto put = [&](size_t count) { return real<Write>("pwrite64")(fd, from, count, at); };
  return guarded(fd, true, [&] { static_cast<void>(put(bytes / 2)); }, [&] { return put(bytes); });
}

int ftruncate64(int fd, off64_t bytes) noexcept {
  using Truncate = int (*)(int, off64_t);
  return guarded(fd, false, {}, [&] { return real<Truncate>("ftruncate64")(fd, bytes); });
}

int posix_fallocate64(int fd, off64_t at, off64_t bytes) {
  using Allocate = int (*)(int, off64_t, off64_t);
  return guarded(fd, true, {}, [&] { return real<Allocate>("posix_fallocate64")(fd, at, bytes); });
}

int posix_fallocate(int fd, off_t at, off_t bytes) {
  using Allocate = int (*)(int, off_t, off_t);
  const int done =
      guarded(fd, true, {}, [&] { return real<Allocate>("posix_fallocate")(fd, at, bytes); });
  return done == -1 ? errno : done;  // It returns its error.
}

int fsync(int fd) {
  using Sync = int (*)(int);
  return guarded(fd, false, {}, [&] { return real<Sync>("fsync")(fd); });
}

int fdatasync(int fd) {
  using Sync = int (*)(int);
  return guarded(fd, false, {}, [&] { return real<Sync>("fdatasync")(fd); });
}

int rename(const char* from, const char* to) noexcept {
  using Rename = int (*)(const char*, const char*);
  return guarded_path(from, false, [&] { return real<Rename>("rename")(from, to); });
}

int unlink(const char* path) noexcept {
  using Unlink = int (*)(const char*);
  return guarded_path(path, false, [&] { return real<Unlink>("unlink")(path); });
}

}  // extern "C"
