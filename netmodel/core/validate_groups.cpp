// Rules of groups, of the networks on their bridges, and of what names an adapter that a group has.
#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "netmodel/core/apply_groups.hpp"
#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

constexpr std::size_t bridge_ports_max = 1023;  // BR_MAX_PORTS - 1: the kernel answers EXFULL.

/// As a person knows it: the port's name, or its MAC address while it is away.
std::string name_of(const ModelFacts& facts, const MacAddress& mac) {
  const auto* adapter = find_adapter(facts, mac);
  return adapter != nullptr ? adapter->name : to_string(mac);
}

/// Findings about one group.
class GroupCheck {
 public:
  GroupCheck(const std::string& id, const Group& group, const ModelFacts& facts, Findings& findings)
      : id_(id), group_(group), facts_(facts), findings_(findings) {}

  void members();
  void primary();
  void mtu();
  void role();
  void kernel();

 private:
  void add(std::string_view field, std::string_view text) {
    findings_.add(Subject::group, id_, field, text);
  }
  void mtu_of(const KnownAdapter& adapter);

  const std::string& id_;
  const Group& group_;
  const ModelFacts& facts_;
  Findings& findings_;
};

void GroupCheck::members() {
  if (group_.adapters.empty()) { add("adapters", "a group needs at least one adapter"); }
  std::set<MacAddress> named;
  for (const MacAddress& mac : group_.adapters) {
    if (named.insert(mac).second) { continue; }
    add("adapters", fmt::format("adapter \"{}\" is named twice", name_of(facts_, mac)));
  }
}

void GroupCheck::primary() {
  if (!group_.primary) { return; }
  const std::string name = name_of(facts_, *group_.primary);
  if (group_.mode != GroupMode::active_backup) {
    add("primary", fmt::format("primary belongs to mode active-backup; mode {} uses every member",
                               to_string(group_.mode)));
  } else if (std::ranges::find(group_.adapters, *group_.primary) == group_.adapters.end()) {
    std::vector<std::string> members;
    members.reserve(group_.adapters.size());
    for (const MacAddress& mac : group_.adapters) { members.push_back(name_of(facts_, mac)); }
    add("primary", fmt::format("primary \"{}\" is no member of the group; allowed: {}", name,
                               named_list(std::move(members))));
  }
}

void GroupCheck::mtu_of(const KnownAdapter& adapter) {
  const bool low = adapter.mtu_min != 0 && *group_.mtu < adapter.mtu_min;
  const bool high = adapter.mtu_max != 0 && *group_.mtu > adapter.mtu_max;
  if (!low && !high) { return; }
  add("mtu", fmt::format("MTU {} is out of the range {}..{} that the driver of port \"{}\" allows",
                         *group_.mtu, adapter.mtu_min, adapter.mtu_max, adapter.name));
}

void GroupCheck::mtu() {
  if (!group_.mtu) { return; }
  if (*group_.mtu < mtu_low || *group_.mtu > mtu_high) {
    add("mtu", fmt::format("MTU {} is out of range {}..{}", *group_.mtu, mtu_low, mtu_high));
    return;
  }
  if (!findings_.concerns(Subject::group, id_)) { return; }
  for (const MacAddress& mac : group_.adapters) {
    if (const auto* adapter = find_adapter(facts_, mac)) { mtu_of(*adapter); }
  }
}

void GroupCheck::role() {
  if (group_.role != GroupRole::infrastructure || group_.allow_single) { return; }
  if (group_.adapters.size() < 2) {
    add("adapters",
        fmt::format("an infrastructure group needs at least two adapters and has {}; for an "
                    "evaluation set \"allow_single\"",
                    group_.adapters.size()));
  }
  if (!findings_.concerns(Subject::group, id_)) { return; }
  for (const MacAddress& mac : group_.adapters) {
    const auto* adapter = find_adapter(facts_, mac);
    if (adapter == nullptr || adapter->speed_mbps == 0) { continue; }
    if (adapter->speed_mbps >= infrastructure_mbps) { continue; }
    add("adapters",
        fmt::format("port \"{}\" runs at {} Mbit/s; an infrastructure group needs {} Mbit/s or "
                    "more; for an evaluation set \"allow_single\"",
                    adapter->name, adapter->speed_mbps, infrastructure_mbps));
  }
}

void GroupCheck::kernel() {
  if (group_.management_vlan && (*group_.management_vlan < 2 || *group_.management_vlan > 4094)) {
    add("management_vlan",
        fmt::format("VLAN id {} is out of range 2..4094", *group_.management_vlan));
  }
  if (!findings_.concerns(Subject::group, id_)) { return; }
  if (group_.adapters.size() > 1 && !facts_.bonding) {
    add("adapters", "this kernel has no bonding: a group holds one adapter");
  }
  if (group_.management_vlan && !facts_.vlan_filtering) {
    add("management_vlan", "this kernel's bridge has no vlan_filtering");
  }
}

/// Who of two to blame: the one that this command touched.
void add_rivals(Subject subject, const std::string& one, const std::string& other,
                std::string_view field, Findings& findings, const auto& text) {
  const bool blame_other = findings.concerns(subject, one) && !findings.concerns(subject, other);
  findings.add(subject, blame_other ? one : other, field, text(blame_other ? other : one));
}

void check_owners(const Model& model, const ModelFacts& facts, Findings& findings) {
  std::map<MacAddress, std::string> owners;
  for (const auto& [id, group] : model.groups) {
    for (const MacAddress& mac : group.adapters) {
      const auto [owner, fresh] = owners.emplace(mac, id);
      if (fresh || owner->second == id) { continue; }
      add_rivals(Subject::group, owner->second, id, "adapters", findings,
                 [&](const std::string& other) {
                   return fmt::format(
                       "adapter \"{}\" is in group \"{}\" already; an adapter "
                       "belongs to one group",
                       name_of(facts, mac), other);
                 });
    }
  }
}

/// Members that do not lead, and the group that each is in.
std::map<MacAddress, std::string> followers_of(const Model& model) {
  std::map<MacAddress, std::string> out;
  for (const auto& [id, group] : model.groups) {
    for (std::size_t i = 1; i < group.adapters.size(); ++i) { out.emplace(group.adapters[i], id); }
  }
  return out;
}

std::string leader_text(const Model& model, const ModelFacts& facts, const std::string& group) {
  return name_of(facts, model.groups.at(group).adapters.front());
}

/// Interfaces on the untagged network of an adapter that has none any more. Those that this command
/// brought are to blame themselves, the others are named by the group that took the adapter.
void check_stranded_interfaces(const Model& model, const ModelFacts& facts,
                               const std::map<MacAddress, std::string>& followers,
                               Findings& findings) {
  std::map<MacAddress, std::vector<std::string>> stranded;
  for (const auto& [id, interface] : model.interfaces) {
    const auto mac = implicit_network_adapter(interface.network);
    if (!mac || !followers.contains(*mac) || model.networks.contains(interface.network)) {
      continue;
    }
    const std::string& group = followers.at(*mac);
    const bool brought =
        findings.concerns(Subject::interface, id) && !findings.concerns(Subject::group, group);
    if (!brought) {
      stranded[*mac].push_back(id);
      continue;
    }
    findings.add(
        Subject::interface, id, "network",
        fmt::format("network \"{}\" is that of port \"{}\", which is a member of group "
                    "\"{}\"; use \"{}\", that of its port \"{}\"",
                    interface.network, name_of(facts, *mac), group,
                    port_bridge_name(leader_of(model, *mac)), leader_text(model, facts, group)));
  }
  for (const auto& [mac, group] : followers) {
    const auto foreign = facts.foreign_ports.find(port_bridge_name(mac));
    if (foreign == facts.foreign_ports.end() || !findings.concerns(Subject::group, group)) {
      continue;
    }
    findings.add(Subject::group, group, "adapters",
                 fmt::format("adapter \"{}\" cannot join: {}", name_of(facts, mac),
                             foreign_text(foreign->first, foreign->second)));
  }
  for (auto& [mac, ids] : stranded) {
    const std::string& group = followers.at(mac);
    const std::size_t count = ids.size();
    findings.add(
        Subject::group, group, "adapters",
        fmt::format("adapter \"{}\" cannot join while {} interface{} on its untagged "
                    "network \"{}\" ({}); detach or move {} first",
                    name_of(facts, mac), count, count == 1 ? " is" : "s are", port_bridge_name(mac),
                    named_list(std::move(ids)), count == 1 ? "it" : "them"));
  }
}

/// Publications that arrive on an adapter that has no port of its own any more.
void check_stranded_rules(const Model& model, const ModelFacts& facts,
                          const std::map<MacAddress, std::string>& followers, Findings& findings) {
  std::map<MacAddress, std::vector<std::string>> stranded;
  for (const auto& [id, rule] : model.gateway) {
    for (const MacAddress& mac : rule.adapters) {
      const auto group = followers.find(mac);
      if (group == followers.end()) { continue; }
      const bool brought =
          findings.concerns(Subject::rule, id) && !findings.concerns(Subject::group, group->second);
      if (!brought) {
        stranded[mac].push_back(id);
        continue;
      }
      findings.add(
          Subject::rule, id, "adapters",
          fmt::format("adapter \"{}\" is a member of group \"{}\"; publish on its port \"{}\"",
                      name_of(facts, mac), group->second,
                      leader_text(model, facts, group->second)));
    }
  }
  for (auto& [mac, ids] : stranded) {
    const std::string& group = followers.at(mac);
    const std::size_t count = ids.size();
    findings.add(Subject::group, group, "adapters",
                 fmt::format("adapter \"{}\" cannot join while {} publication{} on it alone ({}); "
                             "withdraw {} or publish on \"{}\" first",
                             name_of(facts, mac), count, count == 1 ? " arrives" : "s arrive",
                             named_list(std::move(ids)), count == 1 ? "it" : "them",
                             leader_text(model, facts, group)));
  }
}

/// One line per bridge: that interface which is the first without a port.
void check_bridge_ports(const Model& model, const ModelFacts& facts, Findings& findings) {
  std::map<std::string, std::size_t> used;  // By bridge, its uplink and foreign ports included.
  const auto take = [&](const std::string& id, const std::string& bridge, std::size_t uplinks,
                        const std::string& whose) {
    const auto foreign = facts.foreign_ports.find(bridge);
    const std::size_t foreign_count =
        foreign == facts.foreign_ports.end() ? 0 : foreign->second.size();
    const auto [entry, fresh] = used.emplace(bridge, uplinks + foreign_count);
    if (++entry->second != bridge_ports_max + 1) { return; }
    findings.add(
        Subject::interface, id, "network",
        fmt::format("the bridge of {} has no port left: the kernel allows {}, {} interfaces{} are "
                    "attached",
                    whose, bridge_ports_max, bridge_ports_max - uplinks - foreign_count,
                    foreign_count == 0
                        ? ""
                        : fmt::format(" and {} ports of somebody else", foreign_count)));
  };
  for (const auto& [id, interface] : model.interfaces) {
    if (const auto leader = bridged_network_leader(model, interface.network)) {
      const std::string group = group_of(model, *leader);
      take(id, port_bridge_name(*leader), 1,
           group.empty() ? fmt::format("port \"{}\"", name_of(facts, *leader))
                         : fmt::format("group \"{}\"", group));
    } else if (model.networks.contains(interface.network)) {
      take(id, network_bridge_name(interface.network), 0,
           fmt::format("network \"{}\"", interface.network));
    }
  }
}

/// Findings about one network of kind untagged or vlan.
class BridgedCheck {
 public:
  BridgedCheck(const Model& model, const ModelFacts& facts, const std::string& id,
               Findings& findings)
      : model_(model),
        facts_(facts),
        id_(id),
        network_(model.networks.at(id)),
        findings_(findings) {}

  void foreign_fields();
  void vlan_id();
  /// The leader of the group on whose bridge it is; nullopt: there is none, which is reported.
  std::optional<MacAddress> place();

 private:
  void add(std::string_view field, std::string_view text) {
    findings_.add(Subject::network, id_, field, text);
  }
  std::optional<MacAddress> place_of_adapter();

  const Model& model_;
  const ModelFacts& facts_;
  const std::string& id_;
  const Network& network_;
  Findings& findings_;
};

void BridgedCheck::foreign_fields() {
  const bool vlan = network_.kind == NetworkKind::vlan;
  const auto foreign = [&](std::string_view field) {
    add(field, fmt::format("field \"{}\" does not belong to kind {}; allowed: group or adapter{}",
                           field, to_string(network_.kind), vlan ? ", vlan_id" : ""));
  };
  if (implicit_network_adapter(id_)) {
    add("network",
        "ids of \"br\" and twelve hex digits are kept for the untagged networks of adapters");
  }
  if (!vlan && network_.vlan_id) { foreign("vlan_id"); }
  if (network_.subnet) { foreign("subnet"); }
  if (network_.subnet6) { foreign("subnet6"); }
  if (network_.dhcp != DhcpSettings{}) { foreign("dhcp"); }
  if (!network_.dns.empty()) { foreign("dns"); }
}

void BridgedCheck::vlan_id() {
  if (network_.kind != NetworkKind::vlan) { return; }
  if (!network_.vlan_id) {
    add("vlan_id", "a vlan network needs \"vlan_id\" (2..4094)");
  } else if (*network_.vlan_id < 2 || *network_.vlan_id > 4094) {
    add("vlan_id", fmt::format("VLAN id {} is out of range 2..4094", *network_.vlan_id));
  }
  if (!facts_.vlan_filtering && findings_.concerns(Subject::network, id_)) {
    add("kind", "this kernel's bridge has no vlan_filtering");
  }
}

std::optional<MacAddress> BridgedCheck::place_of_adapter() {
  const MacAddress& mac = *network_.adapter;
  const MacAddress leader = leader_of(model_, mac);
  if (leader == mac) { return mac; }
  const std::string group = group_of(model_, mac);
  add("adapter", fmt::format("adapter \"{}\" is a member of group \"{}\"; name the group",
                             name_of(facts_, mac), group));
  return std::nullopt;
}

std::optional<MacAddress> BridgedCheck::place() {
  if (network_.group.empty() != network_.adapter.has_value()) {
    add("group", fmt::format("a network of kind {} needs exactly one of \"group\" and \"adapter\"",
                             to_string(network_.kind)));
    return std::nullopt;
  }
  if (network_.adapter) { return place_of_adapter(); }
  const auto group = model_.groups.find(network_.group);
  if (group == model_.groups.end()) {
    if (!findings_.refused(Subject::group, network_.group)) {
      add("group", fmt::format("group \"{}\" does not exist", network_.group));
    }
    return std::nullopt;
  }
  if (group->second.adapters.empty()) { return std::nullopt; }
  return group->second.adapters.front();
}

}  // namespace

void check_groups(const Model& model, const ModelFacts& facts, Findings& findings) {
  for (const auto& [id, group] : model.groups) {
    GroupCheck check(id, group, facts, findings);
    check.members();
    check.primary();
    check.mtu();
    check.role();
    check.kernel();
  }
  check_owners(model, facts, findings);
  const auto followers = followers_of(model);
  check_stranded_interfaces(model, facts, followers, findings);
  check_stranded_rules(model, facts, followers, findings);
  check_bridge_ports(model, facts, findings);
}

void check_bridged_networks(const Model& model, const ModelFacts& facts, Findings& findings) {
  // Where a network is, and its VLAN id there; 1 is the untagged one.
  std::map<std::pair<MacAddress, std::uint16_t>, std::string> taken;
  std::map<std::pair<MacAddress, std::uint16_t>, std::string> management;
  for (const auto& [id, group] : model.groups) {
    if (!group.management_vlan || group.adapters.empty()) { continue; }
    management.emplace(std::pair(group.adapters.front(), *group.management_vlan), id);
  }
  for (const auto& [id, network] : model.networks) {
    if (!is_bridged(network.kind)) { continue; }
    BridgedCheck check(model, facts, id, findings);
    check.foreign_fields();
    check.vlan_id();
    const auto leader = check.place();
    const bool tagged = network.kind == NetworkKind::vlan;
    if (!leader || (tagged && !network.vlan_id)) { continue; }
    const std::pair key(*leader, tagged ? *network.vlan_id : native_vlan);
    const auto [other, fresh] = taken.emplace(key, id);
    if (!fresh) {
      add_rivals(Subject::network, other->second, id, tagged ? "vlan_id" : "kind", findings,
                 [&](const std::string& rival) {
                   return tagged ? fmt::format("VLAN id {} is that of network \"{}\" already",
                                               key.second, rival)
                                 : fmt::format(
                                       "network \"{}\" is the untagged one of this group "
                                       "already; a group has one",
                                       rival);
                 });
    }
    if (const auto manager = management.find(key); manager != management.end()) {
      findings.add(Subject::network, id, "vlan_id",
                   fmt::format("VLAN id {} is the management VLAN of group \"{}\"", key.second,
                               manager->second));
    }
  }
}

}  // namespace edge::netmodel
