// Figures of links: medians beside a reference of the same run, one JSON object a line, in the form
// of interfaces.md.
#include "tests/bench/links/figures.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace edge::netmodel::bench {

void require(bool ok, const std::string& what) {
  if (ok) { return; }
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

void succeed(const Result<void>& done) { require(done.has_value(), done ? "" : done.error().what); }

double milliseconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

void print(const std::string& figure, const std::vector<double>& ours,
           const std::string& reference_name, const std::vector<double>& reference, double target) {
  const auto median = [](std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  fmt::print(
      "{{\"figure\": \"{}\", \"unit\": \"ms\", \"value\": {:.3f}, \"worst\": {:.3f}, \"runs\": {}, "
      "\"reference\": {{\"name\": \"{}\", \"value\": {:.3f}}}, \"ratio\": {:.3f}, \"target\": "
      "{}}}\n",
      figure, median(ours), std::ranges::max(ours), ours.size(), reference_name, median(reference),
      median(ours) / median(reference), target);
  std::fflush(stdout);
}

void enter_new_namespace() {
  require(::unshare(CLONE_NEWNET) == 0, "needs root: an own network namespace");
}

}  // namespace edge::netmodel::bench
