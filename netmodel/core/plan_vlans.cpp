// VLANs of a plan: what each port of a filtering bridge takes part in, and when filtering starts.
#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/plan_builder.hpp"
#include "netmodel/core/vlan_set.hpp"

namespace edge::netmodel {
namespace {

bool filters(const Link& bridge) { return bridge.bridge && bridge.bridge->vlan_filtering == true; }

}  // namespace

bool PlanBuilder::starts_over(const std::string& bridge) const {
  const Link* wanted = wanted_link(bridge);
  if (wanted == nullptr || !wanted->bridge || !wanted->bridge->default_pvid) { return false; }
  const ObservedLink* there = standing(bridge);
  return there == nullptr || !there->link.bridge ||
         there->link.bridge->default_pvid != wanted->bridge->default_pvid;
}

/// How a filtering bridge stands until start_filtering(). Taking the default pvid away deletes that
/// VLAN wherever it is native (BridgeAttributes::default_pvid), so nothing may depend on it then
/// (facts/netmodel.md T8).
Link PlanBuilder::staged(const Link& bridge) {
  Link out = bridge;
  if (!filters(bridge)) { return out; }
  if (starts_over(bridge.name)) {
    out.bridge->vlan_filtering = false;
  } else {
    out.bridge->vlan_filtering.reset();
  }
  return out;
}

/// One operation per link, ids in ranges.
void PlanBuilder::set_vlans(const Link& link) {
  if (!link.vlans) { return; }
  const bool self = link.kind == LinkKind::bridge;
  const std::string& bridge = self ? link.name : link.master;
  if (bridge.empty() || is_blocked(bridge)) { return; }
  const ObservedLink* there = standing(link.name);
  const bool same_place =
      there != nullptr && standing(bridge) != nullptr && (self || there->link.master == bridge);
  std::vector<BridgeVlan> have;
  if (same_place && there->link.vlans) { have = *there->link.vlans; }
  std::optional<SetVlans> change;
  if (!have.empty()) { change = vlan_difference(have, *link.vlans); }
  if (have.empty() || starts_over(bridge)) {
    if (!change) { change.emplace(); }
    change->add = *link.vlans;
  }
  if (!change || (change->add.empty() && change->remove.empty())) { return; }
  change->link = link.name;
  change->self = self;
  emit(std::move(*change));
}

/// The VLAN that a port loses when the default pvid is taken away, and no other: what somebody gave
/// it is its own.
bool PlanBuilder::has_own_vlans(const ObservedLink& port, const Link& bridge) const {
  if (!port.link.vlans || port.link.vlans->empty()) { return false; }
  if (!starts_over(bridge.name)) { return true; }
  const ObservedLink* there = standing(bridge.name);
  const std::uint16_t by_default =
      there->link.bridge ? there->link.bridge->default_pvid.value_or(native_vlan) : native_vlan;
  return std::ranges::any_of(*port.link.vlans, [&](const BridgeVlan& vlan) {
    return vlan.pvid && vlan.first != by_default;
  });
}

/// A port that somebody else put into the bridge of a group, a VM manager its tap: without a VLAN
/// it would be cut off, so it is in the untagged network as before there were VLANs. What has one
/// is left alone.
void PlanBuilder::foreign_ports() {
  for (const ObservedLink& port : observed_.links) {
    const Link* bridge = wanted_link(port.link.master);
    if (port.ours() || wanted_link(port.link.name) != nullptr || bridge == nullptr) { continue; }
    if (!filters(*bridge) || is_blocked(bridge->name) || standing(bridge->name) == nullptr) {
      continue;
    }
    if (has_own_vlans(port, *bridge)) { continue; }
    SetVlans join{.link = port.link.name};
    join.add = {{.first = native_vlan, .last = native_vlan, .pvid = true, .untagged = true}};
    emit(std::move(join));
  }
}

/// Of an older bridge last of all links: uplink, guests and the host have their VLANs by now. Of
/// one that is made now before its first guest, else guests of all VLANs would be one segment
/// meanwhile: uplink and host have their VLANs by now, and a tap is deaf until it has its own.
void PlanBuilder::start_filtering(BridgeAge age) {
  for (const Link& bridge : desired_.links) {
    if (bridge.kind != LinkKind::bridge || !filters(bridge) || is_blocked(bridge.name)) {
      continue;
    }
    const ObservedLink* there = standing(bridge.name);
    if ((there == nullptr) != (age == BridgeAge::made_now)) { continue; }
    const bool filtering = there != nullptr && filters(there->link) && !starts_over(bridge.name);
    if (!filtering) { emit(ChangeLink{.name = bridge.name, .bridge = bridge.bridge}); }
  }
}

}  // namespace edge::netmodel
