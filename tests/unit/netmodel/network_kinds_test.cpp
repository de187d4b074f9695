// Networks with a bridge of their own: what each kind accepts, and what it becomes.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/subnets.hpp"
#include "tests/unit/netmodel/apply_fixture.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {
namespace {

using test::ip;
using test::prefix;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string create(std::string_view id, std::string_view kind, std::string_view more = "") {
  return fmt::format(R"({{"op":"network.create","network":"{}","kind":"{}"{}{}}})", id, kind,
                     more.empty() ? "" : ",", more);
}
std::string attach(std::string_view id, std::string_view network, std::string_view more = "") {
  return fmt::format(R"({{"op":"interface.attach","interface":"{}","vm":"v","network":"{}"{}{}}})",
                     id, network, more.empty() ? "" : ",", more);
}
constexpr std::string_view lan = R"("subnet":"10.60.0.0/24")";
constexpr std::string_view lan6 = R"("subnet":"10.60.0.0/24","subnet6":"2001:db8:60::/64")";

class KindsTest : public test::ApplyFixture {
 protected:
  Rendered rendered() const {
    RenderFacts scene = test::two_ports();
    scene.automatic_subnets = facts.automatic_subnets;
    return render(model, scene);
  }
  static bool has_sysctl(const Rendered& out, const std::string& path, const std::string& value) {
    return std::ranges::find(out.state.sysctls, Sysctl{path, value}) != out.state.sysctls.end();
  }
};

TEST_F(KindsTest, EachKindNeedsItsOwnSubnetButNat) {
  for (const char* kind : {"routed", "isolated", "open"}) {
    EXPECT_THAT(refuse({create("n", kind)}),
                ElementsAre(fmt::format("network \"n\": a network of kind {} needs \"subnet\", "
                                        "e.g. 10.5.0.0/24",
                                        kind)));
    EXPECT_TRUE(outcome({create("n", kind, lan)}).model) << kind;
  }
  EXPECT_TRUE(outcome({create("n", "nat")}).model);
}

TEST_F(KindsTest, AKindDoesNotChange) {
  accept({create("n", "routed", lan)});
  EXPECT_THAT(refuse({R"({"op":"network.update","network":"n","kind":"open"})"}),
              ElementsAre(HasSubstr("kind \"routed\" cannot become \"open\"")));
}

TEST_F(KindsTest, FieldsOfOtherKindsAreRefused) {
  EXPECT_THAT(refuse({create("n", "isolated", R"("subnet":"10.60.0.0/24","dns":["9.9.9.9"])")}),
              ElementsAre(HasSubstr("\"dns\" does not belong to kind isolated")));
  EXPECT_THAT(refuse({create("n", "routed", R"("subnet":"10.60.0.0/24","vlan_id":7)")}),
              ElementsAre(HasSubstr("\"vlan_id\" does not belong to kind routed")));
}

TEST_F(KindsTest, SubnetsOfAllKindsOverlapNothing) {
  accept({create("r", "routed", lan6)});
  for (const char* kind : {"nat", "routed", "isolated", "open"}) {
    EXPECT_THAT(refuse({create("n", kind, R"("subnet":"10.60.0.128/25")")}),
                ElementsAre(HasSubstr("overlaps 10.60.0.0/24 of network \"r\"")));
    EXPECT_THAT(refuse({create("n", kind, R"("subnet":"192.168.1.64/26")")}),
                ElementsAre(HasSubstr("of the lease of port \"eth0\"")));
    EXPECT_THAT(
        refuse({create("n", kind, R"("subnet":"10.61.0.0/24","subnet6":"2001:db8:60::/64")")}),
        ElementsAre("network \"n\": subnet6 2001:db8:60::/64 overlaps 2001:db8:60::/64 of network "
                    "\"r\""));
  }
  facts.taken.push_back({prefix("2001:db8::/32"), "the IPv6 network of port \"eth0\""});
  EXPECT_THAT(refuse({create("n", "nat", R"("subnet6":"2001:db8:7::/64")")}),
              ElementsAre(HasSubstr("of the IPv6 network of port \"eth0\"")));
}

TEST_F(KindsTest, AnIpv6SubnetIsAUsable64) {
  const auto with = [](std::string_view subnet6) {
    return create("n", "nat", fmt::format(R"("subnet6":"{}")", subnet6));
  };
  for (const char* good : {"2001:db8:1::/64", "fd12:3456:789a:1::/64", "auto", "none"}) {
    EXPECT_TRUE(outcome({with(good)}).model) << good;
  }
  for (const char* bad : {"2001:db8::/48", "2001:db8::/65", "fe80::/64", "ff02::/64", "::/64"}) {
    EXPECT_THAT(refuse({with(bad)}), ElementsAre(HasSubstr("network \"n\": subnet6 "))) << bad;
  }
  EXPECT_THAT(refuse({with("2001:db8::5/64")}),
              ElementsAre(HasSubstr("did you mean 2001:db8::/64?")));
  for (const char* bad : {"\"10.0.0.0/24\"", "\"soon\"", "7", "null"}) {
    const auto parsed = parse_operations(
        boost::json::parse("[" + create("n", "nat", fmt::format(R"("subnet6":{})", bad)) + "]"));
    ASSERT_FALSE(parsed) << bad;
    EXPECT_THAT(parsed.error().items().front().what, HasSubstr("\"auto\" or \"none\""));
  }
}

TEST_F(KindsTest, AnAutomaticUlaIsTheSameForTheSameIds) {
  accept({create("n", "nat", R"("subnet6":"auto")"), create("m", "nat", R"("subnet6":"auto")")});
  const IpPrefix first = model.networks.at("n").subnet6.value();
  EXPECT_EQ(first, automatic_subnet6("hv-01", "n", 0));
  EXPECT_EQ(first.address.bytes[0], 0xfd);
  EXPECT_EQ(first.length, 64);
  const IpPrefix second = model.networks.at("m").subnet6.value();
  EXPECT_NE(first, second);
  const IpPrefix site{first.address, 48};
  EXPECT_TRUE(site.contains(second.address));  // One host, one global id.
  accept({R"({"op":"network.update","network":"n","subnet6":"none"})"});
  EXPECT_EQ(model.networks.at("n").subnet6, std::nullopt);
  accept({R"({"op":"network.update","network":"n","subnet6":"auto"})"});
  EXPECT_EQ(model.networks.at("n").subnet6, first);
  EXPECT_EQ(model_from_json(to_json_text(model)).value(), model);
  EXPECT_THAT(refuse({create("r", "routed", R"("subnet":"10.60.0.0/24","subnet6":"auto")")}),
              ElementsAre(HasSubstr("needs a prefix that others know")));
}

TEST_F(KindsTest, OnlyNatNetworksPublish) {
  accept({create("r", "routed", lan6), create("i", "isolated", R"("subnet":"10.61.0.0/24")"),
          attach("a", "r"), attach("b", "i")});
  const auto publish = [](std::string_view target) {
    return fmt::format(R"({{"op":"gateway.publish","rule":"p",{},"protocol":"tcp","port":80}})",
                       target);
  };
  EXPECT_THAT(refuse({publish(R"("interface":"a")")}),
              ElementsAre(HasSubstr("of kind routed: its ports need no publication")));
  EXPECT_THAT(refuse({publish(R"("interface":"b")")}),
              ElementsAre(HasSubstr("of kind isolated: nothing outside may reach it")));
  EXPECT_THAT(refuse({publish(R"("address":"10.60.0.9")")}),
              ElementsAre(HasSubstr("in network \"r\" of kind routed")));
  EXPECT_THAT(refuse({publish(R"("address":"2001:db8:60::9")")}),
              ElementsAre(HasSubstr("in network \"r\" of kind routed")));
}

TEST_F(KindsTest, APublicationOpensBothFamiliesOfItsTarget) {
  accept(
      {create("n", "nat", R"("subnet":"10.60.0.0/24","subnet6":"2001:db8:60::/64")"),
       attach("a", "n", R"("address":"10.60.0.16")"),
       R"({"op":"gateway.publish","rule":"p","interface":"a","protocol":"tcp","port":80})",
       R"({"op":"gateway.publish","rule":"q","interface":"a","protocol":"tcp","port":81,
              "sources":["2001:db8::/32"]})",
       R"({"op":"gateway.publish","rule":"s","address":"2001:db8:60::10","protocol":"udp","port":53})"});
  std::vector<std::string> lines;
  for (const Publication& publication : rendered().nft.publications) {
    if (publication.in_link == test::bridge0) { lines.push_back(to_text(publication)); }
  }
  EXPECT_THAT(lines,
              ElementsAre("br020000000001: tcp 80 -> 10.60.0.16:80",
                          "br020000000001: tcp 80 -> [2001:db8:60::10]:80",
                          "br020000000001: tcp 81 -> [2001:db8:60::10]:81 from 2001:db8::/32",
                          "br020000000001: udp 53 -> [2001:db8:60::10]:53"));
  for (const char* own : {"2001:db8:60::1", "2001:db8:60::"}) {
    EXPECT_THAT(
        refuse({fmt::format(
            R"({{"op":"gateway.publish","rule":"t","address":"{}","protocol":"udp","port":54}})",
            own)}),
        ElementsAre(HasSubstr("is the gateway")));
  }
}

TEST_F(KindsTest, EachKindBecomesItsSets) {
  accept({create("n", "nat", R"("subnet":"10.59.0.0/24","subnet6":"fd00:59::/64")"),
          create("r", "routed", lan6), create("i", "isolated", R"("subnet":"10.61.0.0/24")"),
          create("o", "open", R"("subnet":"10.62.0.0/24")")});
  const Rendered out = rendered();
  EXPECT_THAT(out.nft.nat_networks, ElementsAre(GuestNetwork{"n-default", prefix("10.200.0.0/24")},
                                                GuestNetwork{"n-n", prefix("10.59.0.0/24")},
                                                GuestNetwork{"n-n", prefix("fd00:59::/64")}));
  EXPECT_THAT(out.nft.routed_networks,
              ElementsAre(GuestNetwork{"n-r", prefix("10.60.0.0/24")},
                          GuestNetwork{"n-r", prefix("2001:db8:60::/64")}));
  EXPECT_THAT(out.nft.isolated_bridges, ElementsAre("n-i"));
  EXPECT_THAT(to_text(out.nft), Not(HasSubstr("n-o")));
  for (const char* subnet : {"10.59.0.0/24", "10.60.0.0/24", "10.61.0.0/24", "10.62.0.0/24",
                             "fd00:59::/64", "2001:db8:60::/64"}) {
    const auto rule = std::ranges::find_if(out.state.rules,
                                           [&](const Rule& r) { return r.to == prefix(subnet); });
    ASSERT_NE(rule, out.state.rules.end()) << subnet;
    EXPECT_EQ(rule->priority, 9000U);
  }
}

TEST_F(KindsTest, AnIsolatedNetworkHearsOfNoRouterAndNoResolver) {
  accept({create("i", "isolated", lan6), create("r", "routed", R"("subnet":"10.61.0.0/24")")});
  const Rendered out = rendered();
  const auto service = [&](std::string_view id) {
    return *std::ranges::find(out.services, id, &NetworkService::network);
  };
  EXPECT_FALSE(service("i").router);
  EXPECT_THAT(service("i").upstreams, IsEmpty());
  EXPECT_EQ(service("i").subnet6, prefix("2001:db8:60::/64"));
  EXPECT_TRUE(service("i").range);
  EXPECT_TRUE(service("r").router);
  EXPECT_THAT(service("r").upstreams, Not(IsEmpty()));
}

TEST_F(KindsTest, Ipv6IsOnWhereANetworkHasItAndNowhereElse) {
  accept({create("r", "routed", R"("subnet":"10.60.0.0/24")")});
  EXPECT_TRUE(has_sysctl(rendered(), "net/ipv6/conf/n-r/disable_ipv6", "1"));
  EXPECT_FALSE(has_sysctl(rendered(), "net/ipv6/conf/all/forwarding", "1"));
  accept({R"({"op":"network.update","network":"r","subnet6":"2001:db8:60::/64"})"});
  const Rendered out = rendered();
  EXPECT_TRUE(has_sysctl(out, "net/ipv6/conf/all/forwarding", "1"));
  EXPECT_TRUE(has_sysctl(out, "net/ipv6/conf/n-r/disable_ipv6", "0"));
  EXPECT_TRUE(has_sysctl(out, "net/ipv6/conf/n-r/accept_ra", "0"));
  EXPECT_TRUE(has_sysctl(out, "net/ipv6/conf/n-default/disable_ipv6", "1"));
  EXPECT_THAT(out.state.addresses,
              Contains(Address{.link = "n-r", .prefix = prefix("2001:db8:60::1/64")}));
  RenderFacts without = test::two_ports();
  without.ipv6 = false;
  for (const Sysctl& sysctl : render(model, without).state.sysctls) {
    EXPECT_THAT(sysctl.path, Not(HasSubstr("ipv6/conf/n-r")));
  }
}

TEST_F(KindsTest, Ipv6ComesAndGoesInOneTurnEach) {
  test::Host host;
  host.kernel.plug_adapter("eth0", test::mac("02:00:00:00:00:01"));
  host.kernel.plug_adapter("eth1", test::mac("02:00:00:00:00:02"));
  accept({create("r", "routed", lan)});
  host.converge(rendered());
  accept({R"({"op":"network.update","network":"r","subnet6":"2001:db8:60::/64"})"});
  host.converge(rendered());
  accept({R"({"op":"network.update","network":"r","subnet6":"none"})"});
  host.converge(rendered());
}

/// Why: a machine that forwards drops what routers advertised, and hears them no more, where
/// accept_ra is 1: the host's own way out over a link that we do not have was gone for good.
TEST_F(KindsTest, ForeignLinksKeepWhatRoutersAdvertisedWhenTheFirstIpv6NetworkComes) {
  test::Host host;
  const auto set = [&](const std::string& path, const std::string& value) {
    host.run({SetSysctl{{path, value}}});
  };
  host.kernel.plug_adapter("eth0", test::mac("02:00:00:00:00:01"));
  host.kernel.plug_adapter("eth1", test::mac("02:00:00:00:00:02"));
  accept({create("r", "routed", lan)});
  host.converge(rendered());
  // theirs: by a program of its own, with accept_ra 0. quiet: nobody advertised anything so far.
  for (const char* name : {"quiet", "theirs", "wlan0"}) {
    host.kernel.add_foreign_link({.name = name, .kind = LinkKind::physical});
  }
  for (const char* name : {"quiet", "wlan0", "eth0"}) { set(accept_ra_path(name), "1"); }
  const auto advertise = [&](const std::string& link, std::string_view destination) {
    host.kernel.add_foreign_route({.destination = prefix(destination),
                                   .link = link,
                                   .gateway = ip("fe80::1"),
                                   .protocol = 9});
  };
  for (const char* name : {"theirs", "wlan0", "eth0", "br020000000001"}) {
    advertise(name, "::/0");
    advertise(name, "2001:db8:7::/48");
  }
  const auto plan = [&] {
    const Rendered out = rendered();
    std::vector<std::string> paths = sysctl_paths(out.state);
    for (const char* name : {"quiet", "theirs", "wlan0", "eth0", "later"}) {
      paths.push_back(accept_ra_path(name));
    }
    const ObservedState observed = host.kernel.dump(paths).value();
    return make_plan(out.state, out.nft, observed, host.kernel.dump_nft().value()).plan;
  };
  const auto lines = [&] {
    std::vector<std::string> out;
    for (const Operation& operation : plan()) {
      const std::string text = to_text(operation);
      if (text.contains("accept_ra") || text.contains("all/forwarding")) { out.push_back(text); }
    }
    return out;
  };
  EXPECT_EQ(test::text_of(plan()), "") << "without IPv6 none of it matters";
  accept({R"({"op":"network.update","network":"r","subnet6":"2001:db8:60::/64"})"});
  EXPECT_THAT(lines(), ElementsAre("sysctl -w net/ipv6/conf/quiet/accept_ra=2",
                                   "sysctl -w net/ipv6/conf/wlan0/accept_ra=2",
                                   "sysctl -w net/ipv6/conf/all/forwarding=1"));
  host.run(plan());
  EXPECT_EQ(test::text_of(plan()), "");
  host.kernel.add_foreign_link({.name = "later", .kind = LinkKind::physical});
  set(accept_ra_path("later"), "1");
  EXPECT_THAT(lines(), ElementsAre("sysctl -w net/ipv6/conf/later/accept_ra=2"));
  host.run(plan());
  // Forwarding ended and begins again.
  set("net/ipv6/conf/all/forwarding", "0");
  EXPECT_THAT(lines(), ElementsAre("sysctl -w net/ipv6/conf/all/forwarding=1"));
}

TEST_F(KindsTest, AGuestIsHeldToItsMacAndAddressUnlessItIsAllowedNotTo) {
  accept({create("r", "routed", lan), attach("a", "r", R"("address":"10.60.0.16")"),
          attach("b", "br020000000001"), attach("c", "r", R"("spoof_filter":false)")});
  const auto ports = rendered().nft.guest_ports;
  ASSERT_EQ(ports.size(), 2U);
  EXPECT_EQ(ports[0], (GuestPort{"t-a", model.interfaces.at("a").mac, {ip("10.60.0.16")}}));
  EXPECT_EQ(ports[1], (GuestPort{"t-b", model.interfaces.at("b").mac, {}}));
  accept({R"({"op":"interface.update","interface":"c","spoof_filter":true})",
          R"({"op":"interface.update","interface":"a","spoof_filter":false})"});
  EXPECT_THAT(to_json_text(model), HasSubstr("\"spoof_filter\":false"));
  EXPECT_EQ(model_from_json(to_json_text(model)).value(), model);
  EXPECT_EQ(rendered().nft.guest_ports[1].tap, "t-c");
}

}  // namespace
}  // namespace edge::netmodel
