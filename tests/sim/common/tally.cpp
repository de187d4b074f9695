#include "tests/sim/common/tally.hpp"

#include <fmt/format.h>

/// Two million allocations a second: without their call stacks AddressSanitizer halves its cost.
/// A seed that fails is run again with ASAN_OPTIONS=malloc_context_size=30.
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=0:quarantine_size_mb=8:max_malloc_fill_size=0";
}

namespace edge::sim {

void print_line(std::string_view invariant, const Tally& tally, std::string_view what,
                std::string_view worst) {
  fmt::print("  {:<66} {:>14} {}", invariant, tally.checks, what);
  if (!worst.empty()) { fmt::print(", worst {} {}", tally.worst, worst); }
  fmt::print("\n");
}

}  // namespace edge::sim
