// Rules of publications: their targets, sources and ports, and that no two claim the same port.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>

#include <fmt/format.h>

#include "netmodel/core/render.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

std::string ports_text(const GatewayRule& rule) {
  return rule.port_first == rule.port_last
             ? fmt::format("port {}", rule.port_first)
             : fmt::format("ports {}-{}", rule.port_first, rule.port_last);
}

using NetworkEntry = std::pair<const std::string, Network>;

/// Which network an address is in, asked for each of thousands of rules over a thousand networks:
/// a look-up per prefix length that the model has, mostly one of each family.
/// Time: none. Threads: none. Pre: the model outlives it.
class SubnetIndex {
 public:
  struct Holder {
    IpPrefix subnet;
    const NetworkEntry* network;
  };

  SubnetIndex(const Model& model, const ModelFacts& facts) {
    for (const NetworkEntry& network : model.networks) {
      add(subnet_of(network.first, network.second, facts.automatic_subnets), network);
      add(subnet6_of(network.second), network);
    }
  }

  /// Of overlapping subnets, which are reported as such, that of the first network by id.
  std::optional<Holder> find(const IpAddress& address) const {
    std::optional<Holder> holder;
    for (const std::uint8_t length : lengths_[slot_of(address)]) {
      const auto found = networks_.find(IpPrefix{address, length}.network());
      if (found == networks_.end()) { continue; }
      const auto& [subnet, network] = *found;
      if (!holder || network->first < holder->network->first) { holder = Holder{subnet, network}; }
    }
    return holder;
  }

 private:
  static std::size_t slot_of(const IpAddress& address) {
    return address.family == Family::v4 ? 0 : 1;
  }
  void add(const std::optional<IpPrefix>& subnet, const NetworkEntry& network) {
    if (!subnet) { return; }
    networks_.try_emplace(*subnet, &network);  // In the order of ids: the first one stays.
    lengths_[slot_of(subnet->address)].insert(subnet->length);
  }

  std::map<IpPrefix, const NetworkEntry*> networks_;
  std::array<std::set<std::uint8_t>, 2> lengths_;  // By family.
};

std::string_view why_not_published(NetworkKind kind) {
  return kind == NetworkKind::isolated ? "nothing outside may reach it; allowed: a nat network"
                                       : "its ports need no publication";
}

void check_interface_target(const Model& model, const std::string& id, const GatewayRule& rule,
                            Findings& findings) {
  const auto add = [&](const std::string& text) {
    findings.add(Subject::rule, id, "interface", text);
  };
  const auto interface = model.interfaces.find(rule.interface);
  if (interface == model.interfaces.end()) {
    if (!findings.refused(Subject::interface, rule.interface)) {
      add(fmt::format("interface \"{}\" does not exist", rule.interface));
    }
    return;
  }
  const auto network = model.networks.find(interface->second.network);
  if (network == model.networks.end() || network->second.kind != NetworkKind::nat) {
    if (findings.refused(Subject::network, interface->second.network)) { return; }
    const NetworkKind kind =
        network == model.networks.end() ? NetworkKind::untagged : network->second.kind;
    add(fmt::format("interface \"{}\" is on network \"{}\" of kind {}: {}", rule.interface,
                    interface->second.network, to_string(kind), why_not_published(kind)));
  } else if (!interface->second.host_number) {
    add(
        fmt::format("interface \"{}\" has no address: DHCP is off on network \"{}\"; give the "
                    "interface an \"address\"",
                    rule.interface, interface->second.network));
  }
}

void check_address_target(const SubnetIndex& subnets, const ModelFacts& facts,
                          const std::string& id, const GatewayRule& rule, Findings& findings) {
  const auto add = [&](const std::string& text) {
    findings.add(Subject::rule, id, "address", text);
  };
  const IpAddress& address = *rule.address;
  const bool v6 = address.family == Family::v6;
  if (const auto holder = subnets.find(address)) {
    const IpPrefix& subnet = holder->subnet;
    const auto& [network_id, network] = *holder->network;
    const bool ours = v6 ? address == gateway6_of(subnet) || address == subnet.address
                         : address == gateway_of(subnet) || address == subnet.address ||
                               address == subnet.broadcast();
    if (network.kind != NetworkKind::nat) {
      add(fmt::format("address {} is in network \"{}\" of kind {}: {}", to_string(address),
                      network_id, to_string(network.kind), why_not_published(network.kind)));
    } else if (ours) {
      add(fmt::format("address {} is the gateway, network or broadcast address of network \"{}\"",
                      to_string(address), network_id));
    }
    return;
  }
  // Before its first render an automatic subnet is not known: a stored model is not wrong for that.
  if (!findings.concerns(Subject::rule, id) || facts.allow_pending_adapters) { return; }
  add(fmt::format("address {} is in no nat network", to_string(address)));
}

/// Families in which the target has an address.
bool has_family(const Model& model, const GatewayRule& rule, Family family) {
  if (rule.address) { return rule.address->family == family; }
  const auto interface = model.interfaces.find(rule.interface);
  return family == Family::v4 || interface == model.interfaces.end() ||
         subnet6_of(model, interface->second.network).has_value();
}

void check_sources(const Model& model, const std::string& id, const GatewayRule& rule,
                   Findings& findings) {
  for (const IpPrefix& source : rule.sources) {
    if (!has_family(model, rule, source.address.family)) {
      findings.add(
          Subject::rule, id, "sources",
          fmt::format("source {} is {}, in which the target has no address", to_string(source),
                      source.address.family == Family::v6 ? "IPv6" : "IPv4"));
    } else if (source != source.network()) {
      findings.add(Subject::rule, id, "sources",
                   fmt::format("source {} has host bits set; did you mean {}?", to_string(source),
                               to_string(source.network())));
    }
  }
}

void check_reserved(const ModelFacts& facts, const std::string& id, const GatewayRule& rule,
                    Findings& findings) {
  if (!findings.concerns(Subject::rule, id)) { return; }
  for (const ReservedPort& reserved : facts.reserved_ports) {
    if (reserved.protocol != rule.protocol || reserved.port < rule.port_first ||
        reserved.port > rule.port_last) {
      continue;
    }
    findings.add(Subject::rule, id, "port",
                 fmt::format("{} port {} is used by {}", to_string(rule.protocol), reserved.port,
                             reserved.what));
  }
}

using Entry = std::pair<const std::string, GatewayRule>;

bool share_adapter(const GatewayRule& a, const GatewayRule& b) {
  if (a.adapters.empty() || b.adapters.empty()) { return true; }
  return std::ranges::any_of(a.adapters, [&](const MacAddress& mac) {
    return std::ranges::find(b.adapters, mac) != b.adapters.end();
  });
}

/// Sweeps the rules of one protocol by first port; `open` are those whose range reaches the next
/// one. Rules that overlap in ports differ in adapters, so `open` stays as short as the machine has
/// adapters; beyond that each further one is itself a conflict, and the list of problems is
/// bounded.
void check_conflicts(std::vector<const Entry*> rules, Findings& findings) {
  std::ranges::sort(rules, {}, [](const Entry* e) {
    return std::pair<std::uint16_t, std::string_view>(e->second.port_first, e->first);
  });
  std::vector<const Entry*> open;
  for (const Entry* entry : rules) {
    const GatewayRule& rule = entry->second;
    std::erase_if(open, [&](const Entry* e) { return e->second.port_last < rule.port_first; });
    const auto rival =
        std::ranges::find_if(open, [&](const Entry* e) { return share_adapter(e->second, rule); });
    if (rival == open.end()) {
      open.push_back(entry);
      continue;
    }
    // The one that this command brought is the one to blame.
    const bool blame_rival = findings.concerns(Subject::rule, (*rival)->first) &&
                             !findings.concerns(Subject::rule, entry->first);
    const Entry& blamed = blame_rival ? **rival : *entry;
    const Entry& other = blame_rival ? *entry : **rival;
    findings.add(Subject::rule, blamed.first, "port",
                 fmt::format("{} {} is published by rule \"{}\" already", to_string(rule.protocol),
                             ports_text(blamed.second), other.first));
  }
}

}  // namespace

void check_gateway(const Model& model, const ModelFacts& facts, Findings& findings) {
  const SubnetIndex subnets(model, facts);
  std::array<std::vector<const Entry*>, 2> by_protocol;
  std::size_t publications = 0;
  for (const Entry& entry : model.gateway) {
    const auto& [id, rule] = entry;
    if (rule.address) {
      check_address_target(subnets, facts, id, rule, findings);
    } else {
      check_interface_target(model, id, rule, findings);
    }
    const int last_target = rule.to_port + (rule.port_last - rule.port_first);
    if (last_target > 65535) {
      findings.add(Subject::rule, id, "to_port",
                   fmt::format("{} would map to ports {}-{}; allowed: up to 65535",
                               ports_text(rule), rule.to_port, last_target));
    }
    check_sources(model, id, rule, findings);
    check_reserved(facts, id, rule, findings);
    publications += static_cast<std::size_t>(rule.port_last - rule.port_first) + 1;
    by_protocol[rule.protocol == Transport::tcp ? 0 : 1].push_back(&entry);
  }
  if (publications > publications_max) {
    findings.add_to(std::nullopt, "gateway",
                    fmt::format("gateway: {} ports are published; allowed: at most {}",
                                publications, publications_max));
  }
  for (auto& rules : by_protocol) { check_conflicts(std::move(rules), findings); }
}

}  // namespace edge::netmodel
