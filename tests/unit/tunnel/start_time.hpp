// When the engines' tests begin: a clock that did not start with them.
#pragma once

#include <chrono>

#include "base/ids.hpp"

namespace edge::tunnel {

constexpr MonoTime t0{std::chrono::hours(1)};

}  // namespace edge::tunnel
