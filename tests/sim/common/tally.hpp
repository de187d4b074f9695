// What an invariant came to over many worlds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/ids.hpp"

namespace edge::sim {

/// How often an invariant was checked, and the worst that was seen of what it bounds.
struct Tally {
  std::uint64_t checks = 0;
  std::int64_t worst = 0;

  void note(std::int64_t seen) {
    ++checks;
    worst = std::max(worst, seen);
  }
  void note(Duration seen) {
    note(std::chrono::duration_cast<std::chrono::milliseconds>(seen).count());
  }
  void add(const Tally& other) {
    checks += other.checks;
    worst = std::max(worst, other.worst);
  }
};

/// A line of the table at the end; `worst`: the unit of the worst, empty: it has none.
void print_line(std::string_view invariant, const Tally& tally, std::string_view what,
                std::string_view worst = {});

}  // namespace edge::sim
