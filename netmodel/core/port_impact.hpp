// Which ports a change of the model touches, and which it ends. Pure.
#pragma once

#include <vector>

#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// Ports by their leaders' base MACs, each in one list at most.
struct PortImpact {
  std::vector<MacAddress> touched{};  ///< Go on, or begin, with other members, links or settings.
  std::vector<MacAddress> ended{};    ///< Join another group, are switched off, or go.
  bool empty() const { return touched.empty() && ended.empty(); }
};

/// True when a change between the two could touch a port: cheap, without facts.
bool may_touch_ports(const Model& before, const Model& after);

PortImpact port_impact(const Model& before, const Model& after,
                       const std::vector<AdapterFacts>& adapters);

}  // namespace edge::netmodel
