// Which worlds a simulation runs: its command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace edge::sim {

struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 10'000;
  std::uint64_t hours = 0;  ///< Of each world; 0: as long as a few faults take.
  bool trace = false;
};

/// `[--seeds N] [--first N] [--seed N] [--hours N] [--trace]`. Errors: nullopt, after the usage was
/// printed.
std::optional<Seeds> parse_seeds(int argc, char** argv, std::string_view program);

}  // namespace edge::sim
