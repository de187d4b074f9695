// The clock of this room's shells; its core is told the time.
#pragma once

#include <chrono>

#include "base/ids.hpp"

namespace edge::dhcp {

inline MonoTime mono_now() { return MonoTime(std::chrono::steady_clock::now().time_since_epoch()); }

}  // namespace edge::dhcp
