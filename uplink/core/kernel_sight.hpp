// For how long the kernel could not be read: told once when that is long, and once when it is over.
#pragma once

#include <optional>

#include "base/ids.hpp"

namespace edge::uplink {

/// Engine: asked after each look at the kernel. What commands changed is proven by a look alone, so
/// that none goes on meanwhile.
/// Time: passed in as `now`, monotonic. Threads: none.
class KernelSight {
 public:
  /// A dump that somebody interrupts again and again is over by then.
  static constexpr Duration tell_after = std::chrono::seconds(5);

  struct News {
    bool readable = false;
    Duration lasted{};  ///< Since the first look that failed.
  };
  /// nullopt: nothing to be told.
  std::optional<News> on_look(bool readable, MonoTime now);

 private:
  std::optional<MonoTime> since_;  ///< The first look that failed; nullopt: the last one did not.
  bool told_ = false;
};

}  // namespace edge::uplink
