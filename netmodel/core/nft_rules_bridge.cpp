// Rules for frames that guests send: own MAC and IPv4 address only, no DHCP server, no router.
#include "netmodel/core/nft_rule_parts.hpp"

namespace edge::netmodel::nft {
namespace {

constexpr std::uint16_t ethertype_ipv4 = 0x0800, ethertype_arp = 0x0806, ethertype_ipv6 = 0x86dd;
constexpr std::uint16_t port_dhcp_server = 67, port_dhcpv6_server = 547;
constexpr std::uint8_t nd_router_advert = 134;

Part ethertype_is(std::uint16_t type, std::string_view name) {
  return {"meta protocol " + std::string(name),
          {MetaLoad{MetaKey::protocol, 0}, Compare{0, true, u16_bytes(type)}}};
}
Part arp() { return ethertype_is(ethertype_arp, "arp"); }
Part ipv4() { return ethertype_is(ethertype_ipv4, "ip"); }

/// iifname fills words 0..3 of the key, what is looked up beside it begins at 4.
Part beside_iifname(std::string_view text, PayloadLoad load, const std::string& set) {
  return {"iifname . " + std::string(text) + " @" + set,
          {MetaLoad{MetaKey::iifname, 0}, load, Lookup{0, set, {}}}};
}
Part own_ethernet_source() {
  return beside_iifname("ether saddr", {PayloadBase::link, 6, 6, 4}, "port_macs");
}
/// Source: RFC 826; the sender's hardware address is at 8, its protocol address at 14.
Part own_arp_mac() {
  return beside_iifname("arp saddr ether", {PayloadBase::network, 8, 6, 4}, "port_macs");
}
Part own_arp_address() {
  return beside_iifname("arp saddr ip", {PayloadBase::network, 14, 4, 4}, "port_addresses");
}
Part own_ipv4_source() {
  return beside_iifname("ip saddr", {PayloadBase::network, 12, 4, 4}, "port_addresses");
}

Part from_udp_port(std::uint16_t port) {
  return {"udp sport " + std::to_string(port),
          {MetaLoad{MetaKey::l4proto, 0}, Compare{0, true, byte(proto_udp)},
           PayloadLoad{PayloadBase::transport, 0, 2, 0}, Compare{0, true, u16_bytes(port)}}};
}
Part router_advertisement() {
  Part part = ethertype_is(ethertype_ipv6, "ip6");
  part.text += " icmpv6 type nd-router-advert";
  part.expressions.insert(
      part.expressions.end(),
      {MetaLoad{MetaKey::l4proto, 0}, Compare{0, true, byte(proto_icmpv6)},
       PayloadLoad{PayloadBase::transport, 0, 1, 0}, Compare{0, true, byte(nd_router_advert)}});
  return part;
}

}  // namespace

void port_rules(std::vector<Rule>& all) {
  const Part accept = verdict(VerdictKind::accept);
  const Part drop = verdict(VerdictKind::drop);
  const auto to = [](const char* chain) { return verdict(VerdictKind::jump, chain); };
  const auto add = [&](Rule made) {
    made.table = TableId::bridge;
    all.push_back(std::move(made));
  };
  add(rule("from_ports", {iifname_in("filtered_ports"), to("guest")}));
  add(rule("guest", {own_ethernet_source(), to("own_mac")}));
  add(rule("guest", {counter(), drop}, "another MAC address than the interface's"));
  add(rule("own_mac", {arp(), to("guest_arp")}));
  add(rule("own_mac", {from_udp_port(port_dhcp_server), counter(), drop}, "no DHCP server"));
  add(rule("own_mac", {from_udp_port(port_dhcpv6_server), counter(), drop}, "no DHCPv6 server"));
  add(rule("own_mac", {router_advertisement(), counter(), drop}, "no router"));
  add(rule("own_mac", {ipv4(), iifname_in("addressed_ports"), to("guest_ipv4")}));
  add(rule("own_mac", {accept}));
  add(rule("guest_arp", {arp(), own_arp_mac(), to("guest_arp_address")}));
  add(rule("guest_arp", {counter(), drop}, "ARP for another MAC address"));
  add(rule("guest_arp_address", {arp(), own_arp_address(), accept}));
  add(rule("guest_arp_address", {iifname_in("addressed_ports"), counter(), drop},
           "ARP for another IPv4 address"));
  add(rule("guest_arp_address", {accept}));
  add(rule("guest_ipv4", {ipv4(), own_ipv4_source(), accept}));
  add(rule("guest_ipv4", {counter(), drop}, "another IPv4 address than the interface's"));
}

}  // namespace edge::netmodel::nft
