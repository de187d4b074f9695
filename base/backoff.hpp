// Exponential back-off with full jitter.
#pragma once

#include <algorithm>

#include "base/ids.hpp"
#include "base/random.hpp"

namespace edge {

/// delay n is uniform in [0, min(cap, base * 2^n)); the floor keeps a retry from being a spin.
/// Source: facts/tunnel.md 5.5 (base 0.5 s, cap 30 s, full jitter).
struct BackoffLimits {
  Duration base = std::chrono::milliseconds(500);
  Duration cap = std::chrono::seconds(30);
  Duration floor = std::chrono::milliseconds(50);
};

/// Time: none held; returns durations. Threads: none.
class Backoff {
 public:
  explicit Backoff(BackoffLimits limits = {}) : limits_(limits) {}

  Duration next(Random& random) {
    const Duration ceiling =
        std::min(limits_.cap, Duration(limits_.base.count() << std::min(attempts_, 20)));
    ++attempts_;
    const auto jittered =
        Duration(static_cast<Duration::rep>(random.unit() * static_cast<double>(ceiling.count())));
    return std::max(limits_.floor, jittered);
  }
  /// After the thing worked for long enough, or when an event makes a retry promising.
  void reset() { attempts_ = 0; }
  int attempts() const { return attempts_; }
  void set_cap(Duration cap) { limits_.cap = cap; }

 private:
  BackoffLimits limits_;
  int attempts_ = 0;
};

}  // namespace edge
