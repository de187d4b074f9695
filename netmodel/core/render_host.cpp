#include "netmodel/core/render_host.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/render_port.hpp"

namespace edge::netmodel {
namespace {

constexpr std::size_t cluster_adapters_min = 4;  // Seeds: two for infrastructure, two for VMs.

}  // namespace

std::optional<LeaseFacts> static_lease(const Model& model, const MacAddress& leader) {
  if (management_leader(model) != leader) { return std::nullopt; }
  const Management& management = *model.host.management;
  LeaseFacts lease{.address = management.address};
  if (management.gateway) { lease.routers.push_back(*management.gateway); }
  lease.dns = management.dns;
  return lease;
}

void apply_static_leases(const Model& model, RenderFacts& facts) {
  for (AdapterFacts& adapter : facts.adapters) {
    if (auto lease = static_lease(model, adapter.base_mac)) { adapter.lease = std::move(lease); }
  }
}

void render_virtual_ip(const Model& model, const RenderFacts& facts, Rendered& out) {
  const HostSettings& host = model.host;
  const bool in_cluster = host.cluster || std::ranges::any_of(model.groups, [](const auto& item) {
                            return item.second.role == GroupRole::infrastructure;
                          });
  if (in_cluster && facts.adapters.size() < cluster_adapters_min) {
    out.notes.push_back(
        {"cluster.adapters", fmt::format("{} adapters; a host of a cluster needs {}: two for the "
                                         "infrastructure group, two for VMs",
                                         facts.adapters.size(), cluster_adapters_min)});
  }
  const auto leader = management_leader(model);
  if (!leader || !host.virtual_ip || !host.cluster) { return; }
  const auto ports = ports_of(model, facts.adapters);
  const auto port =
      std::ranges::find_if(ports, [&](const auto& p) { return p.leader() == *leader; });
  const auto adapter = std::ranges::find(facts.adapters, *leader, &AdapterFacts::base_mac);
  if (port == ports.end() || adapter == facts.adapters.end()) { return; }
  out.state.rules.push_back(
      {.priority = rule_source, .from = IpPrefix{*host.virtual_ip, 32}, .table = adapter->table});
  VirtualAddress address{.link = port->l3,
                         .carrier = port->uplink(),
                         .own = host.management->address.address,
                         .address = {*host.virtual_ip, host.management->address.length}};
  address.cluster = *host.cluster;
  out.virtual_address = std::move(address);
}

}  // namespace edge::netmodel
