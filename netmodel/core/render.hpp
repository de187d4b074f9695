// Model and facts in, desired kernel state, nft content and services out. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netmodel/core/apply_operations.hpp"
#include "netmodel/core/model.hpp"
#include "netmodel/core/nft_state.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// A route of DHCP option 121. Source: RFC 3442.
struct ClasslessRoute {
  IpPrefix destination{};
  std::optional<IpAddress> gateway{};  ///< nullopt or 0.0.0.0: on link.
  bool operator==(const ClasslessRoute&) const = default;
};

struct LeaseFacts {
  IpPrefix address{};  ///< With the length of the subnet mask.
  std::vector<IpAddress> routers{};
  std::vector<ClasslessRoute> classless_routes{};  ///< Not empty: option 3 is ignored.
  std::vector<IpAddress> dns{};
  std::optional<std::uint32_t> mtu{};  ///< Option 26.
  bool operator==(const LeaseFacts&) const = default;
};

struct Ipv6Facts {
  std::vector<IpPrefix> owned{};  ///< From DHCPv6: we put them on the bridge.
  std::vector<IpPrefix> seen{};   ///< Global addresses that the kernel made from RAs (SLAAC).
  std::optional<IpAddress> default_gateway{};  ///< Of the RA with a router lifetime.
  std::vector<IpAddress> dns{};
  bool operator==(const Ipv6Facts&) const = default;
};

/// One adapter that is present now; or one that is absent while a group that is named after it has
/// members that are present (`present` = false: lease, table and carrier are the group's).
struct AdapterFacts {
  bool present = true;
  std::string name{};
  MacAddress base_mac{};
  std::uint32_t table = 0;  ///< table_first + its number in the store; also its firewall mark.
  std::uint32_t mtu = 1500;
  std::uint32_t mtu_min = 0;  ///< 0: unknown.
  std::uint32_t mtu_max = 0;
  std::uint32_t speed_mbps = 0;  ///< 0: unknown.
  bool carrier = false;
  bool locally_disabled =
      false;             ///< A person set it admin down after we had set it up: leave it so.
  bool drained = false;  ///< path.drain: used only when nothing else is there.
  std::optional<LeaseFacts> lease{};  ///< Valid now, also without carrier.
  Ipv6Facts v6{};
};

struct RenderFacts {
  std::string host_id{};
  std::vector<AdapterFacts> adapters{};
  bool vlan_filtering = false;  ///< The kernel's bridge has it.
  bool ipv6 = true;             ///< /proc/sys/net/ipv6 exists.
  std::uint32_t tap_owner_uid = 0;
  std::vector<TakenPrefix>
      taken{};  ///< Foreign addresses of the machine; leases are in `adapters`.
  std::vector<NeededAddress> needed{};
  std::map<std::string, IpPrefix> automatic_subnets{};  ///< Of the last render, kept in the store.
  /// As foreign_ports(): guests of a VM manager, attached like interfaces of the model.
  std::map<std::string, std::vector<std::string>> foreign_ports{};
};

struct DnsUpstream {
  IpAddress address{};
  std::string link{};  ///< Ask through this link; empty: whatever the routes say.
  auto operator<=>(const DnsUpstream&) const = default;
};

/// A DHCP and DNS server that has to run for a network.
struct NetworkService {
  std::string network{};
  std::string bridge{};
  IpPrefix subnet{};                    ///< Network form.
  IpAddress gateway{};                  ///< Our address on the bridge.
  bool router = true;                   ///< false: guests hear of no way out (isolated).
  std::optional<IpPrefix> subnet6{};    ///< Advertised; host numbers are those of `subnet`.
  std::optional<AddressRange> range{};  ///< nullopt: DNS only.
  std::vector<DhcpReservation>
      reservations;                      ///< Of the network and of its interfaces. Sorted by MAC.
  std::uint32_t mtu = 1500;              ///< Option 26.
  std::vector<DnsUpstream> upstreams{};  ///< Best first.
  bool operator==(const NetworkService&) const = default;
};

/// The cluster's address, which the hosts agree on by VRRP.
struct VirtualAddress {
  std::string link{};     ///< Where it is put: the layer-3 link of the management port.
  std::string carrier{};  ///< Adapter or bond whose carrier a holder needs; empty: away.
  IpAddress own{};        ///< This host's management address.
  IpPrefix address{};
  Cluster cluster{};
  bool operator==(const VirtualAddress&) const = default;
};

/// Something to tell people; the state is usable.
struct Note {
  std::string kind{};  ///< "network.renumbered", "network.overlap", "lease.ignored", "adapter.mtu"
  std::string what{};
  bool operator==(const Note&) const = default;
};

struct Rendered {
  DesiredState state;
  NftState nft;
  std::vector<NetworkService> services{};  ///< Sorted by network.
  std::vector<DnsUpstream> resolvers{};    ///< Of all usable ports, best first: the host's own.
  std::optional<VirtualAddress> virtual_address{};
  std::map<std::string, IpPrefix>
      automatic_subnets{};  ///< To be stored and passed to the next render.
  std::vector<Note> notes{};
};

/// Follows the model; what an absent adapter would need is left out.
/// Pre: `model` passed validate() but for overlaps with leases, which become notes.
Rendered render(const Model& model, const RenderFacts& facts);

/// One of each link in the order given, then the second of each, and so on: where only some count,
/// no port crowds the others out.
std::vector<DnsUpstream> in_turn(std::vector<DnsUpstream> waiting);

/// Adapters in the order of preference: uplink_order, then name; drained ones last. Index = rank.
std::vector<MacAddress> uplink_ranks(const Model& model, const std::vector<AdapterFacts>& adapters);

/// Guests or publications hold addresses of a network's subnet; `foreign`: as foreign_ports().
bool in_use(const Model& model, const std::string& network, const IpPrefix& subnet,
            const std::map<std::string, std::vector<std::string>>& foreign);

/// The subnet of a network with a bridge of its own: the given one, or the automatic one of nat.
std::optional<IpPrefix> subnet_of(const Model& model, const std::string& network,
                                  const std::map<std::string, IpPrefix>& automatic_subnets);
/// The same of one that is at hand: of a thousand, looking each up by its id took a quarter of what
/// a command costs.
std::optional<IpPrefix> subnet_of(const std::string& id, const Network& network,
                                  const std::map<std::string, IpPrefix>& automatic_subnets);

/// The address of an interface in such a network.
std::optional<IpAddress> address_of(const Model& model, const Interface& interface,
                                    const std::map<std::string, IpPrefix>& automatic_subnets);

/// The same for IPv6; nullopt: the network has none.
std::optional<IpPrefix> subnet6_of(const Model& model, const std::string& network);
std::optional<IpPrefix> subnet6_of(const Network& network);
std::optional<IpAddress> address6_of(const Model& model, const Interface& interface);

/// Where its publications arrive and where the rule stands now: "active", "waiting for ..." .
std::string state_of(const Model& model, const GatewayRule& rule, const RenderFacts& facts);

}  // namespace edge::netmodel
