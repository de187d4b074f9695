#include "uplink/ctl/tables.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <vector>

#include "uplink/ctl/cells.hpp"
#include "uplink/ctl/fields.hpp"

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

/// Below a table: what is wrong and what a person can do, a line for each row that has it.
std::string advice_lines(const json::array& rows, std::string_view name_key, const Style& style) {
  std::string out;
  for (const auto& value : rows) {
    if (!value.is_object()) { continue; }
    const auto& row = value.get_object();
    const std::string cause = field(row, "cause"), advice = field(row, "advice"),
                      trouble = field(row, "trouble");
    if (says_something(trouble)) {
      out += fmt::format("{}: {}\n", printable(field(row, name_key)),
                         paint(printable(trouble), Tone::bad, style));
    }
    const std::string step = field(row, "broken_step");
    if (!says_something(step)) { continue; }
    out +=
        fmt::format("{}: {}{}{}\n", printable(field(row, name_key)), paint(step, Tone::bad, style),
                    says_something(cause) ? ": " + printable(cause) : "",
                    says_something(advice) ? "; " + printable(advice) : "");
  }
  return out.empty() ? out : "\n" + out;
}

/// "eth0*, eth1 (no carrier)": the star carries.
std::string members_cell(const json::object& row) {
  const auto* members = array_at(row, "members");
  if (members == nullptr) { return field(row, "adapters"); }
  std::string out;
  for (const auto& value : *members) {
    const auto* member = value.if_object();
    if (member == nullptr) { continue; }
    out += (out.empty() ? "" : ", ") + field(*member, "adapter");
    if (is_true(*member, "active")) { out += "*"; }
    if (!is_true(*member, "present")) {
      out += " (absent)";
    } else if (!is_true(*member, "carrier")) {
      out += " (no carrier)";
    }
  }
  return out.empty() ? "-" : out;
}

}  // namespace

std::string ports_text(const json::array& rows, const Style& style) {
  return rows_text(
             rows,
             Table({"PORT", "STATE", "ADDRESS", "IPV6", "PATH", "SPEED", "MTU", "MAC", "BRIDGE"}),
             [](const json::object& row) -> std::vector<Cell> {
               return {{field(row, "port"), Tone::strong},
                       state_cell(row),
                       {field(row, "address")},
                       {field(row, "address6")},
                       state_cell(row, "path_state"),
                       with_unit(row, "speed_mbps", " Mbit/s"),
                       {field(row, "mtu")},
                       {field(row, "mac")},
                       {field(row, "bridge")}};
             },
             "no port: no adapter matches [adapters] in uplink.toml", style) +
         advice_lines(rows, "port", style);
}

std::string paths_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows, Table({"PATH", "STATE", "RTT", "SINCE", "BROKEN", "CAUSE", "LAST FAILURE"}),
      [](const json::object& row) -> std::vector<Cell> {
        const std::string step = field(row, "broken_step"), proxy = field(row, "proxy");
        Cell state = state_cell(row);
        if (is_true(row, "active") && state.text != "active") {
          state.text = "active, " + state.text;
        }
        return {{field(row, "path") + (says_something(proxy) ? " via " + proxy : "") +
                     (is_true(row, "metered") ? ", metered" : ""),
                 Tone::strong},
                std::move(state),
                with_unit(row, "rtt_ms", " ms"),
                {short_time(field(row, "since"))},
                {says_something(step) ? step : "-", Tone::bad},
                {field(row, "cause")},
                {field(row, "last_failure"), Tone::faint}};
      },
      "no path: there is no port, or no endpoint in [console]", style);
}

std::string leases_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows,
      Table({"PORT", "STATE", "ADDRESS", "IPV6", "GATEWAY", "DNS", "SERVER", "EXPIRES", "DOMAIN"}),
      [](const json::object& row) -> std::vector<Cell> {
        return {{field(row, "port"), Tone::strong},
                state_cell(row),
                {field(row, "address")},
                {field(row, "address6")},
                {field(row, "gateway")},
                {field(row, "dns")},
                {field(row, "server")},
                {short_time(field(row, "expires"))},
                {field(row, "domain")}};
      },
      "no lease", style);
}

std::string groups_text(const json::array& rows, const Style& style) {
  std::string split;
  for (const auto& value : rows) {
    const auto* row = value.if_object();
    const auto* lines = row == nullptr ? nullptr : array_at(*row, "split");
    if (lines == nullptr) { continue; }
    for (const auto& line : *lines) {
      split += paint(printable(text_of(line)), Tone::bad, style) + "\n";
    }
  }
  return rows_text(
             rows,
             Table({"GROUP", "MODE", "PRIMARY", "RESELECT", "STATE", "ADAPTERS (* CARRIES)", "ROLE",
                    "VLAN", "MTU", "HEAR EACH OTHER"}),
             [](const json::object& row) -> std::vector<Cell> {
               const Tone tone = is_true(row, "implicit") ? Tone::faint : Tone::plain;
               const std::string check = field(row, "check");
               return {{field(row, "group"), Tone::strong},
                       {field(row, "mode"), tone},
                       {field(row, "primary")},
                       {field(row, "reselect")},
                       state_cell(row),
                       {members_cell(row)},
                       {field(row, "role")},
                       {field(row, "management_vlan")},
                       {field(row, "mtu")},
                       {check == "whole"   ? "yes"
                        : check == "split" ? "no"
                                           : "-",
                        check == "split" ? Tone::bad : Tone::plain}};
             },
             "no group", style) +
         (split.empty() ? "" : "\n" + split);
}

std::string networks_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows,
      Table({"NETWORK", "KIND", "STATE", "VLAN", "GROUP", "ADAPTER", "SUBNET", "DHCP", "INTERFACES",
             "BRIDGE"}),
      [](const json::object& row) -> std::vector<Cell> {
        return {{field(row, "network"), Tone::strong},
                {field(row, "kind")},
                state_cell(row),
                {field(row, "vlan")},
                {field(row, "group")},
                {field(row, "adapter")},
                {field(row, "subnet")},
                {field(row, "dhcp")},
                {field(row, "interfaces")},
                {field(row, "bridge")}};
      },
      "no network", style);
}

std::string interfaces_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows, Table({"INTERFACE", "VM", "NETWORK", "STATE", "ADDRESS", "MAC", "TAP"}),
      [](const json::object& row) -> std::vector<Cell> {
        return {{field(row, "interface"), Tone::strong},
                {field(row, "vm")},
                {field(row, "network")},
                state_cell(row),
                {field(row, "address")},
                {field(row, "mac")},
                {field(row, "tap")}};
      },
      "no interface is attached", style);
}

std::string gateway_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows, Table({"RULE", "PROTOCOL", "PORT", "TO", "TO PORT", "ADAPTERS", "SOURCES", "STATE"}),
      [](const json::object& row) -> std::vector<Cell> {
        const std::string interface = field(row, "interface");
        const std::string adapters = field(row, "adapters"), sources = field(row, "sources");
        return {{field(row, "rule"), Tone::strong},
                {field(row, "protocol")},
                {field(row, "port")},
                {says_something(interface) ? interface : field(row, "address")},
                {field(row, "to_port")},
                {says_something(adapters) ? adapters : "all"},
                {says_something(sources) ? sources : "anyone"},
                state_cell(row)};
      },
      "nothing is published", style);
}

}  // namespace edge::uplink::ctl
