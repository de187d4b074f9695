#include "netmodel/core/port_impact.hpp"

#include <algorithm>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/render_host.hpp"

namespace edge::netmodel {
namespace {

/// How its group is run: what GroupPort does not say.
Group group_settings(const Model& model, const GroupPort& port) {
  const auto found = model.groups.find(port.group);
  Group out = found == model.groups.end() ? Group{.adapters = port.members} : found->second;
  out.role = GroupRole::vm;  // A label, nothing that a wire would notice.
  out.allow_single = false;
  if (out.adapters.size() == 1) {
    out.mode = GroupMode::active_backup;
    out.primary.reset();
  }
  return out;
}

std::vector<bool> enabled_members(const Model& model, const GroupPort& port) {
  std::vector<bool> out;
  for (const MacAddress& member : port.members) {
    const auto settings = model.adapters.find(member);
    out.push_back(settings == model.adapters.end() || settings->second.enabled);
  }
  return out;
}

bool same(const Model& before, const GroupPort& was, const Model& after, const GroupPort& now) {
  if (was.members != now.members || was.bond != now.bond || was.l3 != now.l3 ||
      was.mtu != now.mtu || was.enabled != now.enabled) {
    return false;
  }
  const auto lease_was = static_lease(before, was.leader());
  const auto lease_now = static_lease(after, now.leader());
  if (lease_was.has_value() != lease_now.has_value()) { return false; }
  if (lease_was && (lease_was->address != lease_now->address ||
                    lease_was->routers != lease_now->routers || lease_was->dns != lease_now->dns)) {
    return false;
  }
  return enabled_members(before, was) == enabled_members(after, now) &&
         group_settings(before, was) == group_settings(after, now);
}

}  // namespace

bool may_touch_ports(const Model& before, const Model& after) {
  return before.groups != after.groups || before.adapters != after.adapters ||
         before.host.management != after.host.management;
}

PortImpact port_impact(const Model& before, const Model& after,
                       const std::vector<AdapterFacts>& adapters) {
  PortImpact out;
  const std::vector<GroupPort> was = ports_of(before, adapters);
  const std::vector<GroupPort> is = ports_of(after, adapters);
  const auto find = [](const std::vector<GroupPort>& ports, const MacAddress& leader) {
    return std::ranges::find(ports, leader, [](const GroupPort& port) { return port.leader(); });
  };
  for (const GroupPort& port : was) {
    const auto now = find(is, port.leader());
    if (now == is.end() || (port.enabled && !now->enabled)) { out.ended.push_back(port.leader()); }
  }
  for (const GroupPort& port : is) {
    const auto before_it = find(was, port.leader());
    if (std::ranges::find(out.ended, port.leader()) != out.ended.end()) { continue; }
    if (before_it == was.end() || !same(before, *before_it, after, port)) {
      out.touched.push_back(port.leader());
    }
  }
  return out;
}

}  // namespace edge::netmodel
