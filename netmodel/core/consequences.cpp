#include "netmodel/core/consequences.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/port_impact.hpp"
#include "netmodel/core/render_host.hpp"
#include "netmodel/core/render_port.hpp"

namespace edge::netmodel {
namespace {

/// A port as its users see it.
struct SeenPort {
  GroupPort port;
  std::string name;                   ///< Of the adapter that leads, or id of the group.
  std::string label;                  ///< `port "eth0"`, `group "lan"`
  std::optional<IpPrefix> address{};  ///< Of its lease.
  bool reaches() const { return port.usable && address.has_value(); }
};
using SeenPorts = std::map<MacAddress, SeenPort>;

SeenPorts see(const Situation& situation) {
  SeenPorts out;
  for (GroupPort& port : ports_of(situation.model, situation.facts.adapters)) {
    const MacAddress leader = port.leader();
    const auto adapter =
        std::ranges::find(situation.facts.adapters, leader, &AdapterFacts::base_mac);
    SeenPort seen{.port = std::move(port), .name = adapter->name};
    seen.label = port_label(seen.port, *adapter);
    if (seen.port.bonded()) { seen.name = seen.port.group; }
    auto lease = static_lease(situation.model, leader);
    if (!lease) { lease = adapter->lease; }
    if (seen.port.enabled && lease && is_sound(*lease)) { seen.address = lease->address; }
    out.emplace(leader, std::move(seen));
  }
  return out;
}

/// What the plan makes anew and deletes.
struct Changed {
  std::set<std::string> deleted;
  std::set<std::string> made;
  explicit Changed(const Plan& plan) {
    for (const Operation& operation : plan) {
      if (const auto* gone = std::get_if<DeleteLink>(&operation)) { deleted.insert(gone->name); }
      if (const auto* made_now = std::get_if<CreateLink>(&operation)) {
        made.insert(made_now->link.name);
      }
    }
  }
  bool remade(const std::string& link) const {
    return deleted.contains(link) && made.contains(link);
  }
};

class Comparison {
 public:
  Comparison(const Situation& before, const Situation& after, const Plan& plan)
      : before_(before), after_(after), was_(see(before)), is_(see(after)), changed_(plan) {
    for (auto& [leader, port] : is_) { drop_lost_lease(leader, port); }
  }

  void ports();
  void interfaces();
  void publications();
  void networks();
  void host();
  Consequences take() { return std::move(out_); }

 private:
  void add(std::string_view kind, const std::string& subject, std::string what) {
    out_.items.push_back({std::string(kind), subject, std::move(what)});
  }
  void drop_lost_lease(const MacAddress& leader, SeenPort& port);
  void port(const MacAddress& leader, const SeenPort& was);
  void port_stays(const SeenPort& was, const SeenPort& now);
  void interface(const std::string& id, const Interface& was);
  void subnets(const std::string& id, const std::string& who, const std::string& network);
  void publication(const std::string& id, const GatewayRule& was);
  const SeenPort* port_of_network(const Situation& situation, const SeenPorts& ports,
                                  const std::string& network) const;

  const Situation& before_;
  const Situation& after_;
  SeenPorts was_;
  SeenPorts is_;
  Changed changed_;
  Consequences out_;
};

/// What a server gave on one link is worth nothing on another.
void Comparison::drop_lost_lease(const MacAddress& leader, SeenPort& port) {
  const auto was = was_.find(leader);
  const bool moved = was != was_.end() && was->second.port.l3 != port.port.l3;
  if (moved && !static_lease(after_.model, leader)) { port.address.reset(); }
}

void Comparison::port(const MacAddress& leader, const SeenPort& was) {
  const auto now = is_.find(leader);
  if (now != is_.end()) {
    port_stays(was, now->second);
    return;
  }
  const std::string with = was.address ? fmt::format(": its address {} and its path end",
                                                     to_string(was.address->address))
                                       : std::string();
  const std::string group = group_of(after_.model, leader);
  if (!group.empty()) {
    add("port.gone", was.name, fmt::format("{} joins group \"{}\"{}", was.label, group, with));
  } else {
    add("port.gone", was.name, fmt::format("{} goes{}", was.label, with));
  }
}

void Comparison::port_stays(const SeenPort& was, const SeenPort& now) {
  const std::string& label = was.label;
  if (was.port.usable && !now.port.usable) {
    add("port.down", was.name,
        fmt::format("{} {}: its path ends", label,
                    now.port.enabled ? "has no link" : "is switched off"));
    return;
  }
  if (was.port.l3 != now.port.l3) {
    add("port.moves", was.name,
        fmt::format("{} moves from {} to {}: it needs {}, its path is dialled anew", label,
                    was.port.l3, now.port.l3, now.address ? "no new lease" : "a new lease"));
  } else if (was.address && was.address != now.address) {
    add("port.moves", was.name,
        fmt::format("{} has {} in place of {}: its path is dialled anew", label,
                    now.address ? to_string(now.address->address) : "no address",
                    to_string(was.address->address)));
  }
  const bool other_uplink = was.port.uplink() != now.port.uplink();
  if (was.port.usable && (other_uplink || changed_.remade(now.port.uplink()))) {
    const std::string_view why = !now.port.bonded()   ? "its bond ends"
                                 : !was.port.bonded() ? "it becomes a bond"
                                                      : "its bond is made anew";
    add("port.pauses", was.name, fmt::format("{}: {}, traffic pauses for a moment", label, why));
  }
  if (was.port.mtu != now.port.mtu) {
    add("port.mtu", was.name,
        fmt::format("{}: MTU {} becomes {}; a driver may reset its link for it", label,
                    was.port.mtu, now.port.mtu));
  }
}

void Comparison::ports() {
  for (const auto& [leader, was] : was_) { port(leader, was); }
}

const SeenPort* Comparison::port_of_network(const Situation& situation, const SeenPorts& ports,
                                            const std::string& network) const {
  const auto leader = bridged_network_leader(situation.model, network);
  const auto found = leader ? ports.find(*leader) : ports.end();
  return found == ports.end() ? nullptr : &found->second;
}

void Comparison::interface(const std::string& id, const Interface& was) {
  const auto now = after_.model.interfaces.find(id);
  const std::string who = fmt::format("VM \"{}\": interface \"{}\"", was.vm, id);
  if (now == after_.model.interfaces.end()) {
    add("interface.gone", id, fmt::format("{} on network \"{}\" goes", who, was.network));
    return;
  }
  if (changed_.remade(tap_name(id))) {
    add("interface.reopens", id, fmt::format("{} gets a new tap, which the VM has to open", who));
  }
  const std::string& network = now->second.network;
  const SeenPort* had = port_of_network(before_, was_, was.network);
  const SeenPort* has = port_of_network(after_, is_, network);
  if (had != nullptr && had->port.usable && bridged_network_leader(after_.model, network) &&
      (has == nullptr || !has->port.usable)) {
    add("interface.cut", id,
        fmt::format("{} is cut off network \"{}\": {}", who, network,
                    has == nullptr ? "its port is away" : has->label + " has no link"));
    return;
  }
  if (was.network != network) {
    add("interface.moves", id,
        fmt::format("{} moves from network \"{}\" to \"{}\"", who, was.network, network));
    return;
  }
  const auto vlan = [&](const Model& model) {
    const auto found = model.networks.find(network);
    return found == model.networks.end() ? std::nullopt : found->second.vlan_id;
  };
  const bool other_place = had != nullptr && has != nullptr && had->port.bridge != has->port.bridge;
  if (other_place || vlan(before_.model) != vlan(after_.model)) {
    add("interface.moves", id,
        fmt::format("{} moves with its network \"{}\" to {}", who, network,
                    other_place
                        ? has->label
                        : fmt::format("VLAN {}", vlan(after_.model).value_or(native_vlan))));
    return;
  }
  subnets(id, who, network);
}

/// Of a network with a bridge of its own: what its guests have as addresses and gateway.
void Comparison::subnets(const std::string& id, const std::string& who,
                         const std::string& network) {
  const auto told = [&](const auto& had, const auto& has) {
    if (!had || had == has) { return; }
    const std::string now = has ? to_string(*has) : "another subnet";
    add("interface.renumbers", id,
        fmt::format("{}: network \"{}\" has {} in place of {}: it needs a new address", who,
                    network, now, to_string(*had)));
  };
  told(subnet_of(before_.model, network, before_.facts.automatic_subnets),
       subnet_of(after_.model, network, after_.facts.automatic_subnets));
  told(subnet6_of(before_.model, network), subnet6_of(after_.model, network));
}

void Comparison::interfaces() {
  for (const auto& [id, was] : before_.model.interfaces) { interface(id, was); }
}

void Comparison::publication(const std::string& id, const GatewayRule& was) {
  const auto now = after_.model.gateway.find(id);
  const std::string who =
      fmt::format("rule \"{}\" ({} {})", id, to_string(was.protocol), was.port_first);
  if (now == after_.model.gateway.end()) {
    add("publication.ends", id, fmt::format("{} ends", who));
    return;
  }
  const auto named = [](const GatewayRule& rule, const MacAddress& leader) {
    return rule.adapters.empty() || std::ranges::find(rule.adapters, leader) != rule.adapters.end();
  };
  const auto arrives = [&](const GatewayRule& rule, const SeenPorts& ports,
                           const MacAddress& leader) {
    const auto port = ports.find(leader);
    return port != ports.end() && port->second.reaches() && named(rule, leader);
  };
  std::vector<std::string> lost;
  std::size_t left = 0;
  for (const auto& [leader, port] : is_) { left += arrives(now->second, is_, leader) ? 1 : 0; }
  for (const auto& [leader, port] : was_) {
    if (!arrives(was, was_, leader) || arrives(now->second, is_, leader)) { continue; }
    lost.push_back(fmt::format("{} of {}", to_string(port.address->address), port.label));
  }
  if (lost.empty()) { return; }
  add("publication.ends", id,
      fmt::format("{} ends at {}{}", who, fmt::join(lost, ", "),
                  left == 0 ? " and is reachable nowhere" : ""));
}

void Comparison::publications() {
  for (const auto& [id, was] : before_.model.gateway) { publication(id, was); }
}

void Comparison::networks() {
  std::set<IpAddress> owned;
  for (const CoveredAddress& item :
       covered_addresses(before_.model, after_.model, after_.facts.needed)) {
    if (item.owned) { owned.insert(item.needed.address); }
    const std::string holder =
        item.network.empty()
            ? fmt::format("the host's own address {}", to_string(item.subnet))
            : fmt::format("network \"{}\": its subnet {}", item.network, to_string(item.subnet));
    add(item.network.empty() ? "host.covers" : "network.covers", item.network,
        fmt::format("{} holds {} of {}{}", holder, to_string(item.needed.address), item.needed.what,
                    item.owned ? ", which becomes an address of this host: nothing else there can "
                                 "be reached any more"
                               : ""));
  }
  std::size_t consoles = 0;
  std::size_t lost = 0;
  for (const NeededAddress& item : after_.facts.needed) {
    consoles += item.is_console ? 1 : 0;
    lost += item.is_console && owned.contains(item.address) ? 1 : 0;
  }
  out_.cuts_last_path = lost > 0 && lost == consoles;
}

void Comparison::host() {
  const auto reaches = [](const auto& entry) { return entry.second.reaches(); };
  out_.leased_port_remains = std::ranges::any_of(is_, reaches);
  if (out_.leased_port_remains || std::ranges::none_of(was_, reaches)) { return; }
  out_.cuts_last_path = out_.cuts_last_path || std::ranges::none_of(is_, [](const auto& entry) {
                          return entry.second.port.usable;
                        });
  add("host.unreachable", "",
      "no port with a lease and a link is left: the Console is out of reach until one has both");
}

}  // namespace

Consequences consequences(const Situation& before, const Situation& after, const Plan& plan) {
  Comparison comparison(before, after, plan);
  comparison.ports();
  comparison.interfaces();
  comparison.publications();
  comparison.networks();
  comparison.host();
  return comparison.take();
}

std::vector<std::string> to_lines(const Consequences& consequences) {
  std::vector<std::string> out;
  out.reserve(consequences.items.size());
  for (const Consequence& item : consequences.items) { out.push_back(item.what); }
  return out;
}

std::vector<std::string> to_lines_of_ways(const Consequences& consequences) {
  std::vector<std::string> out;
  for (const Consequence& item : consequences.items) {
    const std::string_view kind = item.kind;
    if (kind.starts_with("port.") || kind.starts_with("network.") || kind.starts_with("host.")) {
      out.push_back(item.what);
    }
  }
  return out;
}

boost::json::object to_json(const Consequences& consequences) {
  boost::json::array items;
  items.reserve(consequences.items.size());
  for (const Consequence& item : consequences.items) {
    items.push_back(
        boost::json::object{{"kind", item.kind}, {"subject", item.subject}, {"what", item.what}});
  }
  return {{"leased_port_remains", consequences.leased_port_remains}, {"items", std::move(items)}};
}

}  // namespace edge::netmodel
