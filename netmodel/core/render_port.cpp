#include "netmodel/core/render_port.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint32_t route_mtu_min =
    576;  ///< RFC 791: below it the option is a mistake or an attack.
constexpr std::size_t classless_routes_max = 64;

/// Network and broadcast address: no neighbour has them, and the kernel takes no route by them.
bool is_edge(const IpPrefix& connected, const IpAddress& address) {
  return connected.length <= 30 &&
         (address == connected.address || address == connected.broadcast());
}

class PortRenderer {
 public:
  PortRenderer(const PortScene& scene, Rendered& out)
      : port_(scene.port),
        adapter_(scene.leader),
        facts_(scene.facts),
        out_(out),
        l3_(scene.port.l3),
        metric_(metric_first + metric_step * static_cast<std::uint32_t>(scene.rank) +
                (scene.leader.drained ? metric_drained : 0)) {}

  void sysctls();
  void rules();
  void lease();
  void v6();
  void uplink();

 private:
  void note(std::string_view kind, std::string_view text) {
    out_.notes.push_back(
        {std::string(kind), fmt::format("{}: {}", port_label(port_, adapter_), text)});
  }
  void add_rule(Rule rule) {
    rule.table = adapter_.table;
    out_.state.rules.push_back(std::move(rule));
  }
  void add_route(Route route) {
    route.link = l3_;
    out_.state.routes.push_back(std::move(route));
  }
  void lease_routes(const LeaseFacts& lease);
  std::vector<Route> gateway_routes(const LeaseFacts& lease, const Route& form,
                                    const IpPrefix& connected);
  bool leased() const { return port_.enabled && adapter_.lease && is_sound(*adapter_.lease); }

  const GroupPort& port_;
  const AdapterFacts& adapter_;
  const RenderFacts& facts_;
  Rendered& out_;
  const std::string& l3_;
  std::uint32_t metric_;
};

void PortRenderer::sysctls() {
  const auto set = [&](std::string_view form, std::string_view link, std::string_view value) {
    out_.state.sysctls.push_back({fmt::format(fmt::runtime(form), link), std::string(value)});
  };
  set("net/ipv4/conf/{}/rp_filter", l3_, "2");
  set("net/ipv4/conf/{}/src_valid_mark", l3_, "1");
  set("net/ipv4/conf/{}/accept_local", l3_, "0");
  set("net/ipv4/conf/{}/arp_ignore", l3_, "1");
  set("net/ipv4/conf/{}/arp_announce", l3_, "2");
  set("net/ipv4/conf/{}/ignore_routes_with_linkdown", l3_, "1");
  // When a lease changes inside its subnet the new address is a secondary one: it outlives the old
  // one only with this.
  set("net/ipv4/conf/{}/promote_secondaries", l3_, "1");
  if (!facts_.ipv6) { return; }
  set("net/ipv6/conf/{}/accept_ra", l3_, "2");
  set("net/ipv6/conf/{}/ignore_routes_with_linkdown", l3_, "1");
}

void PortRenderer::rules() {
  for (const Family family : {Family::v4, Family::v6}) {
    if (family == Family::v6 && !facts_.ipv6) { continue; }
    out_.state.rules.push_back(
        {.priority = rule_forwarded, .family = family, .in_link = l3_, .table = table_main});
    add_rule({.priority = rule_mark, .family = family, .mark = adapter_.table});
    add_rule({.priority = rule_oif, .family = family, .out_link = l3_});
  }
}

void PortRenderer::lease() {
  if (adapter_.lease && !is_sound(*adapter_.lease)) {
    note("lease.ignored",
         fmt::format("the lease {} is not a host address", to_string(adapter_.lease->address)));
  }
  if (!leased()) { return; }
  const IpAddress own = adapter_.lease->address.address;
  out_.state.addresses.push_back({.link = l3_, .prefix = adapter_.lease->address});
  add_rule({.priority = rule_source, .from = IpPrefix{own, 32}});
  if (port_.usable) { lease_routes(*adapter_.lease); }
}

/// The connected route and the way out, in the port's own table and, below the others' metrics, in
/// main. Option 121 stays in the port's table but for a default route: what one server pushes is no
/// business of other ports.
void PortRenderer::lease_routes(const LeaseFacts& lease) {
  const IpPrefix connected = lease.address.network();
  Route form{.table = adapter_.table, .destination = connected, .source = lease.address.address};
  if (lease.mtu && *lease.mtu < port_.mtu) {
    if (*lease.mtu >= route_mtu_min) {
      form.mtu = lease.mtu;
    } else {
      note("lease.ignored",
           fmt::format("DHCP option MTU {} is below {}", *lease.mtu, route_mtu_min));
    }
  }
  std::vector<Route> routes;
  if (connected.length < 32) { routes.push_back(form); }
  std::ranges::copy(gateway_routes(lease, form, connected), std::back_inserter(routes));
  for (const Route& route : routes) {
    const bool in_main = route.destination == connected || route.destination.length == 0;
    if (in_main) {
      Route main = route;
      main.table = table_main;
      main.metric = metric_;
      add_route(std::move(main));
    }
    add_route(route);
  }
}

/// RFC 3442: with option 121 the router option is ignored.
std::vector<Route> PortRenderer::gateway_routes(const LeaseFacts& lease, const Route& form,
                                                const IpPrefix& connected) {
  std::vector<ClasslessRoute> wanted = lease.classless_routes;
  if (wanted.empty() && !lease.routers.empty()) {
    wanted.push_back({.destination = IpPrefix{}, .gateway = lease.routers.front()});
  }
  std::vector<Route> out;
  for (const ClasslessRoute& item : wanted) {
    Route route = form;
    route.destination = item.destination.network();
    const bool on_link = !item.gateway || item.gateway->is_unspecified();
    const IpAddress& first = route.destination.address;
    const bool bad_target =
        first.family != Family::v4 || first.is_multicast() || first.is_loopback();
    const bool bad_gateway =
        !on_link && (!is_unicast_host(*item.gateway) || item.gateway->family != Family::v4 ||
                     *item.gateway == lease.address.address || is_edge(connected, *item.gateway));
    if (bad_target || bad_gateway || out.size() >= classless_routes_max) {
      note("lease.ignored",
           fmt::format("route {} via {} is not usable", to_string(item.destination),
                       item.gateway ? to_string(*item.gateway) : "link"));
      continue;
    }
    const bool known = route.destination == connected ||
                       std::ranges::any_of(
                           out, [&](const Route& r) { return r.destination == route.destination; });
    if (known) { continue; }  // The first one counts.
    if (!on_link) {
      route.gateway = item.gateway;
      // A host lease (/32) or a router beside the subnet: reached on the wire all the same.
      route.on_link_gateway = connected.length == 32 || !connected.contains(*item.gateway);
    }
    out.push_back(std::move(route));
  }
  return out;
}

/// Addresses of RAs are the kernel's; we give their port a table, so that each port has its own way
/// out.
void PortRenderer::v6() {
  if (!facts_.ipv6 || !port_.enabled) { return; }
  std::vector<IpPrefix> all = adapter_.v6.seen;
  for (const IpPrefix& owned : adapter_.v6.owned) {
    out_.state.addresses.push_back({.link = l3_, .prefix = owned});
    all.push_back(owned);
  }
  std::vector<IpPrefix> networks;
  for (const IpPrefix& prefix : all) {
    add_rule(
        {.priority = rule_source, .family = Family::v6, .from = IpPrefix{prefix.address, 128}});
    const IpPrefix network = prefix.network();
    if (prefix.length == 128 || std::ranges::find(networks, network) != networks.end()) {
      continue;
    }
    networks.push_back(network);
  }
  if (!port_.usable) { return; }
  for (const IpPrefix& network : networks) {
    add_route({.table = adapter_.table, .destination = network, .metric = metric_v6});
  }
  if (adapter_.v6.default_gateway) {
    add_route({.table = adapter_.table,
               .destination = {IpAddress{Family::v6, {}}, 0},
               .gateway = adapter_.v6.default_gateway,
               .metric = metric_v6});
  }
}

void PortRenderer::uplink() {
  UplinkPort uplink{.bridge = l3_, .mark = adapter_.table};
  if (leased()) { uplink.addresses.push_back(adapter_.lease->address.address); }
  const bool speaks_ipv6 = facts_.ipv6 && port_.enabled;
  for (const auto& list : {adapter_.v6.seen, adapter_.v6.owned}) {
    for (const IpPrefix& prefix : list) {
      if (speaks_ipv6) { uplink.addresses.push_back(prefix.address); }
    }
  }
  out_.nft.uplinks.push_back(std::move(uplink));
}

}  // namespace

bool is_usable(const AdapterSettings& settings, const AdapterFacts& adapter) {
  return settings.enabled && !adapter.locally_disabled && adapter.carrier;
}

bool is_unicast_host(const IpAddress& address) {
  const bool reserved_v4 =
      address.family == Family::v4 && (address.bytes[0] == 0 || address.bytes[0] >= 240);
  return !reserved_v4 && !address.is_unspecified() && !address.is_multicast() &&
         !address.is_loopback();
}

bool is_sound(const LeaseFacts& lease) {
  const IpPrefix& address = lease.address;
  if (address.address.family != Family::v4 || address.length == 0 || address.length > 32) {
    return false;
  }
  if (!is_unicast_host(address.address)) { return false; }
  if (address.length >= 31) { return true; }
  return address.address != address.network().address && address.address != address.broadcast();
}

void render_port(const PortScene& scene, Rendered& out) {
  render_group_links(scene, out);
  PortRenderer port(scene, out);
  port.sysctls();
  port.rules();
  port.lease();
  port.v6();
  port.uplink();
}

}  // namespace edge::netmodel
