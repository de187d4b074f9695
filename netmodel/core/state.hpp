// Kernel network state as a value: what we want and what a dump showed, in the same words.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::netmodel {

/// What we made carries these marks; what does not is foreign and never touched (house.md).
inline constexpr std::uint8_t our_protocol = 117;  ///< RTA_PROTOCOL, FRA_PROTOCOL, IFA_PROTO.
inline constexpr std::string_view our_alias =
    "gallium:";  ///< IFLA_IFALIAS prefix: gallium:<kind>:<id>
inline constexpr std::string_view our_nft_table = "uplink";  ///< family inet
inline constexpr std::uint32_t table_first = 20000;  ///< One routing table per layer-3 port,
inline constexpr std::uint32_t table_last = 20999;   ///< ... 20000 + its number in the store.

/// The VLAN of a group's bridge whose frames are untagged on the wire.
inline constexpr std::uint16_t native_vlan = 1;

enum class LinkKind : std::uint8_t { physical, bridge, tap, bond, vlan, veth, loopback, other };

/// A range of VLAN ids on a bridge port, or on the bridge itself (`bridge vlan ... self`).
struct BridgeVlan {
  std::uint16_t first = 1;  ///< 1..4094; 1 is the native VLAN of a group.
  std::uint16_t last = 1;   ///< >= first. Of a pvid: == first.
  bool pvid = false;        ///< BRIDGE_VLAN_INFO_PVID: untagged frames that come in belong here.
  bool untagged = false;    ///< BRIDGE_VLAN_INFO_UNTAGGED: frames go out without their tag.
  auto operator<=>(const BridgeVlan&) const = default;
};

/// Values: BOND_MODE_ of linux/if_bonding.h. `other`: seen, never made.
enum class BondMode : std::uint8_t { active_backup = 1, balance_xor = 2, lacp = 4, other = 255 };
/// Values: BOND_PRI_RESELECT_ of linux/if_bonding.h.
enum class BondReselect : std::uint8_t { always = 0, better = 1, failure = 2 };
/// In the kernel's words. failure: the primary carries again only once the present one fails.
std::string_view to_string(BondReselect reselect);

/// Source: Documentation/networking/bonding.rst. Mode, miimon and fail_over_mac are set before the
/// first member joins (facts/netmodel.md T7); ARP monitoring is never used.
struct BondAttributes {
  BondMode mode = BondMode::active_backup;
  std::uint32_t miimon_ms = 100;
  std::uint8_t fail_over_mac = 0;  ///< 0: every member takes the bond's MAC.
  std::string primary{};           ///< Name of a member; empty: none.
  BondReselect reselect = BondReselect::failure;
  std::uint8_t xmit_hash_policy = 2;  ///< BOND_XMIT_POLICY_LAYER23; balance-xor and 802.3ad.
  bool lacp_fast = true;              ///< 802.3ad: a partner's silence is noticed in 3 s, not 90 s.
  bool operator==(const BondAttributes&) const = default;
};

/// A VLAN device, above a bridge only: networks of guests are VLANs of the bridge itself.
struct VlanAttributes {
  std::string parent{};
  std::uint16_t id = 0;  ///< 2..4094.
  bool operator==(const VlanAttributes&) const = default;
};

struct BridgeAttributes {
  std::uint32_t forward_delay_cs = 0;  ///< IFLA_BR_FORWARD_DELAY, hundredths of a second.
  bool stp = false;
  bool multicast_snooping = false;
  std::optional<bool> vlan_filtering{};  ///< nullopt: leave alone (a kernel without it).
  /// IFLA_BR_VLAN_DEFAULT_PVID, 0: none. nullopt: leave alone. A bridge is made with 1. Setting 0
  /// deletes the VLAN that was the default from the bridge and from every port where it is pvid and
  /// untagged, *also where it was added by hand* (vlan_default_pvid(), net/bridge/br_vlan.c). So
  /// the order that never cuts the host off is: 0 at creation, or while vlan_filtering is still
  /// off; then the VLANs of uplink, taps and the bridge itself; vlan_filtering last.
  std::optional<std::uint16_t> default_pvid{};
  bool operator==(const BridgeAttributes&) const = default;
};

struct TapAttributes {
  std::uint32_t owner_uid = 0;
  bool vnet_hdr = true;
  bool multi_queue = false;
  bool operator==(const TapAttributes&) const = default;
};

/// Desired: every set field is enforced. Observed: every field was read.
struct Link {
  std::string name{};  ///< IFNAMSIZ: 1..15 characters.
  LinkKind kind = LinkKind::other;
  std::optional<MacAddress> mac{};     ///< Desired nullopt: keep.
  std::optional<std::uint32_t> mtu{};  ///< Bytes. Desired nullopt: keep.
  bool admin_up = true;
  std::string master{};  ///< Name of the bridge or bond; empty: none.
  std::string alias{};   ///< "gallium:port-bridge:<mac>"; empty on adapters (they are not ours).
  std::optional<BridgeAttributes> bridge{};
  std::optional<TapAttributes> tap{};
  std::optional<BondAttributes> bond{};
  std::optional<VlanAttributes> vlan{};
  /// Of a port of a filtering bridge, or of the bridge itself: all of them, sorted, disjoint, no
  /// two adjacent ranges with the same flags. Desired nullopt: leave alone. Observed nullopt: none
  /// known.
  std::optional<std::vector<BridgeVlan>> vlans{};
  bool operator==(const Link&) const = default;
};

/// What only a dump can know.
struct ObservedLink {
  Link link;
  IfIndex index{0};
  std::optional<MacAddress> permanent_mac{};  ///< IFLA_PERM_ADDRESS.
  bool has_device = false;               ///< /sys/class/net/X/device exists: physical or virtio.
  bool carrier = false;                  ///< IFF_LOWER_UP.
  std::uint32_t carrier_down_count = 0;  ///< IFLA_CARRIER_DOWN_COUNT.
  std::uint32_t mtu_min = 0;             ///< 0: unknown.
  std::uint32_t mtu_max = 0;             ///< 0: unknown.
  std::string bond_active{};             ///< Active member of an active-backup bond; empty: none.
  std::uint32_t speed_mbps = 0;          ///< 0: unknown.
  bool ra_managed = false;               ///< IF_RA_MANAGED of IFLA_INET6_FLAGS.
  bool ra_other = false;                 ///< IF_RA_OTHERCONF.
  bool operator==(const ObservedLink&) const = default;
  bool ours() const { return link.alias.starts_with(our_alias); }
};

/// What an observed address is good for.
enum class AddressState : std::uint8_t {
  ready,
  deprecated,  ///< IFA_F_DEPRECATED: what is open may go on; nothing new begins with it.
  unusable,    ///< IFA_F_TENTATIVE or IFA_F_DADFAILED: no socket can be bound to it (yet).
};

struct Address {
  std::string link{};
  IpPrefix prefix{};            ///< Interface address with its length.
  bool no_prefix_route = true;  ///< IFA_F_NOPREFIXROUTE.
  bool ours = true;             ///< Observed: IFA_PROTO == our_protocol.
  /// Observed, IPv6: it has a lifetime, or a router advertised it: it comes again by itself.
  bool dynamic = false;
  /// Observed. It changes by itself and makes no other address of it.
  AddressState state = AddressState::ready;
  bool operator==(const Address& o) const {
    return link == o.link && prefix == o.prefix && no_prefix_route == o.no_prefix_route &&
           ours == o.ours && dynamic == o.dynamic;
  }
  /// It was usable elsewhere on this machine a moment ago: nobody has to be asked for duplicates.
  bool skips_dad() const { return !ours && prefix.address.family == Family::v6; }
};

enum class RouteType : std::uint8_t { unicast, unreachable, blackhole };

/// Tables and owners that the kernel names itself. Source: RT_TABLE_*, RTPROT_* in
/// linux/rtnetlink.h.
inline constexpr std::uint32_t table_default = 253, table_main = 254, table_local = 255;
inline constexpr std::uint8_t protocol_kernel = 2;  ///< Made and removed with the address.

struct Route {
  std::uint32_t table = table_main;
  IpPrefix destination{};  ///< Network form; 0.0.0.0/0 or ::/0 is the default route.
  RouteType type = RouteType::unicast;
  std::string link{};                  ///< Empty for unreachable/blackhole.
  std::optional<IpAddress> gateway{};  ///< nullopt: on link.
  std::optional<IpAddress> source{};   ///< RTA_PREFSRC.
  std::uint32_t metric = 0;
  bool on_link_gateway = false;        ///< RTNH_F_ONLINK: gateway outside any connected prefix.
  std::optional<std::uint32_t> mtu{};  ///< RTAX_MTU.
  std::uint8_t protocol = our_protocol;
  bool operator==(const Route&) const = default;
};

struct Rule {
  std::uint32_t priority = 0;
  Family family = Family::v4;
  std::optional<IpPrefix> from{};
  std::optional<IpPrefix> to{};
  std::string in_link{};   ///< iif name, empty: any.
  std::string out_link{};  ///< oif name, empty: any.
  std::optional<std::uint32_t> mark{};
  std::uint32_t mark_mask = 0xffffffff;
  std::uint32_t table = 254;
  std::uint8_t protocol = our_protocol;
  bool operator==(const Rule&) const = default;
};

/// One file below /proc/sys; `path` has dots replaced by slashes: "net/ipv4/conf/br0/rp_filter".
struct Sysctl {
  std::string path{};
  std::string value{};
  bool operator==(const Sysctl&) const = default;
};

/// Wanted: complete for what is ours, silent about the rest. Order within a vector has no meaning.
struct DesiredState {
  std::vector<Link> links{};
  std::vector<Address> addresses{};
  std::vector<Route> routes{};
  std::vector<Rule> rules{};
  std::vector<Sysctl> sysctls{};
  bool operator==(const DesiredState&) const = default;
};

/// Everything a dump showed in this network namespace, foreign things included.
struct ObservedState {
  std::vector<ObservedLink> links{};
  std::vector<Address> addresses{};
  std::vector<Route> routes{};
  std::vector<Rule> rules{};
  std::vector<Sysctl> sysctls{};  ///< Only those asked for.
  bool operator==(const ObservedState&) const = default;

  const ObservedLink* find_link(std::string_view name) const;
};

}  // namespace edge::netmodel
