// Loads a Console with many hosts from one process: connect, idle, command to all, restart.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include <csignal>
#include <fstream>

#include "console/clock.hpp"
#include "tests/bench/swarm/swarm.hpp"

namespace {

using namespace edge;
using namespace edge::swarm;
using namespace std::chrono_literals;
namespace json = boost::json;

struct Options {
  SwarmOptions swarm;
  std::string program;
  std::string json_file;
  std::string console_lines;
  double idle_s = 20;
  bool keep_log = false;
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// Figures as a table on stderr and, one per line, as JSON on stdout (interfaces.md, Figures).
class Figures {
 public:
  explicit Figures(unsigned hosts) : suffix_(fmt::format("_{}", hosts)) {}

  void add(const std::string& name, const std::string& unit, double value,
           std::optional<double> target = {}, const std::string& note = {}) {
    const bool per_session = name == "session_rss";
    json::object entry{{"figure", "console." + name + (per_session ? "" : suffix_)},
                       {"unit", unit},
                       {"value", value},
                       {"worst", value},
                       {"runs", 1}};
    const bool missed = target && value > *target;
    if (target) {
      entry["target"] = *target;
      entry["missed"] = missed;
    }
    fmt::print(stderr, "{:<34} {:>10.2f} {:<12} {:<14} {}\n", entry["figure"].as_string().c_str(),
               value, unit,
               target ? fmt::format("target {}{}", *target, missed ? " MISSED" : "") : "", note);
    fmt::print("{}\n", json::serialize(entry));
    entries_.push_back(std::move(entry));
  }
  void write(const std::string& file) const {
    if (!file.empty()) { std::ofstream(file) << json::serialize(entries_) << "\n"; }
  }

 private:
  std::string suffix_;
  json::array entries_;
};

std::string text_of(const std::map<std::string, std::uint64_t>& counts) {
  std::string out;
  for (const auto& [name, count] : counts) { out += fmt::format("{}={} ", name, count); }
  return out;
}

std::uint64_t sum_of(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : counts) { sum += count; }
  return sum;
}

int fail(ConsoleProcess& console, const Swarm& swarm, const std::string& what) {
  const std::string log = console.log();
  fmt::print(stderr, "FAILED {}: {} paths of {} hosts online; dials failed: {}; died: {}\n{}\n",
             what, swarm.counts().paths, swarm.counts().online, text_of(swarm.counts().failures),
             text_of(swarm.counts().deaths),
             log.substr(log.size() - std::min<std::size_t>(log.size(), 3000)));
  return 1;
}

void arrival(Figures& figures, const std::string& name, const ArrivalRate& rate) {
  figures.add(name + "_rate", "1/s", rate.per_s, {},
              fmt::format("fullest second {:.0f}", rate.peak_per_s));
  figures.add(name + "_peak_to_mean", "", rate.peak_to_mean, 3, "of 100 ms");
}

/// Share of one core that the Console uses while nothing happens, and memory per session.
void measure_idle(Figures& figures, ConsoleProcess& console, Swarm& swarm, const Options& options,
                  long before_kib) {
  swarm.run_for(std::chrono::duration_cast<Duration>(5s));
  const auto cpu = console.cpu();
  const std::uint64_t deaths = sum_of(swarm.counts().deaths);
  swarm.run_for(std::chrono::milliseconds(static_cast<long>(options.idle_s * 1000)));
  const double per_session = static_cast<double>(console.resident_kib() - before_kib) /
                             static_cast<double>(options.swarm.hosts);
  figures.add("session_rss", "KiB", per_session, 64,
              fmt::format("{} MiB in all", console.resident_kib() / 1024));
  figures.add("idle_cpu", "% of a core", seconds(console.cpu() - cpu) * 100 / options.idle_s, {},
              fmt::format("{} paths died meanwhile", sum_of(swarm.counts().deaths) - deaths));
}

void measure_api(Figures& figures, Swarm& swarm) {
  for (const auto& [name, target] :
       {std::pair("list", "/api/v1/hosts"), std::pair("metrics", "/metrics")}) {
    const MonoTime began = console::mono_now();
    const ApiAnswer answer = swarm.get(target, 60s);
    figures.add(fmt::format("api_{}", name), "ms", seconds(console::mono_now() - began) * 1000, {},
                fmt::format("status {}, {} KiB", answer.status, answer.body.size() / 1024));
  }
}

bool measure_restart(Figures& figures, ConsoleProcess& console, Swarm& swarm, int signal,
                     const std::string& name) {
  const MonoTime began = console::mono_now();
  const std::uint64_t dials = swarm.counts().dials;
  if (!swarm.restart_console(signal, 120s)) { return false; }
  const double ready = seconds(console::mono_now() - began);
  std::optional<double> online;
  const bool whole = swarm.run_until(
      [&] {
        if (!online && swarm.counts().online == swarm.size()) {
          online = seconds(console::mono_now() - began);
        }
        return swarm.whole();
      },
      300s);
  if (!whole) { return false; }
  const ArrivalRate rate = rate_of(swarm.counts().welcomes, began);
  figures.add(
      name, "s", rate.last_s, {},
      fmt::format("all paths; ready after {:.1f} s, {} dials for {} paths, Console CPU {:.1f} s",
                  ready, swarm.counts().dials - dials, swarm.counts().paths,
                  seconds(console.cpu())));
  figures.add(name + "_online", "s", online.value_or(rate.last_s), 60, "each host has a path");
  arrival(figures, name, rate);
  return true;
}

int run(const Options& options) {
  const std::size_t single = std::min(options.swarm.single, options.swarm.hosts);
  const std::size_t paths =
      single + (options.swarm.hosts - single) * std::size_t{options.swarm.paths};
  ConsoleProcess console(options.program, options.console_lines);
  console.start();
  constexpr std::size_t beside_paths = 256;  // The HTTP connections, logs, the event loop.
  if (const std::size_t limit = raise_file_limit(paths * 2 + 1024); limit < paths + beside_paths) {
    fmt::print(stderr,
               "FAILED: {} paths need {} file descriptors, the limit is {}: run as root, raise "
               "ulimit -Hn, or have fewer with --single\n",
               paths, paths + beside_paths, limit);
    return 1;
  }
  Swarm swarm(console, options.swarm);
  if (!swarm.wait_for_console(20s)) { return fail(console, swarm, "the Console does not start"); }
  Figures figures(options.swarm.hosts);
  const long before_kib = console.resident_kib();
  MonoTime began = console::mono_now();
  if (!swarm.connect(300s)) { return fail(console, swarm, "connect"); }
  figures.add(
      "connect", "s", seconds(console::mono_now() - began), {},
      fmt::format("{} paths; Console CPU {:.2f} ms each", swarm.counts().paths,
                  seconds(console.cpu()) * 1000 / static_cast<double>(swarm.counts().paths)));
  arrival(figures, "connect", rate_of(swarm.counts().welcomes, began));
  measure_idle(figures, console, swarm, options, before_kib);
  measure_api(figures, swarm);
  for (const char* name : {"command_all", "command_all_again"}) {
    began = console::mono_now();
    const auto cpu = console.cpu();
    if (!swarm.command_all(120s)) { return fail(console, swarm, name); }
    figures.add(name, "s", seconds(console::mono_now() - began), {},
                fmt::format("all answers on disk; {} refused, Console CPU {:.1f} s",
                            swarm.commands_refused(), seconds(console.cpu() - cpu)));
  }
  if (!measure_restart(figures, console, swarm, SIGTERM, "restart")) {
    return fail(console, swarm, "restart");
  }
  if (!measure_restart(figures, console, swarm, SIGKILL, "crash")) {
    return fail(console, swarm, "crash");
  }
  fmt::print(stderr, "dials failed: {}\npaths died: {}\n", text_of(swarm.counts().failures),
             text_of(swarm.counts().deaths));
  figures.write(options.json_file);
  if (options.keep_log) { std::ofstream("/tmp/swarm-console.log") << console.log(); }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.swarm.hosts = 1000;
  options.swarm.hosts_per_s = 100;
  options.program = console_beside_this_program();
  CLI::App app("Loads a Console with many hosts over the real protocol.", "bench_console");
  app.add_option("--hosts", options.swarm.hosts, "how many (1000)")->check(CLI::Range(1, 60'000));
  app.add_option("--paths", options.swarm.paths, "of each (2)")->check(CLI::Range(1, 16));
  app.add_option(
      "--single", options.swarm.single,
      "so many of the hosts have one path (0): 10,000 fit under a limit of 20,000 descriptors");
  app.add_option("--ramp", options.swarm.hosts_per_s,
                 "first dials per second (100); 0: all at once");
  app.add_option("--idle", options.idle_s, "seconds of idling that are measured (20)");
  app.add_option("--json", options.json_file, "write all figures there");
  app.add_option("--console", options.program, "uplink-console (beside this program)");
  app.add_option("--console-lines", options.console_lines, "more lines for its console.toml");
  app.add_flag("--keep-log", options.keep_log, "copy the Console's log to /tmp/swarm-console.log");
  CLI11_PARSE(app, argc, argv);
  if (options.program.empty()) {
    fmt::print(stderr, "FAILED: no uplink-console beside this program\n");
    return 1;
  }
  return run(options);
}
