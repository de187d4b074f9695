#include "netmodel/core/validate.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {
namespace {

void check_mac(const std::string& id, const Interface& interface, const ModelFacts& facts,
               std::map<MacAddress, std::string>& macs, Findings& findings) {
  const std::string text = to_string(interface.mac);
  if (interface.mac.is_multicast() || interface.mac.is_zero()) {
    findings.add(Subject::interface, id, "mac",
                 fmt::format("mac {} is not a unicast MAC address", text));
    return;
  }
  const auto [other, fresh] = macs.emplace(interface.mac, id);
  if (!fresh) {
    findings.add(Subject::interface, id, "mac",
                 fmt::format("mac {} is used by interface \"{}\" already", text, other->second));
  }
  // A card that came later with a guest's MAC is a fact, not what a command asks for.
  const auto* adapter = find_adapter(facts, interface.mac);
  if (adapter != nullptr && findings.concerns(Subject::interface, id)) {
    findings.add(Subject::interface, id, "mac",
                 fmt::format("mac {} is that of adapter \"{}\"", text, adapter->name));
  }
}

/// host_number of an interface in the nat network `network` with `subnet`.
void check_address(const std::string& id, const Interface& interface, const Network& network,
                   const IpPrefix& subnet, std::map<IpAddress, std::string>& addresses,
                   Findings& findings) {
  if (!interface.host_number) { return; }
  const auto add = [&](const std::string& text) {
    findings.add(Subject::interface, id, "address", text);
  };
  const auto address = host_address(subnet, *interface.host_number);
  if (!address) {
    add(fmt::format("host number {} is outside subnet {} of network \"{}\"", *interface.host_number,
                    to_string(subnet), interface.network));
    return;
  }
  if (*address == gateway_of(subnet)) {
    add(fmt::format("address {} is the gateway of network \"{}\"", to_string(*address),
                    interface.network));
    return;
  }
  const auto [other, fresh] = addresses.emplace(*address, id);
  if (!fresh) {
    add(fmt::format("address {} is that of interface \"{}\" already", to_string(*address),
                    other->second));
  }
  const auto reserved = std::ranges::find_if(
      network.dhcp.reservations,
      [&](const DhcpReservation& r) { return r.address == *address && r.mac != interface.mac; });
  if (reserved != network.dhcp.reservations.end()) {
    add(fmt::format("address {} is reserved for {}", to_string(*address),
                    to_string(reserved->mac)));
  }
}

void check_no_address(const std::string& id, const Interface& interface, Findings& findings) {
  if (!interface.host_number) { return; }
  findings.add(Subject::interface, id, "address",
               fmt::format("network \"{}\" is bridged: its addresses come from the port's own "
                           "network",
                           interface.network));
}

}  // namespace

const KnownAdapter* find_adapter(const ModelFacts& facts, const MacAddress& mac) {
  const auto found = std::ranges::find(facts.adapters, mac, &KnownAdapter::base_mac);
  return found == facts.adapters.end() ? nullptr : &*found;
}

std::optional<MacAddress> implicit_network_adapter(const std::string& id) {
  if (id.size() != 14 || !id.starts_with("br")) { return std::nullopt; }
  std::string text;
  for (std::size_t i = 2; i < id.size(); i += 2) {
    if (!text.empty()) { text += ':'; }
    text += id.substr(i, 2);
  }
  const auto mac = parse_mac(text);
  return mac ? std::optional(*mac) : std::nullopt;
}

void check_adapters(const Model& model, const ModelFacts& facts, Findings& findings) {
  for (const auto& [mac, settings] : model.adapters) {
    const std::string id = to_string(mac);
    const auto* adapter = find_adapter(facts, mac);
    if (!settings.mtu || !findings.concerns(Subject::adapter, id)) { continue; }
    if (*settings.mtu < mtu_low || *settings.mtu > mtu_high) {
      findings.add(Subject::adapter, adapter != nullptr ? adapter->name : id, "mtu",
                   fmt::format("MTU {} is out of range {}..{}", *settings.mtu, mtu_low, mtu_high));
      continue;
    }
    if (adapter == nullptr) { continue; }
    const bool low = adapter->mtu_min != 0 && *settings.mtu < adapter->mtu_min;
    const bool high = adapter->mtu_max != 0 && *settings.mtu > adapter->mtu_max;
    if (low || high) {
      findings.add(
          Subject::adapter, id, "mtu",
          fmt::format("MTU {} is out of the range {}..{} that the driver of port \"{}\" allows",
                      *settings.mtu, adapter->mtu_min, adapter->mtu_max, adapter->name));
    }
  }
  std::set<MacAddress> ordered;
  for (const MacAddress& mac : model.host.uplink_order) {
    if (!ordered.insert(mac).second) {
      findings.add(Subject::host, "host", "uplink_order",
                   fmt::format("uplink_order names {} twice", to_string(mac)));
    }
  }
}

void check_interfaces(const Model& model, const ModelFacts& facts, Findings& findings) {
  std::map<MacAddress, std::string> macs;
  std::map<IpAddress, std::string> addresses;
  std::map<std::string, std::string> names;
  std::map<MacAddress, std::string> bridges;
  std::multimap<MacAddress, std::string> taps;
  for (const auto& [id, network] : model.networks) {
    bridges.emplace(generated_mac(facts.host_id, "network", id), id);
  }
  for (const auto& [id, interface] : model.interfaces) {
    taps.emplace(tap_host_mac(interface.mac), id);
  }
  for (const auto& [id, interface] : model.interfaces) {
    if (const auto bridge = bridges.find(interface.mac); bridge != bridges.end()) {
      findings.add(Subject::interface, id, "mac",
                   fmt::format("mac {} is that of the bridge of network \"{}\"",
                               to_string(interface.mac), bridge->second));
    }
    // On one bridge they are one address at two ports. A pair that stands concerns no command but
    // that which touches one of them.
    const auto [from, to] = taps.equal_range(interface.mac);
    const auto tap = std::find_if(from, to, [&](const auto& other) {
      return model.interfaces.at(other.second).network == interface.network &&
             (findings.concerns(Subject::interface, id) ||
              findings.concerns(Subject::interface, other.second));
    });
    if (tap != to) {
      findings.add(Subject::interface, id, "mac",
                   fmt::format("mac {} is that of the host's end of interface \"{}\"",
                               to_string(interface.mac), tap->second));
    }
    check_mac(id, interface, facts, macs, findings);
    const auto [taken, fresh] = names.emplace(tap_name(id), id);
    if (!fresh) {
      findings.add(
          Subject::interface, id, "interface",
          fmt::format("its tap would be named {} like that of interface \"{}\"; choose another id",
                      taken->first, taken->second));
    }
    const auto network = model.networks.find(interface.network);
    if (network != model.networks.end()) {
      const auto subnet = subnet_of(model, interface.network, facts.automatic_subnets);
      if (subnet) { check_address(id, interface, network->second, *subnet, addresses, findings); }
      if (is_bridged(network->second.kind)) { check_no_address(id, interface, findings); }
      continue;
    }
    const auto adapter = implicit_network_adapter(interface.network);
    const bool known =
        adapter &&
        (find_adapter(facts, *adapter) != nullptr || facts.allow_pending_adapters ||
         !group_of(model, *adapter).empty() || !findings.concerns(Subject::interface, id));
    if (!known && !findings.refused(Subject::network, interface.network)) {
      findings.add(Subject::interface, id, "network",
                   fmt::format("network \"{}\" does not exist", interface.network));
    } else if (known) {
      check_no_address(id, interface, findings);
    }
  }
}

Problems validate(const Model& model, const ModelFacts& facts) {
  Findings findings(Findings::Scope::everything);
  check_adapters(model, facts, findings);
  check_groups(model, facts, findings);
  check_networks(model, facts, findings);
  check_interfaces(model, facts, findings);
  check_gateway(model, facts, findings);
  check_host(model, facts, findings);
  return std::move(findings.problems());
}

}  // namespace edge::netmodel
