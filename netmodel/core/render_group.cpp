// The links of a port: adapters, their bond, the bridge, the management VLAN, and the VLANs of
// each.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render_port.hpp"
#include "netmodel/core/vlan_set.hpp"

namespace edge::netmodel {
namespace {

const AdapterSettings& settings_of(const Model& model, const MacAddress& mac) {
  static const AdapterSettings none;
  const auto found = model.adapters.find(mac);
  return found == model.adapters.end() ? none : found->second;
}

class GroupRenderer {
 public:
  GroupRenderer(const PortScene& scene, Rendered& out)
      : scene_(scene), port_(scene.port), leader_(scene.port.leader()), out_(out) {
    const auto found = scene.model.groups.find(port_.group);
    if (found != scene.model.groups.end()) { group_ = &found->second; }
  }

  void mtu_note();
  void adapters();
  void bond();
  void bridge();
  void management();

 private:
  std::vector<BridgeVlan> uplink_vlans() const;
  std::vector<BridgeVlan> own_vlans() const;
  bool has_management() const { return group_ != nullptr && group_->management_vlan; }
  void add_sysctl(std::string_view form, const std::string& link, std::string_view value) {
    out_.state.sysctls.push_back({fmt::format(fmt::runtime(form), link), std::string(value)});
  }
  void without_ipv6(const std::string& link) {
    if (scene_.facts.ipv6) { add_sysctl("net/ipv6/conf/{}/disable_ipv6", link, "1"); }
  }

  const PortScene& scene_;
  const GroupPort& port_;
  MacAddress leader_;
  const Group* group_ = nullptr;  ///< nullptr: an adapter that no group names.
  Rendered& out_;
};

void GroupRenderer::mtu_note() {
  const std::optional<std::uint32_t> wanted =
      group_ != nullptr && group_->mtu ? group_->mtu : settings_of(scene_.model, leader_).mtu;
  const bool clamped = wanted && *wanted != port_.mtu && (group_ == nullptr || group_->mtu);
  if (!clamped) { return; }
  out_.notes.push_back(
      {"adapter.mtu", fmt::format("{}: MTU {} is beyond what the driver allows, {} is used",
                                  port_label(port_, scene_.leader), *wanted, port_.mtu)});
}

/// Native and whatever guests and management have.
std::vector<BridgeVlan> GroupRenderer::uplink_vlans() const {
  std::vector<BridgeVlan> vlans = access_vlan(native_vlan);
  for (const std::uint16_t id : scene_.tagged) { vlans.push_back({.first = id, .last = id}); }
  return joined(std::move(vlans));
}

/// Of the bridge itself: what the host takes part in.
std::vector<BridgeVlan> GroupRenderer::own_vlans() const {
  std::vector<BridgeVlan> vlans = access_vlan(native_vlan);
  if (has_management()) {
    vlans.push_back({.first = *group_->management_vlan, .last = *group_->management_vlan});
  }
  return joined(std::move(vlans));
}

void GroupRenderer::adapters() {
  for (const AdapterFacts& adapter : scene_.facts.adapters) {
    const bool member = std::ranges::find(port_.members, adapter.base_mac) != port_.members.end();
    if (!member || !adapter.present) { continue; }
    const bool enabled = settings_of(scene_.model, adapter.base_mac).enabled;
    // Set down by a person: neither up nor, when that person has just set it up again, down.
    if (enabled && adapter.locally_disabled) { continue; }
    Link link{.name = adapter.name, .kind = LinkKind::physical, .mtu = port_.mtu};
    link.admin_up = enabled;
    link.master = port_.bonded() ? port_.bond : port_.bridge;
    if (!port_.bonded() && scene_.facts.vlan_filtering) { link.vlans = uplink_vlans(); }
    without_ipv6(link.name);
    out_.state.links.push_back(std::move(link));
  }
}

void GroupRenderer::bond() {
  if (group_ == nullptr || !port_.bonded()) { return; }
  Link link{.name = port_.bond, .kind = LinkKind::bond, .mac = leader_, .mtu = port_.mtu};
  link.master = port_.bridge;
  link.alias = bond_alias(leader_);
  BondAttributes bond;
  switch (group_->mode) {
    case GroupMode::active_backup: bond.mode = BondMode::active_backup; break;
    case GroupMode::balance_xor: bond.mode = BondMode::balance_xor; break;
    case GroupMode::lacp: bond.mode = BondMode::lacp; break;
  }
  if (group_->primary) {
    // A card that is away has no name to give.
    const auto primary =
        std::ranges::find_if(scene_.facts.adapters, [&](const AdapterFacts& adapter) {
          return adapter.present && adapter.base_mac == *group_->primary;
        });
    if (primary != scene_.facts.adapters.end()) { bond.primary = primary->name; }
  }
  link.bond = std::move(bond);
  if (scene_.facts.vlan_filtering) { link.vlans = uplink_vlans(); }
  without_ipv6(link.name);
  out_.state.links.push_back(std::move(link));
}

void GroupRenderer::bridge() {
  Link link{.name = port_.bridge, .kind = LinkKind::bridge, .mac = leader_, .mtu = port_.mtu};
  link.alias = port_alias(leader_);
  link.bridge = BridgeAttributes{};
  if (scene_.facts.vlan_filtering) {
    link.bridge->vlan_filtering = true;
    link.bridge->default_pvid = 0;
    link.vlans = own_vlans();
  }
  out_.state.links.push_back(std::move(link));
}

/// The bridge then only carries frames: no address, no answer to ARP for the host's other ones.
void GroupRenderer::management() {
  if (!has_management()) { return; }
  Link link{.name = port_.l3, .kind = LinkKind::vlan, .mac = leader_, .mtu = port_.mtu};
  link.alias = management_vlan_alias(leader_);
  link.vlan = VlanAttributes{.parent = port_.bridge, .id = *group_->management_vlan};
  out_.state.links.push_back(std::move(link));
  without_ipv6(port_.bridge);
  add_sysctl("net/ipv4/conf/{}/arp_ignore", port_.bridge, "1");
}

}  // namespace

std::vector<BridgeVlan> access_vlan(std::uint16_t id) {
  return {{.first = id, .last = id, .pvid = true, .untagged = true}};
}

std::string port_label(const GroupPort& port, const AdapterFacts& leader) {
  return port.bonded() ? fmt::format("group \"{}\"", port.group)
                       : fmt::format("port \"{}\"", leader.name);
}

void render_group_links(const PortScene& scene, Rendered& out) {
  GroupRenderer group(scene, out);
  group.mtu_note();
  group.adapters();
  group.bond();
  group.bridge();
  group.management();
}

namespace {

/// What the rule of infrastructure groups could not know when the command came: links that were
/// down then, cables that lead elsewhere now.
void note_speeds(const std::string& id, const Group& group, const RenderFacts& facts,
                 std::vector<Note>& notes) {
  for (const AdapterFacts& adapter : facts.adapters) {
    const bool member = std::ranges::find(group.adapters, adapter.base_mac) != group.adapters.end();
    if (!member || !adapter.present || adapter.speed_mbps >= infrastructure_mbps) { continue; }
    notes.push_back(
        {"group.speed",
         fmt::format(
             "group \"{}\": {}; an infrastructure group needs {} Mbit/s or more on each "
             "link",
             id,
             adapter.speed_mbps == 0
                 ? fmt::format("the speed of port \"{}\" is not known: it has no link, or "
                               "its driver does not tell",
                               adapter.name)
                 : fmt::format("port \"{}\" runs at {} Mbit/s", adapter.name, adapter.speed_mbps),
             infrastructure_mbps)});
  }
}

}  // namespace

void note_groups(const Model& model, const RenderFacts& facts, std::vector<Note>& notes) {
  for (const auto& [id, group] : model.groups) {
    if (group.role != GroupRole::infrastructure) { continue; }
    if (!group.allow_single) {
      note_speeds(id, group, facts, notes);
      continue;
    }
    notes.push_back({"group.evaluation",
                     fmt::format("group \"{}\": infrastructure with \"allow_single\" is for an "
                                 "evaluation, not for production",
                                 id)});
  }
}

}  // namespace edge::netmodel
