#include "netmodel/core/render.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/render_host.hpp"
#include "netmodel/core/render_network.hpp"
#include "netmodel/core/render_port.hpp"
#include "netmodel/core/subnets.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint32_t nat_mtu = 1500;

const AdapterFacts* find_adapter(const RenderFacts& facts, const MacAddress& mac) {
  const auto found = std::ranges::find(facts.adapters, mac, &AdapterFacts::base_mac);
  return found == facts.adapters.end() ? nullptr : &*found;
}

void add_global_sysctls(DesiredState& state) {
  for (const std::string_view path :
       {"net/ipv4/ip_forward", "net/ipv4/tcp_fwmark_accept", "net/ipv4/fwmark_reflect",
        "net/ipv4/conf/all/src_valid_mark"}) {
    state.sysctls.push_back({std::string(path), "1"});
  }
  // With br_netfilter on, a guest cannot reach itself through its own publication, and foreign drop
  // rules hit bridged guests (facts/netmodel.md T3, T5). Absent without that module: left out.
  for (const std::string_view path :
       {"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"}) {
    state.sysctls.push_back({std::string(path), "0"});
  }
}

void without_ipv6(const std::string& link, const RenderFacts& facts, DesiredState& state) {
  if (facts.ipv6) {
    state.sysctls.push_back({fmt::format("net/ipv6/conf/{}/disable_ipv6", link), "1"});
  }
}

/// What the leases name, each to be asked through its own port.
std::vector<DnsUpstream> resolvers_of(const Model& model, const RenderFacts& facts) {
  std::vector<DnsUpstream> out;
  const auto add = [&](DnsUpstream upstream) {
    const bool known = std::ranges::find(out, upstream) != out.end();
    if (!known && is_unicast_host(upstream.address)) { out.push_back(std::move(upstream)); }
  };
  const std::vector<GroupPort> ports = ports_of(model, facts.adapters);
  for (const MacAddress& mac : uplink_ranks(model, facts.adapters)) {
    const AdapterFacts* adapter = find_adapter(facts, mac);
    const auto port = std::ranges::find(ports, mac, &GroupPort::leader);
    if (!port->usable) { continue; }
    const std::string& bridge = port->l3;
    if (adapter->lease && is_sound(*adapter->lease)) {
      for (const IpAddress& address : adapter->lease->dns) { add({address, bridge}); }
    }
    for (const IpAddress& address : adapter->v6.dns) { add({address, bridge}); }
  }
  return out;
}

}  // namespace

std::vector<DnsUpstream> in_turn(std::vector<DnsUpstream> waiting) {
  std::vector<DnsUpstream> out;
  while (!waiting.empty()) {
    std::vector<DnsUpstream> later;
    std::vector<std::string> served;
    for (auto& entry : waiting) {
      if (std::ranges::find(served, entry.link) != served.end()) {
        later.push_back(std::move(entry));
        continue;
      }
      served.push_back(entry.link);
      out.push_back(std::move(entry));
    }
    waiting = std::move(later);
  }
  return out;
}

namespace {

/// Those of the network itself, else those of the host.
std::vector<DnsUpstream> upstreams_of(const Network& network,
                                      const std::vector<DnsUpstream>& resolvers) {
  std::vector<DnsUpstream> out;
  for (const IpAddress& address : network.dns) {
    const DnsUpstream upstream{address, ""};
    const bool known = std::ranges::find(out, upstream) != out.end();
    if (!known && is_unicast_host(address)) { out.push_back(upstream); }
  }
  return network.dns.empty() ? resolvers : out;
}

std::vector<DhcpReservation> reservations_of(const Model& model, const std::string& id,
                                             const IpPrefix& subnet) {
  const Network& network = model.networks.at(id);
  std::vector<DhcpReservation> out;
  std::set<MacAddress> named;
  for (const auto& [interface_id, interface] : model.interfaces) {
    if (interface.network != id || !interface.host_number) { continue; }
    const auto address = host_address(subnet, *interface.host_number);
    if (!address) { continue; }
    out.push_back({interface.mac, *address, interface_id});
    named.insert(interface.mac);
  }
  for (const DhcpReservation& r : network.dhcp.reservations) {
    if (!named.contains(r.mac)) { out.push_back(r); }
  }
  std::ranges::sort(out);
  return out;
}

void render_network(const Model& model, const std::string& id, const RenderFacts& facts,
                    Rendered& out) {
  const Network& network = model.networks.at(id);
  const std::string bridge = network_bridge_name(id);
  Link link{.name = bridge,
            .kind = LinkKind::bridge,
            .mac = generated_mac(facts.host_id, "network", id),
            .mtu = nat_mtu};
  link.alias = network_alias(id);
  link.bridge = BridgeAttributes{};
  out.state.links.push_back(std::move(link));
  const auto subnet6 = facts.ipv6 ? subnet6_of(network) : std::nullopt;
  if (subnet6) {
    render_subnet6(network.kind, bridge, *subnet6, out);
  } else {
    without_ipv6(bridge, facts, out.state);
  }

  const auto subnet = subnet_of(id, network, out.automatic_subnets);
  if (!subnet) { return; }
  const IpAddress gateway = render_subnet(network.kind, bridge, *subnet, out);
  const bool isolated = network.kind == NetworkKind::isolated;
  out.services.push_back(
      {.network = id,
       .bridge = bridge,
       .subnet = *subnet,
       .gateway = gateway,
       .router = !isolated,
       .subnet6 = subnet6,
       .range = dhcp_range_of(network, *subnet),
       .reservations = reservations_of(model, id, *subnet),
       .mtu = nat_mtu,
       .upstreams = isolated ? std::vector<DnsUpstream>{} : upstreams_of(network, out.resolvers)});
}

/// Ports by their leader: 1,000 interfaces look theirs up.
using Ports = std::map<MacAddress, GroupPort>;

/// The bridge that an interface's network has now, its MTU and the interface's VLAN there.
struct Attachment {
  std::string bridge;  ///< Empty: the adapter is away; the guest keeps its tap.
  std::uint32_t mtu = nat_mtu;
  std::optional<std::vector<BridgeVlan>> vlans;
};

Attachment attachment_of(const Model& model, const Interface& interface, const RenderFacts& facts,
                         const Ports& ports) {
  const auto network = model.networks.find(interface.network);
  const bool listed = network != model.networks.end();
  if (listed && !is_bridged(network->second.kind)) {
    return {network_bridge_name(interface.network), nat_mtu, std::nullopt};
  }
  const auto leader = bridged_network_leader(model, interface.network);
  const auto port = leader ? ports.find(*leader) : ports.end();
  if (port == ports.end()) { return {}; }
  const bool tagged = listed && network->second.kind == NetworkKind::vlan;
  // Without VLANs in the bridge the guest would sit among the untagged ones.
  if (tagged && !facts.vlan_filtering) { return {"", port->second.mtu, std::nullopt}; }
  Attachment out{port->second.bridge, port->second.mtu, std::nullopt};
  if (facts.vlan_filtering) {
    out.vlans = access_vlan(tagged ? network->second.vlan_id.value_or(native_vlan) : native_vlan);
  }
  return out;
}

void render_interface(const Model& model, const std::string& id, const RenderFacts& facts,
                      const Ports& ports, Rendered& out) {
  const Interface& interface = model.interfaces.at(id);
  Attachment attachment = attachment_of(model, interface, facts, ports);
  const bool virtio =
      interface.hardware == Hardware::virtio || interface.hardware == Hardware::virtio_multiqueue;
  Link tap{.name = tap_name(id),
           .kind = LinkKind::tap,
           .mac = tap_host_mac(interface.mac),
           .mtu = attachment.mtu};
  tap.master = attachment.bridge;
  tap.alias = interface_alias(id);
  tap.tap = TapAttributes{.owner_uid = facts.tap_owner_uid,
                          .vnet_hdr = virtio,
                          .multi_queue = interface.hardware == Hardware::virtio_multiqueue};
  tap.vlans = std::move(attachment.vlans);
  without_ipv6(tap.name, facts, out.state);
  if (interface.spoof_filter) {
    GuestPort port{.tap = tap.name, .mac = interface.mac};
    const auto address = address_of(model, interface, out.automatic_subnets);
    if (address) { port.addresses.push_back(*address); }
    out.nft.guest_ports.push_back(std::move(port));
  }
  out.state.links.push_back(std::move(tap));
}

/// A rule names a port by its leader; none: all of them.
bool is_named(const GatewayRule& rule, const MacAddress& leader) {
  return rule.adapters.empty() || std::ranges::binary_search(rule.adapters, leader);
}

void render_rule(const Model& model, const GatewayRule& rule, const Ports& ports, Rendered& out) {
  const std::vector<RuleTarget> targets = targets_of(model, rule, out.automatic_subnets);
  for (const auto& [leader, port] : ports) {
    if (!is_named(rule, leader)) { continue; }
    for (unsigned number = rule.port_first; number <= rule.port_last; ++number) {
      const auto to_port = static_cast<std::uint16_t>(rule.to_port + (number - rule.port_first));
      for (const RuleTarget& target : targets) {
        out.nft.publications.push_back({port.l3, rule.protocol, static_cast<std::uint16_t>(number),
                                        target.address, to_port, target.sources});
      }
    }
  }
}

/// Two adapters with one MAC address would be two owners of one bridge: the first by name gets it.
RenderFacts with_unique_adapters(const RenderFacts& given, std::vector<Note>& notes) {
  RenderFacts facts = given;
  std::ranges::sort(facts.adapters, {}, &AdapterFacts::name);
  std::map<MacAddress, std::string> owners;
  std::set<std::uint32_t> tables;
  std::erase_if(facts.adapters, [&](const AdapterFacts& adapter) {
    const auto [owner, fresh] = owners.emplace(adapter.base_mac, adapter.name);
    if (!fresh) {
      notes.push_back(
          {"adapter.same_mac",
           fmt::format("port \"{}\" has the MAC address {} of port \"{}\" and is left alone",
                       adapter.name, to_string(adapter.base_mac), owner->second)});
      return true;
    }
    EDGE_ASSERT(adapter.table != 0 &&
                tables.insert(adapter.table).second);  // The store hands them out once.
    return false;
  });
  return facts;
}

Ports render_ports(const Model& model, const RenderFacts& facts, Rendered& out) {
  Ports ports;
  for (GroupPort& port : ports_of(model, facts.adapters)) {
    const MacAddress leader = port.leader();
    ports.emplace(leader, std::move(port));
  }
  auto tagged = tagged_vlans(model);
  if (!tagged.empty() && !facts.vlan_filtering) {
    out.notes.push_back({"network.no_vlan_filtering",
                         "this kernel's bridge has no vlan_filtering: vlan networks are cut off"});
  }
  const std::vector<MacAddress> ranks = uplink_ranks(model, facts.adapters);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const MacAddress& leader = ranks[rank];
    render_port({model, facts, ports.at(leader), *find_adapter(facts, leader), rank,
                 std::move(tagged[leader])},
                out);
  }
  note_groups(model, facts, out.notes);
  return ports;
}

/// Whom the host asks by its lease: routers and resolvers.
std::vector<IpAddress> asked_by(const LeaseFacts& lease) {
  std::vector<IpAddress> out = lease.routers;
  std::ranges::copy(lease.dns, std::back_inserter(out));
  for (const ClasslessRoute& route : lease.classless_routes) {
    if (route.gateway) { out.push_back(*route.gateway); }
  }
  return out;
}

/// A site's router may have the address that we have as the gateway of a network. What it says
/// would be dropped as our own words from outside (fib_validate_source in net/ipv4/fib_frontend.c),
/// ARP questions included; behind this port it is heard.
void hear_own_addresses(const Model& model, const RenderFacts& facts, const Ports& ports,
                        Rendered& out) {
  std::map<IpAddress, std::string> own;  // Gateway -> network; the first id stays.
  for (const auto& [id, network] : model.networks) {
    const auto subnet = subnet_of(id, network, out.automatic_subnets);
    if (subnet) { own.emplace(gateway_of(*subnet), id); }
  }
  for (const auto& [leader, port] : ports) {
    const AdapterFacts& adapter = *find_adapter(facts, leader);
    if (!port.usable || !adapter.lease || !is_sound(*adapter.lease)) { continue; }
    const std::vector<IpAddress> asked = asked_by(*adapter.lease);
    const auto same = std::ranges::find_if(
        asked, [&own](const IpAddress& address) { return own.contains(address); });
    if (same == asked.end()) { continue; }
    const std::string path = fmt::format("net/ipv4/conf/{}/accept_local", port.l3);
    const auto sysctl = std::ranges::find(out.state.sysctls, path, &Sysctl::path);
    EDGE_ASSERT(sysctl != out.state.sysctls.end());  // Each port has it.
    sysctl->value = "1";
    out.notes.push_back({"network.overlap",
                         fmt::format("network \"{}\": its gateway has the address {} of the router "
                                     "or resolver of port \"{}\"; give it another subnet",
                                     own.at(*same), to_string(*same), adapter.name)});
  }
}

}  // namespace

std::vector<MacAddress> uplink_ranks(const Model& model,
                                     const std::vector<AdapterFacts>& adapters) {
  struct Ranked {
    bool drained;
    std::size_t position;
    std::string name;  // Not a view: GCC 12 emits no body for its <=> in a local class.
    MacAddress mac;
    auto operator<=>(const Ranked&) const = default;
  };
  const auto& order = model.host.uplink_order;
  std::vector<Ranked> ranked;
  ranked.reserve(adapters.size());
  for (const AdapterFacts& adapter : adapters) {
    if (leader_of(model, adapter.base_mac) != adapter.base_mac) { continue; }
    // Whoever names a member of a group means its port.
    const auto named = std::ranges::find_if(
        order, [&](const MacAddress& mac) { return leader_of(model, mac) == adapter.base_mac; });
    const auto position = static_cast<std::size_t>(named - order.begin());
    ranked.push_back({adapter.drained, position, adapter.name, adapter.base_mac});
  }
  std::ranges::sort(ranked);
  std::vector<MacAddress> out;
  out.reserve(ranked.size());
  for (const Ranked& entry : ranked) { out.push_back(entry.mac); }
  return out;
}

Rendered render(const Model& model, const RenderFacts& given) {
  Rendered out;
  RenderFacts facts = with_unique_adapters(given, out.notes);
  apply_static_leases(model, facts);
  AutomaticSubnets subnets = choose_subnets(model, facts);
  out.automatic_subnets = std::move(subnets.chosen);
  std::ranges::move(subnets.notes, std::back_inserter(out.notes));
  add_global_sysctls(out.state);
  out.resolvers = resolvers_of(model, facts);
  const Ports ports = render_ports(model, facts, out);
  for (const auto& [id, network] : model.networks) {
    if (!is_bridged(network.kind)) { render_network(model, id, facts, out); }
  }
  hear_own_addresses(model, facts, ports, out);
  for (const auto& [id, interface] : model.interfaces) {
    render_interface(model, id, facts, ports, out);
  }
  for (const auto& [id, rule] : model.gateway) { render_rule(model, rule, ports, out); }
  render_virtual_ip(model, facts, out);
  auto nft = canonical(std::move(out.nft));
  EDGE_ASSERT(nft);  // Pre: tables are unique, the model passed validate().
  out.nft = std::move(*nft);
  return out;
}

std::string state_of(const Model& model, const GatewayRule& rule, const RenderFacts& facts) {
  if (targets_of(model, rule, facts.automatic_subnets).empty()) {
    return "waiting for an address of its target";
  }
  bool present = false;
  for (const GroupPort& port : ports_of(model, facts.adapters)) {
    if (!is_named(rule, port.leader())) { continue; }
    present = true;
    const AdapterFacts& leader = *find_adapter(facts, port.leader());
    if (port.usable && leader.lease && is_sound(*leader.lease)) { return "active"; }
  }
  return present ? "waiting for a lease on its ports" : "waiting for its adapters";
}

}  // namespace edge::netmodel
