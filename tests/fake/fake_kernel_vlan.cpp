// FakeKernel: VLAN ids of bridges and their ports.
#include <algorithm>
#include <cerrno>

#include "netmodel/core/vlan_set.hpp"
#include "tests/fake/fake_kernel.hpp"

namespace edge::netmodel {
namespace {

std::vector<BridgeVlan> native(std::uint16_t id) {
  if (id == 0) { return {}; }
  return {{.first = id, .last = id, .pvid = true, .untagged = true}};
}

/// Source: vlan_default_pvid(), net/bridge/br_vlan.c: whether the id is there *as a default pvid
/// is*, no matter who put it there.
bool looks_like_default(const std::vector<BridgeVlan>& vlans, std::uint16_t id) {
  return std::ranges::any_of(vlans, [&](const BridgeVlan& vlan) {
    return vlan.pvid && vlan.untagged && vlan.first == id;
  });
}

}  // namespace

void FakeKernel::allow_vlan_filtering() { vlan_filtering_ = true; }

Result<void> FakeKernel::set_bridge(ObservedLink& link, const BridgeAttributes& wanted) {
  if (link.link.kind != LinkKind::bridge) { return fail_errno(EOPNOTSUPP, "not a bridge"); }
  if (!vlan_filtering_ && wanted.vlan_filtering == true) {
    return fail_errno(EOPNOTSUPP, "vlan_filtering");
  }
  const BridgeAttributes before = *link.link.bridge;
  link.link.bridge = wanted;
  if (!wanted.vlan_filtering) { link.link.bridge->vlan_filtering = before.vlan_filtering; }
  link.link.bridge->default_pvid = before.default_pvid;
  if (vlan_filtering_ && wanted.default_pvid) { set_default_pvid(link, *wanted.default_pvid); }
  return {};
}

/// Source: __br_vlan_set_default_pvid(), net/bridge/br_vlan.c.
void FakeKernel::set_default_pvid(ObservedLink& bridge, std::uint16_t id) {
  const std::uint16_t old = bridge.link.bridge->default_pvid.value_or(0);
  bridge.link.bridge->default_pvid = id;
  for (const ObservedLink& link : state_.links) {
    if (link.index != bridge.index && link.link.master != bridge.link.name) { continue; }
    std::vector<BridgeVlan>& vlans = vlans_[link.index.value];
    if (old != 0 && !looks_like_default(vlans, old)) { continue; }
    if (old != 0) { vlans = without_vlans(vlans, native(old)); }
    vlans = with_vlans(vlans, native(id));
  }
}

void FakeKernel::join_vlans(const ObservedLink& port, const ObservedLink& bridge) {
  vlans_[port.index.value] = native(bridge.link.bridge->default_pvid.value_or(0));
}

Result<void> FakeKernel::write(const SetVlans& operation) {
  ObservedLink* link = find(operation.link);
  if (link == nullptr) { return fail_errno(ENODEV, "link " + operation.link); }
  const ObservedLink* bridge = link->link.kind == LinkKind::bridge ? link : find(link->link.master);
  if (!vlan_filtering_ || bridge == nullptr || bridge->link.kind != LinkKind::bridge) {
    return fail_errno(EOPNOTSUPP, "not a port of a bridge with VLANs");
  }
  const auto bad = [](const BridgeVlan& vlan) {
    return vlan.first < 1 || vlan.last > vlan_id_last || vlan.first > vlan.last;
  };
  const auto many_pvids = [](const BridgeVlan& vlan) {
    return vlan.pvid && vlan.first != vlan.last;
  };
  if (std::ranges::any_of(operation.add, bad) || std::ranges::any_of(operation.remove, bad) ||
      std::ranges::any_of(operation.add, many_pvids)) {
    return fail_errno(EINVAL, "VLAN ids");
  }
  std::vector<BridgeVlan>& vlans = vlans_[link->index.value];
  vlans = without_vlans(with_vlans(vlans, operation.add), operation.remove);
  return {};
}

/// As a dump shows them: only where a bridge filters.
void FakeKernel::show_vlans() {
  for (ObservedLink& link : state_.links) {
    const ObservedLink* bridge =
        link.link.kind == LinkKind::bridge ? &link : find(link.link.master);
    const bool filters =
        bridge != nullptr && bridge->link.bridge && bridge->link.bridge->vlan_filtering == true;
    link.link.vlans = filters ? std::optional(vlans_[link.index.value]) : std::nullopt;
  }
}

}  // namespace edge::netmodel
