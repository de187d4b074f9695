// Candidates for the active path, as tests make them.
#pragma once

#include <optional>
#include <string_view>

#include "start_time.hpp"
#include "tunnel/core/path_choice.hpp"

namespace edge::tunnel {

using namespace std::chrono_literals;

inline constexpr PathId kA{1}, kB{2}, kC{3};

inline PathCandidate path(PathId id, std::string_view adapter,
                          std::optional<Duration> srtt = 20ms) {
  return {.path = id, .adapter = adapter, .srtt = srtt, .steady_since = t0};
}

}  // namespace edge::tunnel
