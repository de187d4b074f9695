#include "uplink/core/takeover.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

namespace edge::uplink {

namespace json = boost::json;
using netmodel::LinkKind;
using netmodel::ObservedLink;
using netmodel::ObservedState;

namespace {

constexpr std::size_t listed_max = 50;

json::array listed(const std::vector<std::string>& items) {
  json::array out;
  for (const auto& item : items) {
    if (out.size() == listed_max) {
      out.emplace_back(fmt::format("and {} more", items.size() - listed_max));
      break;
    }
    out.emplace_back(item);
  }
  return out;
}

std::string kind_name(LinkKind kind) {
  switch (kind) {
    case LinkKind::bridge: return "bridge";
    case LinkKind::bond: return "bond";
    case LinkKind::vlan: return "vlan";
    case LinkKind::tap: return "tap";
    case LinkKind::veth: return "veth";
    case LinkKind::physical:
    case LinkKind::loopback:
    case LinkKind::other: return "link";
  }
  return "link";
}

Finding adapter_finding(const ObservedState& observed, const ObservedLink& adapter) {
  const std::string& name = adapter.link.name;
  json::array addresses;
  for (const auto& address : observed.addresses) {
    const bool counts = address.link == name && !address.prefix.address.is_link_local();
    if (counts) { addresses.emplace_back(to_string(address.prefix)); }
  }
  json::array routes;
  for (const auto& route : observed.routes) {
    if (route.link != name || !route.gateway) { continue; }
    routes.emplace_back(fmt::format(
        "{} via {}", route.destination.length == 0 ? "default" : to_string(route.destination),
        to_string(*route.gateway)));
  }
  const bool in_use = !addresses.empty() || !routes.empty();
  return {std::string(takeover_adapter),
          {{"port", name},
           {"up", adapter.link.admin_up},
           {"addresses", std::move(addresses)},
           {"routes", std::move(routes)},
           {"what", in_use ? "in use: its IPv4 and permanent IPv6 addresses and their routes move "
                             "to its bridge with the adapter, and keep their owner"
                           : "not in use"}}};
}

Finding conflict_finding(const ObservedLink& adapter, const ObservedLink& master) {
  return {
      "takeover.conflict",
      {{"port", adapter.link.name},
       {"master", master.link.name},
       {"kind", kind_name(master.link.kind)},
       {"what", fmt::format("adapter \"{0}\" is a port of the {1} \"{2}\", which is not ours; "
                            "it is left there. Release it to let it be used: ip link set "
                            "{0} nomaster",
                            adapter.link.name, kind_name(master.link.kind), master.link.name)}}};
}

}  // namespace

std::vector<Finding> takeover_findings(const ObservedState& observed,
                                       const std::vector<const ObservedLink*>& adapters,
                                       const Surroundings& surroundings) {
  std::vector<Finding> out;
  for (const ObservedLink* adapter : adapters) {
    const ObservedLink* master = observed.find_link(adapter->link.master);
    if (master == nullptr) {
      out.push_back(adapter_finding(observed, *adapter));
    } else if (!master->ours()) {
      out.push_back(conflict_finding(*adapter, *master));
    }
  }
  if (out.empty()) { return out; }
  std::vector<std::string> links;
  for (const auto& link : observed.links) {
    const bool taken = std::ranges::any_of(
        adapters, [&](const ObservedLink* adapter) { return adapter->index == link.index; });
    if (taken || link.ours() || link.link.kind == LinkKind::loopback) { continue; }
    links.push_back(kind_name(link.link.kind) + " " + link.link.name);
  }
  const bool others =
      !links.empty() || !surroundings.nft_tables.empty() || !surroundings.managers.empty();
  if (!others) { return out; }
  out.push_back({"takeover.foreign",
                 {{"links", listed(links)},
                  {"nft_tables", listed(surroundings.nft_tables)},
                  {"managers", listed(surroundings.managers)},
                  {"what", "not ours: left as it is"}}});
  return out;
}

}  // namespace edge::uplink
