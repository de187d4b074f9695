// Strong integer ids and the monotonic time type.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace edge {

/// An integer that only compares with its own kind; no arithmetic, no implicit conversion.
template <class Tag, class Rep>
struct StrongId {
  Rep value;
  auto operator<=>(const StrongId&) const = default;
};

using IfIndex = StrongId<struct IfIndexTag, std::uint32_t>;  ///< Kernel ifindex; never stored.
using TableId = StrongId<struct TableTag, std::uint32_t>;    ///< Routing table (RTA_TABLE).
using PathId = StrongId<struct PathTag, std::uint32_t>;      ///< One live or dialling tunnel path.

using Duration = std::chrono::nanoseconds;

/// CLOCK_MONOTONIC. There is deliberately no now(): callers pass time in.
struct MonoClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonoClock>;
  static constexpr bool is_steady = true;
};
using MonoTime = MonoClock::time_point;

/// Wall time in whole milliseconds since 1970 UTC; for certificates, leases on disk and people.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

}  // namespace edge
