// What host.set means for the ports: a static lease, and the cluster's virtual address.
#pragma once

#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// The lease that the model gives to the port with the management address; nullopt: it gives none.
std::optional<LeaseFacts> static_lease(const Model& model, const MacAddress& leader);

/// Puts static leases in the place of what DHCP said.
void apply_static_leases(const Model& model, RenderFacts& facts);

/// The virtual address, and the rule that lets its answers leave by its port.
void render_virtual_ip(const Model& model, const RenderFacts& facts, Rendered& out);

}  // namespace edge::netmodel
