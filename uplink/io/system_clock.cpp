#include "uplink/io/system_clock.hpp"

#include <sys/timex.h>

#include <cerrno>
#include <chrono>
#include <ctime>

namespace edge::uplink {

bool clock_is_synchronised() {
  timex state{};  // modes = 0: only asked.
  return ::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

Result<void> set_clock(WallTime to) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(to);
  timespec time{};
  time.tv_sec = static_cast<std::time_t>(seconds.time_since_epoch().count());
  time.tv_nsec =
      static_cast<long>(std::chrono::duration_cast<std::chrono::nanoseconds>(to - seconds).count());
  if (::clock_settime(CLOCK_REALTIME, &time) != 0) { return fail_errno(errno, "set the clock"); }
  return {};
}

}  // namespace edge::uplink
