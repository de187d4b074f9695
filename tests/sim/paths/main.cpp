// sim_paths: runs the path engine against seeded faults of ports, ways and Console; prints failing
// seeds, and how often each invariant was checked.
#include <fmt/format.h>

#include "tests/sim/common/seeds.hpp"
#include "tests/sim/paths/world.hpp"

int main(int argc, char** argv) {
  const auto seeds = edge::sim::parse_seeds(argc, argv, "sim_paths");
  if (!seeds) { return 2; }
  edge::sim::PathTally total;
  for (std::uint64_t seed = seeds->first; seed < seeds->first + seeds->count; ++seed) {
    edge::sim::PathWorld world(seed, total, seeds->trace);
    if (const auto failed = world.run()) { fmt::print("seed {}: {}\n", seed, *failed); }
  }
  fmt::print("{} faults in {} worlds of 1..6 ports, {:.0f} simulated hours, {} dials\n",
             total.faults, total.worlds, total.simulated_s / 3600, total.dials);
  fmt::print("invariant, and how often it was checked:\n");
  fmt::print("  {:<66} {:>14} dials\n", "dialled only where it can be, drained ports last",
             total.usable);
  fmt::print("  {:<66} {:>14} times\n", "a port that becomes usable dials at once, but for a flap",
             total.prompt);
  fmt::print("  {:<66} {:>14} moments, longest way to it {:.1f} s\n", "what is whole is up",
             total.whole, total.slowest_s);
  fmt::print("  {:<66} {:>14} views\n", "states are those of the connections, deadlines lie ahead",
             total.status);
  fmt::print("{} passed, {} failed\n", total.worlds - total.failed, total.failed);
  return total.failed == 0 ? 0 : 1;
}
