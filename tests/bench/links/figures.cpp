// Figures of links: medians beside a reference of the same run, one JSON object a line, in the form
// of interfaces.md.
#include "tests/bench/links/figures.hpp"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/bench/figure_line.hpp"

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
           const std::string& reference_name, const std::vector<double>& reference,
           double target_ratio) {
  const auto median = [](std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  print_line({.figure = figure,
              .unit = "ms",
              .value = median(ours),
              .worst = std::ranges::max(ours),
              .runs = ours.size(),
              .reference_name = reference_name,
              .reference = median(reference),
              .target_ratio = target_ratio});
}

void enter_new_namespace() {
  require(::unshare(CLONE_NEWNET) == 0, "needs root: an own network namespace");
}

}  // namespace edge::netmodel::bench
