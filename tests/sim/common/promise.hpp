// The promise of mirroring, and what else the worlds hold both ends to.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/ids.hpp"

namespace edge::sim {

/// What a disturbance delayed has arrived so long after it.
inline constexpr Duration settling = std::chrono::seconds(1);
/// Of an answer, beyond the round trip.
inline constexpr Duration gap_max = std::chrono::milliseconds(50);
/// So much waits for its acknowledgement that the window, or the budget for mirroring, counts.
inline constexpr std::size_t crowd_bytes = 16UZ << 10;
/// Both ends with 1 MiB of streams each way, twice (waiting, and copied to a slow path), the
/// Console's 0.4 MiB and the host's 3.8 MiB of queues, and the applications' journals.
inline constexpr std::size_t heap_max = 16UZ << 20;

inline std::chrono::milliseconds in_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

/// While at most one path is struck a command's answer takes this round trip and little more.
/// `whole`: round trips of those that are whole. (Of more than two the two that carry it may be the
/// slowest ones.) nullopt: nothing is promised.
std::optional<Duration> promised_round_trip(std::vector<Duration> whole, std::size_t struck);

}  // namespace edge::sim
