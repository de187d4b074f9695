#include "base/unique_fd.hpp"

#include <unistd.h>

namespace edge {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old >= 0) { ::close(old); }  // Linux frees the fd whatever close() returns: close(2).
}

}  // namespace edge
