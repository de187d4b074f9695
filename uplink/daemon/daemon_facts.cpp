// What the daemon tells the pure parts about this host: facts for model and render, the last known
// state, the sources of the views.
#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "netmodel/core/render.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/daemon.hpp"

namespace edge::uplink {

netmodel::RenderFacts Daemon::render_facts() const {
  netmodel::RenderFacts facts;
  facts.host_id = host_id_;
  facts.adapters = ports_.adapter_facts();
  facts.vlan_filtering = traits_.features.vlan_filtering;
  facts.ipv6 = traits_.features.ipv6;
  facts.tap_owner_uid = tap_owner_uid_;
  facts.taken = ports_.foreign();
  facts.needed = needed();
  facts.automatic_subnets = automatic_subnets_;
  facts.foreign_ports = ports_.foreign_ports();
  return facts;
}

/// Routers are in the subnets of leases, which no network may overlap; these may be anywhere.
std::vector<netmodel::NeededAddress> Daemon::needed() const {
  std::vector<netmodel::NeededAddress> out;
  // Of a name with changing answers all are kept clear; only the present ones are "all there are".
  const std::set<IpAddress> present = tunnel_.console_addresses();
  for (const IpAddress& address : tunnel_.console_addresses_seen()) {
    out.push_back({address, "the Console", present.contains(address)});
  }
  for (const auto& [key, port] : ports_.all()) {
    const std::string label = fmt::format("port \"{}\"", port.name);
    std::vector<IpAddress> resolvers = port.v6.dns;
    if (port.lease) {
      resolvers.insert(resolvers.end(), port.lease->dns.begin(), port.lease->dns.end());
      if (const auto router = port.lease->default_gateway()) {
        out.push_back({*router, "the router of " + label});
      }
    }
    for (const IpAddress& address : resolvers) {
      out.push_back({address, "a resolver of " + label});
    }
    const HttpUrl* proxy = config_.proxy_of(port.name);
    const auto at = parse_ip(proxy == nullptr ? "" : proxy->at.host);
    if (at) { out.push_back({*at, "the proxy of " + label}); }
  }
  return out;
}

std::vector<IpAddress> Daemon::uplink_addresses() const {
  std::vector<IpAddress> out;
  for (const auto& adapter : ports_.adapter_facts()) {
    if (adapter.lease) { out.push_back(adapter.lease->address.address); }
    for (const auto& seen : adapter.v6.seen) { out.push_back(seen.address); }
    for (const auto& owned : adapter.v6.owned) { out.push_back(owned.address); }
  }
  return out;
}

netmodel::ModelFacts Daemon::model_facts() {
  netmodel::ModelFacts facts;
  facts.host_id = host_id_;
  facts.adapters = ports_.known_adapters();
  facts.taken = ports_.taken();
  facts.needed = needed();
  facts.automatic_subnets = automatic_subnets_;
  facts.foreign_ports = ports_.foreign_ports();
  facts.vlan_filtering = traits_.features.vlan_filtering;
  facts.bonding = traits_.bonding;
  if (const auto listen = parse_host_port(config_.status.listen)) {
    facts.reserved_ports.push_back({netmodel::Transport::tcp, listen->port, "the status page"});
  }
  // They change with the paths, and no command waits for another reading then.
  for (const std::uint16_t port : tunnel_.local_ports()) {
    facts.reserved_ports.push_back({netmodel::Transport::tcp, port, "the tunnel"});
  }
  for (const auto& port : host_ports_.known()) {
    const bool known = std::ranges::any_of(facts.reserved_ports, [&](const auto& other) {
      return other.protocol == port.protocol && other.port == port.port;
    });
    if (!known) { facts.reserved_ports.push_back(port); }
  }
  return facts;
}

unsigned Daemon::rank_of(const Port& port) const {
  const auto order = netmodel::uplink_ranks(reconciler_.model(), ports_.adapter_facts());
  const auto found = std::ranges::find(order, port.base_mac);
  return static_cast<unsigned>(found - order.begin());
}

LastKnown Daemon::last_known() const {
  LastKnown out{.host_id = host_id_,
                .revision = commands_.revision(),
                .model = reconciler_.model(),
                .adapters = {},
                .automatic_subnets = automatic_subnets_};
  for (const auto& [key, port] : ports_.all()) {
    if (port.table == 0) { continue; }
    out.adapters.push_back({port.base_mac, port.table - netmodel::table_first, port.name});
  }
  return out;
}

ViewSources Daemon::views() const {
  return {host_id_,      started_,         ports_,       tunnel_,       reconciler_,
          commands_,     services_,        group_check_, virtual_ip_,   trials_,
          store_keeper_, identity_keeper_, clock_,       record_keeper_};
}

}  // namespace edge::uplink
