#include "uplink/core/kernel_sight.hpp"

#include <utility>

namespace edge::uplink {

std::optional<KernelSight::News> KernelSight::on_look(bool readable, MonoTime now) {
  if (!readable) {
    if (!since_) { since_ = now; }
    const Duration lasted = now - *since_;
    if (told_ || lasted < tell_after) { return std::nullopt; }
    told_ = true;
    return News{.readable = false, .lasted = lasted};
  }
  const std::optional<MonoTime> since = std::exchange(since_, std::nullopt);
  if (!std::exchange(told_, false)) { return std::nullopt; }
  return News{.readable = true, .lasted = now - *since};
}

}  // namespace edge::uplink
