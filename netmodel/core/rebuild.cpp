#include "netmodel/core/rebuild.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/render_port.hpp"
#include "netmodel/core/subnets.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint8_t generated_mac_first = 0x52;  ///< 52:54:00:..

/// "lan" of "gallium:network:lan"; nullopt: another kind.
std::optional<std::string> id_of(const Link& link, std::string_view kind) {
  const std::string prefix = std::string(our_alias) + std::string(kind) + ":";
  if (!link.alias.starts_with(prefix)) { return std::nullopt; }
  return link.alias.substr(prefix.size());
}

std::optional<MacAddress> mac_of(const Link& link, std::string_view kind) {
  const auto hex = id_of(link, kind);
  if (!hex || hex->size() != 12) { return std::nullopt; }
  std::string text;
  for (std::size_t at = 0; at < 12; at += 2) { text += (at == 0 ? "" : ":") + hex->substr(at, 2); }
  const auto mac = parse_mac(text);
  return mac ? std::optional(*mac) : std::nullopt;
}

class Rebuilder {
 public:
  Rebuilder(const ObservedState& observed, const std::optional<NftState>& nft)
      : observed_(observed), nft_(nft.value_or(NftState{})) {}

  Rebuilt take() {
    out_.stands = std::ranges::any_of(observed_.links, &ObservedLink::ours);
    if (!out_.stands) { return std::move(out_); }
    ports();
    groups();
    networks();
    for (const ObservedLink& link : observed_.links) {
      if (const auto id = id_of(link.link, "interface")) { interface(*id, link.link); }
    }
    publications();
    return std::move(out_);
  }

 private:
  void ports();
  void groups();
  void networks();
  void network(const std::string& id, const Link& bridge);
  void interface(const std::string& id, const Link& tap);
  std::string network_below(const Link& tap);
  void publications();
  void publication(const Publication& first, unsigned count, std::vector<MacAddress> adapters);
  const Link* link(const std::string& name) const {
    const ObservedLink* found = observed_.find_link(name);
    return found == nullptr ? nullptr : &found->link;
  }

  const ObservedState& observed_;
  const NftState nft_;
  Rebuilt out_;
};

void Rebuilder::ports() {
  for (const Rule& rule : observed_.rules) {
    const bool names_a_port = rule.protocol == our_protocol && rule.priority == rule_oif &&
                              rule.table >= table_first && rule.table <= table_last;
    const Link* l3 = names_a_port ? link(rule.out_link) : nullptr;
    if (l3 == nullptr) { continue; }
    auto mac = mac_of(*l3, "port");
    if (!mac) { mac = mac_of(*l3, "vlan"); }
    if (mac) { out_.tables.emplace(*mac, rule.table); }
  }
  for (const ObservedLink& card : observed_.links) {
    const Link* master = card.ours() ? nullptr : link(card.link.master);
    const auto mac = master == nullptr ? std::nullopt : mac_of(*master, "port");
    if (mac && card.link.mac) { out_.names.emplace(*mac, card.link.name); }
  }
}

/// The leader and whoever else is in the bond and shows its own MAC address.
void Rebuilder::groups() {
  for (const ObservedLink& bond : observed_.links) {
    const auto leader = mac_of(bond.link, "bond");
    if (!leader || !bond.link.bond) { continue; }
    Group group{.adapters = {*leader}};
    bool whole = true;
    for (const ObservedLink& member : observed_.links) {
      if (member.link.master != bond.link.name || member.ours()) { continue; }
      whole = whole && member.permanent_mac.has_value();
      if (!whole) { break; }
      if (*member.permanent_mac != *leader) { group.adapters.push_back(*member.permanent_mac); }
      if (member.link.name == bond.link.bond->primary) { group.primary = member.permanent_mac; }
    }
    if (!whole || group.adapters.size() < 2) { continue; }  // Unexplained, and kept.
    if (bond.link.bond->mode == BondMode::balance_xor) { group.mode = GroupMode::balance_xor; }
    if (bond.link.bond->mode == BondMode::lacp) { group.mode = GroupMode::lacp; }
    if (bond.link.mtu && *bond.link.mtu != mtu_low) { group.mtu = bond.link.mtu; }
    for (const ObservedLink& device : observed_.links) {
      if (mac_of(device.link, "vlan") == leader && device.link.vlan) {
        group.management_vlan = device.link.vlan->id;
      }
    }
    out_.model.groups[fmt::format("kept-{}", to_hex(*leader))] = std::move(group);
  }
}

void Rebuilder::networks() {
  bool has_default = false;
  for (const ObservedLink& bridge : observed_.links) {
    const auto id = id_of(bridge.link, "network");
    if (!id || !is_id(*id)) { continue; }
    has_default = has_default || *id == default_network;
    network(*id, bridge.link);
  }
  if (!has_default) { out_.model.networks.erase(std::string(default_network)); }
}

void Rebuilder::network(const std::string& id, const Link& bridge) {
  Network network{.kind = NetworkKind::open};
  const auto on_bridge = [&](const auto& item) { return item.bridge == bridge.name; };
  if (std::ranges::any_of(nft_.nat_networks, on_bridge)) { network.kind = NetworkKind::nat; }
  if (std::ranges::any_of(nft_.routed_networks, on_bridge)) { network.kind = NetworkKind::routed; }
  if (std::ranges::find(nft_.isolated_bridges, bridge.name) != nft_.isolated_bridges.end()) {
    network.kind = NetworkKind::isolated;
  }
  for (const Address& address : observed_.addresses) {
    if (address.link != bridge.name || !address.ours) { continue; }
    const bool v4 = address.prefix.address.family == Family::v4;
    (v4 ? network.subnet : network.subnet6) = address.prefix.network();
  }
  for (unsigned n = 0; network.kind == NetworkKind::nat && n < automatic_subnet_count; ++n) {
    if (network.subnet != automatic_subnet(n)) { continue; }
    out_.automatic_subnets[id] = *network.subnet;
    network.subnet.reset();
    break;
  }
  out_.model.networks[id] = std::move(network);
}

/// The network that a tap is plugged into, made where only its VLAN is known.
std::string Rebuilder::network_below(const Link& tap) {
  const Link* bridge = link(tap.master);
  if (bridge == nullptr) { return {}; }
  if (const auto network = id_of(*bridge, "network")) { return *network; }
  const auto leader = mac_of(*bridge, "port");
  if (!leader) { return {}; }
  std::uint16_t vlan = native_vlan;
  for (const BridgeVlan& range : tap.vlans.value_or(std::vector<BridgeVlan>{})) {
    if (range.pvid) { vlan = range.first; }
  }
  if (vlan == native_vlan) { return port_bridge_name(*leader); }
  const std::string id = fmt::format("kept-{}-{}", to_hex(*leader), vlan);
  Network network{.kind = NetworkKind::vlan, .vlan_id = vlan};
  network.adapter = *leader;
  for (const auto& [name, group] : out_.model.groups) {
    if (group.adapters.front() != *leader) { continue; }
    network.group = name;
    network.adapter.reset();
  }
  out_.model.networks.try_emplace(id, std::move(network));
  return id;
}

void Rebuilder::interface(const std::string& id, const Link& tap) {
  Interface interface{.vm = id, .network = network_below(tap)};
  if (!is_id(id) || interface.network.empty()) { return; }
  interface.mac = tap.mac.value_or(MacAddress{});
  // Back from tap_host_mac(); what was in the place of fe is lost, and mostly this.
  const bool is_fe = interface.mac.bytes[0] == tap_mac_first_of_fe;
  interface.mac.bytes[0] = is_fe ? tap_mac_first : generated_mac_first;
  if (tap.tap && !tap.tap->vnet_hdr) { interface.hardware = Hardware::e1000; }
  if (tap.tap && tap.tap->multi_queue) { interface.hardware = Hardware::virtio_multiqueue; }
  const auto guest = std::ranges::find(nft_.guest_ports, tap.name, &GuestPort::tap);
  interface.spoof_filter = guest != nft_.guest_ports.end();
  if (interface.spoof_filter) {
    interface.mac = guest->mac;
    const auto subnet = subnet_of(out_.model, interface.network, out_.automatic_subnets);
    for (const IpAddress& address : guest->addresses) {
      if (!subnet || !subnet->contains(address)) { continue; }
      interface.host_number = address.v4_u32() - subnet->network().address.v4_u32();
    }
  }
  out_.model.interfaces[id] = std::move(interface);
}

void Rebuilder::publications() {
  std::map<std::string, MacAddress> leaders;  // By the link that a publication arrives on.
  for (const UplinkPort& uplink : nft_.uplinks) {
    const Link* l3 = link(uplink.bridge);
    if (l3 == nullptr) { continue; }
    auto mac = mac_of(*l3, "port");
    if (!mac) { mac = mac_of(*l3, "vlan"); }
    if (mac) { leaders[uplink.bridge] = *mac; }
  }
  // One entry per port that it arrives on: gathered, then runs of consecutive ports joined.
  // By family: an interface that has both is published in both, port by port.
  std::map<std::pair<Family, Publication>, std::vector<MacAddress>> arrivals;
  for (const Publication& publication : nft_.publications) {
    const auto leader = leaders.find(publication.in_link);
    if (leader == leaders.end()) { continue; }
    Publication key = publication;
    key.in_link.clear();
    arrivals[{key.target.family, key}].push_back(leader->second);
  }
  for (auto at = arrivals.begin(); at != arrivals.end();) {
    const Publication& first = at->first.second;
    std::vector<MacAddress>& adapters = at->second;
    if (adapters.size() == leaders.size()) { adapters.clear(); }
    std::ranges::sort(adapters);
    unsigned count = 1;
    auto next = std::next(at);
    for (; next != arrivals.end(); ++next, ++count) {
      Publication follows = first;
      follows.port = static_cast<std::uint16_t>(first.port + count);
      follows.target_port = static_cast<std::uint16_t>(first.target_port + count);
      auto others = next->second;
      if (others.size() == leaders.size()) { others.clear(); }
      std::ranges::sort(others);
      if (next->first.second != follows || others != adapters) { break; }
    }
    publication(first, count, adapters);
    at = next;
  }
}

void Rebuilder::publication(const Publication& first, unsigned count,
                            std::vector<MacAddress> adapters) {
  GatewayRule rule{.protocol = first.transport, .port_first = first.port};
  rule.port_last = static_cast<std::uint16_t>(first.port + count - 1);
  rule.to_port = first.target_port;
  rule.sources = first.sources;
  rule.adapters = std::move(adapters);
  rule.address = first.target;
  bool second_family = false;
  for (const auto& [id, interface] : out_.model.interfaces) {
    const bool v6 = address6_of(out_.model, interface) == first.target;
    if (!v6 && address_of(out_.model, interface, out_.automatic_subnets) != first.target) {
      continue;
    }
    rule.interface = id;
    rule.address.reset();
    second_family = v6;
    break;
  }
  const std::string id =
      fmt::format("kept-{}-{}", first.transport == Transport::tcp ? "tcp" : "udp", first.port);
  const auto known = out_.model.gateway.find(id);
  if (known == out_.model.gateway.end()) {
    out_.model.gateway.emplace(id, std::move(rule));
  } else if (second_family && known->second.interface == rule.interface) {
    // An interface is published in every family that it has; sources name theirs.
    std::ranges::copy(rule.sources, std::back_inserter(known->second.sources));
    std::ranges::sort(known->second.sources);
  } else {
    out_.model.gateway.emplace(fmt::format("{}-{}", id, out_.model.gateway.size()),
                               std::move(rule));
  }
}

}  // namespace

Rebuilt rebuild(const ObservedState& observed, const std::optional<NftState>& nft) {
  return Rebuilder(observed, nft).take();
}

std::set<std::string> explained_links(const Model& model) {
  std::set<std::string> explained;
  for (const auto& [id, network] : model.networks) {
    if (!is_bridged(network.kind)) { explained.insert(network_bridge_name(id)); }
  }
  for (const auto& [id, interface] : model.interfaces) { explained.insert(tap_name(id)); }
  for (const auto& [id, group] : model.groups) {
    if (group.adapters.size() > 1) { explained.insert(bond_name(group.adapters.front())); }
    if (group.management_vlan) { explained.insert(management_vlan_name(group.adapters.front())); }
  }
  return explained;
}

std::set<std::string> unexplained_links(const ObservedState& observed, const Model& model) {
  const std::set<std::string> explained = explained_links(model);
  std::set<std::string> out;
  for (const ObservedLink& link : observed.links) {
    const bool port = mac_of(link.link, "port").has_value();
    if (link.ours() && !port && !explained.contains(link.link.name)) { out.insert(link.link.name); }
  }
  return out;
}

ObservedState disowned(ObservedState observed, const std::set<std::string>& links) {
  constexpr std::uint8_t protocol_static = 4;  // RTPROT_STATIC: anybody's.
  if (links.empty()) { return observed; }
  std::vector<IpPrefix> subnets;
  for (ObservedLink& link : observed.links) {
    if (links.contains(link.link.name)) { link.link.alias.clear(); }
  }
  for (Address& address : observed.addresses) {
    if (!links.contains(address.link)) { continue; }
    address.ours = false;
    subnets.push_back(address.prefix.network());
  }
  for (Route& route : observed.routes) {
    if (links.contains(route.link)) { route.protocol = protocol_static; }
  }
  for (Rule& rule : observed.rules) {
    const bool leads_there = rule.to && std::ranges::find(subnets, *rule.to) != subnets.end();
    if (leads_there || links.contains(rule.out_link) || links.contains(rule.in_link)) {
      rule.protocol = protocol_static;
    }
  }
  return observed;
}

NftState with_kept(NftState wanted, const NftState& there, const std::set<std::string>& links) {
  if (links.empty()) { return wanted; }
  std::vector<IpPrefix> subnets;
  const auto keep = [&](const std::vector<GuestNetwork>& from, std::vector<GuestNetwork>& to) {
    for (const GuestNetwork& network : from) {
      if (!links.contains(network.bridge)) { continue; }
      subnets.push_back(network.subnet);
      to.push_back(network);
    }
  };
  keep(there.nat_networks, wanted.nat_networks);
  keep(there.routed_networks, wanted.routed_networks);
  for (const std::string& bridge : there.isolated_bridges) {
    if (links.contains(bridge)) { wanted.isolated_bridges.push_back(bridge); }
  }
  for (const GuestPort& guest : there.guest_ports) {
    if (links.contains(guest.tap)) { wanted.guest_ports.push_back(guest); }
  }
  for (const Publication& publication : there.publications) {
    const bool kept = std::ranges::any_of(
        subnets, [&](const IpPrefix& subnet) { return subnet.contains(publication.target); });
    const bool taken = std::ranges::any_of(wanted.publications, [&](const Publication& other) {
      return other.in_link == publication.in_link && other.transport == publication.transport &&
             other.port == publication.port;
    });
    if (kept && !taken) { wanted.publications.push_back(publication); }
  }
  NftState plain = wanted;
  auto sorted = canonical(std::move(wanted));
  return sorted ? std::move(*sorted) : plain;
}

}  // namespace edge::netmodel
