// The constant part of our table: sets, chains and rules, each rule made once for people and for
// the kernel.
#include "netmodel/core/nft_rule_parts.hpp"

namespace edge::netmodel::nft {
namespace {

constexpr std::uint8_t nfproto_ipv4 = 2, nfproto_ipv6 = 10;

std::vector<Expression> family_is(Family family) {
  return {MetaLoad{MetaKey::nfproto, 0},
          Compare{0, true, byte(family == Family::v4 ? nfproto_ipv4 : nfproto_ipv6)}};
}
PayloadLoad source_address(Family family, Register to) {
  return family == Family::v4 ? PayloadLoad{PayloadBase::network, 12, 4, to}
                              : PayloadLoad{PayloadBase::network, 8, 16, to};
}
PayloadLoad destination_address(Family family) {
  return family == Family::v4 ? PayloadLoad{PayloadBase::network, 16, 4, 0}
                              : PayloadLoad{PayloadBase::network, 24, 16, 0};
}
std::string ip(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

Part within_one_bridge() {
  return {"iifname . oifname @within_bridge",
          {MetaLoad{MetaKey::iifname, 0}, MetaLoad{MetaKey::oifname, 4},
           Lookup{0, "within_bridge", {}}}};
}

constexpr std::uint32_t state_invalid = 1, state_established_related = 6,
                        state_new = 8;     // NF_CT_STATE_BIT
constexpr std::uint32_t status_dnat = 32;  // IPS_DST_NAT

Part ct_flags(CtKey key, std::uint32_t flags, std::string text) {
  return {std::move(text),
          {CtLoad{key, 0}, Mask{0, u32_bytes(flags)}, Compare{0, false, u32_bytes(0)}}};
}
Part ct_state_new() { return ct_flags(CtKey::state, state_new, "ct state new"); }
Part ct_dnat() { return ct_flags(CtKey::status, status_dnat, "ct status dnat"); }
Part ct_reply_of_ours() {
  return {"ct direction reply ct mark @uplink_marks",
          {CtLoad{CtKey::direction, 0}, Compare{0, true, byte(1)}, CtLoad{CtKey::mark, 0},
           Lookup{0, "uplink_marks", {}}}};
}

Part mark_from_ct() { return {"meta mark set ct mark", {CtLoad{CtKey::mark, 0}, MarkStore{0}}}; }
Part mark_by_iifname() {
  return {"meta mark set iifname map @uplinks",
          {MetaLoad{MetaKey::iifname, 0}, Lookup{0, "uplinks", Register{0}}, MarkStore{0}}};
}
Part ct_mark_by_iifname() {
  return {"ct mark set iifname map @uplinks",
          {MetaLoad{MetaKey::iifname, 0}, Lookup{0, "uplinks", Register{0}}, CtMarkStore{0}}};
}
Part mark_by_destination(Family family) {
  const std::string map = family == Family::v4 ? "own_addresses" : "own_addresses6";
  auto expressions = family_is(family);
  expressions.insert(expressions.end(),
                     {destination_address(family), Lookup{0, map, Register{0}}, MarkStore{0}});
  return {"meta mark set " + ip(family) + " daddr map @" + map, std::move(expressions)};
}

/// Nothing but the network's own addresses: a guest with a foreign source address is neither
/// masqueraded nor let out. `kind`: "nat" or "routed".
Part guest_source(const std::string& kind, Family family) {
  const std::string set = kind + (family == Family::v4 ? "_sources" : "_sources6");
  auto expressions = family_is(family);
  expressions.insert(expressions.end(), {MetaLoad{MetaKey::iifname, 0}, source_address(family, 4),
                                         Lookup{0, set, {}}});
  return {"iifname . " + ip(family) + " saddr @" + set, std::move(expressions)};
}
/// A guest's packet that goes back to its own network. With br_netfilter a publication on the same
/// bridge never leaves the bridge, and postrouting then has no input device to match.
Part guest_source_same_bridge(Family family) {
  const std::string set = family == Family::v4 ? "nat_sources" : "nat_sources6";
  auto expressions = family_is(family);
  expressions.insert(expressions.end(), {MetaLoad{MetaKey::oifname, 0}, source_address(family, 4),
                                         Lookup{0, set, {}}});
  return {"oifname . " + ip(family) + " saddr @" + set, std::move(expressions)};
}

Part dnat_published(Family family) {
  const std::string map = family == Family::v4 ? "publish" : "publish6";
  const Register port = family == Family::v4 ? 1 : 4;
  return {"dnat " + ip(family) + " to meta mark . meta l4proto . th dport map @" + map,
          {MetaLoad{MetaKey::mark, 0}, MetaLoad{MetaKey::l4proto, 1},
           PayloadLoad{PayloadBase::transport, 2, 2, 2}, Lookup{0, map, Register{0}},
           Dnat{family, 0, port}}};
}
/// One rule per transport because nft demands a transport match before it maps a port beside an
/// address.
Part dnat_published_from(Family family, bool tcp) {
  const std::string map = family == Family::v4 ? "publish_from" : "publish_from6";
  const std::string transport = tcp ? "tcp" : "udp";
  const Register port = family == Family::v4 ? 1 : 4;
  std::vector<Expression> expressions{MetaLoad{MetaKey::l4proto, 0},
                                      Compare{0, true, byte(tcp ? proto_tcp : proto_udp)}};
  for (auto& expression : family_is(family)) { expressions.push_back(std::move(expression)); }
  expressions.insert(expressions.end(),
                     {MetaLoad{MetaKey::mark, 0}, ToBigEndian{0}, MetaLoad{MetaKey::l4proto, 1},
                      PayloadLoad{PayloadBase::transport, 2, 2, 2}, source_address(family, 3),
                      Lookup{0, map, Register{0}}, Dnat{family, 0, port}});
  return {"meta l4proto " + transport + " dnat " + ip(family) +
              " to meta mark . meta l4proto . th dport . " + ip(family) + " saddr map @" + map,
          std::move(expressions)};
}

Part not_for_this_host() {
  constexpr std::uint32_t rtn_local = 2;
  return {"fib daddr type != local",
          {FibDestinationType{0}, Compare{0, false, u32_bytes(rtn_local)}}};
}
Part dhcp_unicast_request() {
  auto expressions =
      std::vector<Expression>{MetaLoad{MetaKey::l4proto, 0}, Compare{0, true, byte(proto_udp)},
                              PayloadLoad{PayloadBase::transport, 0, 4, 0},
                              Compare{0, true, std::string("\0\x44\0\x43", 4)}};
  for (auto& expression : family_is(Family::v4)) { expressions.push_back(std::move(expression)); }
  expressions.push_back(destination_address(Family::v4));
  expressions.push_back(Compare{0, false, "\xff\xff\xff\xff"});
  return {"udp sport 68 udp dport 67 ip daddr != 255.255.255.255", std::move(expressions)};
}

Part masquerade() { return {"masquerade", {Masquerade{}}}; }
constexpr Family v4 = Family::v4, v6 = Family::v6;

void mark_rules(std::vector<Rule>& all) {
  all.push_back(rule("mark_in", {ct_state_new(), ct_mark_by_iifname()}, "came by this uplink"));
  all.push_back(rule("mark_in", {mark_by_iifname()}));
  all.push_back(rule("mark_in", {ct_reply_of_ours(), mark_from_ct()},
                     "answers leave where the request came"));
  for (const Family family : {v4, v6}) {
    all.push_back(rule("mark_in",
                       {iifname_in("guest_bridges"), ct_state_new(), mark_by_destination(family)},
                       "hairpin: whose port is meant"));
  }
  all.push_back(rule("mark_out", {ct_reply_of_ours(), mark_from_ct()}));
  for (const Family family : {v4, v6}) {
    all.push_back(
        rule("mark_out", {ct_state_new(), mark_by_destination(family)}, "hairpin from the host"));
  }
}

void nat_rules(std::vector<Rule>& all) {
  all.push_back(rule("dstnat", {verdict(VerdictKind::jump, "publications")}));
  all.push_back(rule("dstnat_out", {verdict(VerdictKind::jump, "publications")}));
  all.push_back(rule("publications", {not_for_this_host(), verdict(VerdictKind::return_)}));
  for (const Family family : {v4, v6}) {
    all.push_back(rule("publications", {dnat_published(family)}));
    all.push_back(rule("publications", {dnat_published_from(family, true)}));
    all.push_back(rule("publications", {dnat_published_from(family, false)}));
  }
  all.push_back(rule(
      "srcnat", {iifname_in("guest_bridges"), oifname_in("nat_bridges"), ct_dnat(), masquerade()},
      "hairpin: the answer must come back through us"));
  for (const Family family : {v4, v6}) {
    all.push_back(rule("srcnat", {guest_source_same_bridge(family), ct_dnat(), masquerade()},
                       "hairpin under br_netfilter"));
    for (const char* outside : {"uplink_bridges", "routed_bridges"}) {
      all.push_back(
          rule("srcnat", {oifname_in(outside), guest_source("nat", family), masquerade()}));
    }
  }
}

void filter_rules(std::vector<Rule>& all, bool drop_dhcp_unicast_renewals) {
  const Part accept = verdict(VerdictKind::accept);
  const Part drop = verdict(VerdictKind::drop);
  all.push_back(
      rule("forward", {within_one_bridge(), accept}, "bridged, seen here with br_netfilter"));
  all.push_back(rule("forward", {iifname_in("isolated_bridges"), counter(), drop}, "isolated"));
  all.push_back(rule("forward", {oifname_in("isolated_bridges"), counter(), drop}, "isolated"));
  all.push_back(rule(
      "forward",
      {ct_flags(CtKey::state, state_established_related, "ct state established,related"), accept}));
  all.push_back(rule("forward", {oifname_in("nat_bridges"), ct_dnat(), accept}, "published"));
  all.push_back(rule("forward",
                     {iifname_in("nat_bridges"),
                      ct_flags(CtKey::state, state_invalid, "ct state invalid"), counter(), drop},
                     "would leave with its private source"));
  for (const Family family : {v4, v6}) {
    for (const char* outside : {"uplink_bridges", "routed_bridges"}) {
      all.push_back(rule("forward", {oifname_in(outside), guest_source("nat", family), accept}));
    }
  }
  all.push_back(rule("forward", {iifname_in("nat_bridges"), counter(), drop},
                     "guests go out to uplinks and routed networks only"));
  all.push_back(rule("forward", {oifname_in("nat_bridges"), counter(), drop}, "not published"));
  for (const Family family : {v4, v6}) {
    all.push_back(rule("forward", {guest_source("routed", family), accept}));
  }
  all.push_back(rule("forward", {iifname_in("routed_bridges"), counter(), drop},
                     "another address than the network's"));
  all.push_back(rule("forward",
                     {iifname_in("uplink_bridges"), oifname_in("uplink_bridges"), counter(), drop},
                     "we are no router between uplinks"));
  if (drop_dhcp_unicast_renewals) {
    all.push_back(rule("output",
                       {oifname_in("uplink_bridges"), dhcp_unicast_request(), counter(), drop},
                       "a unicast renewal takes the wrong uplink"));
  }
}

}  // namespace

const std::array<SetSpec, set_count>& set_specs() {
  using enum Field;
  static const std::array<SetSpec, set_count> specs{{
      {"uplinks", {ifname}, {mark}, false},
      {"uplink_bridges", {ifname}, {}, false},
      {"uplink_marks", {mark}, {}, false},
      {"own_addresses", {ipv4_addr}, {mark}, false},
      {"own_addresses6", {ipv6_addr}, {mark}, false},
      {"address_twins", {ifname, ipv4_addr}, {}, false},
      {"address_twins6", {ifname, ipv6_addr}, {}, false},
      {"guest_bridges", {ifname}, {}, false},
      {"nat_bridges", {ifname}, {}, false},
      {"routed_bridges", {ifname}, {}, false},
      {"isolated_bridges", {ifname}, {}, false},
      {"within_bridge", {ifname, ifname}, {}, false},
      {"nat_sources", {ifname, ipv4_addr}, {}, true},
      {"nat_sources6", {ifname, ipv6_addr}, {}, true},
      {"routed_sources", {ifname, ipv4_addr}, {}, true},
      {"routed_sources6", {ifname, ipv6_addr}, {}, true},
      {"publish", {mark, inet_proto, inet_service}, {ipv4_addr, inet_service}, false},
      {"publish6", {mark, inet_proto, inet_service}, {ipv6_addr, inet_service}, false},
      {"publish_from",
       {mark, inet_proto, inet_service, ipv4_addr},
       {ipv4_addr, inet_service},
       true},
      {"publish_from6",
       {mark, inet_proto, inet_service, ipv6_addr},
       {ipv6_addr, inet_service},
       true},
      {"filtered_ports", {ifname}, {}, false, TableId::bridge},
      {"port_macs", {ifname, ether_addr}, {}, false, TableId::bridge},
      {"addressed_ports", {ifname}, {}, false, TableId::bridge},
      {"port_addresses", {ifname, ipv4_addr}, {}, false, TableId::bridge},
  }};
  return specs;
}

/// mangle (-150) comes after conntrack (-200) and before NAT. Ours is 10 before the usual NAT
/// priority: what is published here is ours, whatever other programs install at -100. Bridge
/// prerouting runs before a frame's source is learned.
const std::vector<Chain>& chains() {
  constexpr std::int32_t mangle = -150, before_dstnat = -110, filter = 0, srcnat = 100;
  constexpr std::int32_t bridge_filter = -200;
  static const std::vector<Chain> all{
      {"mark_in", BaseChain{"filter", Hook::prerouting, mangle}},
      {"mark_out", BaseChain{"route", Hook::output, mangle}},
      {"publications", std::nullopt},
      {"dstnat", BaseChain{"nat", Hook::prerouting, before_dstnat}},
      {"dstnat_out", BaseChain{"nat", Hook::output, before_dstnat}},
      {"srcnat", BaseChain{"nat", Hook::postrouting, srcnat}},
      {"forward", BaseChain{"filter", Hook::forward, filter}},
      {"output", BaseChain{"filter", Hook::output, filter}},
      {"from_ports", BaseChain{"filter", Hook::prerouting, bridge_filter}, TableId::bridge},
      {"guest", std::nullopt, TableId::bridge},
      {"own_mac", std::nullopt, TableId::bridge},
      {"guest_arp", std::nullopt, TableId::bridge},
      {"guest_arp_address", std::nullopt, TableId::bridge},
      {"guest_ipv4", std::nullopt, TableId::bridge},
  };
  return all;
}

std::vector<Rule> rules(bool drop_dhcp_unicast_renewals) {
  std::vector<Rule> all;
  mark_rules(all);
  nat_rules(all);
  filter_rules(all, drop_dhcp_unicast_renewals);
  port_rules(all);
  return all;
}

}  // namespace edge::netmodel::nft
