// RtnetlinkKernel: links with their bonds, VLANs and speeds, read and written.
#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "netmodel/core/vlan_set.hpp"
#include "netmodel/io/bridge_vlan.hpp"
#include "netmodel/io/dump_collect.hpp"
#include "netmodel/io/physical.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "netmodel/io/tap.hpp"

namespace edge::netmodel {
namespace {

ChangeLink change_of(const std::string& name) {
  ChangeLink change;
  change.name = name;
  return change;
}

NlMessage encode_admin_up(IfIndex index, bool up) {
  ChangeLink change;
  change.admin_up = up;
  return encode_link_change(index, change, {});
}

bool may_have_speed(const DecodedLink& link) {
  const LinkKind kind = link.observed.link.kind;
  return link.observed.carrier && (kind == LinkKind::physical || kind == LinkKind::veth);
}

}  // namespace

Result<void> RtnetlinkKernel::dump_links(std::vector<ObservedLink>& links) {
  std::vector<DecodedLink> dumped;
  EDGE_TRY(collect(socket_, encode_link_dump(), dumped, decode_link));
  LinkNames names;
  for (const DecodedLink& link : dumped) {
    names[link.observed.index.value] = link.observed.link.name;
  }
  read_speeds(dumped);
  for (DecodedLink& link : dumped) { links.push_back(resolved(std::move(link), names)); }
  return dump_vlans(links);
}

/// The driver is asked under rtnl and some ask their PHY, so only after the carrier has changed: no
/// link gets another speed without losing it.
void RtnetlinkKernel::read_speeds(std::vector<DecodedLink>& links) {
  std::map<std::uint32_t, Speed> known;
  for (DecodedLink& link : links) {
    if (!may_have_speed(link)) { continue; }
    const std::uint32_t index = link.observed.index.value;
    const std::uint32_t changes = link.carrier_up_count + link.observed.carrier_down_count;
    const auto found = speeds_.find(index);
    const bool fresh = found != speeds_.end() && found->second.carrier_changes == changes;
    const std::uint32_t mbps =
        fresh ? found->second.mbps : read_speed_mbps(link.observed.link.name).value_or(0);
    known[index] = {.carrier_changes = changes, .mbps = mbps};
    link.observed.speed_mbps = mbps;
  }
  speeds_ = std::move(known);
}

/// Only where a bridge filters by VLAN: elsewhere the kernel's answer has no effect on any frame.
Result<void> RtnetlinkKernel::dump_vlans(std::vector<ObservedLink>& links) {
  std::set<std::string, std::less<>> filtering;
  for (const ObservedLink& link : links) {
    if (link.link.bridge && link.link.bridge->vlan_filtering == true) {
      filtering.insert(link.link.name);
    }
  }
  if (filtering.empty()) { return {}; }
  std::vector<DecodedVlans> dumped;
  EDGE_TRY(collect(socket_, encode_vlan_dump(), dumped, decode_vlans));
  std::map<std::uint32_t, std::vector<BridgeVlan>> by_index;
  for (DecodedVlans& one : dumped) {
    std::vector<BridgeVlan>& all = by_index[one.link_index];
    if (all.empty()) {
      all = std::move(one.vlans);
    } else {
      all.insert(all.end(), one.vlans.begin(), one.vlans.end());
    }
  }
  for (ObservedLink& link : links) {
    if (filtering.contains(link.link.name) || filtering.contains(link.link.master)) {
      link.link.vlans = joined(std::move(by_index[link.index.value]));
    }
  }
  return {};
}

Result<DecodedLink> RtnetlinkKernel::find_link(const std::string& name) {
  EDGE_TRY(check_link_name(name));
  const NlMessage request = encode_link_get(name);
  const auto answer = socket_.get(*request);
  if (!answer) { return fail_in("link " + name, answer.error()); }
  std::optional<DecodedLink> link;
  for_each_message(*answer, [&](const MessageView& view) { link = decode_link(view); });
  if (!link) { return fail(Errc::corrupt, "link " + name + ": unreadable answer"); }
  return std::move(*link);
}

Result<IfIndex> RtnetlinkKernel::index_of(const std::string& name) {
  EDGE_ASSIGN(const DecodedLink link, find_link(name));
  return link.observed.index;
}

/// 0 for no name.
Result<std::uint32_t> RtnetlinkKernel::index_or_zero(const std::string& name) {
  if (name.empty()) { return 0U; }
  EDGE_ASSIGN(const IfIndex index, index_of(name));
  return index.value;
}

Result<void> RtnetlinkKernel::change_link(const DecodedLink& link, const ChangeLink& change,
                                          bool set_our_group) {
  ChangeReferences references{.set_our_group = set_our_group};
  bool joins_bond = false;
  if (change.master && change.master->empty()) { references.master_index = 0; }
  if (change.master && !change.master->empty()) {
    EDGE_ASSIGN(const DecodedLink master, find_link(*change.master));
    references.master_index = master.observed.index.value;
    joins_bond = master.observed.link.kind == LinkKind::bond;
  }
  if (change.bond) {
    references.present_bond = link.bond;
    EDGE_ASSIGN(references.primary_index, index_or_zero(change.bond->primary));
  }
  const bool moves = references.master_index && *references.master_index != link.master_index;
  if (!moves || (!joins_bond && !link.bond_member)) {
    return send(encode_link_change(link.observed.index, change, references));
  }
  return change_membership(link, change, references, joins_bond);
}

/// The kernel wants a new member down and leaves a released one down.
Result<void> RtnetlinkKernel::change_membership(const DecodedLink& link, const ChangeLink& change,
                                                const ChangeReferences& references,
                                                bool joins_bond) {
  const IfIndex index = link.observed.index;
  const bool was_up = link.observed.link.admin_up;
  ChangeLink move = change;
  move.admin_up.reset();
  if (joins_bond && was_up) { EDGE_TRY(send(encode_admin_up(index, false))); }
  const auto moved = send(encode_link_change(index, move, references));
  if (!moved) {
    const auto restored = was_up ? send(encode_admin_up(index, true)) : Result<void>{};
    if (!restored) { return fail_in("left down (" + restored.error().what + ")", moved.error()); }
    return moved;
  }
  return send(encode_admin_up(index, change.admin_up.value_or(true)));
}

Result<void> RtnetlinkKernel::write(const CreateLink& operation) {
  const Link& link = operation.link;
  EDGE_TRY(check_link_name(link.name));
  if (!link.master.empty()) { EDGE_TRY(index_of(link.master)); }  // Before anything exists.
  switch (link.kind) {
    case LinkKind::tap: return create_tap(link);
    case LinkKind::bridge: return create_device(link, 0);
    case LinkKind::bond: {
      EDGE_ASSIGN(const std::uint32_t primary, index_or_zero(link.bond ? link.bond->primary : ""));
      return create_device(link, primary);
    }
    case LinkKind::vlan: {
      EDGE_ASSIGN(const IfIndex parent, index_of(link.vlan ? link.vlan->parent : ""));
      return create_device(link, parent.value);
    }
    case LinkKind::physical:
    case LinkKind::veth:
    case LinkKind::loopback:
    case LinkKind::other: break;
  }
  return fail(Errc::unsupported, "only bridges, bonds, VLAN devices and taps are made here");
}

/// Two messages: the first makes it with everything the kernel takes at creation; alias, a bridge's
/// binding MTU, master and IFF_UP follow in the second (rtnl_create_link() ignores the alias: seen
/// on 6.18).
Result<void> RtnetlinkKernel::create_device(const Link& link, std::uint32_t other_index) {
  EDGE_TRY(send(encode_link_create(link, other_index)));
  EDGE_ASSIGN(const DecodedLink made, find_link(link.name));
  ChangeLink finish = change_of(link.name);
  if (link.kind == LinkKind::bridge) { finish.mtu = link.mtu; }
  finish.admin_up = link.admin_up;
  if (!link.master.empty()) { finish.master = link.master; }
  finish.alias = link.alias;
  return change_link(made, finish, false);
}

/// The mark goes on before the tap becomes persistent: whatever survives us carries it.
Result<void> RtnetlinkKernel::create_tap(const Link& link) {
  ++writes_;
  EDGE_ASSIGN(NewTap tap, NewTap::create(link.name, link.tap.value_or(TapAttributes{})));
  EDGE_ASSIGN(const DecodedLink made, find_link(link.name));
  ChangeLink mark = change_of(link.name);
  mark.mtu = link.mtu;
  mark.alias = link.alias;
  mark.mac = link.mac;
  EDGE_TRY(change_link(made, mark, true));
  EDGE_TRY(tap.persist());
  ChangeLink connect = change_of(link.name);
  connect.admin_up = link.admin_up;
  if (!link.master.empty()) { connect.master = link.master; }
  return change_link(made, connect, false);
}

Result<void> RtnetlinkKernel::write(const ChangeLink& operation) {
  EDGE_ASSIGN(const DecodedLink link, find_link(operation.name));
  return change_link(link, operation, false);
}

/// The kernel leaves the members of a deleted bond down: those that were up come up again.
Result<void> RtnetlinkKernel::write(const DeleteLink& operation) {
  EDGE_ASSIGN(const DecodedLink link, find_link(operation.name));
  if (!link.observed.ours()) { return fail(Errc::denied, "the link does not carry our mark"); }
  std::vector<DecodedLink> members;
  if (link.observed.link.kind == LinkKind::bond) {
    EDGE_TRY(collect(socket_, encode_link_dump(link.observed.index), members, decode_link));
  }
  EDGE_TRY(send(encode_link_delete(link.observed.index)));
  for (const DecodedLink& member : members) {
    if (member.master_index != link.observed.index.value) { continue; }
    if (member.observed.link.admin_up) {
      EDGE_TRY(send(encode_admin_up(member.observed.index, true)));
    }
  }
  return {};
}

Result<void> RtnetlinkKernel::write(const SetVlans& operation) {
  EDGE_TRY(check_vlans(operation));
  EDGE_ASSIGN(const DecodedLink link, find_link(operation.link));
  const bool bridge = link.observed.link.kind == LinkKind::bridge;
  for (NlMessage& message : encode_vlans(
           link.observed.index, bridge ? VlanSubject::bridge : VlanSubject::port, operation)) {
    EDGE_TRY(send(std::move(message)));
  }
  return {};
}

Result<void> RtnetlinkKernel::forget_mac(const std::string& port, const MacAddress& mac) {
  EDGE_ASSIGN(const IfIndex index, index_of(port));
  const Result<void> done = send(encode_fdb_delete(index, mac));
  return !done && done.error().code == Errc::not_found ? Result<void>{} : done;
}

Result<std::vector<LearnedMac>> RtnetlinkKernel::learned_macs(const std::string& bridge) {
  EDGE_ASSIGN(const IfIndex index, index_of(bridge));
  std::vector<DecodedLink> ports;
  EDGE_TRY(collect(socket_, encode_link_dump(index), ports, decode_link));
  LinkNames names;
  for (const DecodedLink& port : ports) {
    names[port.observed.index.value] = port.observed.link.name;
  }
  std::vector<DecodedFdbEntry> entries;
  EDGE_TRY(collect(socket_, encode_fdb_dump(index), entries, decode_fdb_entry));
  std::vector<LearnedMac> learned;
  for (DecodedFdbEntry& entry : entries) {
    // A port that came between the two dumps is in the next answer.
    if (entry.local || entry.bridge_index != index.value || !names.contains(entry.port_index)) {
      continue;
    }
    entry.learned.port = names.at(entry.port_index);
    learned.push_back(std::move(entry.learned));
  }
  std::ranges::sort(learned);
  return learned;
}

Result<void> RtnetlinkKernel::switch_bond(const std::string& bond, const std::string& member) {
  EDGE_ASSIGN(const IfIndex bond_index, index_of(bond));
  EDGE_ASSIGN(const IfIndex member_index, index_of(member));
  const auto done = send(encode_bond_switch(bond_index, member_index));
  if (!done) {
    return fail_in("ip link set dev " + bond + " type bond active_slave " + member, done.error());
  }
  return {};
}

}  // namespace edge::netmodel
