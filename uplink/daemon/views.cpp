#include "uplink/daemon/views.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

std::string name_of(const ViewSources& s, const MacAddress& mac) {
  const Port* port = s.ports.find(to_hex(mac));
  return port == nullptr ? edge::to_string(mac) : port->name;
}

netmodel::RenderFacts facts_of(const ViewSources& s) {
  netmodel::RenderFacts facts;
  facts.host_id = s.host_id;
  facts.adapters = s.ports.adapter_facts();
  if (s.reconciler.last()) {
    facts.automatic_subnets = s.reconciler.last()->rendered.automatic_subnets;
  }
  return facts;
}

std::map<std::string, IpPrefix> automatic_subnets(const ViewSources& s) {
  return s.reconciler.last() ? s.reconciler.last()->rendered.automatic_subnets
                             : std::map<std::string, IpPrefix>{};
}

json::array names_json(const ViewSources& s, const std::vector<MacAddress>& adapters) {
  json::array out;
  for (const auto& mac : adapters) { out.emplace_back(name_of(s, mac)); }
  return out;
}

template <class Range>
json::array addresses_json(const Range& range) {
  json::array out;
  for (const auto& item : range) { out.emplace_back(edge::to_string(item)); }
  return out;
}

/// Where an untagged network of the model stands in for the implicit one.
std::set<MacAddress> untagged_leaders(const netmodel::Model& model) {
  std::set<MacAddress> out;
  for (const auto& [id, network] : model.networks) {
    if (network.kind != netmodel::NetworkKind::untagged) { continue; }
    if (const auto leader = netmodel::bridged_network_leader(model, id)) { out.insert(*leader); }
  }
  return out;
}

std::string bridge_state(const Port& port) {
  if (!port.live) { return "adapter absent"; }
  return port.bridge_ready ? "up" : "pending";
}

/// A VLAN of a group's bridge.
void add_bridged(json::object& row, const ViewSources& s, const std::string& id,
                 const netmodel::Network& network) {
  const auto leader = netmodel::bridged_network_leader(s.reconciler.model(), id);
  const Port* port = leader ? s.ports.find(to_hex(*leader)) : nullptr;
  if (!network.group.empty()) { row["group"] = network.group; }
  if (network.vlan_id) { row["vlan"] = *network.vlan_id; }
  row["bridge"] = leader ? netmodel::port_bridge_name(*leader) : "";
  row["adapter"] = port == nullptr ? (leader ? edge::to_string(*leader) : "") : port->name;
  row["state"] = port == nullptr ? "adapter absent" : bridge_state(*port);
}

void add_own_bridge(json::object& row, const ViewSources& s, const std::string& id,
                    const netmodel::Network& network,
                    const std::map<std::string, IpPrefix>& subnets) {
  row["bridge"] = netmodel::network_bridge_name(id);
  if (network.subnet6) { row["subnet6"] = edge::to_string(*network.subnet6); }
  const auto subnet = netmodel::subnet_of(s.reconciler.model(), id, subnets);
  if (!subnet) { return; }
  row["subnet"] = edge::to_string(*subnet);
  row["gateway"] = edge::to_string(netmodel::gateway_of(*subnet));
  const auto range = netmodel::dhcp_range_of(network, *subnet);
  if (range) { row["dhcp"] = edge::to_string(range->from) + "-" + edge::to_string(range->to); }
  row["state"] = s.services.running(id) ? "up" : "no DHCP";
}

}  // namespace

json::object status_view(const ViewSources& s) {
  std::size_t carriers = 0;
  std::size_t leases = 0;
  json::array problems;
  for (const auto& [key, port] : s.ports.all()) {
    carriers += port.card_carrier ? 1 : 0;
    leases += port.lease_usable() ? 1 : 0;
    const std::string trouble = trouble_of(s, port);
    if (!trouble.empty()) { problems.emplace_back("port " + port.name + ": " + trouble); }
  }
  if (s.reconciler.last()) {
    for (const auto& text : s.reconciler.last()->conflicts) { problems.emplace_back(text); }
    for (const auto& text : s.reconciler.last()->errors) { problems.emplace_back(text); }
    for (const auto& note : s.reconciler.last()->rendered.notes) {
      problems.emplace_back(note.what);
    }
  }
  for (const auto& text : s.services.problems()) { problems.emplace_back(text); }
  if (!s.virtual_ip.trouble().empty()) { problems.emplace_back(s.virtual_ip.trouble()); }
  if (const std::string problem = s.store.problem(); !problem.empty()) {
    problems.emplace_back(problem);
  }
  if (const std::string problem = s.identity.problem(); !problem.empty()) {
    problems.emplace_back(problem);
  }
  if (const std::string problem = s.clock.problem(); !problem.empty()) {
    problems.emplace_back(problem);
  }
  if (const std::string problem = s.records.problem(); !problem.empty()) {
    problems.emplace_back(problem);
  }
  const auto& model = s.reconciler.model();
  json::object out{{"host", s.host_id},
                   {"version", std::string(uplink_version)},
                   {"uptime_s", (mono_now() - s.started) / std::chrono::seconds(1)},
                   {"revision", s.commands.revision()},
                   {"console", s.tunnel.console_json()},
                   {"counts", json::object{{"ports", s.ports.all().size()},
                                           {"carriers", carriers},
                                           {"leases", leases},
                                           {"networks", model.networks.size()},
                                           {"interfaces", model.interfaces.size()},
                                           {"gateway", model.gateway.size()},
                                           {"commands_executed", s.commands.executed()},
                                           {"reconcile_turns", s.reconciler.turns()}}},
                   {"store", s.store.view()},
                   {"identity", s.identity.view()},
                   {"clock", s.clock.json()},
                   {"verified", s.reconciler.last() && s.reconciler.last()->verified},
                   {"problems", std::move(problems)}};
  if (const auto& last = s.reconciler.last()) {
    out["reconcile"] = {{"turns", s.reconciler.turns()},
                        {"netlink_overruns", s.reconciler.overruns()},
                        {"last_reason", last->reason},
                        {"last_ms", static_cast<double>(last->took.count()) / 1000}};
  }
  if (s.trials.running()) { out["trial"] = s.trials.view(); }
  if (auto address = s.virtual_ip.view()) { out["virtual_ip"] = std::move(*address); }
  return out;
}

json::array leases_view(const ViewSources& s) {
  json::array out;
  for (const auto& [key, port] : s.ports.all()) {
    if (!port.leads()) { continue; }
    const auto& lease = port.lease ? port.lease : port.stored;
    json::object row{{"port", port.name}, {"mac", edge::to_string(port.base_mac)}};
    row["state"] = port.lease    ? std::string(to_string(port.phase))
                   : port.stored ? "stored, port absent"
                                 : "none";
    if (lease) {
      row["address"] = edge::to_string(lease->address);
      if (const auto gateway = lease->default_gateway()) {
        row["gateway"] = edge::to_string(*gateway);
      }
      row["dns"] = addresses_json(lease->dns);
      if (lease->server) { row["server"] = edge::to_string(*lease->server); }
      if (const auto expires = lease->expires()) { row["expires"] = to_iso8601(*expires); }
      if (!lease->domain.empty()) { row["domain"] = lease->domain; }
      if (lease->mtu) { row["mtu"] = *lease->mtu; }
    }
    if (port.lease6) {
      json::array addresses;
      for (const auto& address : port.lease6->addresses) {
        addresses.emplace_back(edge::to_string(address.address));
      }
      row["address6"] = std::move(addresses);
    }
    out.push_back(std::move(row));
  }
  return out;
}

namespace {

/// Of the model, by network.
std::map<std::string, std::size_t> interface_counts(const netmodel::Model& model) {
  std::map<std::string, std::size_t> out;
  for (const auto& [id, interface] : model.interfaces) { ++out[interface.network]; }
  return out;
}

/// Interfaces of the model, and ports that somebody else put into the network's own bridge.
void add_attached(json::object& row, const ViewSources& s,
                  const std::map<std::string, std::size_t>& counts, const std::string& network,
                  const std::string& bridge) {
  const auto counted = counts.find(network);
  std::size_t attached = counted == counts.end() ? 0 : counted->second;
  const auto foreign = s.ports.foreign_ports().find(bridge);
  if (foreign != s.ports.foreign_ports().end()) {
    row["foreign"] = json::array(foreign->second.begin(), foreign->second.end());
    attached += foreign->second.size();
  }
  row["interfaces"] = attached;
}

using LinksByName = std::map<std::string_view, const netmodel::ObservedLink*>;

/// Of what the last turn saw; of two of a name the first, as find_link.
LinksByName links_by_name(const ViewSources& s) {
  LinksByName out;
  if (!s.reconciler.last()) { return out; }
  for (const auto& link : s.reconciler.last()->observed.links) {
    out.emplace(link.link.name, &link);
  }
  return out;
}

}  // namespace

json::array networks_view(const ViewSources& s) {
  json::array out;
  const auto& model = s.reconciler.model();
  const auto subnets = automatic_subnets(s);
  const auto counts = interface_counts(model);
  const auto replaced = untagged_leaders(model);
  for (const auto& [key, port] : s.ports.all()) {
    if (!port.leads() || replaced.contains(port.base_mac)) { continue; }
    json::object row{{"network", port.bridge}, {"kind", "untagged"}, {"bridge", port.bridge},
                     {"adapter", port.name},   {"implicit", true},   {"state", bridge_state(port)}};
    if (!port.group.empty()) { row["group"] = port.group; }
    add_attached(row, s, counts, port.bridge, port.bridge);
    out.push_back(std::move(row));
  }
  for (const auto& [id, network] : model.networks) {
    json::object row{{"network", id}, {"kind", std::string(netmodel::to_string(network.kind))}};
    // What is on a group's bridge counts on its untagged network.
    const auto leader = netmodel::bridged_network_leader(model, id);
    add_attached(row, s, counts, id,
                 !leader ? netmodel::network_bridge_name(id)
                 : network.kind == netmodel::NetworkKind::untagged
                     ? netmodel::port_bridge_name(*leader)
                     : std::string());
    if (netmodel::is_bridged(network.kind)) {
      add_bridged(row, s, id, network);
    } else {
      add_own_bridge(row, s, id, network, subnets);
    }
    out.push_back(std::move(row));
  }
  return out;
}

json::array interfaces_view(const ViewSources& s) {
  json::array out;
  const auto& model = s.reconciler.model();
  const auto subnets = automatic_subnets(s);
  const auto guests = s.services.guests();
  const auto links = links_by_name(s);
  for (const auto& [id, interface] : model.interfaces) {
    const std::string tap = netmodel::tap_name(id);
    const auto link = links.find(tap);
    const auto* observed = link == links.end() ? nullptr : link->second;
    json::object row{{"interface", id},
                     {"vm", interface.vm},
                     {"network", interface.network},
                     {"tap", tap},
                     {"mac", edge::to_string(interface.mac)},
                     {"hardware", std::string(netmodel::to_string(interface.hardware))},
                     {"state", observed == nullptr ? "missing"
                               : observed->carrier ? "connected"
                                                   : "waiting for the VM"}};
    if (const auto guest = guests.find({interface.network, interface.mac}); guest != guests.end()) {
      row["address"] = edge::to_string(guest->second.address);
    } else if (const auto fixed = netmodel::address_of(model, interface, subnets)) {
      row["address"] = edge::to_string(*fixed);
    }
    out.push_back(std::move(row));
  }
  return out;
}

json::array gateway_view(const ViewSources& s) {
  json::array out;
  const auto& model = s.reconciler.model();
  const auto facts = facts_of(s);
  for (const auto& [id, rule] : model.gateway) {
    const auto port_text = [](unsigned first, unsigned last) {
      return first == last ? json::value(first) : json::value(fmt::format("{}-{}", first, last));
    };
    json::object row{
        {"rule", id},
        {"protocol", std::string(netmodel::to_string(rule.protocol))},
        {"port", port_text(rule.port_first, rule.port_last)},
        {"to_port", port_text(rule.to_port, rule.to_port + (rule.port_last - rule.port_first))},
        {"adapters", names_json(s, rule.adapters)},
        {"sources", addresses_json(rule.sources)},
        {"state", netmodel::state_of(model, rule, facts)}};
    if (!rule.interface.empty()) { row["interface"] = rule.interface; }
    if (rule.address) { row["address"] = edge::to_string(*rule.address); }
    out.push_back(std::move(row));
  }
  return out;
}

json::object snapshot_view(const ViewSources& s) {
  return {{"revision", s.commands.revision()},
          {"version", std::string(uplink_version)},
          {"store", s.store.view()},
          {"time", to_iso8601(wall_now())},
          {"paths", s.tunnel.paths_json()},
          {"ports", ports_view(s)},
          {"leases", leases_view(s)},
          {"networks", networks_view(s)},
          {"interfaces", interfaces_view(s)},
          {"gateway", gateway_view(s)},
          {"model", netmodel::to_json(s.reconciler.model())},
          {"revisions", s.commands.newest_revisions()}};
}

std::string metrics_view(const ViewSources& s) {
  std::string out;
  const auto gauge = [&out](std::string_view name, std::string_view help, auto value,
                            std::string_view type = "gauge") {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
  };
  gauge("uplink_online", "1 while the Console is reached over at least one path",
        s.tunnel.online() ? 1 : 0);
  gauge("uplink_revision", "Model revision in force", s.commands.revision());
  gauge("uplink_commands_executed_total", "Commands ended since start", s.commands.executed(),
        "counter");
  gauge("uplink_reconcile_turns_total", "Dumps compared with the model", s.reconciler.turns(),
        "counter");
  gauge("uplink_store_durable", "1 while commands can be stored on disk",
        s.store.view().at("durable").as_bool() ? 1 : 0);
  gauge("uplink_events_held", "Events that wait in memory for room on the disk",
        s.store.held_events());
  gauge("uplink_clock_in_doubt", "1 while the system clock is certainly wrong",
        s.clock.problem().empty() ? 0 : 1);
  const auto& stats = s.tunnel.stats();
  gauge("uplink_frames_sent_total", "DATA frames, first transmissions", stats.sent, "counter");
  gauge("uplink_frames_mirrored_total", "DATA frames sent on two paths at once", stats.mirrored,
        "counter");
  gauge("uplink_frames_copied_total", "DATA frames copied after a wait", stats.copied, "counter");
  gauge("uplink_frames_resent_total", "DATA frames sent again after a path died", stats.resent,
        "counter");
  out += "# HELP uplink_port_carrier 1 while the cable carries\n# TYPE uplink_port_carrier gauge\n";
  for (const auto& [key, port] : s.ports.all()) {
    out += fmt::format("uplink_port_carrier{{port=\"{}\",mac=\"{}\"}} {}\n", port.name,
                       edge::to_string(port.base_mac), port.card_carrier ? 1 : 0);
  }
  out +=
      "# HELP uplink_path_up 1 while the path is welcomed and alive\n# TYPE uplink_path_up gauge\n";
  for (const auto& value : s.tunnel.paths_json()) {
    const auto& row = value.as_object();
    const std::string_view state = row.at("state").as_string();
    const bool up = state == "active" || state == "standby" || state == "suspect";
    out += fmt::format("uplink_path_up{{path=\"{}\"}} {}\n",
                       std::string_view(row.at("path").as_string()), up ? 1 : 0);
  }
  return out;
}

}  // namespace edge::uplink
