// A seeded generator: the same seed gives the same run, on every machine.
#pragma once

#include <cstdint>

#include "base/assert.hpp"

namespace edge {

/// splitmix64. Not for keys or tokens. Source: Steele, Lea, Flood, OOPSLA 2014.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound). Pre: bound > 0. The bias of the modulo is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) {
    EDGE_ASSERT(bound > 0);
    return next() % bound;
  }
  /// True with a chance of percent / 100.
  bool chance(unsigned percent) { return below(100) < percent; }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace edge
