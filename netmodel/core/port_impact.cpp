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

/// What a virtual address needs to be one.
struct Floating {
  IpAddress address;
  Cluster cluster;
  bool operator==(const Floating&) const = default;
};

std::optional<Floating> floating(const HostSettings& host) {
  if (!host.management || !host.virtual_ip || !host.cluster) { return std::nullopt; }
  return Floating{*host.virtual_ip, *host.cluster};
}

bool same_floating(const Model& before, const Model& after) {
  return floating(before.host) == floating(after.host);
}

bool is_owned(const IpPrefix& subnet, const IpAddress& address) {
  if (address.family == Family::v6) { return address == gateway6_of(subnet); }
  return address == gateway_of(subnet) || address == subnet.network().address ||
         address == subnet.broadcast();
}

bool same(const Model& before, const GroupPort& was, const Model& after, const GroupPort& now) {
  if (was.members != now.members || was.bond != now.bond || was.l3 != now.l3 ||
      was.mtu != now.mtu || was.enabled != now.enabled) {
    return false;
  }
  const bool carries_it =
      management_leader(before) == was.leader() || management_leader(after) == now.leader();
  if (carries_it && !same_floating(before, after)) { return false; }
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

std::vector<CoveredAddress> covered_addresses(const Model& before, const Model& after,
                                              const std::vector<NeededAddress>& needed) {
  std::vector<CoveredAddress> out;
  for (const auto& [id, network] : after.networks) {
    if (is_bridged(network.kind)) { continue; }
    const auto was = before.networks.find(id);
    for (const auto& [subnet, stood] :
         {std::pair{network.subnet,
                    was == before.networks.end() ? std::nullopt : was->second.subnet},
          std::pair{network.subnet6,
                    was == before.networks.end() ? std::nullopt : was->second.subnet6}}) {
      if (!subnet || (subnet == stood && was->second.kind == network.kind)) { continue; }
      for (const NeededAddress& item : needed) {
        if (subnet->contains(item.address)) {
          out.push_back({id, *subnet, item, is_owned(*subnet, item.address)});
        }
      }
    }
  }
  const auto becomes_own = [&](const IpPrefix& own) {
    for (const NeededAddress& item : needed) {
      if (!item.is_console) { continue; }  // A router's breaks its own port, which is touched.
      const bool broadcast =
          own.address.family == Family::v4 && own.length < 31 &&
          (item.address == own.network().address || item.address == own.broadcast());
      if (item.address == own.address || broadcast) { out.push_back({"", own, item, true}); }
    }
  };
  if (after.host.management && after.host.management != before.host.management) {
    becomes_own(after.host.management->address);
  }
  if (const auto now = floating(after.host); now && now != floating(before.host)) {
    becomes_own({now->address, static_cast<std::uint8_t>(8 * now->address.size_bytes())});
  }
  return out;
}

bool may_touch_ports(const Model& before, const Model& after,
                     const std::vector<NeededAddress>& needed) {
  return !covered_addresses(before, after, needed).empty() ||
         before.host.console_endpoints != after.host.console_endpoints ||
         before.groups != after.groups || before.adapters != after.adapters ||
         before.host.management != after.host.management || !same_floating(before, after);
}

std::chrono::milliseconds begins_within(const Model& before, const Model& after) {
  constexpr std::chrono::milliseconds start_or_end{2000};
  if (same_floating(before, after)) { return std::chrono::milliseconds(0); }
  const auto wanted = floating(after.host);
  if (!wanted) { return start_or_end; }
  constexpr int adverts = 4;
  return start_or_end + adverts * std::chrono::milliseconds(wanted->cluster.advert_ms);
}

PortImpact port_impact(const Model& before, const Model& after,
                       const std::vector<AdapterFacts>& adapters,
                       const std::vector<NeededAddress>& needed) {
  PortImpact out;
  const bool all = !covered_addresses(before, after, needed).empty();
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
    if (all || before_it == was.end() || !same(before, *before_it, after, port)) {
      out.touched.push_back(port.leader());
    }
  }
  return out;
}

}  // namespace edge::netmodel
