// Which adapter leads a port and which belongs to it; what its members say together is the port's.
#include <utility>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

const Port& Ports::leader_of(const Port& adapter) const {
  if (adapter.leads()) { return adapter; }
  const auto found = ports_.find(to_hex(adapter.members.front()));
  return found == ports_.end() ? adapter : found->second;
}

Port& Ports::leader(const Port& adapter) { return ports_.at(leader_of(adapter).key); }

std::vector<const Port*> Ports::members_of(const Port& leader) const {
  if (leader.members.empty()) { return {&leader}; }
  std::vector<const Port*> out;
  for (const MacAddress& mac : leader.members) {
    if (const Port* member = find(to_hex(mac))) { out.push_back(member); }
  }
  return out;
}

/// Where every adapter belongs by the model: who leads, on which link the port's addresses are.
void Ports::take_places(const netmodel::Model& model) {
  for (const auto& [id, group] : model.groups) {
    const MacAddress& first = group.adapters.front();
    Port& port = ports_[to_hex(first)];
    if (!port.key.empty()) { continue; }
    port.key = to_hex(first);  // Never seen: the port lives under its name all the same.
    port.base_mac = first;
    port.name = to_string(first);
    number(port);
  }
  for (auto& [key, port] : ports_) { take_place(port, model); }
  for (auto& [key, port] : ports_) {
    if (port.leads()) { settle(port); }
  }
}

void Ports::take_place(Port& port, const netmodel::Model& model) {
  const auto settings = model.adapters.find(port.base_mac);
  const bool off = settings != model.adapters.end() && !settings->second.enabled;
  if (std::exchange(port.switched_off, off) || off) { port.was_up = false; }
  const MacAddress first = netmodel::leader_of(model, port.base_mac);
  std::string group = netmodel::group_of(model, port.base_mac);
  std::string l3 = netmodel::port_l3_name(model, port.base_mac);
  std::vector<MacAddress> members =
      group.empty() ? std::vector{port.base_mac} : model.groups.at(group).adapters;
  if (port.group == group && port.l3 == l3 && port.members == members) { return; }
  const bool moves = first != port.base_mac || l3 != port.l3;
  if (moves && port.live) {
    retire(port);
    port.live = false;
    port.carrier = false;
    port.admin_up = false;
    if (first == port.base_mac) {  // Another VLAN, another network.
      port.stored.reset();
      port.stored6.reset();
    }
  }
  port.group = std::move(group);
  port.members = std::move(members);
  port.l3 = std::move(l3);
  port.bridge = netmodel::port_bridge_name(first);
  if (!port.leads()) {
    port.bond_active.clear();
    port.wire.clear();
  }
}

/// What the members' cards say together becomes the port's; whoever uses it hears of a change.
void Ports::settle(Port& port) {
  bool live = false;
  bool up = false;
  bool carrier = false;
  bool enabled = false;
  for (const Port* member : members_of(port)) {
    if (!member->present) { continue; }
    live = true;
    up = up || member->card_up;
    carrier = carrier || member->card_carrier;
    enabled = enabled || !member->locally_disabled();
  }
  const bool was_live = std::exchange(port.live, live);
  const bool up_changed = std::exchange(port.admin_up, up) != up;
  const bool disabled_changed =
      std::exchange(port.disabled, live && !enabled) != (live && !enabled);
  const bool carrier_changed = std::exchange(port.carrier, carrier) != carrier;
  if (was_live && !live) {
    retire(port);
    return;
  }
  if (carrier_changed) {
    if (!carrier) {
      port.standing = false;  // Whatever is plugged in next has proven nothing.
      port.managed6 = port.other6 = false;
      hooks_.carrier_lost(port);
    }
    port.gateway_reachable.reset();
    port.failed_routers6.clear();
    if (port.dhcp) { port.dhcp->carrier_changed(carrier); }
  }
  if (carrier_changed || up_changed || disabled_changed || live != was_live) {
    hooks_.changed(port);
  }
}

/// The port is not one any more: its cards are away, or another adapter leads it now. Its lease is
/// kept for the day it comes back.
void Ports::retire(Port& port) {
  hooks_.carrier_lost(port);
  port.bridge_ready = false;
  port.address_ready = false;
  port.dhcp.reset();
  port.gateway_probe.reset();
  port.gateway_reachable.reset();
  // A static address is the model's: as a lease without an end it would outlive its removal.
  if (port.lease && !port.is_static) { port.stored = port.lease; }
  port.is_static = false;
  port.lease.reset();
  if (port.lease6) { port.stored6 = std::exchange(port.lease6, std::nullopt); }
  port.lease6_ends.reset();
  port.v6 = {};
  port.managed6 = port.other6 = false;
  port.sources6 = {};
  port.routers6.clear();
  port.failed_routers6.clear();
  port.router6.reset();
  port.phase = dhcp::LeasePhase::none;
  hooks_.gone(port);
}

/// Something of an adapter changed that the path of its port shows.
void Ports::tell(const Port& adapter) { hooks_.changed(leader_of(adapter)); }

void Ports::on_bond(const netmodel::LinkEvent& event) {
  for (auto& [key, port] : ports_) {
    if (!port.leads() || event.name != netmodel::bond_name(port.base_mac)) { continue; }
    set_bond_active(port, event.gone ? std::string() : event.bond_active);
  }
}

void Ports::set_bond_active(Port& port, const std::string& member) {
  const std::string from = std::exchange(port.bond_active, member);
  // Of a group that is dissolved the members leave one by one: no failover.
  if (from == member || port.members.size() < 2) { return; }
  if (port.live) { hooks_.bond_moved(port, from, member); }
}

void Ports::on_master(const netmodel::LinkEvent& event) {
  for (auto& [key, port] : ports_) {
    const bool its_own = port.present && port.name == event.name;
    if (!port.leads() || (!its_own && event.name != netmodel::bond_name(port.base_mac))) {
      continue;
    }
    if (!event.gone && event.master == port.bridge) {
      set_wire(port, event.name);
    } else if (port.wire == event.name) {
      port.wire.clear();
    }
  }
}

void Ports::set_wire(Port& port, const std::string& link) {
  const std::string from = std::exchange(port.wire, link);
  if (from != link && port.live) { hooks_.wire_changed(port); }
}

}  // namespace edge::uplink
