// The machine's wall clock as the kernel keeps it: is it kept right, and how it is set.
#pragma once

#include "base/error.hpp"
#include "base/ids.hpp"

namespace edge::uplink {

/// Whether somebody (NTP, PTP) keeps the clock right: adjtimex(2) without STA_UNSYNC. The kernel
/// begins without, and forgets it when the clock is stepped. False when it cannot be asked.
bool clock_is_synchronised();

/// Steps the clock. Errors: denied: no CAP_SYS_TIME, or a container's filter.
/// Source: clock_settime(2).
Result<void> set_clock(WallTime to);

}  // namespace edge::uplink
