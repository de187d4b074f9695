// sim_session: runs the session engines of both ends against seeded faults and prints failing
// seeds.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>

#include "tests/sim/session/world.hpp"

namespace {

using edge::sim::Outcome;
using edge::sim::World;

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t seeds = 10'000;
  bool trace = false;
};

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--trace") {
      arguments.trace = true;
      continue;
    }
    if (++i == argc) { return std::nullopt; }
    std::uint64_t value = 0;
    const char* end = argv[i] + std::strlen(argv[i]);
    if (const auto [stop, ec] = std::from_chars(argv[i], end, value);
        ec != std::errc() || stop != end) {
      return std::nullopt;
    }
    if (name == "--seeds") {
      arguments.seeds = value;
    } else if (name == "--first") {
      arguments.first = value;
    } else if (name == "--seed") {
      arguments.first = value;
      arguments.seeds = 1;
    } else {
      return std::nullopt;
    }
  }
  return arguments;
}

}  // namespace

/// Two million allocations a second: without their call stacks AddressSanitizer halves its cost.
/// A seed that fails is run again with ASAN_OPTIONS=malloc_context_size=30.
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=0:quarantine_size_mb=8:max_malloc_fill_size=0";
}

int main(int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  if (!arguments) {
    fmt::print(stderr, "usage: sim_session [--seeds N] [--first N] [--seed N] [--trace]\n");
    return 2;
  }
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  Outcome total;
  for (std::uint64_t i = 0; i < arguments->seeds; ++i) {
    const std::uint64_t seed = arguments->first + i;
    const Outcome outcome = World(seed, arguments->trace).run();
    (outcome.problems.empty() ? passed : failed) += 1;
    for (const std::string& problem : outcome.problems) {
      fmt::print("seed {}: {}\n", seed, problem);
    }
    total.commands += outcome.commands;
    total.events += outcome.events;
    total.sessions += outcome.sessions;
    total.steps += outcome.steps;
    total.gaps_measured += outcome.gaps_measured;
    total.strikes += outcome.strikes;
    total.switches += outcome.switches;
    total.stream_bytes += outcome.stream_bytes;
    total.worst_gap = std::max(total.worst_gap, outcome.worst_gap);
  }
  fmt::print(
      "{} faults, {} switches; {} commands and {} events in {} sessions, {} steps; worst gap with "
      "a whole second path {} "
      "ms ({} answers); {} MB of streams checked\n",
      total.strikes / 2, total.switches, total.commands, total.events, total.sessions, total.steps,
      std::chrono::duration_cast<std::chrono::milliseconds>(total.worst_gap).count(),
      total.gaps_measured, total.stream_bytes / 1'000'000);
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
