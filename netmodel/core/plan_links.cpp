// Links of a plan: what is in the way, MTU order, bridges before their ports.
#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/plan_builder.hpp"

namespace edge::netmodel {
namespace {

bool differs(const std::optional<BridgeAttributes>& wanted,
             const std::optional<BridgeAttributes>& there) {
  if (!wanted) { return false; }
  if (!there) { return true; }
  return wanted->forward_delay_cs != there->forward_delay_cs || wanted->stp != there->stp ||
         wanted->multicast_snooping != there->multicast_snooping ||
         (wanted->vlan_filtering && wanted->vlan_filtering != there->vlan_filtering) ||
         (wanted->default_pvid && wanted->default_pvid != there->default_pvid);
}

/// What can be written while members are in it.
bool differs(const std::optional<BondAttributes>& wanted,
             const std::optional<BondAttributes>& there) {
  if (!wanted) { return false; }
  if (!there) { return true; }
  return wanted->miimon_ms != there->miimon_ms || wanted->primary != there->primary ||
         wanted->reselect != there->reselect || wanted->xmit_hash_policy != there->xmit_hash_policy;
}

/// Whoever opens a tap says whether it has headers (TUNSETIFF on a tap that exists replaces
/// IFF_VNET_HDR; QEMU asks for it whatever card the guest has), so that differs by right. Its owner
/// waits until nobody has it open (carrier, which is shown of what is up): a guest does not lose
/// its card for a name in a file.
bool is_made_anew(const TapAttributes& wanted, const ObservedLink& there) {
  return wanted.multi_queue != there.link.tap->multi_queue ||
         (wanted.owner_uid != there.link.tap->owner_uid && there.link.admin_up && !there.carrier);
}

/// What has to be there before the first member joins (facts/netmodel.md T7), or needs it down.
bool needs_rebuild(const Link& wanted, const Link& there) {
  if (!wanted.bond || !there.bond) { return false; }
  return wanted.bond->mode != there.bond->mode ||
         wanted.bond->fail_over_mac != there.bond->fail_over_mac ||
         (wanted.bond->mode == BondMode::lacp && wanted.bond->lacp_fast != there.bond->lacp_fast);
}

}  // namespace

void PlanBuilder::check_adapter(const Link& wanted, const ObservedLink* there) {
  if (there == nullptr) {
    blocked_.insert(wanted.name);  // It left between two dumps; the next turn knows.
    return;
  }
  const auto master = there_.find(there->link.master);
  const bool foreign_master = master != there_.end() && !master->second->ours();
  if (!foreign_master || there->link.master == wanted.master) { return; }
  blocked_.insert(wanted.name);
  conflict(
      wanted.name,
      fmt::format(
          "adapter \"{}\" is a port of \"{}\", which is not ours; release it to let it be used",
          wanted.name, there->link.master));
}

/// A bridge has one device per VLAN id, whoever made it.
void PlanBuilder::check_vlan_device(const Link& wanted) {
  if (is_blocked(wanted.vlan->parent)) { blocked_.insert(wanted.name); }
  if (recreated_.contains(wanted.vlan->parent)) { recreated_.insert(wanted.name); }
  for (const ObservedLink& other : observed_.links) {
    if (other.link.vlan != wanted.vlan || other.link.name == wanted.name || other.ours()) {
      continue;
    }
    blocked_.insert(wanted.name);
    conflict(wanted.name, fmt::format("VLAN {} of \"{}\" has the device \"{}\", which is not "
                                      "ours; remove it",
                                      wanted.vlan->id, wanted.vlan->parent, other.link.name));
  }
}

void PlanBuilder::check_link(const Link& wanted) {
  const auto found = there_.find(wanted.name);
  const ObservedLink* there = found == there_.end() ? nullptr : found->second;
  if (is_adapter(wanted)) {
    check_adapter(wanted, there);
    return;
  }
  if (there != nullptr && !there->ours()) {
    blocked_.insert(wanted.name);
    conflict(wanted.name,
             fmt::format("a link named \"{}\" exists and is not ours; rename or remove it",
                         wanted.name));
    return;
  }
  if (there != nullptr) {
    const bool flags_differ = wanted.tap && there->link.tap && is_made_anew(*wanted.tap, *there);
    const bool other_vlan = wanted.vlan && there->link.vlan && *wanted.vlan != *there->link.vlan;
    if (there->link.kind != wanted.kind || flags_differ || other_vlan ||
        needs_rebuild(wanted, there->link)) {
      recreated_.insert(wanted.name);
    }
  }
  if (wanted.vlan) { check_vlan_device(wanted); }
}

void PlanBuilder::find_conflicts() {
  for (const Link& link : desired_.links) { check_link(link); }
}

/// A bond goes where its successor comes: until then it carries.
void PlanBuilder::delete_recreated() {
  std::vector<std::string> names;
  for (const std::string& name : recreated_) {
    const bool bond = is_bond_there(name) && wanted_link(name)->kind == LinkKind::bond;
    if (there_.contains(name) && !bond) { names.push_back(name); }
  }
  put_first(names,
            [&](const std::string& name) { return there_.at(name)->link.kind == LinkKind::vlan; });
  for (const std::string& name : names) { emit(DeleteLink{name}); }
}

void PlanBuilder::links() {
  find_conflicts();
  delete_recreated();
  lower_mtus();
  for (const LinkKind kind : {LinkKind::physical, LinkKind::bond, LinkKind::bridge}) {
    raise_mtus(kind);
  }
  bridges();
  dissolve();
  bonds();
  adapters();
  raise_mtus(LinkKind::vlan);
  vlan_devices();
  start_filtering(BridgeAge::made_now);
  raise_mtus(LinkKind::tap);
  taps();
  foreign_ports();
  start_filtering(BridgeAge::older);
}

/// A driver may reset its link for it: of a bond's members the active one comes last.
void PlanBuilder::set_mtus(LinkKind kind,
                           bool (*wrong)(std::uint32_t wanted, std::uint32_t there)) {
  std::vector<const Link*> links;
  for (const Link& link : desired_.links) {
    const ObservedLink* there = standing(link.name);
    if (link.kind != kind || !link.mtu || there == nullptr || is_blocked(link.name)) { continue; }
    if (wrong(*link.mtu, there->link.mtu.value_or(0))) { links.push_back(&link); }
  }
  put_first(links, [&](const Link* link) {
    const auto master = there_.find(there_.at(link->name)->link.master);
    return master == there_.end() || master->second->bond_active != link->name;
  });
  for (const Link* link : links) { emit(ChangeLink{.name = link->name, .mtu = link->mtu}); }
}

/// A frame must never be larger than what it is handed on to: guests shrink first, the wire last.
void PlanBuilder::lower_mtus() {
  for (const LinkKind kind :
       {LinkKind::tap, LinkKind::vlan, LinkKind::bridge, LinkKind::bond, LinkKind::physical}) {
    set_mtus(kind, [](std::uint32_t wanted, std::uint32_t there) { return wanted < there; });
  }
}

void PlanBuilder::raise_mtus(LinkKind kind) {
  set_mtus(kind, [](std::uint32_t wanted, std::uint32_t there) { return wanted > there; });
}

void PlanBuilder::create(const Link& link) {
  Link made = link;
  if (is_blocked(made.master)) { made.master.clear(); }
  emit(CreateLink{std::move(made)});
}

/// Everything but the MTU, which has an order of its own, and VLANs.
void PlanBuilder::change(const Link& wanted, const ObservedLink& there) {
  ChangeLink op{.name = wanted.name};
  if (wanted.mac && wanted.mac != there.link.mac) { op.mac = wanted.mac; }
  if (!is_adapter(wanted) && wanted.alias != there.link.alias) { op.alias = wanted.alias; }
  const bool lost = recreated_.contains(there.link.master);  // With its master.
  const std::string& master = lost ? std::string() : there.link.master;
  if (wanted.master != master && !is_blocked(wanted.master)) { op.master = wanted.master; }
  if (wanted.admin_up != there.link.admin_up) { op.admin_up = wanted.admin_up; }
  // Joining a bond takes a link down and up, leaving one leaves it down: say how it shall be.
  const Link* into = op.master ? wanted_link(*op.master) : nullptr;
  const bool joins = into != nullptr && into->kind == LinkKind::bond;
  if (joins || (op.master && is_bond_there(there.link.master))) { op.admin_up = wanted.admin_up; }
  if (differs(wanted.bridge, there.link.bridge)) { op.bridge = wanted.bridge; }
  if (differs(wanted.bond, there.link.bond)) { op.bond = wanted.bond; }
  if (op.mac || op.alias || op.master || op.admin_up || op.bridge || op.bond) {
    emit(std::move(op));
  }
}

void PlanBuilder::make_or_change(const Link& link) {
  if (const ObservedLink* there = standing(link.name)) {
    change(link, *there);
  } else {
    create(link);
  }
  // Of a bridge before a port joins: its first frame already meets the right ARP and reverse path
  // settings.
  link_sysctls(link.name);
}

void PlanBuilder::bridges() {
  for (const Link& link : desired_.links) {
    if (link.kind != LinkKind::bridge || is_blocked(link.name)) { continue; }
    make_or_change(staged(link));
    set_vlans(link);
  }
}

void PlanBuilder::adapters() {
  for (const Link& link : desired_.links) {
    if (is_adapter(link)) { place(link); }
  }
}

void PlanBuilder::vlan_devices() {
  for (const Link& link : desired_.links) {
    if (link.kind == LinkKind::vlan && !is_blocked(link.name)) { make_or_change(link); }
  }
}

void PlanBuilder::taps() {
  for (const Link& link : desired_.links) {
    if (link.kind != LinkKind::tap || is_adapter(link) || is_blocked(link.name)) { continue; }
    make_or_change(link);
    set_vlans(link);
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

}  // namespace edge::netmodel
