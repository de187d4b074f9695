// The state of one comparison: what is wanted, what is there, and the operations found so far.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "netmodel/core/plan.hpp"

namespace edge::netmodel {

/// Built for one plan and thrown away. Steps are called in the order of their declaration.
/// Pre: both states are normalised and outlive it.
class PlanBuilder {
 public:
  PlanBuilder(const DesiredState& desired, const ObservedState& observed);

  void nft(const NftState& wanted, const std::optional<NftState>& there);
  void global_sysctls();
  void links();
  void addresses();
  void routes();
  void rules();
  void stale();

  Planned take() { return std::move(out_); }

 private:
  /// Routes with one key replace each other. Source: fib_table_insert(), NLM_F_REPLACE.
  using RouteKey = std::tuple<Family, std::uint32_t, IpPrefix, std::uint32_t>;
  static RouteKey key_of(const Route& route) {
    return {route.destination.address.family, route.table, route.destination, route.metric};
  }

  void keep_foreign_routers();
  void find_conflicts();
  void check_link(const Link& wanted);
  void check_adapter(const Link& wanted, const ObservedLink* there);
  void check_vlan_device(const Link& wanted);
  void delete_recreated();
  void lower_mtus();
  void raise_mtus(LinkKind kind);
  void set_mtus(LinkKind kind, bool (*wrong)(std::uint32_t wanted, std::uint32_t there));
  void bridges();
  void adapters();
  void vlan_devices();
  void taps();
  void create(const Link& link);
  void change(const Link& wanted, const ObservedLink& there);
  void make_or_change(const Link& link);
  void link_sysctls(const std::string& link);
  bool loses_ipv6(const std::string& link) const;

  // plan_takeover.cpp: what rides on an adapter when its place changes.
  void take_over(const Link& adapter, const ObservedLink& there);
  std::string bridge_above(const Link& adapter) const;
  std::string abandoned_bridge(const ObservedLink& there) const;
  void move_address(const Address& address, const std::string& bridge);
  std::vector<Route> own_routes(const std::string& bridge);
  void move_routes(const std::set<std::string>& from, const std::string& bridge,
                   const std::vector<Address>& with);
  void move_route(const Route& route, const std::string& bridge);
  void hand_back(const std::string& bridge, const std::string& adapter);
  void release(const std::string& adapter);
  void release_ports(const ObservedLink& bridge);
  void release_members(const ObservedLink& bond);
  void release_strays();
  void stale_links();
  void forget_management(const ObservedLink& device);

  // plan_bonds.cpp
  void dissolve();
  void bonds();
  void make_bond(const Link& bond);
  Link with_possible_primary(const Link& bond, const ObservedLink& there) const;
  void place(const Link& adapter);
  bool is_bond_there(const std::string& name) const;

  // plan_vlans.cpp
  enum class BridgeAge : std::uint8_t { made_now, older };
  Link staged(const Link& bridge);
  void set_vlans(const Link& link);
  bool has_own_vlans(const ObservedLink& port, const Link& bridge) const;
  void foreign_ports();
  void start_filtering(BridgeAge age);

  void emit(Operation operation) { out_.plan.push_back(std::move(operation)); }
  void conflict(const std::string& link, std::string what) {
    out_.conflicts.push_back({link, std::move(what)});
  }
  const Link* wanted_link(const std::string& name) const;
  /// There, ours or not, and not about to be made anew.
  const ObservedLink* standing(const std::string& name) const;
  bool is_blocked(const std::string& link) const { return blocked_.contains(link); }
  bool address_is_there(const Address& address) const;
  /// The bridge is made now, or its default pvid goes and takes VLANs of its ports along.
  bool starts_over(const std::string& bridge) const;

  const DesiredState& desired_;
  const ObservedState& observed_;
  std::map<std::string, const Link*> wanted_;
  std::map<std::string, const ObservedLink*> there_;
  std::map<std::string, std::string> observed_sysctls_;
  std::map<std::string, std::vector<const Sysctl*>>
      wanted_sysctls_;             ///< By link; "" for global ones.
  std::set<std::string> blocked_;  ///< Foreign, or absent: what depends on them is left out.
  std::set<std::string>
      recreated_;  ///< Ours, of a kind or with flags that cannot be changed in place.
  std::set<std::pair<std::string, IpPrefix>>
      added_;  ///< Addresses that a takeover put in place already.
  std::set<std::pair<std::string, IpAddress>>
      flushed_;                        ///< The kernel drops routes with this source.
  std::set<std::string> routes_done_;  ///< Bridges whose routes a takeover put in place.
  std::set<std::string> placed_;       ///< Adapters that are where they belong by now.
  Planned out_;
};

inline constexpr std::uint8_t protocol_ra = 9;  ///< RTPROT_RA: the next advertisement brings it.

/// An adapter or anything else that we configure but did not make.
inline bool is_adapter(const Link& link) { return link.alias.empty(); }

/// Those for which `first` holds come first; within both parts the order stays. (std::stable_sort
/// of libstdc++ 12 uses a deprecated function, which clang refuses.)
template <class T, class Predicate>
void put_first(std::vector<T>& items, Predicate&& first) {
  std::vector<T> ordered;
  ordered.reserve(items.size());
  for (const T& item : items) {
    if (first(item)) { ordered.push_back(item); }
  }
  for (const T& item : items) {
    if (!first(item)) { ordered.push_back(item); }
  }
  items = std::move(ordered);
}

/// "br0" of "net/ipv4/conf/br0/rp_filter"; empty for a global one.
std::string sysctl_link(const std::string& path);

}  // namespace edge::netmodel
