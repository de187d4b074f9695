// sim_tunnel: runs a host as its daemon glues it, and a Console's session, against seeded faults;
// prints failing seeds, and how often each invariant was checked.
#include <fmt/format.h>

#include "tests/sim/common/seeds.hpp"
#include "tests/sim/tunnel/world.hpp"

namespace {

using edge::sim::print_line;

void print(const edge::sim::TunnelOutcome& total) {
  fmt::print(
      "{} faults in {} worlds of 2..6 paths, {:.1f} simulated hours; {} commands, {} dials, "
      "{} sessions\n",
      total.faults, total.worlds, total.simulated_s / 3600, total.commands, total.dials,
      total.sessions);
  fmt::print("invariant, and how often it was checked:\n");
  print_line("nothing lost, doubled, reordered in a channel", total.messages, "messages");
  print_line("in the end every path is up and all is there", total.ends, "worlds",
             "ms after the last fault");
  print_line("queues, windows and reorder buffers within their limits", total.windows, "moments",
             "bytes in a session");
  print_line("memory of both ends and all under way bounded", total.heap, "moments", "bytes");
  print_line("a path's phase is that of its connections", total.phases, "views");
  print_line("what is said to be broken is", total.causes, "views");
  print_line("both ends agree on the active path within the dead time", total.agreement, "moments",
             "ms apart");
  print_line("both ends agree on what is alive within the dead time", total.lives, "moments",
             "ms apart");
  print_line("an answer within RTT + 50 ms, one of two disjoint paths whole", total.gaps, "answers",
             "ms over the RTT");
  print_line("no oscillation: switches are few, and held back", total.switches, "switches");
}

}  // namespace

int main(int argc, char** argv) {
  const auto seeds = edge::sim::parse_seeds(argc, argv, "sim_tunnel");
  if (!seeds) { return 2; }
  edge::sim::TunnelOutcome total;
  for (std::uint64_t seed = seeds->first; seed < seeds->first + seeds->count; ++seed) {
    edge::sim::TunnelWorld world(seed, std::chrono::hours(seeds->hours), total, seeds->trace);
    const auto problems = world.run();
    for (const std::string& problem : problems) { fmt::print("seed {}: {}\n", seed, problem); }
    if (problems.empty()) { continue; }
    const std::string hours = seeds->hours > 0 ? fmt::format(" --hours {}", seeds->hours) : "";
    fmt::print("  again: sim_tunnel --seed {}{} --trace\n", seed, hours);
  }
  print(total);
  fmt::print("{} passed, {} failed\n", total.worlds - total.failed, total.failed);
  return total.failed == 0 ? 0 : 1;
}
