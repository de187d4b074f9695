// Ports and groups as uplinkctl, the Console and the local page show them.
#include <algorithm>

#include <boost/json.hpp>

#include "netmodel/core/names.hpp"
#include "netmodel/core/state.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/views.hpp"
#include "uplink/io/port_counters.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

std::string port_state(const Port& port) {
  if (!port.leads()) { return port.present ? "member of " + port.group : "absent"; }
  if (!port.live) { return "absent"; }
  if (port.disabled) { return "disabled locally"; }
  if (port.drained_until) { return "drained"; }
  if (!port.carrier) { return "no carrier"; }
  if (port.lease_usable()) { return "leased"; }
  return port.v6.seen.empty() && port.v6.owned.empty() ? "carrier, no lease" : "IPv6 only";
}

/// A single adapter carries whenever it has carrier; in an active-backup bond one of them does.
bool is_active(const Port& leader, const Port& member) {
  if (leader.members.size() < 2 || leader.bond_active.empty()) { return member.card_carrier; }
  return leader.bond_active == member.name;
}

bool is_known(const ViewSources& s, const MacAddress& adapter) {
  return std::ranges::any_of(
      s.ports.all(), [&adapter](const auto& entry) { return entry.second.base_mac == adapter; });
}

/// Cards that were asked for before they came.
void add_pending(json::array& members, const ViewSources& s, const netmodel::Group& group) {
  for (const MacAddress& adapter : group.adapters) {
    if (is_known(s, adapter)) { continue; }
    const std::string mac = edge::to_string(adapter);
    members.push_back(json::object{{"adapter", mac},
                                   {"mac", mac},
                                   {"role", "pending"},
                                   {"present", false},
                                   {"carrier", false},
                                   {"active", false}});
  }
}

json::array members_json(const ViewSources& s, const Port& leader) {
  json::array out;
  for (const Port* member : s.ports.members_of(leader)) {
    json::object row{{"adapter", member->name},
                     {"mac", edge::to_string(member->base_mac)},
                     {"role", member->leads() ? "leader" : "member"},
                     {"present", member->present},
                     {"carrier", member->card_carrier},
                     {"active", member->present && is_active(leader, *member)}};
    if (member->speed_mbps != 0) { row["speed_mbps"] = member->speed_mbps; }
    if (member->locally_disabled()) { row["disabled_locally"] = true; }
    out.push_back(std::move(row));
  }
  const auto& groups = s.reconciler.model().groups;
  if (const auto group = groups.find(leader.group); group != groups.end()) {
    add_pending(out, s, group->second);
  }
  return out;
}

void add_dhcp(json::object& row, const Port& port) {
  if (!port.dhcp) { return; }
  const auto dhcp = port.dhcp->status();
  row["dhcp"] = json::object{{"pid", dhcp.pid},
                             {"restarts", dhcp.restarts},
                             {"last_event", dhcp.last_event},
                             {"last_exit", dhcp.last_exit}};
}

/// What only the leader of a port has: address, path, members.
void add_port(json::object& row, const ViewSources& s, const Port& port, const PortPaths& paths) {
  row["path_state"] = std::string(paths.state);
  if (port.lease) { row["address"] = edge::to_string(port.lease->address); }
  const auto& addresses6 = port.v6.seen.empty() ? port.v6.owned : port.v6.seen;
  if (!addresses6.empty()) { row["address6"] = edge::to_string(addresses6.front()); }
  if (port.gateway_reachable) { row["gateway_reachable"] = *port.gateway_reachable; }
  if (port.members.size() > 1) { row["members"] = members_json(s, port); }
  if (port.l3 != port.bridge) { row["link"] = port.l3; }
  add_dhcp(row, port);
  const auto& status = paths.worst;
  if (status && status->broken != Step::none) {
    row["broken_step"] = std::string(to_string(status->broken));
    row["cause"] = status->cause;
    row["advice"] = std::string(advice(status->broken));
  }
}

std::string mode_of(const netmodel::Group& group) {
  return group.adapters.size() < 2 ? "single" : std::string(netmodel::to_string(group.mode));
}

/// The bond of two members or more; of active-backup also who is preferred, and when it carries
/// again once it has come back.
void add_bond(json::object& row, const ViewSources& s, const Port& leader,
              const netmodel::Group& group) {
  row["bond"] = netmodel::bond_name(leader.base_mac);
  if (group.mode != netmodel::GroupMode::active_backup) { return; }
  row["primary"] = nullptr;
  for (const Port* member : s.ports.members_of(leader)) {
    if (member->base_mac == group.primary) { row["primary"] = member->name; }
  }
  row["reselect"] = std::string(to_string(netmodel::BondAttributes{}.reselect));
}

void add_check(json::object& row, const ViewSources& s, const Port& port) {
  const auto verdict = s.checks.verdicts().find(port.group);
  if (verdict == s.checks.verdicts().end()) { return; }
  json::array lines;
  for (const auto& line : verdict->second.lines) { lines.emplace_back(line); }
  row["checked"] = to_iso8601(verdict->second.time);
  row["check"] = lines.empty() ? "whole" : "split";
  row["split"] = std::move(lines);
}

json::array names_of(const std::vector<const Port*>& adapters) {
  json::array out;
  for (const Port* adapter : adapters) { out.emplace_back(adapter->name); }
  return out;
}

json::object counters_json(const PortCounters& counted) {
  return {{"rx_bytes", counted.rx_bytes},   {"rx_packets", counted.rx_packets},
          {"rx_errors", counted.rx_errors}, {"rx_dropped", counted.rx_dropped},
          {"tx_bytes", counted.tx_bytes},   {"tx_packets", counted.tx_packets},
          {"tx_errors", counted.tx_errors}, {"tx_dropped", counted.tx_dropped}};
}

}  // namespace

std::string trouble_of(const ViewSources& s, const Port& port) {
  std::string out = port.number_trouble.empty() ? port.trouble : port.number_trouble;
  const auto verdict = s.checks.verdicts().find(port.group);
  if (!port.leads() || verdict == s.checks.verdicts().end()) { return out; }
  for (const auto& line : verdict->second.lines) { out += (out.empty() ? "" : "; ") + line; }
  return out;
}

json::array ports_view(const ViewSources& s) {
  json::array out;
  const AllCounters counters = read_counters();
  const auto paths = s.tunnel.paths_by_port();
  for (const auto& [key, port] : s.ports.all()) {
    json::object row{
        {"port", port.name},        {"mac", edge::to_string(port.base_mac)},
        {"bridge", port.bridge},    {"carrier", port.leads() ? port.carrier : port.card_carrier},
        {"admin_up", port.card_up}, {"mtu", port.mtu},
        {"table", port.table},      {"state", port_state(port)}};
    if (!port.group.empty()) {
      row["group"] = port.group;
      row["role"] = port.leads() ? "leader" : "member";
      row["active"] = port.present && is_active(s.ports.leader_of(port), port);
      row["card_carrier"] = port.card_carrier;
    }
    if (port.speed_mbps != 0) { row["speed_mbps"] = port.speed_mbps; }
    if (const auto found = counters.find(port.name); port.present && found != counters.end()) {
      row["counters"] = counters_json(found->second);
    }
    const std::string trouble = trouble_of(s, port);
    if (!trouble.empty()) { row["trouble"] = trouble; }
    if (port.leads()) {
      const auto found = paths.find(key);
      add_port(row, s, port, found == paths.end() ? PortPaths{} : found->second);
    } else {
      row["path_state"] = "none";
    }
    out.push_back(std::move(row));
  }
  return out;
}

json::array groups_view(const ViewSources& s) {
  json::array out;
  for (const auto& [key, port] : s.ports.all()) {
    if (!port.leads()) { continue; }
    json::object row{
        {"group", port.group.empty() ? port.bridge : port.group},
        {"port", port.name},
        {"adapters", names_of(s.ports.members_of(port))},
        {"mode", "single"},
        {"bridge", port.bridge},
        {"link", port.l3},
        {"mtu", port.mtu},
        {"active", port.bond_active.empty() ? json::value(nullptr) : json::value(port.bond_active)},
        {"members", members_json(s, port)},
        {"state", port_state(port)}};
    const auto& groups = s.reconciler.model().groups;
    if (const auto group = groups.find(port.group); group != groups.end()) {
      row["mode"] = mode_of(group->second);
      row["role"] = std::string(netmodel::to_string(group->second.role));
      if (group->second.adapters.size() > 1) { add_bond(row, s, port, group->second); }
      if (group->second.management_vlan) {
        row["management_vlan"] = *group->second.management_vlan;
      }
    } else {
      row["implicit"] = true;
    }
    add_check(row, s, port);
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace edge::uplink
