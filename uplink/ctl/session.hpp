// Asks the daemon and shows what it says; returns the exit status.
#pragma once

#include <atomic>
#include <iosfwd>

#include "uplink/ctl/arguments.hpp"
#include "uplink/ctl/table.hpp"

namespace edge::uplink::ctl {

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  Style style;
  bool redraw = false;  ///< A screen that can be drawn over: watch does.
  const std::atomic<bool>* interrupted =
      nullptr;  ///< Set by a signal: a stream ends with exit done.
};

/// Errors go to `err` as one line that says what to do.
Exit run(const Invocation& invocation, const Terminal& terminal);

}  // namespace edge::uplink::ctl
