#include "netmodel/core/normalise.hpp"

#include <algorithm>
#include <tuple>

namespace edge::netmodel {
namespace {

constexpr std::uint32_t metric_v6_default = 1024;  // IP6_RT_PRIO_USER, include/net/ip6_route.h.

auto key_of(const Link& link) { return std::tie(link.name); }
auto key_of(const ObservedLink& observed) { return std::tie(observed.link.name); }
auto key_of(const Address& a) { return std::tie(a.link, a.prefix, a.no_prefix_route, a.ours); }
auto key_of(const Route& r) {
  return std::tie(r.table, r.destination, r.metric, r.type, r.link, r.gateway, r.source,
                  r.on_link_gateway, r.mtu, r.protocol);
}
auto key_of(const Rule& r) {
  return std::tie(r.priority, r.family, r.from, r.to, r.in_link, r.out_link, r.mark, r.mark_mask,
                  r.table, r.protocol);
}
auto key_of(const Sysctl& s) { return std::tie(s.path, s.value); }

template <class T>
void sort_by_key(std::vector<T>& items) {
  std::ranges::sort(items, [](const T& a, const T& b) { return key_of(a) < key_of(b); });
}

template <class T>
void drop_repeats(std::vector<T>& items) {
  items.erase(std::ranges::unique(items).begin(), items.end());
}

/// What both kinds of state have in common.
template <class State>
void normalise_all(State& state) {
  for (Route& route : state.routes) { route = normalise(std::move(route)); }
  for (Rule& rule : state.rules) { rule = normalise(std::move(rule)); }
  for (Sysctl& sysctl : state.sysctls) { sysctl = normalise(std::move(sysctl)); }
  sort_by_key(state.links);
  sort_by_key(state.addresses);
  sort_by_key(state.routes);
  sort_by_key(state.rules);
  sort_by_key(state.sysctls);
}

std::optional<IpPrefix> selector(const std::optional<IpPrefix>& prefix) {
  if (!prefix || prefix->length == 0) { return std::nullopt; }  // "from all" is no selector.
  return prefix->network();
}

}  // namespace

bool comes_before(const Rule& a, const Rule& b) { return key_of(a) < key_of(b); }
bool comes_before(const Address& a, const Address& b) { return key_of(a) < key_of(b); }

Route normalise(Route route) {
  route.destination = route.destination.network();
  if (route.destination.address.family == Family::v6 && route.metric == 0) {
    route.metric = metric_v6_default;
  }
  if (route.gateway && route.gateway->is_unspecified()) { route.gateway.reset(); }
  if (route.source && route.source->is_unspecified()) { route.source.reset(); }
  if (!route.gateway) { route.on_link_gateway = false; }
  // Blackhole and unreachable of IPv6 are shown on lo.
  if (route.type != RouteType::unicast) { route.link.clear(); }
  return route;
}

Rule normalise(Rule rule) {
  rule.from = selector(rule.from);
  rule.to = selector(rule.to);
  if (!rule.mark) { rule.mark_mask = 0xffffffff; }
  return rule;
}

Sysctl normalise(Sysctl sysctl) {
  constexpr std::string_view blank = " \t\r\n";
  const auto first = sysctl.value.find_first_not_of(blank);
  const auto last = sysctl.value.find_last_not_of(blank);
  sysctl.value = first == std::string::npos ? "" : sysctl.value.substr(first, last - first + 1);
  return sysctl;
}

DesiredState normalise(DesiredState desired) {
  normalise_all(desired);
  drop_repeats(desired.links);
  drop_repeats(desired.addresses);
  drop_repeats(desired.routes);
  drop_repeats(desired.rules);
  drop_repeats(desired.sysctls);
  return desired;
}

// Repeats stay: the kernel lets one rule stand twice, and the second one has to go.
ObservedState normalise(ObservedState observed) {
  normalise_all(observed);
  return observed;
}

}  // namespace edge::netmodel
