#include "tests/sim/common/promise.hpp"

#include <algorithm>

namespace edge::sim {

std::optional<Duration> promised_round_trip(std::vector<Duration> whole, std::size_t struck) {
  if (whole.empty() || struck > 1) { return std::nullopt; }
  std::ranges::sort(whole);
  const bool both_whole = struck == 0 && whole.size() > 1;
  return whole[whole.size() - (both_whole ? 2 : 1)];
}

}  // namespace edge::sim
