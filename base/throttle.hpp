// Says what another party can cause at will, but not as often as it likes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/ids.hpp"

namespace edge {

/// `burst` things at once, then one per `period`; what was held back is counted and told with the
/// next one that passes.
///
/// Time: passed in. Threads: none.
class Throttle {
 public:
  Throttle(std::uint32_t burst, Duration period) : burst_(burst), period_(period), left_(burst) {}

  /// nullopt: not now. Otherwise how many were held back since the last one that passed.
  std::optional<std::uint64_t> pass(MonoTime now) {
    if (left_ < burst_ && now - refilled_at_ >= period_) {
      const auto earned = (now - refilled_at_) / period_;
      left_ = static_cast<std::uint32_t>(std::min<std::int64_t>(burst_, left_ + earned));
      refilled_at_ += earned * period_;
    }
    if (left_ == 0) {
      ++held_back_;
      return std::nullopt;
    }
    if (left_ == burst_) { refilled_at_ = now; }
    --left_;
    return std::exchange(held_back_, 0);
  }

 private:
  std::uint32_t burst_;
  Duration period_;
  std::uint32_t left_;
  MonoTime refilled_at_{};
  std::uint64_t held_back_ = 0;
};

}  // namespace edge
