// FakeKernel: addresses, routes, rules, sysctls and the nft table.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.hpp"
#include "tests/fake/fake_kernel.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint32_t metric_ipv6_default = 1024;  // IP6_RT_PRIO_USER
constexpr std::uint32_t metric_ipv6_prefix = 256;    // IP6_RT_PRIO_ADDRCONF
constexpr std::string_view interface_folders[] = {"net/ipv4/conf/", "net/ipv6/conf/",
                                                  "net/ipv4/neigh/", "net/ipv6/neigh/"};

bool same_key(const Address& a, const Address& b) {
  return a.link == b.link && a.prefix == b.prefix;
}

bool same_subnet(const Address& a, const Address& b) {
  return a.link == b.link && a.prefix.length == b.prefix.length &&
         a.prefix.network() == b.prefix.network();
}

/// The kernel's key for NLM_F_REPLACE.
bool same_key(const Route& a, const Route& b) {
  return a.table == b.table && a.destination == b.destination && a.metric == b.metric;
}

}  // namespace

void FakeKernel::add_prefix_route(const Address& address) {
  const ObservedLink* link = find(address.link);
  const std::uint8_t length = address.prefix.length;
  if (address.no_prefix_route || link == nullptr || !link->link.admin_up ||
      length == address.prefix.address.bits()) {
    return;
  }
  Route route;
  route.destination = address.prefix.network();
  route.link = address.link;
  route.protocol = protocol_kernel;
  const bool v4 = address.prefix.address.family == Family::v4;
  if (v4) { route.source = address.prefix.address; }
  route.metric = v4 ? 0 : metric_ipv6_prefix;
  const bool present = std::ranges::any_of(state_.routes, [&](const Route& other) {
    return same_key(other, route) && other.link == route.link;
  });
  if (!present) { state_.routes.push_back(std::move(route)); }
}

void FakeKernel::drop_routes_of(std::string_view link, std::optional<Family> family) {
  std::erase_if(state_.routes, [&](const Route& route) {
    return route.link == link && (!family || route.destination.address.family == *family);
  });
}

void FakeKernel::drop_prefix_route(const Address& address) {
  std::erase_if(state_.routes, [&](const Route& route) {
    return route.protocol == protocol_kernel && route.link == address.link &&
           route.destination == address.prefix.network();
  });
}

/// Source: fib_del_ifaddr(), fib_sync_down_addr(), fib_inetaddr_event().
void FakeKernel::drop_address(const Address& address) {
  std::erase_if(state_.addresses, [&](const Address& other) { return same_key(other, address); });
  const Family family = address.prefix.address.family;
  const bool v4 = family == Family::v4;
  if (!v4 && !address.no_prefix_route) { drop_prefix_route(address); }
  // While another link carries the same address it stays local, and routes with this source stay
  // as well, but for the prefix route of the address itself. Source: fib_del_ifaddr().
  const bool still_local = std::ranges::any_of(state_.addresses, [&](const Address& other) {
    return other.prefix.address == address.prefix.address;
  });
  std::erase_if(state_.routes, [&](const Route& route) {
    const bool own_prefix = route.protocol == protocol_kernel && route.link == address.link;
    return v4 && route.table == table_main && route.source == address.prefix.address &&
           (!still_local || own_prefix);
  });
  const bool none_left = std::ranges::none_of(state_.addresses, [&](const Address& other) {
    return other.link == address.link && other.prefix.address.family == family;
  });
  if (none_left && v4) { drop_routes_of(address.link, family); }
}

Result<void> FakeKernel::write(const AddAddress& operation) {
  const Address& address = operation.address;
  const ObservedLink* link = find(address.link);
  if (link == nullptr) { return fail_errno(ENODEV, "link " + address.link); }
  const bool v6 = address.prefix.address.family == Family::v6;
  if (v6 && read("net/ipv6/conf/" + address.link + "/disable_ipv6") == "1") {
    return fail_errno(EACCES, "IPv6 is disabled on this device");
  }
  const auto existing = std::ranges::find_if(
      state_.addresses, [&](const Address& other) { return same_key(other, address); });
  if (existing != state_.addresses.end()) {
    existing->ours = address.ours;
    if (v6) {  // IPv4 keeps its flags: address.hpp.
      existing->no_prefix_route = address.no_prefix_route;
      if (address.no_prefix_route) { drop_prefix_route(address); }
    }
    return {};
  }
  state_.addresses.push_back(address);
  add_prefix_route(address);
  return {};
}

Result<void> FakeKernel::write(const RemoveAddress& operation) {
  const Address wanted = operation.address;
  if (find(wanted.link) == nullptr) { return fail_errno(ENODEV, "link " + wanted.link); }
  const auto found = std::ranges::find_if(
      state_.addresses, [&](const Address& other) { return same_key(other, wanted); });
  if (found == state_.addresses.end()) { return fail_errno(EADDRNOTAVAIL, "address"); }
  const Address removed = *found;
  const auto primary = std::ranges::find_if(
      state_.addresses, [&](const Address& other) { return same_subnet(other, removed); });
  const bool v4 = removed.prefix.address.family == Family::v4;
  const bool takes_secondaries =
      v4 && primary == found &&
      read("net/ipv4/conf/" + removed.link + "/promote_secondaries") != "1" &&
      read("net/ipv4/conf/all/promote_secondaries") != "1";
  std::vector<Address> going{removed};
  if (takes_secondaries) {
    std::ranges::copy_if(state_.addresses, std::back_inserter(going), [&](const Address& other) {
      return same_subnet(other, removed) && !same_key(other, removed);
    });
  }
  for (const Address& address : going) { drop_address(address); }
  for (const Address& address : state_.addresses) {
    if (address.link == removed.link) {
      add_prefix_route(address);
    }  // A promoted one takes it over.
  }
  return {};
}

Result<void> FakeKernel::check_gateway(const Route& route) const {
  if (!route.gateway || route.on_link_gateway) { return {}; }
  const IpAddress& gateway = *route.gateway;
  if (gateway.family == Family::v6 && gateway.is_link_local()) { return {}; }
  const bool reachable = std::ranges::any_of(state_.routes, [&](const Route& other) {
    return other.link == route.link && !other.gateway && other.destination.contains(gateway) &&
           (other.table == route.table || other.table == table_main);
  });
  if (reachable) { return {}; }
  return fail_errno(gateway.family == Family::v4 ? ENETUNREACH : EHOSTUNREACH, "invalid gateway");
}

Result<void> FakeKernel::write(const AddRoute& operation) {
  Route route = operation.route;
  if (route.destination != route.destination.network()) {
    return fail_errno(EINVAL, "host bits set");
  }
  if (route.type == RouteType::unicast) {
    const ObservedLink* link = find(route.link);
    if (link == nullptr) { return fail_errno(ENODEV, "link " + route.link); }
    if (!link->link.admin_up) { return fail_errno(ENETDOWN, "nexthop device is not up"); }
    EDGE_TRY(check_gateway(route));
  }
  const bool source_is_ours =
      !route.source || std::ranges::any_of(state_.addresses, [&](const Address& address) {
        return address.prefix.address == *route.source;
      });
  if (!source_is_ours) { return fail_errno(EINVAL, "invalid prefsrc address"); }
  if (route.destination.address.family == Family::v6 && route.metric == 0) {
    route.metric = metric_ipv6_default;
  }
  const auto existing = std::ranges::find_if(
      state_.routes, [&](const Route& other) { return same_key(other, route); });
  if (existing != state_.routes.end()) {
    *existing = std::move(route);
  } else {
    state_.routes.push_back(std::move(route));
  }
  return {};
}

Result<void> FakeKernel::write(const RemoveRoute& operation) {
  const Route& wanted = operation.route;
  if (!wanted.link.empty() && find(wanted.link) == nullptr) {
    return fail_errno(ENODEV, "link " + wanted.link);
  }
  const auto found = std::ranges::find_if(state_.routes, [&](const Route& route) {
    return route.table == wanted.table && route.destination == wanted.destination &&
           route.type == wanted.type && (wanted.link.empty() || route.link == wanted.link) &&
           (!wanted.gateway || route.gateway == wanted.gateway) &&
           (!wanted.source || route.source == wanted.source) &&
           (wanted.metric == 0 || route.metric == wanted.metric) &&
           route.protocol == wanted.protocol;
  });
  if (found == state_.routes.end()) { return fail_errno(ESRCH, "route"); }
  state_.routes.erase(found);
  return {};
}

Result<void> FakeKernel::write(const AddRule& operation) {
  const Rule& rule = operation.rule;
  if (std::ranges::find(state_.rules, rule) != state_.rules.end()) {
    return fail_errno(EEXIST, "rule");
  }
  const auto after = std::ranges::find_if(state_.rules, [&](const Rule& other) {
    return std::pair(other.family, other.priority) > std::pair(rule.family, rule.priority);
  });
  state_.rules.insert(after, rule);
  return {};
}

Result<void> FakeKernel::write(const RemoveRule& operation) {
  const auto found = std::ranges::find(state_.rules, operation.rule);
  if (found == state_.rules.end()) { return fail_errno(ENOENT, "no such rule"); }
  state_.rules.erase(found);
  return {};
}

/// Everything below net/ exists, but for folders of links that do not.
bool FakeKernel::sysctl_exists(const std::string& path) const {
  if (!path.starts_with("net/")) { return false; }
  for (const std::string_view folder : interface_folders) {
    if (!path.starts_with(folder)) { continue; }
    const std::string name =
        path.substr(folder.size(), path.find('/', folder.size()) - folder.size());
    return name == "all" || name == "default" || state_.find_link(name) != nullptr;
  }
  return true;
}

std::optional<std::string> FakeKernel::read(const std::string& sysctl) const {
  if (!sysctl_exists(sysctl)) { return std::nullopt; }
  const auto found = sysctls_.find(sysctl);
  return found == sysctls_.end() ? "0" : found->second;
}

Result<void> FakeKernel::write(const SetSysctl& operation) {
  const Sysctl& sysctl = operation.sysctl;
  if (!sysctl.path.starts_with("net/")) {
    return fail(Errc::invalid_input, "only paths below net/ are allowed");
  }
  if (!sysctl_exists(sysctl.path)) { return fail_errno(ENOENT, "sysctl"); }
  sysctls_[sysctl.path] = sysctl.value;
  if (sysctl.path.starts_with("net/ipv6/conf/") && sysctl.path.ends_with("/disable_ipv6") &&
      sysctl.value == "1") {
    const std::size_t begin = std::string_view("net/ipv6/conf/").size();
    const std::string link = sysctl.path.substr(begin, sysctl.path.find('/', begin) - begin);
    drop_routes_of(link, Family::v6);
    std::erase_if(state_.addresses, [&](const Address& address) {
      return address.link == link && address.prefix.address.family == Family::v6;
    });
  }
  return {};
}

Result<void> FakeKernel::write(const CommitNft& operation) {
  nft_ = operation.state;
  return {};
}

Result<void> FakeKernel::write(const DeleteNft&) {
  nft_.reset();
  return {};
}

void FakeKernel::add_foreign_address(Address address) {
  EDGE_ASSERT(find(address.link) != nullptr);
  address.ours = false;
  state_.addresses.push_back(address);
  add_prefix_route(address);
}

void FakeKernel::add_foreign_route(Route route) { state_.routes.push_back(std::move(route)); }

void FakeKernel::add_foreign_rule(Rule rule) { state_.rules.push_back(std::move(rule)); }

}  // namespace edge::netmodel
