#include "store/io/reserve.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/unique_fd.hpp"

namespace edge::store {

Result<void> Reserve::ensure() {
  if (bytes_ == 0 || held_) { return {}; }
  const UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) { return fail_errno(errno, fmt::format("open {}", path_)); }
  const int code = ::posix_fallocate(fd.get(), 0, bytes_);
  if (code == ENOSPC || code == EDQUOT) {
    ::unlink(path_.c_str());
    return fail(
        Errc::no_space,
        fmt::format("disk is full: {} needs {} KiB free before a command may run; free some space",
                    path_, bytes_ / 1024),
        code);
  }
  if (code != 0) { return fail_errno(code, fmt::format("allocate {}", path_)); }
  held_ = true;
  return {};
}

bool Reserve::release() {
  if (!held_) { return false; }
  held_ = false;
  return ::unlink(path_.c_str()) == 0;
}

}  // namespace edge::store
