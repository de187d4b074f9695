// A rate with a burst: what may pass now, given what passed before.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/ids.hpp"

namespace edge::tunnel {

/// Time: passed in. Threads: none.
class TokenBucket {
 public:
  /// Starts full. Pre: per_second > 0.
  TokenBucket(std::uint32_t per_second, std::uint32_t burst, MonoTime now)
      : per_second_(per_second), burst_(burst), tokens_(burst), at_(now) {}

  bool take(MonoTime now) {
    const double elapsed_s = std::chrono::duration<double>(now - at_).count();
    at_ = now;
    tokens_ = std::min(burst_, tokens_ + elapsed_s * per_second_);
    if (tokens_ < 1.0) { return false; }
    tokens_ -= 1.0;
    return true;
  }

 private:
  double per_second_;
  double burst_;
  double tokens_;
  MonoTime at_;
};

}  // namespace edge::tunnel
