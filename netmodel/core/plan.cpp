#include "netmodel/core/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/normalise.hpp"
#include "netmodel/core/plan_builder.hpp"

namespace edge::netmodel {

namespace {

constexpr std::size_t nft_lines_max = 1000;

/// As commands, or as a count where nobody would read them: text for 10,000 elements costs more
/// than their commit.
std::vector<std::string> nft_difference(const NftState& there, const NftState& wanted) {
  const auto missing = [](const auto& from, const auto& in) {  // Both sorted.
    std::size_t count = 0;
    auto rest = in.begin();
    for (const auto& entry : from) {
      while (rest != in.end() && *rest < entry) { ++rest; }
      if (rest == in.end() || *rest != entry) { ++count; }
    }
    return count;
  };
  const std::size_t added = missing(wanted.publications, there.publications);
  const std::size_t removed = missing(there.publications, wanted.publications);
  const std::size_t ports_added = missing(wanted.guest_ports, there.guest_ports);
  const std::size_t ports_removed = missing(there.guest_ports, wanted.guest_ports);
  constexpr std::size_t lines_of_port = 5;
  const std::size_t lines = added + removed + lines_of_port * (ports_added + ports_removed);
  if (lines <= nft_lines_max) { return difference_text(there, wanted); }
  return {
      fmt::format("# tables inet and bridge {}: {} publications added, {} removed; {} guests' "
                  "ports added, {} removed",
                  our_nft_table, added, removed, ports_added, ports_removed)};
}

bool has_rule(const std::vector<Rule>& rules, const Rule& rule) {
  return std::ranges::binary_search(
      rules, rule, [](const Rule& a, const Rule& b) { return comes_before(a, b); });
}

/// The first entry of that link and prefix, whatever its marks; nullptr: none.
const Address* find_address(const std::vector<Address>& addresses, const Address& address) {
  const Address first{
      .link = address.link, .prefix = address.prefix, .no_prefix_route = false, .ours = false};
  const auto found = std::ranges::lower_bound(
      addresses, first, [](const Address& a, const Address& b) { return comes_before(a, b); });
  const bool same =
      found != addresses.end() && found->link == first.link && found->prefix == first.prefix;
  return same ? &*found : nullptr;
}

}  // namespace

std::string sysctl_link(const std::string& path) {
  for (const std::string_view prefix : {"net/ipv4/conf/", "net/ipv6/conf/"}) {
    if (!path.starts_with(prefix)) { continue; }
    const auto slash = path.find('/', prefix.size());
    std::string link = path.substr(prefix.size(), slash - prefix.size());
    return link == "all" || link == "default" ? std::string() : link;
  }
  return {};
}

PlanBuilder::PlanBuilder(const DesiredState& desired, const ObservedState& observed)
    : desired_(desired), observed_(observed) {
  for (const Link& link : desired.links) { wanted_[link.name] = &link; }
  for (const ObservedLink& link : observed.links) { there_[link.link.name] = &link; }
  for (const Sysctl& sysctl : observed.sysctls) { observed_sysctls_[sysctl.path] = sysctl.value; }
  for (const Sysctl& sysctl : desired.sysctls) {
    wanted_sysctls_[sysctl_link(sysctl.path)].push_back(&sysctl);
  }
}

const Link* PlanBuilder::wanted_link(const std::string& name) const {
  const auto found = wanted_.find(name);
  return found == wanted_.end() ? nullptr : found->second;
}

const ObservedLink* PlanBuilder::standing(const std::string& name) const {
  const auto found = there_.find(name);
  return found == there_.end() || recreated_.contains(name) ? nullptr : found->second;
}

bool PlanBuilder::address_is_there(const Address& address) const {
  return !recreated_.contains(address.link) &&
         std::ranges::binary_search(
             observed_.addresses, address,
             [](const Address& a, const Address& b) { return comes_before(a, b); });
}

/// First of all: a guest's first packet must meet the rules, not the window before them.
void PlanBuilder::nft(const NftState& wanted, const std::optional<NftState>& there) {
  if (there && *there == wanted) { return; }
  CommitNft commit{wanted};
  if (there) { commit.difference = nft_difference(*there, wanted); }
  emit(std::move(commit));
}

void PlanBuilder::global_sysctls() {
  for (const Sysctl* sysctl : wanted_sysctls_[""]) {
    if (sysctl->path == ipv6_forwarding_path && sysctl->value == "1") { keep_foreign_routers(); }
    const auto found = observed_sysctls_.find(sysctl->path);
    if (found == observed_sysctls_.end() || found->second == sysctl->value) { continue; }
    emit(SetSysctl{*sysctl});
  }
}

/// A machine that forwards hears routers only where accept_ra is 2, and drops what it has heard
/// elsewhere (rt6_purge_dflt_routers(), net/ipv6/route.c): facts/netmodel.md T12. Also on a link
/// that has heard none so far: after a reboot forwarding begins before other links are up. Where it
/// is 0 the routes are a program's (networkd, NetworkManager), which the kernel leaves alone; a
/// link in a bridge or bond hears nothing itself. Nothing is observed where forwarding is not our
/// doing.
void PlanBuilder::keep_foreign_routers() {
  for (const auto& [name, link] : there_) {
    const bool foreign = !link->ours() && wanted_link(name) == nullptr;
    if (!foreign || !link->link.master.empty() || name == "lo") { continue; }
    const std::string path = accept_ra_path(link->link.name);
    const auto present = observed_sysctls_.find(path);
    const bool loses = present != observed_sysctls_.end() && present->second == "1";
    if (loses) { emit(SetSysctl{{path, "2"}}); }
  }
}

void PlanBuilder::addresses() {
  for (const Address& wanted : desired_.addresses) {
    if (is_blocked(wanted.link) || added_.contains({wanted.link, wanted.prefix})) { continue; }
    if (address_is_there(wanted)) { continue; }
    const Address* other =
        recreated_.contains(wanted.link) ? nullptr : find_address(observed_.addresses, wanted);
    if (other != nullptr && other->no_prefix_route != wanted.no_prefix_route) {
      // NLM_F_REPLACE leaves IFA_F_NOPREFIXROUTE of an IPv4 address as it is (inet_rtm_newaddr):
      // off, then on.
      emit(RemoveAddress{*other});
      flushed_.insert({wanted.link, wanted.prefix.address});
    }
    emit(AddAddress{wanted});
  }
}

void PlanBuilder::routes() {
  std::multimap<RouteKey, const Route*> ours;
  std::map<RouteKey, const Route*> foreign;
  for (const Route& route : observed_.routes) {
    const bool lost = recreated_.contains(route.link) ||
                      (route.source && flushed_.contains({route.link, *route.source}));
    if (lost) { continue; }
    if (route.protocol == our_protocol) {
      ours.emplace(key_of(route), &route);
    } else {
      foreign.emplace(key_of(route), &route);
    }
  }
  std::vector<const Route*> wanted;
  wanted.reserve(desired_.routes.size());
  for (const Route& route : desired_.routes) { wanted.push_back(&route); }
  // A gateway must be reachable when its route comes: on-link routes first.
  put_first(wanted, [](const Route* r) { return !r->gateway; });
  for (const Route* route : wanted) {
    if (is_blocked(route->link)) { continue; }
    const auto [first, last] = ours.equal_range(key_of(*route));
    const bool there =
        std::any_of(first, last, [&](const auto& entry) { return *entry.second == *route; });
    const bool done =
        routes_done_.contains(route->link) && route->destination.address.family == Family::v4;
    if (there || done) { continue; }
    const auto rival = foreign.find(key_of(*route));
    if (rival != foreign.end() && first == last) {
      conflict(
          route->link,
          fmt::format("a route to {} with metric {} in table {} exists and is not ours; remove it",
                      to_string(route->destination), route->metric, route->table));
      continue;
    }
    emit(AddRoute{*route});
  }
}

void PlanBuilder::rules() {
  for (const Rule& rule : desired_.rules) {
    if (is_blocked(rule.out_link) || is_blocked(rule.in_link)) { continue; }
    if (!has_rule(observed_.rules, rule)) { emit(AddRule{rule}); }
  }
}

bool PlanBuilder::loses_ipv6(const std::string& link) const {
  const Sysctl off{fmt::format("net/ipv6/conf/{}/disable_ipv6", link), "1"};
  const auto wanted = wanted_sysctls_.find(link);
  return wanted != wanted_sysctls_.end() &&
         std::ranges::any_of(wanted->second, [&](const Sysctl* s) { return *s == off; });
}

/// After everything new stands: what is ours and not wanted.
void PlanBuilder::stale() {
  const Rule* previous = nullptr;
  for (const Rule& rule : observed_.rules) {
    const bool repeat = previous != nullptr && *previous == rule;
    previous = &rule;
    if (rule.protocol != our_protocol) { continue; }
    const bool wanted = has_rule(desired_.rules, rule);
    if (!wanted || repeat) { emit(RemoveRule{rule}); }
  }
  const auto leaves = [&](const std::string& link) {  // Its addresses and routes go with it.
    const auto found = there_.find(link);
    return recreated_.contains(link) ||
           (found != there_.end() && found->second->ours() && wanted_link(link) == nullptr);
  };
  // Writing disable_ipv6 took them away.
  const auto flushed = [&](const std::string& link, Family family) {
    return family == Family::v6 && loses_ipv6(link);
  };
  std::map<RouteKey, const Route*> wanted_routes;
  for (const Route& route : desired_.routes) { wanted_routes.emplace(key_of(route), &route); }
  std::multimap<RouteKey, const Route*> ours;
  for (const Route& route : observed_.routes) {
    if (route.protocol == our_protocol) { ours.emplace(key_of(route), &route); }
  }
  std::vector<const Route*> gone;
  for (const auto& [key, route] : ours) {
    if (leaves(route->link) || flushed(route->link, route->destination.address.family)) {
      continue;
    }
    const auto wanted = wanted_routes.find(key);
    const bool same = wanted != wanted_routes.end() && *wanted->second == *route;
    // Of one key the wanted one was written over the first of ours.
    const bool replaced =
        wanted != wanted_routes.end() && ours.find(key)->second == route &&
        std::none_of(ours.lower_bound(key), ours.upper_bound(key),
                     [&](const auto& entry) { return *entry.second == *wanted->second; });
    if (!same && !replaced) { gone.push_back(route); }
  }
  put_first(gone, [](const Route* r) { return r->gateway.has_value(); });
  for (const Route* route : gone) { emit(RemoveRoute{*route}); }
  for (const Address& address : observed_.addresses) {
    if (!address.ours || leaves(address.link)) { continue; }
    if (flushed(address.link, address.prefix.address.family)) { continue; }
    const Link* link = wanted_link(address.link);
    if (link != nullptr && is_adapter(*link) && address.prefix.address.family == Family::v4) {
      continue;
    }  // Moved.
    const bool wanted = find_address(desired_.addresses, address) != nullptr;
    if (!wanted) { emit(RemoveAddress{address}); }
  }
  stale_links();
}

Planned make_plan(const DesiredState& desired, const NftState& nft, const ObservedState& observed,
                  const std::optional<NftState>& observed_nft) {
  const DesiredState want = normalise(desired);
  const ObservedState have = normalise(observed);
  PlanBuilder builder(want, have);
  builder.nft(nft, observed_nft);
  builder.global_sysctls();
  builder.links();
  builder.addresses();
  builder.routes();
  builder.rules();
  builder.stale();
  return builder.take();
}

Plan make_purge_plan(const ObservedState& observed, bool nft_table_present) {
  const DesiredState nothing;
  const ObservedState have = normalise(observed);
  PlanBuilder builder(nothing, have);
  builder.stale();
  Plan plan = builder.take().plan;
  if (nft_table_present) { plan.insert(plan.begin(), DeleteNft{}); }
  return plan;
}

std::string accept_ra_path(std::string_view link) {
  return fmt::format("net/ipv6/conf/{}/accept_ra", link);
}

std::vector<std::string> sysctl_paths(const DesiredState& desired) {
  std::vector<std::string> out;
  out.reserve(desired.sysctls.size());
  for (const Sysctl& sysctl : desired.sysctls) { out.push_back(sysctl.path); }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

}  // namespace edge::netmodel
