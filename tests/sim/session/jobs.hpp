// Many worlds in several processes at once.
#pragma once

#include <cstdint>

#include "tests/sim/session/outcome.hpp"

namespace edge::sim {

struct Batch {
  std::uint64_t first = 1;  ///< Seed.
  std::uint64_t seeds = 10'000;
  std::uint64_t faults_mean = 4;  ///< Per world.
  unsigned jobs = 1;              ///< Processes; 1: this one.
  bool trace = false;
};

/// Runs them all and says on standard output what failed, by its seed. A process that dies costs
/// the seed that it was at, which is said as well.
Outcome run_batch(const Batch& batch);

}  // namespace edge::sim
