#include "netmodel/core/render_network.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "netmodel/core/render_port.hpp"

namespace edge::netmodel {
namespace {

/// Open: nothing of ours.
void render_policy(NetworkKind kind, const std::string& bridge, const IpPrefix& subnet,
                   NftState& nft) {
  switch (kind) {
    case NetworkKind::nat: nft.nat_networks.push_back({bridge, subnet}); break;
    case NetworkKind::routed: nft.routed_networks.push_back({bridge, subnet}); break;
    case NetworkKind::isolated: nft.isolated_bridges.push_back(bridge); break;
    case NetworkKind::open:
    case NetworkKind::untagged:
    case NetworkKind::vlan: break;
  }
}

}  // namespace

IpAddress render_subnet(NetworkKind kind, const std::string& bridge, const IpPrefix& subnet,
                        Rendered& out) {
  const IpAddress gateway = gateway_of(subnet);
  out.state.addresses.push_back({.link = bridge, .prefix = {gateway, subnet.length}});
  out.state.routes.push_back(
      {.table = table_main, .destination = subnet, .link = bridge, .source = gateway});
  out.state.rules.push_back({.priority = rule_nat, .to = subnet, .table = table_main});
  render_policy(kind, bridge, subnet, out.nft);
  return gateway;
}

void render_subnet6(NetworkKind kind, const std::string& bridge, const IpPrefix& subnet6,
                    Rendered& out) {
  const auto set = [&](std::string_view key, std::string_view value) {
    out.state.sysctls.push_back(
        {fmt::format("net/ipv6/conf/{}/{}", bridge, key), std::string(value)});
  };
  set("disable_ipv6", "0");
  set("accept_ra", "0");  // A guest is no router of ours.
  set("autoconf", "0");
  set("accept_dad", "0");  // Nobody else may have ::1, and a bridge without guests has no carrier.
  const Sysctl forwarding{"net/ipv6/conf/all/forwarding", "1"};
  if (std::ranges::find(out.state.sysctls, forwarding) == out.state.sysctls.end()) {
    out.state.sysctls.push_back(forwarding);
  }
  out.state.addresses.push_back({.link = bridge, .prefix = {gateway6_of(subnet6), subnet6.length}});
  out.state.routes.push_back(
      {.table = table_main, .destination = subnet6, .link = bridge, .metric = metric_v6});
  out.state.rules.push_back(
      {.priority = rule_nat, .family = Family::v6, .to = subnet6, .table = table_main});
  render_policy(kind, bridge, subnet6, out.nft);
}

std::vector<RuleTarget> targets_of(const Model& model, const GatewayRule& rule,
                                   const std::map<std::string, IpPrefix>& automatic_subnets) {
  std::vector<IpAddress> addresses;
  if (rule.address) { addresses.push_back(*rule.address); }
  const auto interface = model.interfaces.find(rule.interface);
  if (!rule.address && interface != model.interfaces.end()) {
    const auto v4 = address_of(model, interface->second, automatic_subnets);
    const auto v6 = address6_of(model, interface->second);
    for (const auto& address : {v4, v6}) {
      if (address) { addresses.push_back(*address); }
    }
  }
  std::vector<RuleTarget> out;
  for (const IpAddress& address : addresses) {
    RuleTarget target{.address = address};
    std::ranges::copy_if(
        rule.sources, std::back_inserter(target.sources),
        [&](const IpPrefix& source) { return source.address.family == address.family; });
    if (rule.sources.empty() || !target.sources.empty()) { out.push_back(std::move(target)); }
  }
  return out;
}

}  // namespace edge::netmodel
