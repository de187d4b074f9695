// What the host's network should be: the model that commands change and render turns into kernel
// state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/net.hpp"
#include "netmodel/core/nft_state.hpp"

namespace edge::netmodel {

/// Of what is stored and exported. Grows with each new field: an older program must refuse, not
/// guess.
inline constexpr int model_schema_version = 1;
inline constexpr std::uint32_t mtu_low = 1500;
inline constexpr std::uint32_t mtu_high = 9000;
inline constexpr std::string_view default_network = "default";

struct AdapterSettings {
  std::optional<std::uint32_t> mtu{};  ///< nullopt: as the adapter has it.
  bool enabled = true;                 ///< false: admin down, no lease, no path.
  bool operator==(const AdapterSettings&) const = default;
};

enum class GroupMode : std::uint8_t { active_backup, balance_xor, lacp };
enum class GroupRole : std::uint8_t { vm, infrastructure };

/// The first adapter leads: its MAC address is that of bond and bridge, and the group's port is
/// known by it.
struct Group {
  std::vector<MacAddress> adapters{};
  GroupMode mode = GroupMode::active_backup;
  std::optional<MacAddress> primary{};
  std::optional<std::uint32_t> mtu{};
  GroupRole role = GroupRole::vm;
  bool allow_single = false;
  /// 2..4094: addresses, DHCP and path of the group are on this VLAN; nullopt: untagged.
  std::optional<std::uint16_t> management_vlan{};
  bool operator==(const Group&) const = default;
};

enum class NetworkKind : std::uint8_t { untagged, vlan, nat, routed, isolated, open };
/// A VLAN of a group's bridge; the other kinds have a bridge of their own.
constexpr bool is_bridged(NetworkKind kind) {
  return kind == NetworkKind::untagged || kind == NetworkKind::vlan;
}

struct DhcpReservation {
  MacAddress mac{};
  IpAddress address{};
  std::string name{};  ///< May be empty.
  auto operator<=>(const DhcpReservation&) const = default;
};

struct DhcpSettings {
  bool enabled = true;
  std::optional<IpAddress> from{};  ///< nullopt with `to`: the default range of the subnet.
  std::optional<IpAddress> to{};
  std::vector<DhcpReservation> reservations{};  ///< Sorted by MAC.
  bool operator==(const DhcpSettings&) const = default;
};

struct Network {
  NetworkKind kind = NetworkKind::nat;
  std::string group{};                  ///< Empty: none.
  std::optional<MacAddress> adapter{};  ///< In place of a group.
  std::optional<std::uint16_t> vlan_id{};
  std::optional<IpPrefix> subnet{};   ///< Network form. nullopt on nat: chosen automatically.
  std::optional<IpPrefix> subnet6{};  ///< A /64 in network form; nullopt: no IPv6.
  DhcpSettings dhcp{};
  std::vector<IpAddress> dns{};  ///< Upstream resolvers; empty: those of the leases.
  bool operator==(const Network&) const = default;
};

enum class Hardware : std::uint8_t { virtio, virtio_multiqueue, e1000, e1000e, rtl8139 };

struct Interface {
  std::string vm{};
  std::string network{};
  MacAddress mac{};  ///< Of the guest.
  Hardware hardware = Hardware::virtio;
  std::optional<std::uint32_t>
      host_number{};  ///< address = subnet + host_number, by DHCP reservation; not when bridged.
  bool spoof_filter = true;  ///< The guest sends with its own MAC and address only.
  bool operator==(const Interface&) const = default;
};

/// A publication at the service gateway. Exactly one of `interface` and `address` is set.
struct GatewayRule {
  std::string interface{};
  std::optional<IpAddress> address{};
  Transport protocol = Transport::tcp;
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  std::uint16_t to_port = 0;           ///< Of port_first; a range maps to a range of the same size.
  std::vector<IpPrefix> sources{};     ///< Sorted; empty: anyone.
  std::vector<MacAddress> adapters{};  ///< Sorted; empty: every adapter.
  bool operator==(const GatewayRule&) const = default;
};

/// A static address in the place of DHCP on one port: the management network of a cluster host.
/// Neither group nor adapter: the port of the only group with the role infrastructure.
struct Management {
  std::string group{};
  std::optional<MacAddress> adapter{};
  IpPrefix address{};  ///< v4, with the length of its subnet.
  std::optional<IpAddress> gateway{};
  std::vector<IpAddress> dns{};
  bool operator==(const Management&) const = default;
};

/// How the hosts of a cluster agree on the holder of the virtual address: VRRP version 3, RFC 5798.
struct Cluster {
  std::uint8_t id = 0;          ///< VRID, 1..255: equal on all hosts of the cluster.
  std::uint8_t priority = 100;  ///< 1..254: the highest one alive holds the address.
  std::uint32_t advert_ms =
      1000;              ///< 100..10000, multiples of 10: VRRP counts hundredths of a second.
  bool preempt = false;  ///< true: a host with a higher priority takes the address back.
  std::vector<IpAddress> hosts{};  ///< Management addresses of all hosts of the cluster. Sorted.
  bool operator==(const Cluster&) const = default;
};

struct HostSettings {
  static constexpr std::size_t console_endpoints_max = 8;
  std::vector<MacAddress> uplink_order{};  ///< Preferred first; adapters not named follow by name.
  /// Where the Console is reached; empty: where uplink.toml says.
  std::vector<HostPort> console_endpoints{};
  std::optional<Management> management{};
  std::optional<IpAddress> virtual_ip{};
  std::optional<Cluster> cluster{};
  bool operator==(const HostSettings&) const = default;
};

/// Implicit groups and untagged networks of one per adapter are derived from facts and not stored.
struct Model {
  std::map<MacAddress, AdapterSettings> adapters{};  ///< Only those with settings.
  std::map<std::string, Group> groups{};
  std::map<std::string, Network> networks{};
  std::map<std::string, Interface> interfaces{};
  std::map<std::string, GatewayRule> gateway{};
  HostSettings host{};
  bool operator==(const Model&) const = default;

  /// Without any command: the NAT network `default`.
  static Model defaults();
};

/// Canonical: fixed field order, objects sorted by id, `schema_version` first.
boost::json::object to_json(const Model& model);
std::string to_json_text(const Model& model);

/// What to_json wrote, or the `model` of a model.replace without references to what the host has.
/// Errors: corrupt, with the first problem and how many there are; unsupported, when a newer
/// program wrote it.
Result<Model> model_from_json(std::string_view text);

std::string_view to_string(NetworkKind kind);
std::string_view to_string(GroupMode mode);
std::string_view to_string(GroupRole role);
std::string_view to_string(Hardware hardware);
std::string_view to_string(Transport transport);

/// The first usable address of a subnet. Pre: v4, length 8..30.
IpAddress gateway_of(const IpPrefix& subnet);

struct AddressRange {
  IpAddress from{};
  IpAddress to{};
  bool operator==(const AddressRange&) const = default;
};
/// The DHCP range of a subnet when none is given: .10 to the last usable address, or from .2 in a
/// small subnet.
AddressRange default_dhcp_range(const IpPrefix& subnet);
/// What the network hands out; nullopt: DHCP is off.
std::optional<AddressRange> dhcp_range_of(const Network& network, const IpPrefix& subnet);

/// Pre: v4. The address `number` above the network address; nullopt outside the usable ones of the
/// subnet.
std::optional<IpAddress> host_address(const IpPrefix& subnet, std::uint32_t number);

/// Our address on a network's bridge: ::1. Pre: v6, length 64.
IpAddress gateway6_of(const IpPrefix& subnet6);
/// The same host number in the IPv6 subnet: 10.5.0.10 and fd00::a. Pre: v6, length 64.
IpAddress host_address6(const IpPrefix& subnet6, std::uint32_t number);

}  // namespace edge::netmodel
