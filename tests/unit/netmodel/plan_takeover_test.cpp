// What others have made: taken over with its addresses, left alone, in conflict, handed back.
#include <gmock/gmock.h>

#include "tests/unit/netmodel/plan_fixture.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using PlanTakeoverTest = OneGuestPlan;

/// Why: this order lost 0 of 166 pings, the naive one 12.7 % and 866 ms of TCP (facts/netmodel.md,
/// trap 1).
TEST_F(PlanTakeoverTest, AnAddressMovesAroundTheEnslaving) {
  facts.adapters[0].lease.reset();  // The service has no lease yet; the machine has its old one.
  host.kernel.set_admin_up("eth0", true);
  host.kernel.add_foreign_address({.link = "eth0",
                                   .prefix = prefix("192.168.1.9/24"),
                                   .no_prefix_route = false,
                                   .ours = false});
  host.kernel.add_foreign_route(
      {.destination = IpPrefix{}, .link = "eth0", .gateway = ip("192.168.1.1"), .protocol = 16});
  const auto plan = lines();
  const auto add = at(plan, "ip address replace 192.168.1.9/24 dev " + bridge0 + " noprefixroute");
  const auto enslave = at(plan, "ip link set dev eth0 master");
  const auto connected = at(plan, "ip route replace 192.168.1.0/24 dev " + bridge0);
  const auto gateway =
      at(plan, "ip route replace default via 192.168.1.1 dev " + bridge0 + " proto 16");
  const auto remove = at(plan, "ip address delete 192.168.1.9/24 dev eth0");
  EXPECT_LT(add, enslave);
  EXPECT_LT(enslave, connected);
  EXPECT_LT(connected, gateway);
  EXPECT_LT(gateway, remove);
  converge();
  // Still the machine's own, and what brought it is still its owner.
  EXPECT_THAT(host.kernel.state().addresses, Contains(Address{.link = bridge0,
                                                              .prefix = prefix("192.168.1.9/24"),
                                                              .no_prefix_route = true,
                                                              .ours = false}));
}

TEST_F(PlanTakeoverTest, AnAddressThatIsAlsoWantedBecomesOursAndItsOldRoutesGo) {
  facts.adapters[0].lease = lease("192.168.1.9/24", "192.168.1.1");
  host.kernel.set_admin_up("eth0", true);
  host.kernel.add_foreign_address({.link = "eth0",
                                   .prefix = prefix("192.168.1.9/24"),
                                   .no_prefix_route = false,
                                   .ours = false});
  host.kernel.add_foreign_route(
      {.destination = IpPrefix{}, .link = "eth0", .gateway = ip("192.168.1.1"), .protocol = 16});
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip route replace default via 192.168.1.1 dev " + bridge0 +
                         " proto 117 src 192.168.1.9 metric 2000"),
            at(plan, "ip route delete default via 192.168.1.1 dev eth0 proto 16"));
  EXPECT_LT(at(plan, "ip route delete default via"),
            at(plan, "ip address delete 192.168.1.9/24 dev eth0"));
  converge();
  for (const Route& route : host.kernel.state().routes) { EXPECT_NE(route.link, "eth0"); }
}

/// Why: disable_ipv6 on the adapter takes an address with it, and an address that is made anew is
/// not usable while duplicates are looked for: either way who came over it is cut off.
TEST_F(PlanTakeoverTest, AnIpv6AddressThatSomebodySetTakesTheSameWayAndNoOtherDoes) {
  facts.ipv6 = true;
  facts.adapters[0].lease.reset();
  host.kernel.set_admin_up("eth0", true);
  const auto v6 = [&](std::string_view text, bool dynamic) {
    host.kernel.add_foreign_address({.link = "eth0",
                                     .prefix = prefix(text),
                                     .no_prefix_route = false,
                                     .ours = false,
                                     .dynamic = dynamic});
  };
  v6("2001:db8::9/64", false);
  v6("2001:db8:7::9/64", true);
  v6("fe80::9/64", false);
  host.kernel.add_foreign_route({.destination = {IpAddress{Family::v6, {}}, 0},
                                 .link = "eth0",
                                 .gateway = ip("2001:db8::1"),
                                 .metric = 1024,
                                 .protocol = 16});
  const auto plan = lines();
  const auto add =
      at(plan, "ip -6 address replace 2001:db8::9/64 dev " + bridge0 + " nodad noprefixroute");
  const auto enslave = at(plan, "ip link set dev eth0 master");
  const auto connected = at(plan, "ip -6 route replace 2001:db8::/64 dev " + bridge0);
  const auto gateway =
      at(plan, "ip -6 route replace default via 2001:db8::1 dev " + bridge0 + " proto 16");
  const auto remove = at(plan, "ip -6 address delete 2001:db8::9/64 dev eth0");
  const auto off = at(plan, "sysctl -w net/ipv6/conf/eth0/disable_ipv6=1");
  EXPECT_LT(add, enslave);
  EXPECT_LT(enslave, connected);
  EXPECT_LT(connected, gateway);
  EXPECT_LT(gateway, remove);
  EXPECT_LT(remove, off);
  EXPECT_THAT(plan, Not(Contains(HasSubstr("2001:db8:7::"))));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("fe80::"))));
  converge();
  EXPECT_THAT(host.kernel.state().addresses, Contains(Address{.link = bridge0,
                                                              .prefix = prefix("2001:db8::9/64"),
                                                              .no_prefix_route = true,
                                                              .ours = false}));
}

TEST_F(PlanTakeoverTest, AnIpv6AddressOfSomebodyIsOnTheAdapterAgainBeforeThePurgeReleasesIt) {
  facts.ipv6 = true;
  facts.adapters[0].lease.reset();
  host.kernel.set_admin_up("eth0", true);
  host.kernel.add_foreign_address({.link = "eth0",
                                   .prefix = prefix("2001:db8::9/64"),
                                   .no_prefix_route = false,
                                   .ours = false});
  converge();
  std::vector<std::string> plan;
  for (const Operation& operation : make_purge_plan(host.kernel.state())) {
    plan.push_back(to_text(operation));
  }
  const auto on = at(plan, "sysctl -w net/ipv6/conf/eth0/disable_ipv6=0");
  const auto back = at(plan, "ip -6 address replace 2001:db8::9/64 dev eth0 nodad");
  EXPECT_LT(on, back);
  EXPECT_LT(back, at(plan, "ip link set dev eth0 nomaster"));
}

/// Why: a daemon that died in the middle of a takeover must be able to finish it.
TEST_F(PlanTakeoverTest, ATakeoverThatWasCutShortIsFinishedFromAnyStep) {
  facts.adapters[0].lease.reset();
  const auto prepare = [this](Host& machine) {
    machine.kernel.plug_adapter("eth0", mac("02:00:00:00:00:01"));
    machine.kernel.plug_adapter("eth1", mac("02:00:00:00:00:02"));
    machine.kernel.set_admin_up("eth0", true);
    machine.kernel.add_foreign_address({.link = "eth0",
                                        .prefix = prefix("192.168.1.9/24"),
                                        .no_prefix_route = false,
                                        .ours = false});
    return machine.plan(rendered()).plan;
  };
  Host first;
  const std::size_t steps = prepare(first).size();
  for (std::size_t step = 0; step < steps; ++step) {
    Host machine;
    Plan plan = prepare(machine);
    plan.resize(step);
    machine.run(plan);
    machine.converge(rendered());
    std::size_t found = 0;
    for (const Address& address : machine.kernel.state().addresses) {
      if (address.prefix == prefix("192.168.1.9/24")) {
        ++found;
        EXPECT_EQ(address.link, bridge0) << step;
      }
    }
    EXPECT_EQ(found, 1U) << step;
  }
}

TEST_F(PlanTakeoverTest, AnAdapterThatIsNoLongerOursIsReleasedUpAndGetsItsAddressBack) {
  facts.adapters[0].lease.reset();
  host.kernel.set_admin_up("eth0", true);
  host.kernel.add_foreign_address({.link = "eth0",
                                   .prefix = prefix("192.168.1.9/24"),
                                   .no_prefix_route = false,
                                   .ours = false});
  converge();
  facts.adapters.erase(facts.adapters.begin());
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip address replace 192.168.1.9/24 dev eth0"),
            at(plan, "ip link set dev eth0 nomaster up"));
  EXPECT_LT(at(plan, "ip link set dev eth0 nomaster"), at(plan, "ip link delete dev " + bridge0));
  converge();
}

TEST_F(PlanTakeoverTest, ForeignThingsAreNotTouched) {
  Link docker{.name = "docker0", .kind = LinkKind::bridge};
  host.kernel.add_foreign_link(docker);
  host.kernel.add_foreign_address(
      {.link = "docker0", .prefix = prefix("172.17.0.1/16"), .ours = false});
  host.kernel.add_foreign_route(
      {.destination = prefix("10.99.0.0/16"), .link = "docker0", .protocol = 4});
  host.kernel.add_foreign_rule(
      {.priority = 500, .from = prefix("10.99.0.0/16"), .table = 77, .protocol = 0});
  converge();
  host.run(make_purge_plan(host.kernel.state()));
  const ObservedState after = host.kernel.state();
  EXPECT_NE(after.find_link("docker0"), nullptr);
  EXPECT_THAT(after.addresses, Contains(testing::Field(&Address::link, "docker0")));
  EXPECT_THAT(after.rules, Contains(testing::Field(&Rule::priority, 500U)));
  EXPECT_THAT(after.routes, Contains(testing::Field(&Route::destination, prefix("10.99.0.0/16"))));
}

TEST_F(PlanTakeoverTest, AForeignLinkWithOurNameIsAConflictAndWhatHangsOnItWaits) {
  host.kernel.add_foreign_link({.name = bridge0, .kind = LinkKind::bridge});
  const Planned planned = host.plan(rendered());
  EXPECT_THAT(planned.conflicts,
              ElementsAre(Conflict{bridge0, "a link named \"" + bridge0 +
                                                "\" exists and is not ours; rename or remove it"}));
  for (const std::string& line : lines()) {
    if (line.starts_with("nft ")) { continue; }  // The table may name a bridge that is not there.
    EXPECT_THAT(line, AllOf(Not(HasSubstr(bridge0)), Not(HasSubstr("eth0 master"))));
  }
  host.run(planned.plan);
  EXPECT_EQ(host.kernel.state().find_link("eth0")->link.master, "");
}

TEST_F(PlanTakeoverTest, AnAdapterInAForeignBridgeIsAConflict) {
  host.kernel.add_foreign_link({.name = "virbr0", .kind = LinkKind::bridge});
  ASSERT_TRUE(host.kernel.apply(ChangeLink{.name = "eth0", .master = "virbr0"}));
  const Planned planned = host.plan(rendered());
  ASSERT_EQ(planned.conflicts.size(), 1U);
  EXPECT_THAT(planned.conflicts[0].what,
              HasSubstr("adapter \"eth0\" is a port of \"virbr0\", which is not ours"));
  for (const std::string& line : lines()) { EXPECT_THAT(line, Not(HasSubstr("dev eth0"))); }
}

/// Why: replacing it would take a route away from whoever made it.
TEST(PlanRoutesTest, AForeignRouteWithOurKeyIsAConflict) {
  DesiredState desired;
  desired.links = {{.name = "n-a", .kind = LinkKind::bridge, .alias = "gallium:network:a"}};
  desired.routes = {{.destination = prefix("10.5.0.0/24"), .link = "n-a"}};
  ObservedState observed;
  observed.links = {{.link = desired.links[0]}};
  observed.routes = {{.destination = prefix("10.5.0.0/24"), .link = "eth7", .protocol = 4}};
  const Planned planned = make_plan(desired, {}, observed, NftState{});
  EXPECT_THAT(planned.plan, IsEmpty());
  ASSERT_EQ(planned.conflicts.size(), 1U);
  EXPECT_THAT(
      planned.conflicts[0].what,
      HasSubstr("a route to 10.5.0.0/24 with metric 0 in table 254 exists and is not ours"));
}

TEST_F(PlanTakeoverTest, PurgeLeavesTheAdaptersUpAndNothingOfOurs) {
  converge();
  host.run(make_purge_plan(host.kernel.state()));
  const ObservedState after = host.kernel.state();
  for (const ObservedLink& link : after.links) { EXPECT_FALSE(link.ours()) << link.link.name; }
  for (const Address& address : after.addresses) { EXPECT_FALSE(address.ours); }
  for (const Route& route : after.routes) { EXPECT_NE(route.protocol, our_protocol); }
  for (const Rule& rule : after.rules) { EXPECT_NE(rule.protocol, our_protocol); }
  EXPECT_TRUE(after.find_link("eth0")->link.admin_up);
  EXPECT_EQ(host.kernel.dump_nft().value(), std::nullopt);
  EXPECT_THAT(make_purge_plan(after, false), IsEmpty());
}

/// Why: what rode on the bridge once came back on a VM manager's tap as well, which was set up and
/// was given IPv6; and nobody was told that his tap hangs in the air.
TEST_F(PlanTakeoverTest, ATapOfAVmManagerIsLetGoAsItIsWhenItsBridgeGoes) {
  facts.adapters[0].lease.reset();
  host.kernel.set_admin_up("eth0", true);
  const Address machine{
      .link = "eth0", .prefix = prefix("192.168.1.9/24"), .no_prefix_route = false, .ours = false};
  host.kernel.add_foreign_address(machine);
  converge();
  Link tap{.name = "vnet0", .kind = LinkKind::tap, .mac = MacAddress{{0xfe, 0x54, 0, 0, 0, 9}}};
  tap.admin_up = false;
  tap.master = bridge0;
  host.kernel.add_foreign_link(tap);
  const Plan plan = make_purge_plan(host.kernel.state());
  std::vector<std::string> of_tap;
  for (const auto& operation : plan) {
    if (to_text(operation).contains("vnet0")) { of_tap.push_back(to_text(operation)); }
  }
  EXPECT_THAT(of_tap, ElementsAre("ip link set dev vnet0 nomaster"));
  host.run(plan);
  const ObservedState after = host.kernel.state();
  const ObservedLink* left = after.find_link("vnet0");
  ASSERT_NE(left, nullptr);
  EXPECT_EQ(left->link.master, "");
  EXPECT_FALSE(left->link.admin_up);
  EXPECT_EQ(after.find_link("eth0")->link.master, "");
  EXPECT_THAT(after.addresses, ElementsAre(testing::Field(&Address::link, "eth0")));
}

}  // namespace
}  // namespace edge::netmodel
