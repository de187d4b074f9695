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

/// The order of a normalised state. Rules by all they say; addresses by link and prefix first.
bool comes_before(const Rule& a, const Rule& b);
bool comes_before(const Address& a, const Address& b);

}  // namespace edge::netmodel
