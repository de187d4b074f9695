// What the ports are to whoever renders, validates or dials.
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

namespace {

std::optional<netmodel::LeaseFacts> lease_facts(const Port& port) {
  if (!port.lease) { return std::nullopt; }
  netmodel::LeaseFacts lease;
  lease.address = port.lease->address;
  lease.routers = port.lease->routers;
  for (const auto& route : port.lease->routes) {
    lease.classless_routes.push_back({route.destination, route.gateway});
  }
  lease.dns = port.lease->dns;
  lease.mtu = port.lease->mtu;
  return lease;
}

}  // namespace

std::vector<netmodel::AdapterFacts> Ports::adapter_facts() const {
  std::vector<netmodel::AdapterFacts> out;
  for (const auto& [key, port] : ports_) {
    // A group whose leader is away lives on under its name while another card of it is here. A
    // bridge without any card stays while somebody else's port is in it: that would not come back
    // with the card.
    const bool absent_leader =
        !port.present && port.leads() && (port.live || kept_bridges_.contains(port.bridge));
    if (port.table == 0 || (!port.present && !absent_leader)) { continue; }
    const Port& leader = leader_of(port);
    // A lease that is not proven on the wire as it is plugged now keeps its address, not its
    // routes.
    const bool proven = !leader.lease || leader.lease_usable() || leader.standing;
    netmodel::AdapterFacts facts;
    facts.present = port.present;
    facts.name = port.name;
    facts.base_mac = port.base_mac;
    facts.table = port.table;
    facts.mtu = port.own_mtu == 0 ? port.mtu : port.own_mtu;
    facts.mtu_min = port.mtu_min;
    facts.mtu_max = port.mtu_max;
    facts.speed_mbps = port.speed_mbps;
    facts.carrier = proven && (absent_leader ? port.carrier : port.card_carrier);
    facts.locally_disabled = port.locally_disabled();
    facts.drained = port.drained_until.has_value();
    if (port.leads()) {
      facts.v6 = port.v6;
      if (port.live) { facts.lease = lease_facts(port); }
    }
    out.push_back(std::move(facts));
  }
  return out;
}

std::vector<netmodel::KnownAdapter> Ports::known_adapters() const {
  std::vector<netmodel::KnownAdapter> out;
  for (const auto& [key, port] : ports_) {
    if (!port.present) { continue; }
    out.push_back({port.base_mac, port.name, port.mtu_min, port.mtu_max, port.speed_mbps});
  }
  return out;
}

std::vector<netmodel::TakenPrefix> Ports::taken() const {
  std::vector<netmodel::TakenPrefix> out = foreign_;
  for (const auto& [key, port] : ports_) {
    if (port.lease) {
      out.push_back({port.lease->address.network(), "the lease of port \"" + port.name + "\""});
    }
    for (const auto& seen : port.v6.seen) {
      out.push_back({seen.network(), "the IPv6 network of port \"" + port.name + "\""});
    }
  }
  return out;
}

PortFacts Ports::path_facts(const Port& port, unsigned rank) const {
  PortFacts facts;
  facts.port = port.key;
  facts.name = port.name;
  facts.drained = port.drained_until.has_value();
  facts.admin_up = !port.disabled;
  facts.carrier = port.carrier;
  if (port.lease_usable() && port.address_ready) {
    facts.addresses.push_back(port.lease->address.address);
  }
  if (port.carrier) {
    // A dial takes one: more of them, and a router may give any number, change nothing.
    if (port.sources6.dial) { facts.addresses.push_back(*port.sources6.dial); }
    facts.others = port.sources6.others;
    facts.leaving = port.sources6.leaving;
    facts.router6 = port.router6;
  }
  facts.gateway_reachable = port.gateway_reachable;
  facts.rank = rank;
  return facts;
}

}  // namespace edge::uplink
