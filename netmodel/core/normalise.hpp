// The kernel's spelling of a state, so that equal means equal.
#pragma once

#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// What the kernel shows after it took `desired`: IPv6 metric 0 is 1024, prefixes in network form,
/// defaults filled in. Idempotent; sorted, without duplicates.
DesiredState normalise(DesiredState desired);
Route normalise(Route route);
Rule normalise(Rule rule);
Sysctl normalise(Sysctl sysctl);

/// Same for a dump. Order is by content, so that two dumps of one state compare equal.
ObservedState normalise(ObservedState observed);

}  // namespace edge::netmodel
