// Bonds of a plan: made and filled before they carry anything, dissolved the other way round.
#include <algorithm>

#include "netmodel/core/plan_builder.hpp"

namespace edge::netmodel {

bool PlanBuilder::is_bond_there(const std::string& name) const {
  const auto found = there_.find(name);
  return found != there_.end() && found->second->link.kind == LinkKind::bond;
}

/// The adapter where it belongs, with what rides on it.
void PlanBuilder::place(const Link& adapter) {
  if (!placed_.insert(adapter.name).second || is_blocked(adapter.name)) { return; }
  const ObservedLink& there = *there_.at(adapter.name);
  take_over(adapter, there);
  link_sysctls(adapter.name);
  const bool left_a_bond = is_bond_there(there.link.master) && there.link.master != adapter.master;
  // A member that leaves has the MTU with which it joined, whatever it was since.
  if (left_a_bond && adapter.mtu && wanted_link(adapter.master) != nullptr &&
      wanted_link(adapter.master)->kind != LinkKind::bond) {
    emit(ChangeLink{.name = adapter.name, .mtu = adapter.mtu});
  }
  set_vlans(adapter);
}

/// Where a bond goes, the adapter that takes its place in the bridge leaves it first, while the
/// other members still carry; never both in the bridge at once, which would be a loop through the
/// switch.
void PlanBuilder::dissolve() {
  for (const Link& adapter : desired_.links) {
    if (!is_adapter(adapter) || is_blocked(adapter.name)) { continue; }
    const std::string& bond = there_.at(adapter.name)->link.master;
    if (!is_bond_there(bond) || wanted_link(bond) != nullptr || !there_.at(bond)->ours()) {
      continue;
    }
    if (there_.at(bond)->link.master != adapter.master) { continue; }
    emit(ChangeLink{.name = adapter.name, .admin_up = adapter.admin_up, .master = std::string()});
    emit(ChangeLink{.name = bond, .master = std::string()});
    place(adapter);
  }
}

void PlanBuilder::bonds() {
  for (const Link& bond : desired_.links) {
    if (bond.kind != LinkKind::bond || is_blocked(bond.name)) { continue; }
    if (const ObservedLink* there = standing(bond.name)) {
      change(with_possible_primary(bond, *there), *there);
      link_sysctls(bond.name);
      set_vlans(bond);
    } else {
      make_bond(bond);
    }
  }
}

/// The kernel shows no primary that is no member. While the wanted one is none and does not join
/// now (a person has set it down, or somebody else's bridge has it) the present one is left as it
/// is; the plan with which it joins sets it.
Link PlanBuilder::with_possible_primary(const Link& bond, const ObservedLink& there) const {
  Link out = bond;
  if (!bond.bond || bond.bond->primary.empty() || !there.link.bond) { return out; }
  const std::string& primary = bond.bond->primary;
  const auto adapter = there_.find(primary);
  const bool member = adapter != there_.end() && adapter->second->link.master == bond.name;
  const Link* wanted = wanted_link(primary);
  const bool joins = wanted != nullptr && wanted->master == bond.name && !is_blocked(primary);
  if (!member && !joins) { out.bond->primary = there.link.bond->primary; }
  return out;
}

/// The adapter that is the bridge's port today stays there until the bond has its other members:
/// the gap is the time of three writes. Mode, miimon and fail_over_mac are there before the first
/// member (facts/netmodel.md T7), and so is disable_ipv6: a bond that is up says its MAC address,
/// the leader's, on the wrong wire.
void PlanBuilder::make_bond(const Link& bond) {
  // Of another mode: its members are free then, bridge and taps stay.
  if (is_bond_there(bond.name)) { emit(DeleteLink{bond.name}); }
  Link made = bond;
  made.master.clear();
  made.admin_up = false;
  if (made.bond && is_blocked(made.bond->primary)) { made.bond->primary.clear(); }
  emit(CreateLink{std::move(made)});
  link_sysctls(bond.name);
  emit(ChangeLink{.name = bond.name, .admin_up = bond.admin_up});

  const Link* in_bridge = nullptr;
  std::vector<const Link*> others;
  for (const Link& adapter : desired_.links) {
    if (!is_adapter(adapter) || adapter.master != bond.name || is_blocked(adapter.name)) {
      continue;
    }
    const bool is_port = there_.at(adapter.name)->link.master == bond.master;
    if (is_port && standing(bond.master) != nullptr) {
      in_bridge = &adapter;
    } else {
      others.push_back(&adapter);
    }
  }
  const auto enter_bridge = [&] {
    if (is_blocked(bond.master)) { return; }
    emit(ChangeLink{.name = bond.name, .master = bond.master});
    set_vlans(bond);
  };
  if (in_bridge == nullptr) { enter_bridge(); }
  for (const Link* adapter : others) { place(*adapter); }
  if (in_bridge == nullptr) { return; }
  emit(ChangeLink{.name = in_bridge->name, .master = std::string()});
  enter_bridge();
  place(*in_bridge);
}

}  // namespace edge::netmodel
