// The Console's two clocks, and wall time as text.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"

namespace edge::console {

/// CLOCK_MONOTONIC, as steady_timer uses it.
inline MonoTime mono_now() {
  return MonoTime(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}
inline std::chrono::steady_clock::time_point to_steady(MonoTime t) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(t.time_since_epoch()));
}
inline WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// "2026-03-04T05:06:07.089Z"
std::string to_iso8601(WallTime time);
/// RFC 3339: "2026-03-04T05:06:07Z", also with a fraction or an offset. Errors: nullopt.
std::optional<WallTime> parse_iso8601(std::string_view text);

}  // namespace edge::console
