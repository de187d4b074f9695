#include "netmodel/core/model.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "netmodel/core/apply_operations.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

/// 0: it says none.
std::int64_t schema_version_of(const json::value& model) {
  const json::object* object = model.if_object();
  const json::value* version = object == nullptr ? nullptr : object->if_contains("schema_version");
  const std::int64_t* number = version == nullptr ? nullptr : version->if_int64();
  return number == nullptr ? 0 : *number;
}

json::array mac_array(const std::vector<MacAddress>& macs) {
  json::array out;
  for (const MacAddress& mac : macs) { out.emplace_back(to_string(mac)); }
  return out;
}

template <class T>
json::array text_array(const std::vector<T>& values) {
  json::array out;
  for (const T& value : values) { out.emplace_back(to_string(value)); }
  return out;
}

json::object adapter_json(const MacAddress& mac, const AdapterSettings& adapter) {
  json::object out{{"adapter", to_string(mac)}};
  if (adapter.mtu) { out["mtu"] = *adapter.mtu; }
  out["enabled"] = adapter.enabled;
  return out;
}

json::object group_json(const std::string& id, const Group& group) {
  json::object out{
      {"group", id}, {"adapters", mac_array(group.adapters)}, {"mode", to_string(group.mode)}};
  if (group.primary) { out["primary"] = to_string(*group.primary); }
  if (group.mtu) { out["mtu"] = *group.mtu; }
  out["role"] = to_string(group.role);
  out["allow_single"] = group.allow_single;
  if (group.management_vlan) { out["management_vlan"] = *group.management_vlan; }
  return out;
}

json::object dhcp_json(const DhcpSettings& dhcp) {
  json::object out{{"enabled", dhcp.enabled}};
  if (dhcp.from) { out["from"] = to_string(*dhcp.from); }
  if (dhcp.to) { out["to"] = to_string(*dhcp.to); }
  json::array reservations;
  for (const DhcpReservation& r : dhcp.reservations) {
    json::object item{{"mac", to_string(r.mac)}, {"address", to_string(r.address)}};
    if (!r.name.empty()) { item["name"] = r.name; }
    reservations.push_back(std::move(item));
  }
  if (!reservations.empty()) { out["reservations"] = std::move(reservations); }
  return out;
}

json::object network_json(const std::string& id, const Network& network) {
  json::object out{{"network", id}, {"kind", to_string(network.kind)}};
  if (!network.group.empty()) { out["group"] = network.group; }
  if (network.adapter) { out["adapter"] = to_string(*network.adapter); }
  if (network.vlan_id) { out["vlan_id"] = *network.vlan_id; }
  if (network.subnet) { out["subnet"] = to_string(*network.subnet); }
  if (network.subnet6) { out["subnet6"] = to_string(*network.subnet6); }
  if (network.dhcp != DhcpSettings{}) { out["dhcp"] = dhcp_json(network.dhcp); }
  if (!network.dns.empty()) { out["dns"] = text_array(network.dns); }
  return out;
}

json::object interface_json(const std::string& id, const Interface& interface) {
  json::object out{{"interface", id},
                   {"vm", interface.vm},
                   {"network", interface.network},
                   {"mac", to_string(interface.mac)},
                   {"hardware", to_string(interface.hardware)}};
  if (interface.host_number) { out["host_number"] = *interface.host_number; }
  if (!interface.spoof_filter) { out["spoof_filter"] = false; }
  return out;
}

json::object rule_json(const std::string& id, const GatewayRule& rule) {
  json::object out{{"rule", id}};
  if (rule.address) {
    out["address"] = to_string(*rule.address);
  } else {
    out["interface"] = rule.interface;
  }
  out["protocol"] = to_string(rule.protocol);
  if (rule.port_first == rule.port_last) {
    out["port"] = rule.port_first;
  } else {
    out["port"] = std::to_string(rule.port_first) + "-" + std::to_string(rule.port_last);
  }
  out["to_port"] = rule.to_port;
  if (!rule.sources.empty()) { out["sources"] = text_array(rule.sources); }
  if (!rule.adapters.empty()) { out["adapters"] = mac_array(rule.adapters); }
  return out;
}

json::object management_json(const Management& management) {
  json::object out;
  if (!management.group.empty()) { out["group"] = management.group; }
  if (management.adapter) { out["adapter"] = to_string(*management.adapter); }
  out["address"] = to_string(management.address);
  if (management.gateway) { out["gateway"] = to_string(*management.gateway); }
  if (!management.dns.empty()) { out["dns"] = text_array(management.dns); }
  return out;
}

json::object cluster_json(const Cluster& cluster) {
  json::object out{{"id", cluster.id},
                   {"priority", cluster.priority},
                   {"advert_ms", cluster.advert_ms},
                   {"preempt", cluster.preempt}};
  if (!cluster.hosts.empty()) { out["hosts"] = text_array(cluster.hosts); }
  return out;
}

template <class Map, class Function>
json::array object_array(const Map& map, Function&& to_object) {
  json::array out;
  out.reserve(map.size());
  for (const auto& [id, value] : map) { out.push_back(to_object(id, value)); }
  return out;
}

}  // namespace

Model Model::defaults() {
  Model model;
  model.networks.emplace(std::string(default_network), Network{});
  return model;
}

json::object to_json(const Model& model) {
  json::object host;
  if (!model.host.uplink_order.empty()) {
    host["uplink_order"] = mac_array(model.host.uplink_order);
  }
  if (!model.host.console_endpoints.empty()) {
    host["console"] = json::object{{"endpoints", text_array(model.host.console_endpoints)}};
  }
  if (model.host.management) { host["management"] = management_json(*model.host.management); }
  if (model.host.virtual_ip) { host["virtual_ip"] = to_string(*model.host.virtual_ip); }
  if (model.host.cluster) { host["cluster"] = cluster_json(*model.host.cluster); }
  return {{"schema_version", model_schema_version},
          {"adapters", object_array(model.adapters, adapter_json)},
          {"groups", object_array(model.groups, group_json)},
          {"networks", object_array(model.networks, network_json)},
          {"interfaces", object_array(model.interfaces, interface_json)},
          {"gateway", object_array(model.gateway, rule_json)},
          {"host", std::move(host)}};
}

std::string to_json_text(const Model& model) { return json::serialize(to_json(model)); }

Result<Model> model_from_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = command_depth_max;
  boost::system::error_code error;
  const json::value value = json::parse(text, error, {}, options);
  if (error) {
    return fail(Errc::corrupt, fmt::format("stored model: not JSON: {}", error.message()));
  }
  const auto first = [](const Problems& problems) {
    return fail(Errc::corrupt, fmt::format("stored model: {} ({} problems)",
                                           problems.items().front().what, problems.total()));
  };
  if (const std::int64_t version = schema_version_of(value); version > model_schema_version) {
    return fail(Errc::unsupported,
                fmt::format("stored model: schema_version {}, this program knows 1..{}: start a "
                            "newer program",
                            version, model_schema_version));
  }
  auto parsed = parse_model(value);
  if (!parsed) { return first(parsed.error()); }
  ModelFacts lenient;
  lenient.allow_pending_adapters = true;
  const std::vector<ModelOperation> operations{std::move(*parsed)};
  ApplyOutcome outcome = apply_operations(Model{}, operations, lenient);
  if (!outcome.model) { return first(outcome.problems); }
  return std::move(*outcome.model);
}

std::string_view to_string(NetworkKind kind) {
  switch (kind) {
    case NetworkKind::untagged: return "untagged";
    case NetworkKind::vlan: return "vlan";
    case NetworkKind::nat: return "nat";
    case NetworkKind::routed: return "routed";
    case NetworkKind::isolated: return "isolated";
    case NetworkKind::open: return "open";
  }
  return "?";
}

std::string_view to_string(GroupMode mode) {
  switch (mode) {
    case GroupMode::active_backup: return "active-backup";
    case GroupMode::balance_xor: return "balance-xor";
    case GroupMode::lacp: return "802.3ad";
  }
  return "?";
}

std::string_view to_string(GroupRole role) {
  switch (role) {
    case GroupRole::vm: return "vm";
    case GroupRole::infrastructure: return "infrastructure";
  }
  return "?";
}

std::string_view to_string(Hardware hardware) {
  switch (hardware) {
    case Hardware::virtio: return "virtio";
    case Hardware::virtio_multiqueue: return "virtio-multiqueue";
    case Hardware::e1000: return "e1000";
    case Hardware::e1000e: return "e1000e";
    case Hardware::rtl8139: return "rtl8139";
  }
  return "?";
}

std::string_view to_string(Transport transport) {
  switch (transport) {
    case Transport::tcp: return "tcp";
    case Transport::udp: return "udp";
  }
  return "?";
}

std::optional<IpAddress> host_address(const IpPrefix& subnet, std::uint32_t number) {
  const std::uint32_t size =
      subnet.length >= 31 ? 0 : 1U << (32 - std::max<unsigned>(subnet.length, 1));
  if (number == 0 || size == 0 || number >= size - 1) { return std::nullopt; }
  return IpAddress::v4_from_u32(subnet.network().address.v4_u32() + number);
}

IpAddress gateway6_of(const IpPrefix& subnet6) { return host_address6(subnet6, 1); }

IpAddress host_address6(const IpPrefix& subnet6, std::uint32_t number) {
  IpAddress out = subnet6.network().address;
  for (std::size_t i = 0; i < 4; ++i) {
    out.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return out;
}

IpAddress gateway_of(const IpPrefix& subnet) {
  return IpAddress::v4_from_u32(subnet.network().address.v4_u32() + 1);
}

AddressRange default_dhcp_range(const IpPrefix& subnet) {
  const std::uint32_t base = subnet.network().address.v4_u32();
  const std::uint32_t last = subnet.broadcast().v4_u32() - 1;
  const std::uint32_t first = last - base >= 32 ? base + 10 : base + 2;
  return {IpAddress::v4_from_u32(first), IpAddress::v4_from_u32(last)};
}

std::optional<AddressRange> dhcp_range_of(const Network& network, const IpPrefix& subnet) {
  if (!network.dhcp.enabled) { return std::nullopt; }
  if (network.dhcp.from && network.dhcp.to) {
    return AddressRange{*network.dhcp.from, *network.dhcp.to};
  }
  return default_dhcp_range(subnet);
}

}  // namespace edge::netmodel
