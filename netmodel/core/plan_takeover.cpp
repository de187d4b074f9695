// What rides on an adapter when its place changes, and what happens to all of it on the way back.
#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/plan_builder.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint32_t metric_moved = 20000;  // Above every metric of our own (render_port.hpp).

bool is_v4(const Address& address) { return address.prefix.address.family == Family::v4; }
bool is_v4(const Route& route) { return route.destination.address.family == Family::v4; }

/// What a router advertised, and link-local addresses, the bridge makes for itself: it has the
/// adapter's MAC address.
bool rides(const Address& address) {
  return is_v4(address) || (!address.dynamic && !address.prefix.address.is_link_local());
}

/// Of the kernel's own IPv6 routes only those that belong to what rides.
bool rides(const Route& route, const std::vector<Address>& riding) {
  if (route.table == table_local) { return false; }
  if (is_v4(route)) { return true; }
  const IpAddress& to = route.destination.address;
  if (to.is_link_local() || to.is_multicast()) { return false; }
  if (route.protocol == protocol_ra || route.protocol == our_protocol) { return false; }
  return route.protocol != protocol_kernel ||
         std::ranges::any_of(riding, [&](const Address& address) {
           return address.prefix.network() == route.destination;
         });
}

}  // namespace

/// The bridge that carries what rides on the adapter: its own, or that of its bond.
std::string PlanBuilder::bridge_above(const Link& adapter) const {
  const Link* master = wanted_link(adapter.master);
  if (master == nullptr || is_blocked(master->name)) { return {}; }
  const std::string& bridge = master->kind == LinkKind::bond ? master->master : master->name;
  return is_blocked(bridge) ? std::string() : bridge;
}

/// The bridge of ours that the adapter leaves and that goes: of what rode there nothing is left but
/// what comes along now.
std::string PlanBuilder::abandoned_bridge(const ObservedLink& there) const {
  const std::string& master = there.link.master;
  const std::string bridge = is_bond_there(master) ? there_.at(master)->link.master : master;
  const auto found = there_.find(bridge);
  const bool goes = found != there_.end() && found->second->ours() &&
                    found->second->link.kind == LinkKind::bridge && wanted_link(bridge) == nullptr;
  return goes ? bridge : std::string();
}

/// The order that lost 0 of 166 pings and kept TCP (facts/netmodel.md, trap 1): address on the
/// bridge, enslave, routes on the bridge, address off the adapter. IPv6 goes the same way: the
/// kernel takes one address on two links; without that it would go with disable_ipv6. On a port
/// that is enslaved already only what is left is done.
void PlanBuilder::take_over(const Link& adapter, const ObservedLink& there) {
  const std::string bridge = bridge_above(adapter);
  const std::string old_bridge = abandoned_bridge(there);
  std::vector<Address> riding;
  for (const Address& address : observed_.addresses) {
    if (bridge.empty() || !rides(address)) { continue; }
    const bool on_old = !old_bridge.empty() && address.link == old_bridge && !address.ours;
    if (address.link == adapter.name || on_old) { riding.push_back(address); }
  }
  for (const Address& address : riding) { move_address(address, bridge); }
  change(adapter, there);
  if (riding.empty()) { return; }
  std::set<std::string> from{adapter.name};
  if (!old_bridge.empty()) { from.insert(old_bridge); }
  move_routes(from, bridge, riding);
  for (const Address& address : riding) { emit(RemoveAddress{address}); }
}

void PlanBuilder::move_address(const Address& address, const std::string& bridge) {
  Address moved{
      .link = bridge, .prefix = address.prefix, .no_prefix_route = true, .ours = address.ours};
  const bool wanted = std::ranges::any_of(desired_.addresses, [&](const Address& a) {
    return a.link == moved.link && a.prefix == moved.prefix;
  });
  moved.ours = moved.ours || wanted;
  const bool there = std::ranges::find(observed_.addresses, moved) != observed_.addresses.end();
  if (!there || recreated_.contains(moved.link)) { emit(AddAddress{moved}); }
  added_.insert({moved.link, moved.prefix});
}

/// The routes that we want over a bridge, written at once.
std::vector<Route> PlanBuilder::own_routes(const std::string& bridge) {
  std::vector<Route> out;
  for (const Route& route : desired_.routes) {
    if (route.link == bridge && is_v4(route)) { out.push_back(route); }
  }
  put_first(out, [](const Route& r) { return !r.gateway; });
  for (const Route& route : out) { emit(AddRoute{route}); }
  if (!out.empty()) { routes_done_.insert(bridge); }
  return out;
}

/// Routes over the adapter would lead to a bridge port, where no answer arrives. Where our own
/// routes say the same they take over, the others move.
void PlanBuilder::move_routes(const std::set<std::string>& from, const std::string& bridge,
                              const std::vector<Address>& with) {
  const std::vector<Route> replacing = own_routes(bridge);
  std::vector<Route> riding;
  for (const Route& route : observed_.routes) {
    if (from.contains(route.link) && rides(route, with)) { riding.push_back(route); }
  }
  put_first(riding, [](const Route& r) { return !r.gateway; });
  for (const Route& route : riding) {
    const bool replaced = std::ranges::any_of(replacing, [&](const Route& r) {
      return r.table == route.table && r.destination == route.destination &&
             r.gateway == route.gateway;
    });
    if (!replaced && route.protocol != our_protocol) {
      move_route(route, bridge);
    } else if (route.protocol != protocol_kernel) {
      emit(RemoveRoute{route});  // A kernel route goes with its address.
    }
  }
}

/// In main behind our own: a route of another owner would not be withdrawn at carrier loss.
void PlanBuilder::move_route(const Route& route, const std::string& bridge) {
  Route moved = route;
  moved.link = bridge;
  const bool shifted = route.table == table_main && route.metric < metric_moved;
  if (shifted) { moved.metric += metric_moved; }
  emit(AddRoute{std::move(moved)});
  if (shifted && route.protocol != protocol_kernel) { emit(RemoveRoute{route}); }
}

/// The way back: foreign addresses that a takeover put on the bridge return to the adapter.
void PlanBuilder::hand_back(const std::string& bridge, const std::string& adapter) {
  const Sysctl ipv6{fmt::format("net/ipv6/conf/{}/disable_ipv6", adapter), "0"};
  std::vector<Address> riding;
  for (const Address& address : observed_.addresses) {
    if (address.link == bridge && !address.ours && rides(address)) { riding.push_back(address); }
  }
  const bool early = !std::ranges::all_of(riding, [](const Address& a) { return is_v4(a); });
  if (early) { emit(SetSysctl{ipv6}); }
  for (const Address& address : riding) {
    emit(AddAddress{
        {.link = adapter, .prefix = address.prefix, .no_prefix_route = false, .ours = false}});
  }
  emit(ChangeLink{.name = adapter, .admin_up = true, .master = std::string()});
  for (const Route& route : observed_.routes) {
    const bool foreign = route.protocol != our_protocol && route.protocol != protocol_kernel;
    if (route.link != bridge || !foreign || !rides(route, riding)) { continue; }
    Route moved = route;
    moved.link = adapter;
    if (route.table == table_main && route.metric >= metric_moved) { moved.metric -= metric_moved; }
    emit(AddRoute{std::move(moved)});
  }
  if (!early) { emit(SetSysctl{ipv6}); }
}

void PlanBuilder::release(const std::string& adapter) {
  emit(ChangeLink{.name = adapter, .admin_up = true, .master = std::string()});
  emit(SetSysctl{{fmt::format("net/ipv6/conf/{}/disable_ipv6", adapter), "0"}});
}

/// Ports of a bridge that goes: taps of ours go as well, the adapter is released and up. What
/// somebody else put there, a VM manager its tap, is let go as it is, by a write of its own: so the
/// plan names it. The adapter is the port whose MAC address the bridge has.
void PlanBuilder::release_ports(const ObservedLink& bridge) {
  for (const ObservedLink& port : observed_.links) {
    if (port.link.master != bridge.link.name || port.ours()) { continue; }
    const Link* wanted = wanted_link(port.link.name);
    // It has moved to another bridge already.
    if (wanted != nullptr && wanted->master != bridge.link.name) { continue; }
    const bool adapter = port.permanent_mac == bridge.link.mac || port.link.mac == bridge.link.mac;
    if (wanted != nullptr || adapter) {
      hand_back(bridge.link.name, port.link.name);
    } else {
      emit(ChangeLink{.name = port.link.name, .master = std::string()});
    }
  }
}

/// Members of a bond that goes. What rode on the bridge above, when that goes too, returns to the
/// adapter whose MAC address the bridge has.
void PlanBuilder::release_members(const ObservedLink& bond) {
  const auto bridge = there_.find(bond.link.master);
  const bool bridge_goes =
      bridge != there_.end() && bridge->second->ours() && wanted_link(bond.link.master) == nullptr;
  std::vector<const ObservedLink*> members;
  for (const ObservedLink& member : observed_.links) {
    // The others have moved already.
    const bool stays = wanted_link(member.link.name) == nullptr;
    if (member.link.master == bond.link.name && !member.ours() && stays) {
      members.push_back(&member);
    }
  }
  put_first(members, [&](const ObservedLink* m) {
    return bridge_goes && m->permanent_mac == bridge->second->link.mac;
  });
  for (const ObservedLink* member : members) {
    if (bridge_goes && member == members.front()) {
      hand_back(bond.link.master, member->link.name);
    } else {
      release(member->link.name);
    }
  }
}

/// Adapters that are still in a bond of ours and belong there no more: they would carry its traffic
/// to wherever their cable goes now. One that is down carries none: a person has set it down, and
/// it is not wanted for as long as that lasts.
void PlanBuilder::release_strays() {
  for (const ObservedLink& member : observed_.links) {
    const Link* bond = wanted_link(member.link.master);
    const bool stray = bond != nullptr && bond->kind == LinkKind::bond && !member.ours() &&
                       member.link.admin_up && wanted_link(member.link.name) == nullptr;
    if (stray && standing(bond->name) != nullptr) { release(member.link.name); }
  }
}

/// Where the addresses return to the bridge, it has IPv6 again.
void PlanBuilder::forget_management(const ObservedLink& device) {
  if (!device.link.vlan) { return; }
  const auto wanted = wanted_sysctls_.find(device.link.vlan->parent);
  if (wanted == wanted_sysctls_.end()) { return; }
  const std::string off = fmt::format("net/ipv6/conf/{}/disable_ipv6", device.link.vlan->parent);
  const std::string accept = fmt::format("net/ipv6/conf/{}/accept_ra", device.link.vlan->parent);
  const auto has = [&](const std::string& path) {
    return std::ranges::any_of(wanted->second,
                               [&](const Sysctl* sysctl) { return sysctl->path == path; });
  };
  if (has(accept) && !has(off)) { emit(SetSysctl{{off, "0"}}); }
}

void PlanBuilder::stale_links() {
  release_strays();
  std::vector<const ObservedLink*> gone;
  for (const ObservedLink& there : observed_.links) {
    if (there.ours() && wanted_link(there.link.name) == nullptr) { gone.push_back(&there); }
  }
  // Taps and VLAN devices, bonds, bridges: nothing is emptied by its end.
  put_first(gone, [](const ObservedLink* l) { return l->link.kind != LinkKind::bridge; });
  put_first(gone, [](const ObservedLink* l) {
    return l->link.kind != LinkKind::bridge && l->link.kind != LinkKind::bond;
  });
  for (const ObservedLink* link : gone) {
    if (link->link.kind == LinkKind::bridge) { release_ports(*link); }
    if (link->link.kind == LinkKind::bond) { release_members(*link); }
    if (link->link.kind == LinkKind::vlan) { forget_management(*link); }
    emit(DeleteLink{link->link.name});
  }
}

}  // namespace edge::netmodel
