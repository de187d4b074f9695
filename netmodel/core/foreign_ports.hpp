// Ports of our bridges that somebody else put there: a VM manager its taps.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// By the name of the bridge, sorted. `adapters`: names of the ports of the host, which have no
/// mark of ours and are no guests.
std::map<std::string, std::vector<std::string>> foreign_ports(
    const ObservedState& observed, const std::set<std::string>& adapters);

}  // namespace edge::netmodel
