// host.set: order of uplinks, where the Console is, static management address, the cluster's
// virtual address.
#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/command_operations.hpp"
#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

constexpr std::size_t resolvers_max = 8;
constexpr std::size_t hosts_max = 64;
constexpr std::uint32_t advert_step_ms = 10;  // RFC 5798, 5.2.7: centiseconds.

/// `key` of the object as an object of its own; null sets `cleared`.
const json::object* section(FieldReader& reader, std::string_view key, bool& cleared) {
  const auto* value = reader.any(key);
  if (value != nullptr && value->is_null()) {
    cleared = true;
    return nullptr;
  }
  return value != nullptr ? reader.object(key) : nullptr;
}

bool names_machine(const std::string& host) {
  constexpr std::string_view in_names =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  return host.find_first_not_of(in_names) == std::string::npos || parse_ip(host);
}

ManagementFields parse_management(const json::object& object, ParseScope scope) {
  FieldReader reader(object, {scope.op, "host", "management."}, scope.problems);
  ManagementFields out;
  out.group = reader.id("group").value_or("");
  out.adapter = reader.adapter("adapter").value_or("");
  if (!out.group.empty() && !out.adapter.empty()) {
    reader.wrong("adapter", "management names a group and an adapter; allowed: one of them");
  }
  reader.require("address");
  out.address = reader.prefix("address").value_or(IpPrefix{});
  out.gateway = reader.ip("gateway");
  out.dns = reader.ip_list("dns", resolvers_max).value_or(std::vector<IpAddress>{});
  reader.finish();
  return out;
}

Cluster parse_cluster(const json::object& object, ParseScope scope) {
  FieldReader reader(object, {scope.op, "host", "cluster."}, scope.problems);
  Cluster out;
  reader.require("id");
  out.id = static_cast<std::uint8_t>(reader.number("id", 1, 255).value_or(0));
  out.priority =
      static_cast<std::uint8_t>(reader.number("priority", 1, 254).value_or(out.priority));
  const auto advert = reader.number("advert_ms", 100, 10'000);
  out.advert_ms = static_cast<std::uint32_t>(advert.value_or(out.advert_ms));
  if (out.advert_ms % advert_step_ms != 0) {
    reader.wrong("advert_ms", fmt::format("cluster.advert_ms {}; allowed: multiples of {}",
                                          out.advert_ms, advert_step_ms));
  }
  out.preempt = reader.boolean("preempt").value_or(out.preempt);
  out.hosts = reader.ip_list("hosts", hosts_max).value_or(std::vector<IpAddress>{});
  std::ranges::sort(out.hosts);
  out.hosts.erase(std::ranges::unique(out.hosts).begin(), out.hosts.end());
  reader.finish();
  return out;
}

/// Where the Console is reached: the form of uplink.toml's console.endpoints.
std::vector<HostPort> parse_console(const json::object& object, ParseScope scope) {
  FieldReader reader(object, {scope.op, "host", "console."}, scope.problems);
  std::vector<HostPort> out;
  reader.require("endpoints");
  const auto* list = reader.array("endpoints", HostSettings::console_endpoints_max);
  if (list != nullptr && list->empty()) {
    reader.wrong("endpoints",
                 fmt::format("console.endpoints is empty; allowed: 1..{} of HOST:PORT; "
                             "\"console\": null for those of uplink.toml",
                             HostSettings::console_endpoints_max));
  }
  for (const json::value& item : list == nullptr ? json::array{} : *list) {
    const auto endpoint =
        item.is_string() ? parse_host_port(item.get_string()) : fail(Errc::invalid_input, "");
    if (!endpoint || !names_machine(endpoint->host)) {
      reader.wrong("endpoints", fmt::format("console.endpoints {} is not HOST:PORT or [IPV6]:PORT "
                                            "with a name or an address and a port 1..65535",
                                            described(item)));
    } else if (std::ranges::find(out, *endpoint) != out.end()) {
      reader.wrong("endpoints",
                   fmt::format("console.endpoints names {} twice", to_string(*endpoint)));
    } else {
      out.push_back(*endpoint);
    }
  }
  reader.finish();
  return out;
}

}  // namespace

HostSet parse_host(const json::object& object, ParseScope scope) {
  FieldReader reader(object, {scope.op, "host", ""}, scope.problems);
  if (scope.in_operation) { reader.any("op"); }
  HostSet out;
  out.uplink_order = reader.adapter_list("uplink_order", adapters_max);
  if (const auto* management = section(reader, "management", out.no_management)) {
    out.management = parse_management(*management, scope);
  }
  if (const auto* console = section(reader, "console", out.no_console)) {
    out.console_endpoints = parse_console(*console, scope);
  }
  const auto* virtual_ip = reader.any("virtual_ip");
  if (virtual_ip != nullptr && virtual_ip->is_null()) {
    out.no_virtual_ip = true;
  } else {
    out.virtual_ip = reader.ip("virtual_ip");
  }
  if (const auto* cluster = section(reader, "cluster", out.no_cluster)) {
    out.cluster = parse_cluster(*cluster, scope);
  }
  out.allow_pending = reader.boolean("allow_pending").value_or(false);
  reader.finish();
  return out;
}

}  // namespace edge::netmodel
