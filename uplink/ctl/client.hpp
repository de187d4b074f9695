// One conversation with the daemon over its control socket.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace edge::uplink::ctl {

/// Blocking; one request, one or many answers. Time: deadlines are the caller's. Threads: none.
class Client {
 public:
  static constexpr std::size_t line_bytes_max = 64U
                                                << 20;  ///< 10,000 publications as rows are 2 MB.

  /// Errors: not_found when nobody listens, denied, invalid_input for a path longer than a socket's
  /// may be.
  static Result<Client> connect(const std::string& path);

  /// `line` without line break.
  Result<void> send(std::string_view line);
  /// The next line. Errors: transient when none comes in time (ETIMEDOUT), not_found when the
  /// daemon closed.
  Result<std::string> receive(std::chrono::milliseconds patience);

 private:
  explicit Client(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::string buffered_;
};

}  // namespace edge::uplink::ctl
