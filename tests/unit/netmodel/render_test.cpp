#include "netmodel/core/render.hpp"

#include <algorithm>

#include <gmock/gmock.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/subnets.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

/// Goal: the decisions on names, tables, rules, routes and sysctls, each visible in what a person
/// would type.
class RenderTest : public testing::Test {
 protected:
  Rendered rendered() const { return render(model, facts); }

  std::vector<std::string> routes(std::uint32_t table, Family family = Family::v4) const {
    std::vector<std::string> out;
    for (const Route& route : rendered().state.routes) {
      if (route.table != table || route.destination.address.family != family) { continue; }
      const std::string text = to_text(AddRoute{route});
      out.push_back(text.substr(text.find("replace ") + 8));
    }
    std::ranges::sort(out);
    return out;
  }
  std::vector<std::string> rules() const {
    std::vector<std::string> out;
    for (const Rule& rule : rendered().state.rules) { out.push_back(to_text(AddRule{rule})); }
    return out;
  }
  std::vector<std::string> sysctls() const {
    std::vector<std::string> out;
    for (const Sysctl& sysctl : rendered().state.sysctls) {
      out.push_back(sysctl.path + "=" + sysctl.value);
    }
    return out;
  }
  Link link(const std::string& name) const {
    for (const Link& found : rendered().state.links) {
      if (found.name == name) { return found; }
    }
    ADD_FAILURE() << "no link " << name;
    return {};
  }
  /// The facts of the next turn: subnets are stored by then.
  RenderFacts with_subnets() const {
    RenderFacts out = facts;
    out.automatic_subnets = rendered().automatic_subnets;
    return out;
  }
  std::vector<std::string> notes() const {
    std::vector<std::string> out;
    for (const Note& note : rendered().notes) { out.push_back(note.what); }
    return out;
  }

  RenderFacts facts = two_ports();
  Model model = Model::defaults();
};

TEST_F(RenderTest, EachAdapterHasABridgeWithItsMacAndMtu) {
  EXPECT_EQ(link("eth0").master, bridge0);
  EXPECT_TRUE(link("eth0").admin_up);
  EXPECT_EQ(link("eth0").alias, "");  // Not ours.
  const Link bridge = link(bridge0);
  EXPECT_EQ(bridge.mac, mac("02:00:00:00:00:01"));
  EXPECT_EQ(bridge.mtu, 1500U);
  EXPECT_EQ(bridge.alias, "gallium:port:020000000001");
  EXPECT_EQ(bridge.bridge, BridgeAttributes{});
  facts.vlan_filtering = true;
  EXPECT_EQ(link(bridge0).bridge->vlan_filtering, true);
}

TEST_F(RenderTest, AnAdapterThatIsAwayLeavesNothingBehind) {
  facts.adapters.erase(facts.adapters.begin());
  for (const Link& found : rendered().state.links) {
    EXPECT_NE(found.name, bridge0);
    EXPECT_NE(found.name, "eth0");
  }
  EXPECT_THAT(routes(20001), IsEmpty());
  EXPECT_EQ(rendered().nft.uplinks.size(), 1U);
}

TEST_F(RenderTest, EachPortHasItsTableAndItsPlaceInMain) {
  EXPECT_THAT(routes(20001), ElementsAre("192.168.1.0/24 dev " + bridge0 +
                                             " table 20001 proto 117 scope link src 192.168.1.50",
                                         "default via 192.168.1.1 dev " + bridge0 +
                                             " table 20001 proto 117 src 192.168.1.50"));
  EXPECT_THAT(
      routes(254),
      ElementsAre(
          "10.200.0.0/24 dev n-default proto 117 scope link src 10.200.0.1",
          "172.16.0.0/16 dev " + bridge1 + " proto 117 scope link src 172.16.0.7 metric 2010",
          "192.168.1.0/24 dev " + bridge0 + " proto 117 scope link src 192.168.1.50 metric 2000",
          "default via 172.16.0.1 dev " + bridge1 + " proto 117 src 172.16.0.7 metric 2010",
          "default via 192.168.1.1 dev " + bridge0 + " proto 117 src 192.168.1.50 metric 2000"));
}

TEST_F(RenderTest, RulesComeInTheOrderNatForwardedMarkDeviceSource) {
  EXPECT_THAT(rules(),
              UnorderedElementsAre(
                  "ip rule add priority 9000 to 10.200.0.0/24 lookup main protocol 117",
                  "ip rule add priority 9500 iif " + bridge0 + " lookup main protocol 117",
                  "ip rule add priority 9500 iif " + bridge1 + " lookup main protocol 117",
                  "ip -6 rule add priority 9500 iif " + bridge0 + " lookup main protocol 117",
                  "ip -6 rule add priority 9500 iif " + bridge1 + " lookup main protocol 117",
                  "ip rule add priority 10000 fwmark 20001 lookup 20001 protocol 117",
                  "ip rule add priority 11000 oif " + bridge0 + " lookup 20001 protocol 117",
                  "ip rule add priority 12000 from 192.168.1.50/32 lookup 20001 protocol 117",
                  "ip rule add priority 10000 fwmark 20002 lookup 20002 protocol 117",
                  "ip rule add priority 11000 oif " + bridge1 + " lookup 20002 protocol 117",
                  "ip rule add priority 12000 from 172.16.0.7/32 lookup 20002 protocol 117",
                  "ip -6 rule add priority 10000 fwmark 20001 lookup 20001 protocol 117",
                  "ip -6 rule add priority 11000 oif " + bridge0 + " lookup 20001 protocol 117",
                  "ip -6 rule add priority 10000 fwmark 20002 lookup 20002 protocol 117",
                  "ip -6 rule add priority 11000 oif " + bridge1 + " lookup 20002 protocol 117"));
}

TEST_F(RenderTest, SysctlsKeepTwoPortsOnOneWireApart) {
  for (const char* wanted :
       {"net/ipv4/ip_forward=1", "net/ipv4/tcp_fwmark_accept=1", "net/ipv4/fwmark_reflect=1",
        "net/ipv4/conf/all/src_valid_mark=1", "net/ipv4/conf/br020000000001/rp_filter=2",
        "net/ipv4/conf/br020000000001/src_valid_mark=1",
        "net/ipv4/conf/br020000000001/accept_local=0", "net/ipv4/conf/br020000000001/arp_ignore=1",
        "net/ipv4/conf/br020000000001/arp_announce=2",
        "net/ipv4/conf/br020000000001/ignore_routes_with_linkdown=1",
        "net/ipv6/conf/br020000000001/accept_ra=2", "net/ipv6/conf/eth0/disable_ipv6=1",
        "net/ipv6/conf/n-default/disable_ipv6=1"}) {
    EXPECT_THAT(sysctls(), Contains(wanted));
  }
  facts.ipv6 = false;
  EXPECT_THAT(sysctls(), Not(Contains(HasSubstr("ipv6"))));
  EXPECT_THAT(rules(), Not(Contains(HasSubstr("-6"))));
}

TEST_F(RenderTest, CarrierLossTakesTheRoutesAndLeavesTheAddress) {
  facts.adapters[0].carrier = false;
  EXPECT_THAT(routes(20001), IsEmpty());
  EXPECT_THAT(routes(254), Not(Contains(HasSubstr(bridge0))));
  EXPECT_THAT(routes(20002), testing::SizeIs(2));
  const auto state = rendered().state;
  EXPECT_THAT(state.addresses,
              Contains(Address{.link = bridge0, .prefix = prefix("192.168.1.50/24")}));
  EXPECT_THAT(rules(), Contains(HasSubstr("from 192.168.1.50/32 lookup 20001")));
}

TEST_F(RenderTest, DisabledInTheModelIsAdminDownAndByAPersonIsLeftAlone) {
  model.adapters[mac("02:00:00:00:00:01")].enabled = false;
  EXPECT_FALSE(link("eth0").admin_up);
  EXPECT_THAT(routes(20001), IsEmpty());
  EXPECT_THAT(rules(), Not(Contains(HasSubstr("192.168.1.50"))));

  model.adapters.clear();
  facts.adapters[0].locally_disabled = true;
  const auto links = render(model, facts).state.links;
  EXPECT_TRUE(std::ranges::none_of(links, [](const Link& l) { return l.name == "eth0"; }));
  EXPECT_TRUE(link(bridge0).admin_up);
  EXPECT_THAT(routes(20001), IsEmpty());
  EXPECT_THAT(rules(), Contains(HasSubstr("192.168.1.50")));  // The lease holds.
}

TEST_F(RenderTest, UplinkOrderAndDrainDecideTheMetric) {
  model.host.uplink_order = {mac("02:00:00:00:00:02")};
  EXPECT_THAT(routes(254), Contains("default via 172.16.0.1 dev " + bridge1 +
                                    " proto 117 src 172.16.0.7 metric 2000"));
  EXPECT_THAT(routes(254), Contains("default via 192.168.1.1 dev " + bridge0 +
                                    " proto 117 src 192.168.1.50 metric 2010"));
  facts.adapters[1].drained = true;
  EXPECT_THAT(routes(254), Contains(HasSubstr("default via 172.16.0.1 dev " + bridge1 +
                                              " proto 117 src 172.16.0.7 metric 12010")));
  EXPECT_THAT(routes(254), Contains(HasSubstr("src 192.168.1.50 metric 2000")));
  EXPECT_THAT(routes(20002), testing::SizeIs(2));  // The path itself stays usable.
}

/// Why: two sites, two routers, both 192.168.1.1 and both with the same idea of our address (U26,
/// U27).
TEST_F(RenderTest, TheSameAddressOnTwoPortsIsTwoOfEverything) {
  facts.adapters[1].lease = facts.adapters[0].lease;
  EXPECT_THAT(routes(20001), testing::SizeIs(2));
  EXPECT_THAT(routes(20002), testing::SizeIs(2));
  EXPECT_THAT(
      rules(),
      Contains("ip rule add priority 12000 from 192.168.1.50/32 lookup 20001 protocol 117"));
  EXPECT_THAT(
      rules(),
      Contains("ip rule add priority 12000 from 192.168.1.50/32 lookup 20002 protocol 117"));
  EXPECT_THAT(routes(254), Contains("default via 192.168.1.1 dev " + bridge1 +
                                    " proto 117 src 192.168.1.50 metric 2010"));
  EXPECT_EQ(rendered().nft.uplinks[0].addresses, rendered().nft.uplinks[1].addresses);
}

TEST_F(RenderTest, Option121WinsOverTheRouterAndStaysInItsTable) {
  facts.adapters[0].lease->classless_routes = {{prefix("203.0.113.0/24"), ip("192.168.1.9")},
                                               {prefix("10.9.0.0/16"), std::nullopt},
                                               {prefix("10.9.0.0/16"), ip("192.168.1.8")},
                                               {prefix("192.168.1.0/24"), ip("0.0.0.0")}};
  EXPECT_THAT(routes(20001), ElementsAre("10.9.0.0/16 dev " + bridge0 +
                                             " table 20001 proto 117 scope link src 192.168.1.50",
                                         "192.168.1.0/24 dev " + bridge0 +
                                             " table 20001 proto 117 scope link src 192.168.1.50",
                                         "203.0.113.0/24 via 192.168.1.9 dev " + bridge0 +
                                             " table 20001 proto 117 src 192.168.1.50"));
  EXPECT_THAT(routes(254), Not(Contains(HasSubstr("203.0.113"))));
  EXPECT_THAT(routes(20002), Not(Contains(HasSubstr("203.0.113"))));
  EXPECT_THAT(routes(254),
              Not(Contains(HasSubstr(
                  "192.168.1.1 "))));  // Option 3 is ignored, also without a default in 121.

  facts.adapters[0].lease->classless_routes.push_back({prefix("0.0.0.0/0"), ip("192.168.1.2")});
  EXPECT_THAT(routes(254), Contains(HasSubstr("default via 192.168.1.2 dev " + bridge0)));
}

TEST_F(RenderTest, AGatewayBesideTheSubnetIsReachedOnTheLink) {
  facts.adapters[0].lease = lease("203.0.113.7/32", "10.0.0.1");
  EXPECT_THAT(routes(20001), ElementsAre("default via 10.0.0.1 dev " + bridge0 +
                                         " table 20001 proto 117 src 203.0.113.7 onlink"));
  facts.adapters[0].lease = lease("203.0.113.7/24", "203.0.113.1");
  EXPECT_THAT(routes(20001), Not(Contains(HasSubstr("onlink"))));
}

struct MtuCase {
  std::uint32_t option;
  bool on_route;
};
TEST_F(RenderTest, DhcpMtuBelowTheBridgesIsARouteMtu) {
  for (const MtuCase& c : {MtuCase{1500, false}, MtuCase{1499, true}, MtuCase{1400, true},
                           MtuCase{576, true}, MtuCase{575, false}, MtuCase{9000, false}}) {
    facts.adapters[0].lease->mtu = c.option;
    const auto all = routes(20001);
    const std::string words = " mtu " + std::to_string(c.option);
    EXPECT_EQ(std::ranges::all_of(all, [&](const std::string& r) { return r.ends_with(words); }),
              c.on_route)
        << c.option;
    EXPECT_EQ(link(bridge0).mtu, 1500U);
  }
}

TEST_F(RenderTest, ALeaseThatIsNoHostAddressIsIgnoredWithANote) {
  for (const char* bad : {"0.0.0.0/24", "127.0.0.5/8", "224.0.0.5/24", "192.168.1.0/24",
                          "192.168.1.255/24", "255.255.255.255/32", "192.168.1.50/0"}) {
    facts.adapters[0].lease = lease(bad, "192.168.1.1");
    EXPECT_THAT(routes(20001), IsEmpty()) << bad;
    EXPECT_THAT(notes(), Contains(HasSubstr("is not a host address"))) << bad;
  }
  for (const char* router : {"0.0.0.5", "127.0.0.1", "224.0.0.1", "192.168.1.50", "fe80::1",
                             "192.168.1.255", "192.168.1.0"}) {
    facts.adapters[0].lease = lease("192.168.1.50/24", router);
    EXPECT_THAT(routes(20001), testing::SizeIs(1)) << router;
    EXPECT_THAT(notes(), Contains(HasSubstr("is not usable"))) << router;
  }
  facts.adapters[0].lease = lease("192.168.1.50/24", "");  // No gateway at all is a plain lease.
  EXPECT_THAT(routes(20001), testing::SizeIs(1));
  EXPECT_THAT(notes(), IsEmpty());
}

TEST_F(RenderTest, Ipv6OfAPortGetsItsTableToo) {
  Ipv6Facts& v6 = facts.adapters[0].v6;
  v6.owned = {prefix("2001:db8:1::180/128")};
  v6.seen = {prefix("2001:db8:1::ff:fe00:1/64")};
  v6.default_gateway = ip("fe80::1");
  EXPECT_THAT(rendered().state.addresses,
              Contains(Address{.link = bridge0, .prefix = prefix("2001:db8:1::180/128")}));
  EXPECT_THAT(
      routes(20001, Family::v6),
      ElementsAre("2001:db8:1::/64 dev " + bridge0 + " table 20001 proto 117 metric 1024",
                  "default via fe80::1 dev " + bridge0 + " table 20001 proto 117 metric 1024"));
  EXPECT_THAT(routes(254, Family::v6), IsEmpty());  // The kernel's own.
  EXPECT_THAT(
      rules(),
      Contains("ip -6 rule add priority 12000 from 2001:db8:1::180/128 lookup 20001 protocol 117"));
  EXPECT_THAT(rules(), Contains("ip -6 rule add priority 12000 from 2001:db8:1::ff:fe00:1/128 "
                                "lookup 20001 protocol 117"));
  facts.adapters[0].carrier = false;
  EXPECT_THAT(routes(20001, Family::v6), IsEmpty());
}

TEST_F(RenderTest, AdapterMtuGoesToBridgeAndTap) {
  model.adapters[mac("02:00:00:00:00:01")].mtu = 9000;
  Interface direct{.vm = "v", .network = bridge0, .mac = mac("52:54:00:00:00:12")};
  model.interfaces["direct"] = direct;
  for (const std::string& name : {std::string("eth0"), bridge0, std::string("t-direct")}) {
    EXPECT_EQ(link(name).mtu, 9000U) << name;
  }
  EXPECT_EQ(link("t-direct").master, bridge0);
  EXPECT_EQ(link(bridge1).mtu, 1500U);
  facts.adapters[0].mtu_max = 4000;  // Another card in the same slot.
  EXPECT_EQ(link(bridge0).mtu, 4000U);
  EXPECT_THAT(
      notes(),
      ElementsAre("port \"eth0\": MTU 9000 is beyond what the driver allows, 4000 is used"));
  facts.adapters.erase(facts.adapters.begin());
  EXPECT_EQ(link("t-direct").master, "");  // The guest keeps its tap.
}

TEST_F(RenderTest, ANatNetworkIsBridgeGatewayServiceAndMasquerade) {
  model = one_guest();
  facts.tap_owner_uid = 64055;
  const Rendered out = rendered();
  EXPECT_EQ(link("n-default").alias, "gallium:network:default");
  EXPECT_EQ(link("n-default").mac, generated_mac("hv-01", "network", "default"));
  EXPECT_THAT(out.state.addresses,
              Contains(Address{.link = "n-default", .prefix = prefix("10.200.0.1/24")}));
  EXPECT_THAT(out.nft.nat_networks,
              ElementsAre(GuestNetwork{"n-default", prefix("10.200.0.0/24")}));
  ASSERT_EQ(out.services.size(), 1U);
  const NetworkService& service = out.services[0];
  EXPECT_EQ(service.gateway, ip("10.200.0.1"));
  EXPECT_EQ(service.range, (AddressRange{ip("10.200.0.10"), ip("10.200.0.254")}));
  EXPECT_THAT(service.reservations,
              ElementsAre(DhcpReservation{mac("52:54:00:00:00:11"), ip("10.200.0.10"), "web"}));
  EXPECT_THAT(service.upstreams, ElementsAre(DnsUpstream{ip("192.168.1.1"), bridge0},
                                             DnsUpstream{ip("172.16.0.1"), bridge1}));
  const Link tap = link("t-web");
  EXPECT_EQ(tap.master, "n-default");
  EXPECT_EQ(tap.mac, mac("fe:54:00:00:00:11"));
  EXPECT_EQ(tap.tap, (TapAttributes{.owner_uid = 64055, .vnet_hdr = true, .multi_queue = false}));
  model.networks["default"].dns = {ip("9.9.9.9")};
  EXPECT_THAT(rendered().services[0].upstreams, ElementsAre(DnsUpstream{ip("9.9.9.9"), ""}));
  model.networks["default"].dhcp.enabled = false;
  EXPECT_FALSE(rendered().services[0].range);
}

TEST_F(RenderTest, HardwareDecidesTheTapsFlags) {
  model = one_guest();
  model.interfaces["web"].hardware = Hardware::virtio_multiqueue;
  EXPECT_EQ(link("t-web").tap,
            (TapAttributes{.owner_uid = 0, .vnet_hdr = true, .multi_queue = true}));
  model.interfaces["web"].hardware = Hardware::e1000;
  EXPECT_EQ(link("t-web").tap,
            (TapAttributes{.owner_uid = 0, .vnet_hdr = false, .multi_queue = false}));
}

TEST_F(RenderTest, PublicationsArriveOnTheNamedAdaptersOnly) {
  model = one_guest();
  GatewayRule& rule = model.gateway["http"];
  rule.port_last = 8081;
  EXPECT_EQ(rendered().nft.publications.size(), 4U);
  rule.adapters = {mac("02:00:00:00:00:02")};
  rule.sources = {prefix("10.0.0.0/8"), prefix("10.1.0.0/16")};
  const auto publications = rendered().nft.publications;
  ASSERT_EQ(publications.size(), 2U);
  EXPECT_EQ(
      publications[1],
      (Publication{bridge1, Transport::tcp, 8081, ip("10.200.0.10"), 81, {prefix("10.0.0.0/8")}}));
  EXPECT_EQ(state_of(model, rule, with_subnets()), "active");
  facts.adapters[1].carrier = false;
  EXPECT_EQ(state_of(model, rule, with_subnets()), "waiting for a lease on its ports");
  facts.adapters.pop_back();
  EXPECT_EQ(state_of(model, rule, with_subnets()), "waiting for its adapters");
  EXPECT_THAT(rendered().nft.publications, IsEmpty());
}

TEST_F(RenderTest, TheDefaultSubnetIsTheFirstThatOverlapsNothing) {
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.200.0.0/24"));
  facts.taken = {{prefix("10.200.0.5/32"), "an address of \"docker0\""}};
  facts.adapters[0].lease = lease("10.201.9.9/16", "10.201.0.1");
  model.networks["own"].subnet = prefix("10.202.0.0/16");
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.203.0.0/24"));
  facts.needed = {{.address = ip("10.203.0.1"), .what = "the Console"}};
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.204.0.0/24"));
}

TEST_F(RenderTest, ASiteThatTakesAWholePrivateRangeLeavesTheOthers) {
  facts.adapters[0].lease = lease("10.9.9.9/8", "10.0.0.1");
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("172.31.200.0/24"));
  facts.taken = {{prefix("172.16.0.0/12"), "the office"}};
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("192.168.200.0/24"));
  facts.taken.push_back({prefix("192.168.0.0/16"), "the plant"});
  // All are taken, by what is wider: a longer prefix wins over it.
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.200.0.0/24"));
  EXPECT_THAT(notes(),
              ElementsAre(HasSubstr("network \"default\": subnet 10.200.0.0/24 lies within "
                                    "10.9.9.9/8 of the lease of port \"eth0\"")));
  facts.automatic_subnets = rendered().automatic_subnets;
  EXPECT_EQ(notes().size(), 1U) << "it is not told as a change again";
  facts.needed = {{.address = ip("10.200.0.7"), .what = "the Console"}};
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.201.0.0/24"));
}

TEST_F(RenderTest, WithoutAnyFreeSubnetTheNetworkStandsWithoutOne) {
  for (unsigned n = 0; n < automatic_subnet_count; ++n) {
    facts.taken.push_back({automatic_subnet(n), "an address of \"docker0\""});
  }
  EXPECT_FALSE(rendered().automatic_subnets.contains("default"));
  EXPECT_THAT(notes(), Contains(HasSubstr("network \"default\": each of 10.200..231.0.0/24, ")));
}

TEST_F(RenderTest, ASubnetStaysUntilALeaseCollidesWithIt) {
  facts.automatic_subnets = {{"default", prefix("10.207.0.0/24")}};
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.207.0.0/24"));

  facts.adapters[1].lease = lease("10.207.0.77/24", "10.207.0.254");
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.200.0.0/24"));
  EXPECT_THAT(
      notes(),
      ElementsAre(HasSubstr("network \"default\": subnet 10.207.0.0/24 is now 10.200.0.0/24")));

  model = one_guest();  // In use: a guest would lose its address without being asked.
  EXPECT_EQ(rendered().automatic_subnets.at("default"), prefix("10.207.0.0/24"));
  EXPECT_THAT(notes(), ElementsAre(HasSubstr("it stays because it is in use")));
}

TEST_F(RenderTest, ARouterWithTheAddressOfANetworkInUseIsHeardAllTheSame) {
  model = one_guest();
  facts.automatic_subnets = {{"default", prefix("10.200.0.0/24")}};
  const auto accepts = [this](const std::string& bridge) {
    const std::string path = "net/ipv4/conf/" + bridge + "/accept_local";
    return std::ranges::any_of(rendered().state.sysctls,
                               [&](const Sysctl& s) { return s.path == path && s.value == "1"; });
  };
  EXPECT_FALSE(accepts(bridge1));
  facts.adapters[1].lease = lease("10.200.0.77/24", "10.200.0.1");
  EXPECT_TRUE(accepts(bridge1));
  EXPECT_FALSE(accepts(bridge0));
  EXPECT_THAT(notes(), Contains(HasSubstr("has the address 10.200.0.1 of the router or resolver of "
                                          "port \"eth1\"")));
}

TEST_F(RenderTest, TwoAdaptersWithOneMacAreOneOwnerAndANote) {
  facts.adapters[1].base_mac = facts.adapters[0].base_mac;
  EXPECT_EQ(rendered().nft.uplinks.size(), 1U);
  EXPECT_THAT(notes(),
              ElementsAre(HasSubstr(
                  "port \"eth1\" has the MAC address 02:00:00:00:00:01 of port \"eth0\"")));
}

}  // namespace
}  // namespace edge::netmodel
