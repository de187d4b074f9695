// FakeKernel: bonds and 802.1Q devices.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "tests/fake/fake_kernel.hpp"

namespace edge::netmodel {
namespace {

bool may_join_a_bond(LinkKind kind) {
  return kind == LinkKind::physical || kind == LinkKind::veth || kind == LinkKind::tap ||
         kind == LinkKind::other;
}

}  // namespace

std::vector<ObservedLink*> FakeKernel::members_of(const std::string& bond) {
  std::vector<ObservedLink*> members;
  for (ObservedLink& link : state_.links) {
    if (link.link.master == bond) { members.push_back(&link); }
  }
  // In the order in which they joined: the kernel picks the first that has carrier.
  std::ranges::sort(members, {}, [&](const ObservedLink* member) {
    const auto found = members_.find(member->index.value);
    return found == members_.end() ? 0 : found->second.joined;  // Foreign: it was there first.
  });
  return members;
}

Result<void> FakeKernel::make_bond(ObservedLink& made, const BondAttributes& wanted) {
  if (!wanted.primary.empty() && find(wanted.primary) == nullptr) {
    return fail_errno(ENODEV, "link " + wanted.primary);
  }
  made.link.bond = wanted;
  bonds_[made.index.value] = {.mac_was_given = made.link.mac.has_value(),
                              .primary = wanted.primary};
  return {};
}

/// Source: bond_opts[], drivers/net/bonding/bond_options.c.
Result<void> FakeKernel::set_bond(ObservedLink& link, const BondAttributes& wanted) {
  if (link.link.kind != LinkKind::bond) { return fail_errno(EOPNOTSUPP, "not a bond"); }
  const BondAttributes& present = *link.link.bond;
  const bool early = wanted.mode != present.mode || wanted.fail_over_mac != present.fail_over_mac;
  if (early && !members_of(link.link.name).empty()) {
    return fail_errno(ENOTEMPTY, "the bond device has slaves");
  }
  const bool lacp = wanted.mode == BondMode::lacp && wanted.lacp_fast != present.lacp_fast;
  if (link.link.admin_up && (wanted.mode != present.mode || lacp)) {
    return fail_errno(EBUSY, "the bond is up");
  }
  if (!wanted.primary.empty() && find(wanted.primary) == nullptr) {
    return fail_errno(ENODEV, "link " + wanted.primary);
  }
  FakeBond& bond = bonds_.at(link.index.value);
  if (wanted.primary != bond.primary || wanted.reselect != present.reselect) {
    bond.primary_first = true;
  }
  bond.primary = wanted.primary;
  link.link.bond = wanted;
  return {};
}

/// As the port promises it: down, joined, up again. Source: bond_enslave().
Result<void> FakeKernel::join_bond(ObservedLink& link, ObservedLink& bond) {
  if (!may_join_a_bond(link.link.kind)) {
    return fail_errno(EOPNOTSUPP, "this device cannot be a member of a bond");
  }
  set_up(link, false);
  FakeBond& own = bonds_.at(bond.index.value);
  if (members_of(bond.link.name).empty() && !own.mac_was_given) { bond.link.mac = link.link.mac; }
  members_[link.index.value] = {.mac = link.link.mac,
                                .mtu = link.link.mtu,
                                .permanent_mac = link.permanent_mac,
                                .joined = ++joins_};
  if (!link.permanent_mac) { link.permanent_mac = link.link.mac; }
  link.link.mac = bond.link.mac;
  link.link.mtu = bond.link.mtu;
  if (own.primary == link.link.name) { own.primary_first = true; }
  set_up(link, true);
  return {};
}

/// As the port promises it: the kernel leaves it down, it comes up again.
void FakeKernel::leave_bond(ObservedLink& link) {
  const FakeMember was = members_.at(link.index.value);
  members_.erase(link.index.value);
  set_up(link, false);
  link.link.mac = was.mac;
  link.link.mtu = was.mtu;
  link.permanent_mac = was.permanent_mac;
  set_up(link, true);
}

/// Source: bond_find_best_slave(), drivers/net/bonding/bond_main.c.
void FakeKernel::select_active(ObservedLink& bond) {
  FakeBond& own = bonds_.at(bond.index.value);
  const std::vector<ObservedLink*> members = members_of(bond.link.name);
  const auto find_member = [&](const std::string& name) -> const ObservedLink* {
    const auto found = std::ranges::find(
        members, name, [](const ObservedLink* member) { return member->link.name; });
    return found == members.end() ? nullptr : *found;
  };
  const ObservedLink* primary = find_member(own.primary);
  bond.link.bond->primary = primary == nullptr ? std::string() : own.primary;
  if (bond.link.bond->mode != BondMode::active_backup || !bond.link.admin_up) {
    bond.bond_active.clear();
    return;
  }
  const ObservedLink* current = find_member(bond.bond_active);
  const bool current_works = current != nullptr && current->carrier;
  const bool primary_wins =
      own.primary_first || !current_works || bond.link.bond->reselect == BondReselect::always;
  const ObservedLink* next = current_works ? current : nullptr;
  if (primary != nullptr && primary->carrier && primary_wins) {
    next = primary;
    own.primary_first = false;
  }
  if (next == nullptr) {
    const auto working =
        std::ranges::find_if(members, [](const ObservedLink* member) { return member->carrier; });
    if (working != members.end()) { next = *working; }
  }
  bond.bond_active = next == nullptr ? std::string() : next->link.name;
}

Result<void> FakeKernel::make_vlan(ObservedLink& made, const VlanAttributes& wanted) {
  const ObservedLink* parent = find(wanted.parent);
  if (parent == nullptr) { return fail_errno(ENODEV, "link " + wanted.parent); }
  const bool taken = std::ranges::any_of(state_.links, [&](const ObservedLink& other) {
    return other.index != made.index && other.link.vlan == wanted;
  });
  if (taken) { return fail_errno(EEXIST, "VLAN device"); }
  if (made.link.mtu && *made.link.mtu > *parent->link.mtu) {
    return fail_errno(EINVAL, "MTU above the parent's");
  }
  if (!made.link.mtu) { made.link.mtu = parent->link.mtu; }
  if (!made.link.mac) { made.link.mac = parent->link.mac; }
  made.link.vlan = wanted;
  return {};
}

std::vector<ObservedLink*> FakeKernel::vlans_above(const std::string& parent) {
  std::vector<ObservedLink*> found;
  for (ObservedLink& link : state_.links) {
    if (link.link.vlan && link.link.vlan->parent == parent) { found.push_back(&link); }
  }
  return found;
}

/// Members follow their bond, VLAN devices are clamped to their parent. Source: bond_change_mtu(),
/// vlan_device_event().
Result<void> FakeKernel::set_mtu(ObservedLink& link, std::uint32_t mtu) {
  if (link.link.vlan && mtu > *find(link.link.vlan->parent)->link.mtu) {
    return fail_errno(ERANGE, "mtu above the parent's");
  }
  if (link.link.kind == LinkKind::bond) {
    for (ObservedLink* member : members_of(link.link.name)) {
      if (mtu < member->mtu_min || (member->mtu_max != 0 && mtu > member->mtu_max)) {
        return fail_errno(EINVAL, "mtu out of the range of member " + member->link.name);
      }
    }
    for (ObservedLink* member : members_of(link.link.name)) { member->link.mtu = mtu; }
  }
  link.link.mtu = mtu;
  for (ObservedLink* vlan : vlans_above(link.link.name)) {
    vlan->link.mtu = std::min(*vlan->link.mtu, mtu);
  }
  return {};
}

void FakeKernel::set_mac(ObservedLink& link, const MacAddress& mac) {
  link.link.mac = mac;
  if (link.link.kind != LinkKind::bond) { return; }
  bonds_.at(link.index.value).mac_was_given = true;
  for (ObservedLink* member : members_of(link.link.name)) { member->link.mac = mac; }
}

}  // namespace edge::netmodel
