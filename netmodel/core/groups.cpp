#include "netmodel/core/groups.hpp"

#include <algorithm>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render_port.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

const AdapterSettings& settings_of(const Model& model, const MacAddress& mac) {
  static const AdapterSettings none;
  const auto found = model.adapters.find(mac);
  return found == model.adapters.end() ? none : found->second;
}

const AdapterFacts* find_adapter(const std::vector<AdapterFacts>& adapters, const MacAddress& mac) {
  const auto found = std::ranges::find(adapters, mac, &AdapterFacts::base_mac);
  return found == adapters.end() ? nullptr : &*found;
}

using GroupEntry = std::pair<const std::string, Group>;

const GroupEntry* entry_of(const Model& model, const MacAddress& adapter) {
  const auto found = std::ranges::find_if(model.groups, [&](const GroupEntry& entry) {
    return std::ranges::find(entry.second.adapters, adapter) != entry.second.adapters.end();
  });
  return found == model.groups.end() ? nullptr : &*found;
}

/// The group's own, else the smallest of its members; within what every driver allows.
std::uint32_t mtu_of(const Model& model, const Group* group,
                     const std::vector<const AdapterFacts*>& adapters) {
  std::optional<std::uint32_t> mtu = group != nullptr ? group->mtu : std::nullopt;
  const bool own = mtu.has_value();
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  for (const AdapterFacts* adapter : adapters) {
    const std::uint32_t its = settings_of(model, adapter->base_mac).mtu.value_or(adapter->mtu);
    if (!own) { mtu = std::min(mtu.value_or(its), its); }
    low = std::max(low, adapter->mtu_min);
    if (adapter->mtu_max != 0) {
      high = high == 0 ? adapter->mtu_max : std::min(high, adapter->mtu_max);
    }
  }
  std::uint32_t out = mtu.value_or(1500);
  if (high != 0) { out = std::min(out, high); }
  return std::max(out, low);
}

GroupPort port_of(const Model& model, const GroupEntry* entry, const AdapterFacts& leader,
                  const std::vector<AdapterFacts>& adapters) {
  GroupPort port;
  port.members = entry != nullptr ? entry->second.adapters : std::vector{leader.base_mac};
  port.bridge = port_bridge_name(leader.base_mac);
  port.l3 = port.bridge;
  if (entry != nullptr) {
    port.group = entry->first;
    if (port.members.size() > 1) { port.bond = bond_name(leader.base_mac); }
    if (entry->second.management_vlan) { port.l3 = management_vlan_name(leader.base_mac); }
  }
  std::vector<const AdapterFacts*> here;
  for (const MacAddress& mac : port.members) {
    const AdapterFacts* adapter = find_adapter(adapters, mac);
    if (adapter == nullptr || !adapter->present) { continue; }
    here.push_back(adapter);
    port.present.push_back(adapter->name);
    const AdapterSettings& settings = settings_of(model, mac);
    port.enabled = port.enabled || settings.enabled;
    port.usable = port.usable || is_usable(settings, *adapter);
  }
  if (here.empty()) {
    here.push_back(&leader);
    port.enabled = settings_of(model, leader.base_mac).enabled;
    port.usable = is_usable(settings_of(model, leader.base_mac), leader);
  }
  port.mtu = mtu_of(model, entry != nullptr ? &entry->second : nullptr, here);
  return port;
}

}  // namespace

std::vector<GroupPort> ports_of(const Model& model, const std::vector<AdapterFacts>& adapters) {
  std::vector<GroupPort> out;
  for (const AdapterFacts& adapter : adapters) {
    const GroupEntry* entry = entry_of(model, adapter.base_mac);
    if (entry != nullptr && entry->second.adapters.front() != adapter.base_mac) { continue; }
    out.push_back(port_of(model, entry, adapter, adapters));
  }
  return out;
}

std::vector<MacAddress> absent_leaders(const Model& model,
                                       const std::vector<AdapterFacts>& adapters) {
  std::vector<MacAddress> out;
  for (const auto& [id, group] : model.groups) {
    const bool led = find_adapter(adapters, group.adapters.front()) != nullptr;
    const bool here = std::ranges::any_of(group.adapters, [&](const MacAddress& mac) {
      return find_adapter(adapters, mac) != nullptr;
    });
    if (here && !led) { out.push_back(group.adapters.front()); }
  }
  return out;
}

MacAddress leader_of(const Model& model, const MacAddress& adapter) {
  const GroupEntry* entry = entry_of(model, adapter);
  return entry == nullptr ? adapter : entry->second.adapters.front();
}

std::string group_of(const Model& model, const MacAddress& adapter) {
  const GroupEntry* entry = entry_of(model, adapter);
  return entry == nullptr ? std::string() : entry->first;
}

std::string port_l3_name(const Model& model, const MacAddress& adapter) {
  const GroupEntry* entry = entry_of(model, adapter);
  if (entry == nullptr) { return port_bridge_name(adapter); }
  const MacAddress& leader = entry->second.adapters.front();
  return entry->second.management_vlan ? management_vlan_name(leader) : port_bridge_name(leader);
}

std::optional<MacAddress> bridged_network_leader(const Model& model, const std::string& id) {
  const auto network = model.networks.find(id);
  if (network == model.networks.end()) { return implicit_network_adapter(id); }
  if (!is_bridged(network->second.kind)) { return std::nullopt; }
  if (network->second.adapter) { return leader_of(model, *network->second.adapter); }
  const auto group = model.groups.find(network->second.group);
  if (group == model.groups.end() || group->second.adapters.empty()) { return std::nullopt; }
  return group->second.adapters.front();
}

std::optional<MacAddress> management_leader(const Model& model) {
  if (!model.host.management) { return std::nullopt; }
  const Management& management = *model.host.management;
  if (management.adapter) { return leader_of(model, *management.adapter); }
  std::optional<MacAddress> found;
  for (const auto& [id, group] : model.groups) {
    const bool named =
        management.group.empty() ? group.role == GroupRole::infrastructure : id == management.group;
    if (!named || group.adapters.empty()) { continue; }
    if (found) { return std::nullopt; }  // Two infrastructure groups: which one has to be said.
    found = group.adapters.front();
  }
  return found;
}

std::map<MacAddress, std::vector<std::uint16_t>> tagged_vlans(const Model& model) {
  std::map<MacAddress, std::vector<std::uint16_t>> out;
  for (const auto& [id, group] : model.groups) {
    if (group.management_vlan) { out[group.adapters.front()].push_back(*group.management_vlan); }
  }
  for (const auto& [id, network] : model.networks) {
    if (network.kind != NetworkKind::vlan || !network.vlan_id) { continue; }
    if (const auto leader = bridged_network_leader(model, id)) {
      out[*leader].push_back(*network.vlan_id);
    }
  }
  for (auto& [leader, ids] : out) {
    std::ranges::sort(ids);
    ids.erase(std::ranges::unique(ids).begin(), ids.end());
  }
  return out;
}

}  // namespace edge::netmodel
