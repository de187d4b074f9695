// sim_paths: runs the path engine against seeded faults of ports, ways and Console; prints failing
// seeds, and how often each invariant was checked.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "tests/sim/paths/world.hpp"

int main(int argc, char** argv) {
  std::uint64_t seeds = 10'000;
  std::uint64_t first = 1;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    std::uint64_t value = 0;
    const char* text = i + 1 < argc ? argv[i + 1] : "";
    const auto [stop, ec] = std::from_chars(text, text + std::strlen(text), value);
    if (name == "--trace") {
      trace = true;
    } else if (ec == std::errc() && *stop == '\0' &&
               (name == "--seeds" || name == "--first" || name == "--seed")) {
      (name == "--seeds" ? seeds : first) = value;
      if (name == "--seed") { seeds = 1; }
      ++i;
    } else {
      fmt::print(stderr, "usage: sim_paths [--seeds N] [--first N] [--seed N] [--trace]\n");
      return 2;
    }
  }
  edge::sim::PathTally total;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    edge::sim::PathWorld world(seed, total, trace);
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
