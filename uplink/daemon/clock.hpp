// The daemon's two clocks; the only place of the product's own code that reads them for the
// engines.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/ids.hpp"

namespace edge::uplink {

/// CLOCK_MONOTONIC, as steady_timer uses it.
inline MonoTime mono_now() {
  return MonoTime(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

inline std::chrono::steady_clock::time_point to_steady(MonoTime t) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(t.time_since_epoch()));
}

/// How long it is until then, in whole seconds, rounded up; 0: nothing is set, or it is over.
inline std::chrono::seconds seconds_until(const std::optional<MonoTime>& then, MonoTime now) {
  if (!then || *then <= now) { return std::chrono::seconds(0); }
  return std::chrono::ceil<std::chrono::seconds>(*then - now);
}

/// CLOCK_REALTIME as it is; right or wrong.
inline WallTime system_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// The time for people, deadlines and certificates: system_now(), but the Console's where that is
/// certainly wrong and could not be set (ClockKeeper).
WallTime wall_now();
/// From now on wall_now() is mono_now() + `wall_minus_mono`; nullopt: system_now() again.
void correct_wall_clock(std::optional<std::chrono::milliseconds> wall_minus_mono);

/// "2026-03-04T05:06:07.089Z"
std::string to_iso8601(WallTime time);

}  // namespace edge::uplink
