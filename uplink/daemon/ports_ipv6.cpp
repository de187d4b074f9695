// What the kernel made of router advertisements and of DHCPv6: the addresses that a dial may use,
// the router that it leaves by, and who of the routers and gateways answers.
#include <algorithm>
#include <cstddef>
#include <tuple>

#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

using netmodel::ObservedState;

namespace {

bool is_default6(const netmodel::Route& route, const Port& port) {
  return route.link == port.l3 && route.destination.address.family == Family::v6 &&
         route.destination.length == 0 && route.gateway.has_value();
}

/// The kernel keeps no bound of them by itself.
constexpr std::size_t routers_max = 64;

}  // namespace

void Ports::read_v6(Port& port, const ObservedState& observed) {
  const netmodel::Ipv6Facts before = port.v6;
  const Sources6 sources_before = port.sources6;
  const std::optional<IpAddress> router_before = port.router6;
  const std::set<IpAddress> addresses_before = port.addresses();
  read_addresses6(port, observed);
  tell_lost(port, addresses_before);
  port.routers6.clear();
  port.router6.reset();
  for (const auto& route : observed.routes) {
    if (!is_default6(route, port)) { continue; }
    if (route.protocol == netmodel::our_protocol) {
      if (route.table == port.table) { port.router6 = route.gateway; }
    } else if (port.routers6.size() < routers_max) {
      port.routers6.push_back(*route.gateway);
    }
  }
  std::erase_if(port.failed_routers6, [&port](const IpAddress& router) {
    return std::ranges::find(port.routers6, router) == port.routers6.end();
  });
  port.v6.default_gateway =
      choose_router(port.routers6, port.v6.default_gateway, port.failed_routers6);
  const bool facts_changed = before != port.v6;
  if (facts_changed) { hooks_.dirty("ipv6"); }
  if (facts_changed || sources_before != port.sources6 || router_before != port.router6) {
    hooks_.changed(port);
  }
}

/// Known ones first, in their order: whatever else routers advertise, a path's source stays what it
/// is.
void Ports::read_addresses6(Port& port, const ObservedState& observed) {
  std::vector<std::tuple<std::ptrdiff_t, std::size_t, const netmodel::Address*>> here;
  for (const auto& address : observed.addresses) {
    const IpAddress& ip = address.prefix.address;
    if (address.link == port.l3 && ip.family == Family::v6 && !ip.is_link_local()) {
      const auto place = std::ranges::find(port.v6.seen, address.prefix) - port.v6.seen.begin();
      here.emplace_back(place, here.size(), &address);
    }
  }
  std::ranges::sort(here);
  std::vector<IpPrefix> seen;
  std::vector<Address6> usable;
  for (const auto& [place, order, address] : here) {
    const bool leased = std::ranges::find(port.v6.owned, address->prefix) != port.v6.owned.end();
    if (!address->ours) { seen.push_back(address->prefix); }
    if (!address->ours || leased) {
      usable.push_back({address->prefix.address, address->state, leased});
    }
  }
  port.v6.seen = std::move(seen);
  port.sources6 = choose_sources(usable);
}

void Ports::tell_lost(const Port& port, const std::set<IpAddress>& before) {
  const std::set<IpAddress> now = port.addresses();
  for (const IpAddress& address : before) {
    if (!now.contains(address)) { hooks_.address_lost(port, address); }
  }
}

void Ports::on_neighbour(const netmodel::NeighbourEvent& event) {
  for (auto& [key, port] : ports_) {
    if (!port.leads() || port.l3 != event.neighbour.link) { continue; }
    if (event.neighbour.address.family == Family::v6) {
      on_router6(port, event.neighbour);
    } else {
      on_gateway(port, event.neighbour);
    }
  }
}

void Ports::on_gateway(Port& port, const netmodel::Neighbour& neighbour) {
  if (!port.lease || port.lease->default_gateway() != neighbour.address) { return; }
  std::optional<bool> reachable = port.gateway_reachable;
  if (neighbour.failed) { reachable = false; }
  if (neighbour.confirmed) { reachable = true; }
  const bool other_mac = neighbour.confirmed && neighbour.mac && port.lease->gateway_mac &&
                         *neighbour.mac != *port.lease->gateway_mac;
  if (other_mac && port.dhcp) { port.dhcp->revalidate("the gateway's MAC changed"); }
  if (reachable == port.gateway_reachable) { return; }
  port.gateway_reachable = reachable;
  hooks_.changed(port);
}

/// One that does not answer is left for another one, long before its lifetime is over. It counts
/// again as soon as it is heard.
void Ports::on_router6(Port& port, const netmodel::Neighbour& neighbour) {
  const IpAddress& router = neighbour.address;
  if (std::ranges::find(port.routers6, router) == port.routers6.end()) { return; }
  if (neighbour.failed) {
    port.failed_routers6.insert(router);
  } else if (neighbour.mac) {
    port.failed_routers6.erase(router);
  }
  const auto chosen = choose_router(port.routers6, port.v6.default_gateway, port.failed_routers6);
  if (chosen == port.v6.default_gateway) { return; }
  if (port.v6.default_gateway && chosen) {
    events_.add("router.changed", {{"port", port.name},
                                   {"from", to_string(*port.v6.default_gateway)},
                                   {"to", to_string(*chosen)},
                                   {"reason", "it does not answer neighbour discovery"}});
  }
  port.v6.default_gateway = chosen;
  hooks_.dirty("ipv6");
  hooks_.changed(port);
}

}  // namespace edge::uplink
