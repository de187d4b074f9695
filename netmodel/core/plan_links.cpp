// Links of a plan: MTU order, bridges before their ports, the adapter's address around the
// enslaving.
#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/plan_builder.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint8_t protocol_kernel =
    2;  // RTPROT_KERNEL: the kernel makes and removes it with the address.
constexpr std::uint32_t table_local = 255;
constexpr std::uint32_t table_main = 254;
constexpr std::uint32_t metric_moved = 20000;  // Above every metric of our own (render_port.hpp).

bool differs(const std::optional<BridgeAttributes>& wanted,
             const std::optional<BridgeAttributes>& there) {
  if (!wanted) { return false; }
  if (!there) { return true; }
  return wanted->forward_delay_cs != there->forward_delay_cs || wanted->stp != there->stp ||
         wanted->multicast_snooping != there->multicast_snooping ||
         (wanted->vlan_filtering && wanted->vlan_filtering != there->vlan_filtering);
}

bool is_v4(const Address& address) { return address.prefix.address.family == Family::v4; }

}  // namespace

void PlanBuilder::check_link(const Link& wanted) {
  const auto found = there_.find(wanted.name);
  const ObservedLink* there = found == there_.end() ? nullptr : found->second;
  if (is_adapter(wanted)) {
    if (there == nullptr) {
      blocked_.insert(wanted.name);  // It left between two dumps; the next turn knows.
      return;
    }
    const auto master = there_.find(there->link.master);
    const bool foreign_master = master != there_.end() && !master->second->ours();
    if (foreign_master && there->link.master != wanted.master) {
      blocked_.insert(wanted.name);
      conflict(
          wanted.name,
          fmt::format(
              "adapter \"{}\" is a port of \"{}\", which is not ours; release it to let it be used",
              wanted.name, there->link.master));
    }
    return;
  }
  if (there == nullptr) { return; }
  if (!there->ours()) {
    blocked_.insert(wanted.name);
    conflict(wanted.name,
             fmt::format("a link named \"{}\" exists and is not ours; rename or remove it",
                         wanted.name));
    return;
  }
  const bool flags_differ = wanted.tap && there->link.tap && *wanted.tap != *there->link.tap;
  if (there->link.kind != wanted.kind || flags_differ) { recreated_.insert(wanted.name); }
}

void PlanBuilder::find_conflicts() {
  for (const Link& link : desired_.links) { check_link(link); }
}

void PlanBuilder::links() {
  find_conflicts();
  for (const std::string& name : recreated_) { emit(DeleteLink{name}); }
  lower_mtus();
  raise_mtus(LinkKind::physical);
  raise_mtus(LinkKind::bridge);
  bridges();
  adapters();
  raise_mtus(LinkKind::tap);
  taps();
}

/// A frame must never be larger than what it is handed on to: guests shrink first, the wire last.
void PlanBuilder::lower_mtus() {
  for (const LinkKind kind : {LinkKind::tap, LinkKind::bridge, LinkKind::physical}) {
    for (const Link& link : desired_.links) {
      const ObservedLink* there = standing(link.name);
      if (link.kind != kind || there == nullptr || is_blocked(link.name)) { continue; }
      if (link.mtu && *link.mtu < there->link.mtu.value_or(0)) {
        emit(ChangeLink{.name = link.name, .mtu = link.mtu});
      }
    }
  }
}

void PlanBuilder::raise_mtus(LinkKind kind) {
  for (const Link& link : desired_.links) {
    const ObservedLink* there = standing(link.name);
    if (link.kind != kind || there == nullptr || is_blocked(link.name)) { continue; }
    if (link.mtu && *link.mtu > there->link.mtu.value_or(0)) {
      emit(ChangeLink{.name = link.name, .mtu = link.mtu});
    }
  }
}

void PlanBuilder::create(const Link& link) {
  Link made = link;
  if (is_blocked(made.master)) { made.master.clear(); }
  emit(CreateLink{std::move(made)});
}

/// Everything but the MTU, which has an order of its own.
void PlanBuilder::change(const Link& wanted, const ObservedLink& there) {
  ChangeLink op{.name = wanted.name};
  if (wanted.mac && wanted.mac != there.link.mac) { op.mac = wanted.mac; }
  if (!is_adapter(wanted) && wanted.alias != there.link.alias) { op.alias = wanted.alias; }
  const std::string& master =
      recreated_.contains(there.link.master) ? std::string() : there.link.master;
  if (wanted.master != master && !is_blocked(wanted.master)) { op.master = wanted.master; }
  if (wanted.admin_up != there.link.admin_up) { op.admin_up = wanted.admin_up; }
  if (differs(wanted.bridge, there.link.bridge)) { op.bridge = wanted.bridge; }
  if (op.mac || op.alias || op.master || op.admin_up || op.bridge) { emit(std::move(op)); }
}

void PlanBuilder::bridges() {
  for (const Link& link : desired_.links) {
    if (link.kind != LinkKind::bridge || is_blocked(link.name)) { continue; }
    if (const ObservedLink* there = standing(link.name)) {
      change(link, *there);
    } else {
      create(link);
    }
    // Before a port joins: its first frame already meets the right ARP and reverse path settings.
    link_sysctls(link.name);
  }
}

void PlanBuilder::adapters() {
  for (const Link& link : desired_.links) {
    if (!is_adapter(link) || is_blocked(link.name)) { continue; }
    take_over(link, *there_.at(link.name));
    link_sysctls(link.name);
  }
}

void PlanBuilder::taps() {
  for (const Link& link : desired_.links) {
    if (link.kind != LinkKind::tap || is_adapter(link) || is_blocked(link.name)) { continue; }
    if (const ObservedLink* there = standing(link.name)) {
      change(link, *there);
    } else {
      create(link);
    }
    link_sysctls(link.name);
  }
}

/// The order that lost 0 of 166 pings and kept TCP (facts/netmodel.md, trap 1): address on the
/// bridge, enslave, routes on the bridge, address off the adapter. On a port that is enslaved
/// already only what is left is done.
void PlanBuilder::take_over(const Link& adapter, const ObservedLink& there) {
  std::vector<Address> riding;
  const bool has_bridge = !adapter.master.empty() && !is_blocked(adapter.master);
  for (const Address& address : observed_.addresses) {
    if (has_bridge && address.link == adapter.name && is_v4(address)) { riding.push_back(address); }
  }
  for (const Address& address : riding) { move_address(address, adapter); }
  change(adapter, there);
  if (riding.empty()) { return; }
  move_routes(adapter);
  for (const Address& address : riding) { emit(RemoveAddress{address}); }
}

void PlanBuilder::move_address(const Address& address, const Link& adapter) {
  Address moved{.link = adapter.master,
                .prefix = address.prefix,
                .no_prefix_route = true,
                .ours = address.ours};
  const bool wanted = std::ranges::any_of(desired_.addresses, [&](const Address& a) {
    return a.link == moved.link && a.prefix == moved.prefix;
  });
  moved.ours = moved.ours || wanted;
  const bool there = std::ranges::find(observed_.addresses, moved) != observed_.addresses.end();
  if (!there || recreated_.contains(moved.link)) { emit(AddAddress{moved}); }
  added_.insert({moved.link, moved.prefix});
}

/// Routes over the adapter would lead to a bridge port, where no answer arrives. Where our own
/// routes say the same they take over, the others move.
void PlanBuilder::move_routes(const Link& adapter) {
  const std::string& bridge = adapter.master;
  std::vector<Route> replacing;
  for (const Route& route : desired_.routes) {
    if (route.link == bridge && route.destination.address.family == Family::v4) {
      replacing.push_back(route);
    }
  }
  put_first(replacing, [](const Route& r) { return !r.gateway; });
  for (const Route& route : replacing) { emit(AddRoute{route}); }
  if (!replacing.empty()) { routes_done_.insert(bridge); }

  std::vector<Route> riding;
  for (const Route& route : observed_.routes) {
    const bool v4 = route.destination.address.family == Family::v4;
    if (route.link == adapter.name && v4 && route.table != table_local) { riding.push_back(route); }
  }
  put_first(riding, [](const Route& r) { return !r.gateway; });
  for (const Route& route : riding) {
    const bool replaced = std::ranges::any_of(replacing, [&](const Route& r) {
      return r.table == route.table && r.destination == route.destination &&
             r.gateway == route.gateway;
    });
    if (replaced || route.protocol == our_protocol) {
      // A kernel route goes with its address.
      if (route.protocol != protocol_kernel) { emit(RemoveRoute{route}); }
      continue;
    }
    Route moved = route;
    moved.link = bridge;
    // In main behind our own: a route of another owner would not be withdrawn at carrier loss.
    const bool shifted = route.table == table_main;
    if (shifted) { moved.metric += metric_moved; }
    emit(AddRoute{std::move(moved)});
    if (shifted && route.protocol != protocol_kernel) { emit(RemoveRoute{route}); }
  }
}

void PlanBuilder::link_sysctls(const std::string& link) {
  const bool fresh = standing(link) == nullptr;
  const auto wanted = wanted_sysctls_.find(link);
  if (wanted == wanted_sysctls_.end()) { return; }
  for (const Sysctl* sysctl : wanted->second) {
    const auto found = observed_sysctls_.find(sysctl->path);
    // On a link that stands, a file that was not read does not exist in this kernel.
    const bool wrong = found != observed_sysctls_.end() && found->second != sysctl->value;
    if (fresh || wrong) { emit(SetSysctl{*sysctl}); }
  }
}

/// The way back: foreign addresses that a takeover put on the bridge return to the adapter.
void PlanBuilder::hand_back(const std::string& bridge, const std::string& adapter) {
  for (const Address& address : observed_.addresses) {
    if (address.link != bridge || address.ours || !is_v4(address)) { continue; }
    emit(AddAddress{
        {.link = adapter, .prefix = address.prefix, .no_prefix_route = false, .ours = false}});
  }
  emit(ChangeLink{.name = adapter, .admin_up = true, .master = std::string()});
  for (const Route& route : observed_.routes) {
    const bool foreign = route.protocol != our_protocol && route.protocol != protocol_kernel;
    if (route.link != bridge || !foreign || route.destination.address.family != Family::v4) {
      continue;
    }
    Route moved = route;
    moved.link = adapter;
    if (route.table == table_main && route.metric >= metric_moved) { moved.metric -= metric_moved; }
    emit(AddRoute{std::move(moved)});
  }
  emit(SetSysctl{{fmt::format("net/ipv6/conf/{}/disable_ipv6", adapter), "0"}});
}

/// Ports of a bridge that goes: taps of ours go as well, adapters are released and up.
void PlanBuilder::release_ports(const std::string& bridge) {
  for (const ObservedLink& port : observed_.links) {
    if (port.link.master != bridge || port.ours()) { continue; }
    const Link* wanted = wanted_link(port.link.name);
    if (wanted != nullptr && wanted->master != bridge) {
      continue;
    }  // It has moved to another bridge already.
    hand_back(bridge, port.link.name);
  }
}

void PlanBuilder::stale_links() {
  std::vector<const ObservedLink*> gone;
  for (const ObservedLink& there : observed_.links) {
    if (there.ours() && wanted_link(there.link.name) == nullptr) { gone.push_back(&there); }
  }
  // Taps before bridges: a bridge is not emptied by its end.
  put_first(gone, [](const ObservedLink* l) { return l->link.kind != LinkKind::bridge; });
  for (const ObservedLink* link : gone) {
    if (link->link.kind == LinkKind::bridge) { release_ports(link->link.name); }
    emit(DeleteLink{link->link.name});
  }
}

}  // namespace edge::netmodel
