#include "uplink/daemon/clock.hpp"

#include <atomic>
#include <limits>

#include <fmt/chrono.h>

namespace edge::uplink {

namespace {

using Millis = std::chrono::milliseconds;

constexpr std::int64_t not_corrected = std::numeric_limits<std::int64_t>::min();
/// Workers read the time, too.
std::atomic<std::int64_t> wall_minus_mono_ms{not_corrected};

}  // namespace

void correct_wall_clock(std::optional<Millis> wall_minus_mono) {
  wall_minus_mono_ms = wall_minus_mono ? wall_minus_mono->count() : not_corrected;
}

WallTime wall_now() {
  const std::int64_t offset = wall_minus_mono_ms;
  if (offset == not_corrected) { return system_now(); }
  return WallTime(std::chrono::floor<Millis>(mono_now().time_since_epoch()) + Millis(offset));
}

std::string to_iso8601(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (time - seconds).count());
}

}  // namespace edge::uplink
