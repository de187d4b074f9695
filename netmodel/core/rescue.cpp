#include "netmodel/core/rescue.hpp"

namespace edge::netmodel {

Model rescue_of(const Model& model) {
  Model out;
  out.host.uplink_order = model.host.uplink_order;
  out.host.console_endpoints = model.host.console_endpoints;
  for (const auto& [id, network] : model.networks) {
    if (!is_bridged(network.kind)) { out.networks.emplace(id, network); }
  }
  for (const auto& [id, interface] : model.interfaces) {
    if (out.networks.contains(interface.network)) { out.interfaces.emplace(id, interface); }
  }
  for (const auto& [id, rule] : model.gateway) {
    if (rule.interface.empty() || out.interfaces.contains(rule.interface)) {
      out.gateway.emplace(id, rule);
    }
  }
  return out;
}

}  // namespace edge::netmodel
