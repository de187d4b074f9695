// Our nftables tables as the kernel holds them: named sets, chains, rules as expressions, elements
// as bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "netmodel/core/nft_state.hpp"

/// The layout is constant: ports, addresses and networks are elements of sets, so that any change
/// of them is an element added or removed and the packet path costs the same at 10 and at 10,000
/// publications.
namespace edge::netmodel::nft {

/// Type of one part of a key or of map data, in the words of nft.
enum class Field : std::uint8_t {
  ifname,
  mark,
  inet_proto,
  inet_service,
  ipv4_addr,
  ipv6_addr,
  ether_addr
};

/// Two tables of one name: routed packets, and frames that guests send.
enum class TableId : std::uint8_t { inet, bridge };
inline constexpr std::array table_ids{TableId::inet, TableId::bridge};
std::string_view family_name(TableId table);

struct FieldInfo {
  std::string_view name;     ///< As nft spells it.
  std::uint32_t type;        ///< nft's number of the type; NFTA_SET_KEY_TYPE, 6 bits a part.
  std::uint32_t size_bytes;  ///< Without padding.
  bool host_byte_order;
};
const FieldInfo& info(Field field);
/// Size in a concatenation: every part fills whole 32-bit registers.
std::uint32_t padded_bytes(Field field);

enum class SetId : std::uint8_t {
  uplinks,         ///< Bridge of an uplink to its mark.
  uplink_bridges,  ///< The same bridges: a map cannot be asked for membership alone.
  uplink_marks,    ///< The same marks, so that nobody else's ct mark steers our routing.
  own_addresses,   ///< Uplink address to mark: whom a hairpin means.
  own_addresses6,
  address_twins,  ///< Further uplinks that hold an address of own_addresses (facts/dhcpcd.md 5.1).
  address_twins6,
  guest_bridges,  ///< Of nat and routed networks: those whose guests may reach publications.
  nat_bridges,
  routed_bridges,
  isolated_bridges,
  within_bridge,  ///< (bridge, same bridge): frames that br_netfilter shows to the forward chain.
  nat_sources,    ///< (bridge, subnet) of NAT networks.
  nat_sources6,
  routed_sources,  ///< (bridge, subnet) of routed networks.
  routed_sources6,
  publish,  ///< (mark, protocol, port) to (address, port).
  publish6,
  publish_from,  ///< The same, open to one source prefix.
  publish_from6,
  filtered_ports,   ///< Bridge table: taps that are looked at at all.
  port_macs,        ///< (tap, the guest's MAC).
  addressed_ports,  ///< Taps whose guest has known IPv4 addresses,
  port_addresses,   ///< ... and (tap, address), also 0.0.0.0: DHCP and ARP probes.
};
inline constexpr std::size_t set_count = 24;

struct SetSpec {
  std::string_view name;
  std::vector<Field> key;
  std::vector<Field> data;  ///< Empty: a set; else a map.
  bool interval =
      false;  ///< Concatenation with a prefix in it (kernel: pipapo). Marks are big endian then.
  TableId table = TableId::inet;
};
/// Indexed by SetId.
const std::array<SetSpec, set_count>& set_specs();

enum class Hook : std::uint8_t {
  prerouting = 0,
  input = 1,
  forward = 2,
  output = 3,
  postrouting = 4
};

struct BaseChain {
  std::string type;  ///< "filter", "nat", "route".
  Hook hook = Hook::prerouting;
  std::int32_t priority = 0;
  bool operator==(const BaseChain&) const = default;
};
struct Chain {
  std::string name;
  std::optional<BaseChain>
      base;  ///< Policy is accept, always: foreign traffic is none of our business.
  TableId table = TableId::inet;
  bool operator==(const Chain&) const = default;
};
const std::vector<Chain>& chains();

/// Register: number of a 32-bit word, 0..15. The enumerators' values are the kernel's
/// (linux/netfilter/nf_tables.h).
using Register = std::uint8_t;
enum class MetaKey : std::uint8_t {
  protocol = 1,
  mark = 3,
  iifname = 6,
  oifname = 7,
  nfproto = 15,
  l4proto = 16
};
enum class CtKey : std::uint8_t { state = 0, direction = 1, status = 2, mark = 3 };
enum class PayloadBase : std::uint8_t { link = 0, network = 1, transport = 2 };
enum class VerdictKind : std::int8_t { drop = 0, accept = 1, jump = -3, return_ = -5 };

struct MetaLoad {
  MetaKey key;
  Register to;
  bool operator==(const MetaLoad&) const = default;
};
struct MarkStore {
  Register from;
  bool operator==(const MarkStore&) const = default;
};
struct CtLoad {
  CtKey key;
  Register to;
  bool operator==(const CtLoad&) const = default;
};
struct CtMarkStore {
  Register from;
  bool operator==(const CtMarkStore&) const = default;
};
struct PayloadLoad {
  PayloadBase base;
  std::uint32_t offset;
  std::uint32_t size;
  Register to;
  bool operator==(const PayloadLoad&) const = default;
};
struct FibDestinationType {
  Register to;
  bool operator==(const FibDestinationType&) const = default;
};
struct Compare {
  Register from;
  bool equal;
  std::string value;
  bool operator==(const Compare&) const = default;
};
struct Mask {
  Register reg;
  std::string mask;
  bool operator==(const Mask&) const = default;
};
struct ToBigEndian {
  Register reg;
  bool operator==(const ToBigEndian&) const = default;
};  ///< 4 bytes.
struct Lookup {
  Register from;
  std::string set;
  std::optional<Register> to;
  bool operator==(const Lookup&) const = default;
};
struct Dnat {
  Family family;
  Register address;
  Register port;
  bool operator==(const Dnat&) const = default;
};
struct Masquerade {
  bool operator==(const Masquerade&) const = default;
};
struct Counter {
  bool operator==(const Counter&) const = default;
};  ///< Its values are not compared.
struct Verdict {
  VerdictKind kind;
  std::string chain;
  bool operator==(const Verdict&) const = default;
};
/// An expression that we never write, or one of ours with an attribute that we never set.
struct Foreign {
  std::string text;
  bool operator==(const Foreign&) const = default;
};

using Expression =
    std::variant<MetaLoad, MarkStore, CtLoad, CtMarkStore, PayloadLoad, FibDestinationType, Compare,
                 Mask, ToBigEndian, Lookup, Dnat, Masquerade, Counter, Verdict, Foreign>;

struct Rule {
  std::string chain;
  std::string text;     ///< nft syntax without comment; of an observed rule: as far as it is known.
  std::string comment;  ///< Kept as nft keeps it; why the rule is there.
  std::vector<Expression> expressions;
  TableId table = TableId::inet;
};
/// Equality of effect.
inline bool same_effect(const Rule& a, const Rule& b) {
  return a.table == b.table && a.chain == b.chain && a.expressions == b.expressions;
}
/// In the order of their chains.
std::vector<Rule> rules(bool drop_dhcp_unicast_renewals);

/// One element, as bytes in the kernel's layout.
struct Element {
  std::string key;
  std::string key_end;  ///< Last key of the interval; empty in sets without intervals.
  std::string data;     ///< Empty in sets that are no maps.
  auto operator<=>(const Element&) const = default;
};
using Elements = std::array<std::vector<Element>, set_count>;

/// Pre: `state` is canonical. Order within a set has no meaning.
Elements elements_of(const NftState& state);
/// The inverse, as far as elements make sense; what does not is left out (the caller re-encodes and
/// compares). The result need not be canonical.
NftState state_of(const Elements& elements);

/// What a commit has to send when rules are the same.
struct ElementDifference {
  Elements removed;
  Elements added;
  bool empty() const;
};
/// Pre: both canonical. Cost: one comparison per publication, an encoding only for those that
/// differ.
ElementDifference difference(const NftState& from, const NftState& to);
/// The same for publications alone, with the uplinks that both have.
ElementDifference difference(std::span<const Publication> from, std::span<const Publication> to,
                             const std::vector<UplinkPort>& uplinks);
/// The same for element lists in any order.
ElementDifference difference(Elements from, Elements to);

/// "20001 . tcp . 80 : 10.200.0.5 . 8080", loadable by nft.
std::string element_text(const SetSpec& spec, const Element& element);

}  // namespace edge::netmodel::nft
