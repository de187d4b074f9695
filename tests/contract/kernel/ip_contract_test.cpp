// What every kernel does with addresses, routes, rules and sysctls.
#include <algorithm>
#include <cerrno>

#include "netmodel/core/normalise.hpp"
#include "netmodel/core/plan.hpp"
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint32_t table_port = 20001;
constexpr std::uint8_t protocol_static = 4;

TEST_P(KernelContract, OwnAddressCarriesTheMark_AForeignOneDoesNot) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  world->add_foreign_address("br0", "10.9.0.5/16");
  const auto seen = addresses("br0");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0], own_address("br0", "10.0.0.5/24"));
  EXPECT_EQ(seen[1].prefix, prefix("10.9.0.5/16"));
  EXPECT_FALSE(seen[1].ours);
  EXPECT_FALSE(seen[1].no_prefix_route);
}

TEST_P(KernelContract, NoPrefixRouteMakesNoRoute_WithoutItTheKernelMakesOne) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  EXPECT_TRUE(routes("br0").empty());

  Address with_route = own_address("br0", "10.1.0.5/24");
  with_route.no_prefix_route = false;
  apply(AddAddress{with_route});
  const auto seen = routes("br0");
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].destination, prefix("10.1.0.0/24"));
  EXPECT_EQ(seen[0].protocol, protocol_kernel);
}

TEST_P(KernelContract, SameAddressAgainIsSuccessAndChangesNothing) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  const auto before = addresses("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  EXPECT_EQ(addresses("br0"), before);
}

TEST_P(KernelContract, TakenOverIpv4AddressGetsTheMark) {
  make_bridge("br0");
  world->add_foreign_address("br0", "10.0.0.5/24");
  Address taken_over = own_address("br0", "10.0.0.5/24");
  apply(AddAddress{taken_over});
  // 6.18 marks it and keeps its prefix route; 6.1 cannot mark it, so it is made anew, without.
  const auto seen = addresses("br0");
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen[0].ours);
  EXPECT_EQ(routes("br0").size(), seen[0].no_prefix_route ? 0U : 1U);

  apply(RemoveAddress{taken_over});
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  EXPECT_EQ(addresses("br0"), std::vector{own_address("br0", "10.0.0.5/24")});
  EXPECT_TRUE(routes("br0").empty());
}

TEST_P(KernelContract, TakenOverIpv6AddressGetsTheMarkAndLosesItsPrefixRoute) {
  make_bridge("br0");
  world->add_foreign_address("br0", "fd00::5/64");
  EXPECT_EQ(routes("br0", Family::v6).size(), 1U);
  apply(AddAddress{own_address("br0", "fd00::5/64")});
  EXPECT_EQ(addresses("br0", Family::v6), std::vector{own_address("br0", "fd00::5/64")});
  EXPECT_TRUE(routes("br0", Family::v6).empty());
}

TEST_P(KernelContract, AbsentAddressIsNotFound) {
  make_bridge("br0");
  EXPECT_EQ(failure(RemoveAddress{own_address("br0", "10.0.0.5/24")}).code, Errc::not_found);
}

TEST_P(KernelContract, LastAddressTakesAllRoutesOfItsLinkAlong) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  Route own = route_to("10.0.0.0/24", "br0");
  own.table = table_port;
  apply(AddRoute{own});
  apply(RemoveAddress{own_address("br0", "10.0.0.5/24")});
  EXPECT_TRUE(routes("br0").empty());
}

TEST_P(KernelContract, OneOfTwoAddressesTakesOnlyMainRoutesThatNameItAsSource) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  apply(AddAddress{own_address("br0", "10.1.0.5/24")});
  Route main = route_to("10.0.0.0/24", "br0");
  main.source = address("10.0.0.5");
  Route port = main;
  port.table = table_port;
  const Route other = route_to("10.1.0.0/24", "br0");
  for (const Route& route : {main, port, other}) { apply(AddRoute{route}); }

  apply(RemoveAddress{own_address("br0", "10.0.0.5/24")});
  EXPECT_FALSE(has(main));
  EXPECT_TRUE(has(port)) << "the kernel looks at the main table only";
  EXPECT_TRUE(has(other));
}

TEST_P(KernelContract, PrimaryAddressTakesItsSecondariesAlongUnlessTheyArePromoted) {
  make_bridge("br0");
  const auto first = own_address("br0", "10.0.0.5/24"), second = own_address("br0", "10.0.0.6/24");
  apply(AddAddress{first});
  apply(AddAddress{second});
  apply(RemoveAddress{first});
  EXPECT_TRUE(addresses("br0").empty());

  apply(SetSysctl{{.path = "net/ipv4/conf/br0/promote_secondaries", .value = "1"}});
  apply(AddAddress{first});
  apply(AddAddress{second});
  apply(RemoveAddress{first});
  EXPECT_EQ(addresses("br0"), std::vector{second});
}

TEST_P(KernelContract, Ipv6AddressCarriesTheMark) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "fd00::5/64")});
  EXPECT_EQ(addresses("br0", Family::v6), std::vector{own_address("br0", "fd00::5/64")});
  EXPECT_TRUE(routes("br0", Family::v6).empty());
  apply(RemoveAddress{own_address("br0", "fd00::5/64")});
  EXPECT_TRUE(addresses("br0", Family::v6).empty());
}

TEST_P(KernelContract, Ipv6AddressIsRefusedWhereIpv6IsOff) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "fd00::5/64")});
  apply(SetSysctl{{.path = "net/ipv6/conf/br0/disable_ipv6", .value = "1"}});
  EXPECT_TRUE(addresses("br0", Family::v6).empty());
  EXPECT_EQ(failure(AddAddress{own_address("br0", "fd00::6/64")}).code, Errc::denied);
}

TEST_P(KernelContract, RouteShowsEveryField) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  Route connected = route_to("10.0.0.0/24", "br0");
  connected.table = table_port;
  connected.source = address("10.0.0.5");
  apply(AddRoute{connected});
  Route gateway = route_to("0.0.0.0/0", "br0");
  gateway.table = table_port;
  gateway.metric = 2010;
  gateway.gateway = address("10.0.0.1");
  gateway.source = address("10.0.0.5");
  gateway.mtu = 1400;
  apply(AddRoute{gateway});
  EXPECT_TRUE(has(connected));
  EXPECT_TRUE(has(gateway));
}

TEST_P(KernelContract, Ipv6RouteShowsEveryFieldAndMetricZeroIs1024) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "fd00::5/64")});
  Route connected = route_to("fd00::/64", "br0");
  connected.table = table_port;
  apply(AddRoute{connected});
  Route gateway = route_to("::/0", "br0");
  gateway.table = table_port;
  gateway.gateway = address("fe80::1");
  gateway.metric = 0;
  apply(AddRoute{gateway});
  EXPECT_TRUE(has(connected));
  gateway.metric = 1024;
  EXPECT_TRUE(has(gateway));
}

TEST_P(KernelContract, UnreachableAndBlackholeNeedNoLink) {
  Route route = route_to("10.77.0.0/16", "");
  route.type = RouteType::unreachable;
  route.table = table_port;
  apply(AddRoute{route});
  EXPECT_TRUE(has(route));
  Route hole = route_to("fd77::/16", "");
  hole.type = RouteType::blackhole;
  hole.table = table_port;
  apply(AddRoute{hole});
  EXPECT_TRUE(has(hole));
  apply(RemoveRoute{route});
  apply(RemoveRoute{hole});
  EXPECT_FALSE(has(route));
  EXPECT_FALSE(has(hole));
}

TEST_P(KernelContract, RouteReplacesTheOneOfTheSameTableDestinationAndMetric) {
  make_bridge("br0");
  make_bridge("br1", "02:00:00:00:00:02");
  apply(AddRoute{route_to("10.5.0.0/16", "br0")});
  const Route replacement = route_to("10.5.0.0/16", "br1");
  apply(AddRoute{replacement});
  EXPECT_TRUE(routes("br0").empty());
  EXPECT_TRUE(has(replacement));

  Route beside = route_to("10.5.0.0/16", "br0");
  beside.metric = 200;
  apply(AddRoute{beside});
  EXPECT_TRUE(has(replacement));
  EXPECT_TRUE(has(beside));
}

TEST_P(KernelContract, GatewayMustBeReachableUnlessItIsDeclaredOnLink) {
  make_bridge("br0");
  Route route = route_to("0.0.0.0/0", "br0");
  route.gateway = address("10.0.0.1");
  apply(AddAddress{own_address("br0", "192.0.2.5/32")});
  const Error error = failure(AddRoute{route});
  EXPECT_EQ(error.code, Errc::transient);
  EXPECT_EQ(error.os_errno, ENETUNREACH);

  route.on_link_gateway = true;
  apply(AddRoute{route});
  EXPECT_TRUE(has(route));
}

TEST_P(KernelContract, RouteOverALinkThatIsDownIsRefused) {
  make_bridge("br0");
  world->set_admin_up("br0", false);
  const Error error = failure(AddRoute{route_to("10.0.0.0/24", "br0")});
  EXPECT_EQ(error.code, Errc::transient);
  EXPECT_EQ(error.os_errno, ENETDOWN);
}

TEST_P(KernelContract, UnknownSourceAddressIsRefused) {
  make_bridge("br0");
  Route route = route_to("10.0.0.0/24", "br0");
  route.source = address("10.0.0.5");
  EXPECT_EQ(failure(AddRoute{route}).code, Errc::invalid_input);
}

TEST_P(KernelContract, RoutesInEveryTableVanishWhenTheirLinkGoesDown_AddressesStay) {
  make_bridge("br0");
  apply(AddAddress{own_address("br0", "10.0.0.5/24")});
  Route own = route_to("10.0.0.0/24", "br0");
  own.table = table_port;
  apply(AddRoute{own});
  apply(AddRoute{route_to("10.0.0.0/24", "br0")});

  ChangeLink down = change("br0");
  down.admin_up = false;
  apply(down);
  EXPECT_TRUE(routes("br0").empty());
  EXPECT_EQ(addresses("br0").size(), 1U);
}

TEST_P(KernelContract, RoutesStayWhenOnlyTheCarrierIsLost) {
  world->plug_adapter("eth0");
  apply(AddAddress{own_address("eth0", "10.0.0.5/24")});
  const Route route = route_to("10.0.0.0/24", "eth0");
  apply(AddRoute{route});
  world->set_cable("eth0", false);
  EXPECT_TRUE(has(route));
}

TEST_P(KernelContract, RoutesVanishWithTheirLink) {
  make_bridge("br0");
  Route own = route_to("10.0.0.0/24", "br0");
  own.table = table_port;
  apply(AddRoute{own});
  apply(DeleteLink{"br0"});
  EXPECT_TRUE(
      std::ranges::none_of(dump().routes, [](const Route& r) { return r.table == table_port; }));
}

TEST_P(KernelContract, RemovedRouteIsExactAndForeignOnesStay) {
  make_bridge("br0");
  world->add_foreign_route("10.5.0.0/16", "br0");
  Route foreign = route_to("10.5.0.0/16", "br0");
  foreign.metric = 0;
  foreign.protocol = protocol_static;
  EXPECT_TRUE(has(foreign));

  EXPECT_EQ(failure(RemoveRoute{route_to("10.5.0.0/16", "br0")}).code, Errc::not_found);
  apply(AddRoute{route_to("10.5.0.0/16", "br0")});
  apply(RemoveRoute{route_to("10.5.0.0/16", "br0")});
  EXPECT_TRUE(has(foreign));
  EXPECT_FALSE(has(route_to("10.5.0.0/16", "br0")));
}

TEST_P(KernelContract, RuleShowsEveryField) {
  Rule from;
  from.priority = 12000;
  from.from = prefix("10.0.0.5/32");
  from.table = table_port;
  Rule mark;
  mark.priority = 10000;
  mark.mark = table_port;
  mark.table = table_port;
  Rule out;
  out.priority = 11000;
  out.out_link = "br-not-yet";
  out.table = table_port;
  Rule to;
  to.priority = 9000;
  to.to = prefix("10.200.0.0/24");
  Rule v6;
  v6.family = Family::v6;
  v6.priority = 12000;
  v6.from = prefix("fd00::5/128");
  v6.in_link = "lo";
  v6.table = table_port;
  for (const Rule& rule : {from, mark, out, to, v6}) {
    apply(AddRule{rule});
    EXPECT_TRUE(has(rule)) << to_text(AddRule{rule});
  }
}

TEST_P(KernelContract, SameRuleTwiceIsAConflict) {
  Rule rule;
  rule.priority = 12000;
  rule.from = prefix("10.0.0.5/32");
  rule.table = table_port;
  apply(AddRule{rule});
  const Error error = failure(AddRule{rule});
  EXPECT_EQ(error.code, Errc::conflict);
  EXPECT_EQ(error.os_errno, EEXIST);
}

TEST_P(KernelContract, OnlyTheExactRuleIsRemoved) {
  Rule first;
  first.priority = 12000;
  first.from = prefix("10.0.0.5/32");
  first.table = table_port;
  Rule second = first;
  second.from = prefix("10.0.0.6/32");
  apply(AddRule{first});
  apply(AddRule{second});

  Rule loose = first;
  loose.from.reset();
  EXPECT_EQ(failure(RemoveRule{loose}).code, Errc::not_found);
  apply(RemoveRule{second});
  EXPECT_TRUE(has(first));
  EXPECT_FALSE(has(second));
  EXPECT_EQ(failure(RemoveRule{second}).code, Errc::not_found);
}

TEST_P(KernelContract, ForeignAndBuiltInRulesAreSeenWithTheirProtocol) {
  world->add_foreign_rule(5000, "10.3.0.0/16");
  EXPECT_TRUE(
      has(Rule{.priority = 5000, .from = prefix("10.3.0.0/16"), .protocol = protocol_static}));
  EXPECT_TRUE(has(Rule{.priority = 32766, .table = 254, .protocol = protocol_kernel}));
  EXPECT_TRUE(
      has(Rule{.priority = 0, .family = Family::v6, .table = 255, .protocol = protocol_kernel}));
}

TEST_P(KernelContract, SysctlIsWrittenAndReadBack) {
  make_bridge("br0");
  const Sysctl sysctl{.path = "net/ipv4/conf/br0/rp_filter", .value = "2"};
  apply(SetSysctl{sysctl});
  EXPECT_EQ(dump({sysctl.path}).sysctls, std::vector{sysctl});
}

TEST_P(KernelContract, SysctlOfAGoneLinkIsLeftOutAndCannotBeSet) {
  make_bridge("br0");
  const Sysctl sysctl{.path = "net/ipv4/conf/br0/rp_filter", .value = "2"};
  apply(DeleteLink{"br0"});
  EXPECT_TRUE(dump({sysctl.path}).sysctls.empty());
  EXPECT_EQ(failure(SetSysctl{sysctl}).code, Errc::not_found);
}

TEST_P(KernelContract, SysctlOutsideTheNetworkIsRefused) {
  EXPECT_EQ(failure(SetSysctl{{.path = "kernel/hostname", .value = "x"}}).code,
            Errc::invalid_input);
}

/// A port bridge with a lease and the NAT network, as render makes them.
DesiredState desired_host() {
  DesiredState desired;
  Link adapter;
  adapter.name = "eth0";
  adapter.kind = LinkKind::physical;
  adapter.master = "br0";
  Link tap;
  tap.name = "t-a";
  tap.kind = LinkKind::tap;
  tap.mac = mac("fe:00:00:00:00:01");
  tap.mtu = 1500;
  tap.master = "n-default";
  tap.alias = "gallium:interface:a";
  tap.tap = TapAttributes{};
  desired.links = {bridge_link("br0", "02:00:00:00:00:01"),
                   bridge_link("n-default", "02:00:00:00:00:02"), adapter, tap};
  desired.addresses = {own_address("br0", "10.0.0.5/24"),
                       own_address("n-default", "10.200.0.1/24")};
  Route connected = route_to("10.0.0.0/24", "br0");
  connected.source = address("10.0.0.5");
  Route gateway = route_to("0.0.0.0/0", "br0");
  gateway.gateway = address("10.0.0.1");
  Route guests = route_to("10.200.0.0/24", "n-default");
  desired.routes = {connected, gateway, guests};
  for (Route route : {connected, gateway}) {
    route.table = table_port;
    desired.routes.push_back(route);
  }
  desired.rules = {{.priority = 10000, .mark = table_port, .table = table_port},
                   {.priority = 12000, .from = prefix("10.0.0.5/32"), .table = table_port}};
  desired.sysctls = {{.path = "net/ipv4/conf/br0/rp_filter", .value = "2"},
                     {.path = "net/ipv4/ip_forward", .value = "1"}};
  return desired;
}

TEST_P(KernelContract, PlanMakesTheHostAndASecondPlanIsEmpty) {
  world->plug_adapter("eth0");
  world->add_foreign_bridge("docker0");
  world->add_foreign_address("docker0", "172.17.0.1/16");
  const DesiredState desired = normalise(desired_host());
  const auto plan = [&] {
    return make_plan(desired, {}, normalise(dump(sysctl_paths(desired))), NftState{});
  };

  const Planned first = plan();
  EXPECT_TRUE(first.conflicts.empty());
  EXPECT_FALSE(first.plan.empty());
  for (const Operation& operation : first.plan) { apply(operation); }

  const Planned second = plan();
  for (const Operation& operation : second.plan) {
    ADD_FAILURE() << "left to do: " << to_text(operation);
  }
  EXPECT_TRUE(link("docker0"));
  EXPECT_EQ(addresses("docker0").size(), 1U);
}

}  // namespace
}  // namespace edge::netmodel
