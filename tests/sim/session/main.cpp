// sim_session: runs the session engines of both ends against seeded faults; prints failing seeds,
// and how often each invariant was checked.
#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>

#include "tests/sim/session/jobs.hpp"

namespace {

using edge::sim::Batch;
using edge::sim::Outcome;
using edge::sim::print_line;

std::optional<Batch> parse(int argc, char** argv) {
  Batch batch{.jobs = std::thread::hardware_concurrency()};
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--trace") {
      batch.trace = true;
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
      batch.seeds = value;
    } else if (name == "--first") {
      batch.first = value;
    } else if (name == "--faults" && value > 0) {
      batch.faults_mean = value;
    } else if (name == "--jobs" && value > 0) {
      batch.jobs = static_cast<unsigned>(value);
    } else if (name == "--seed") {
      batch.first = value;
      batch.seeds = 1;
      batch.jobs = 1;
    } else {
      return std::nullopt;
    }
  }
  return batch;
}

double cpu_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    sum += static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  }
  return sum;
}

void print(const Outcome& total) {
  fmt::print(
      "{} faults in {} worlds of 2..6 paths, {} simulated hours; {} commands, {} events, {} "
      "sessions, {} steps; {:.0f} s of CPU\n",
      total.faults, total.worlds, total.simulated_s / 3600, total.commands, total.events,
      total.sessions, total.steps, cpu_seconds());
  fmt::print("invariant, and how often it was checked:\n");
  print_line("nothing lost, doubled, reordered in a channel", total.messages, "messages");
  print_line("a frame that comes once more is dropped", total.repeated, "frames");
  print_line("each byte of a stream the one that was written there", total.stream_bytes, "bytes");
  print_line("each command executed once, in order", total.executions, "commands");
  print_line("in the end all is there, over all paths, in one session", total.ends, "worlds",
             "ms after the last fault");
  print_line("queues, windows and reorder buffers within their limits", total.windows, "moments",
             "bytes in a session");
  print_line("write queues of paths within their limit", total.write_queues, "moments", "bytes");
  print_line("memory of both ends and all under way bounded", total.heap, "moments", "bytes");
  print_line("both ends agree on the active path within the dead time", total.agreement, "moments",
             "ms apart");
  print_line("an answer within RTT + 50 ms, one of two disjoint paths whole", total.gaps, "answers",
             "ms over the RTT");
  print_line("no oscillation: a switch has its cause, or was held back", total.switches,
             "switches");
  print_line("no path given up that nothing struck", total.deaths, "deaths");
}

}  // namespace

int main(int argc, char** argv) {
  const auto batch = parse(argc, argv);
  if (!batch) {
    fmt::print(stderr,
               "usage: sim_session [--seeds N] [--first N] [--faults MEAN] [--jobs N] [--seed N] "
               "[--trace]\n");
    return 2;
  }
  const Outcome total = edge::sim::run_batch(*batch);
  print(total);
  fmt::print("{} passed, {} failed\n", total.worlds - total.failed, total.failed);
  return total.failed == 0 ? 0 : 1;
}
