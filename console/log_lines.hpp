// Log lines about what a host does: it decides how often, so it does not decide how many are
// written.
#pragma once

#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/throttle.hpp"
#include "console/clock.hpp"

namespace edge::console {

/// `burst` lines at once, then one per `period`; how many were left out is said with the next one.
///
/// Time: reads the steady clock. Threads: the io_context's.
class LogLines {
 public:
  LogLines(std::string host, std::uint32_t burst, Duration period)
      : host_(std::move(host)), throttle_(burst, period) {}

  template <class... Args>
  void say(spdlog::level::level_enum level, spdlog::format_string_t<Args...> text, Args&&... args) {
    const auto unsaid = throttle_.pass(mono_now());
    if (!unsaid) { return; }
    if (*unsaid > 0) { spdlog::warn("log.left_out host={} lines={}", host_, *unsaid); }
    spdlog::log(level, text, std::forward<Args>(args)...);
  }

 private:
  std::string host_;
  Throttle throttle_;
};

}  // namespace edge::console
