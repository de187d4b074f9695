#include <algorithm>

#include <gmock/gmock.h>

#include <fmt/format.h>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "tests/unit/netmodel/plan_fixture.hpp"
#include "tests/unit/netmodel/random_walk.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const MacAddress mac2 = mac("02:00:00:00:00:03");
const std::string bond0 = "bo020000000001";
const std::string device0 = "mv020000000001";

/// Goal: groups come, change and go on a running host in the order that keeps its paths, and one
/// turn is always enough.
class PlanGroupsTest : public PlanFixture {
 protected:
  PlanGroupsTest() {
    facts.adapters.push_back(adapter("eth2", "02:00:00:00:00:03", 20003));
    plug();
  }
  /// eth0 and eth1 as one; what eth1 had alone is over.
  void join() {
    model.groups["lan"] = Group{.adapters = {mac0, mac1}};
    facts.adapters[1].lease.reset();
  }
  const ObservedLink& link(const std::string& name) const {
    const ObservedLink* found = host.kernel.state().find_link(name);
    EXPECT_NE(found, nullptr) << name;
    return *found;
  }
  std::string master(const std::string& name) const { return link(name).link.master; }
};

TEST_F(PlanGroupsTest, AGroupFromTheFirstStartIsOneBondOneBridgeOnePort) {
  join();
  model.groups["lan"].primary = mac1;
  converge();
  EXPECT_EQ(master("eth0"), bond0);
  EXPECT_EQ(master("eth1"), bond0);
  EXPECT_EQ(master(bond0), bridge0);
  EXPECT_EQ(host.kernel.state().find_link(bridge1), nullptr);
  EXPECT_EQ(link(bond0).link.mac, mac0);
  EXPECT_EQ(link(bond0).link.bond->primary, "eth1");
  EXPECT_THAT(rendered().nft.uplinks, testing::SizeIs(2));  // The group and eth2.
}

/// Why: mode, miimon and fail_over_mac cannot be set with members, and a bond that is up talks.
TEST_F(PlanGroupsTest, ABondHasItsOptionsAndIsSilentBeforeTheFirstMember) {
  join();
  const auto plan = lines();
  const auto made = at(plan, "ip link add name " + bond0 +
                                 " address 02:00:00:00:00:01 mtu 1500 type bond mode active-backup "
                                 "fail_over_mac 0 miimon 100 primary_reselect failure");
  EXPECT_LT(made, at(plan, "net/ipv6/conf/" + bond0 + "/disable_ipv6=1"));
  EXPECT_LT(at(plan, bond0 + "/disable_ipv6=1"), at(plan, "ip link set dev " + bond0 + " up"));
  EXPECT_LT(at(plan, "ip link set dev " + bond0 + " up"), at(plan, "eth0 master " + bond0));
  EXPECT_THAT(plan,
              Contains("ip link set dev eth1 down\nip link set dev eth1 master " + bond0 + " up"));
}

/// Why: the leader carries the tunnel until the others do; both in the bridge would be a loop.
TEST_F(PlanGroupsTest, TheLeaderMovesFromTheBridgeToTheBondLast) {
  attach("direct", bridge0);
  converge();
  const auto addresses = host.kernel.state().addresses;
  join();
  const auto plan = lines();
  const auto other = at(plan, "eth1 master " + bond0);
  const auto out = at(plan, "ip link set dev eth0 nomaster");
  const auto in = at(plan, "ip link set dev " + bond0 + " master " + bridge0);
  const auto leader = at(plan, "eth0 master " + bond0);
  EXPECT_LT(other, out);
  EXPECT_EQ(in, out + 1);
  EXPECT_EQ(leader, in + 1);
  EXPECT_LT(leader, at(plan, "ip link delete dev " + bridge1));
  // The port, its lease and its guests stay where they are.
  EXPECT_THAT(plan, Not(Contains(HasSubstr("192.168.1.50"))));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("t-direct"))));
  converge();
  EXPECT_THAT(host.kernel.state().addresses, Contains(addresses.front()));
}

TEST_F(PlanGroupsTest, DissolvingIsTheWayBackAndTheFreedMemberGetsItsOwnPort) {
  join();
  attach("direct", bridge0);
  converge();
  model.groups.clear();
  facts.adapters[1].lease = lease("172.16.0.7/16", "172.16.0.1");
  const auto plan = lines();
  const auto leader_out = at(plan, "ip link set dev eth0 nomaster up");
  const auto bond_out = at(plan, "ip link set dev " + bond0 + " nomaster");
  const auto leader_in = at(plan, "ip link set dev eth0 master " + bridge0);
  EXPECT_EQ(bond_out, leader_out + 1);
  EXPECT_EQ(leader_in, bond_out + 1);
  EXPECT_LT(leader_in, at(plan, "ip link set dev eth1 master " + bridge1 + " up"));
  EXPECT_LT(at(plan, "eth1 master " + bridge1), at(plan, "ip link delete dev " + bond0));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("192.168.1.50"))));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("t-direct"))));
  converge();
  for (const char* name : {"eth0", "eth1"}) { EXPECT_TRUE(link(name).link.admin_up) << name; }
  EXPECT_EQ(link("eth1").link.mac, mac1);
}

/// Why: the kernel refuses another mode while there are members; guests keep their file
/// descriptors.
TEST_F(PlanGroupsTest, AnotherModeIsANewBondUnderTheSameBridgeAndTaps) {
  join();
  attach("direct", bridge0);
  converge();
  model.groups["lan"].mode = GroupMode::lacp;
  const auto plan = lines();
  const auto gone = at(plan, "ip link delete dev " + bond0);
  const auto made = at(plan,
                       "mode 802.3ad fail_over_mac 0 miimon 100 xmit_hash_policy layer2+3 "
                       "lacp_rate fast");
  EXPECT_EQ(made, gone + 1);
  EXPECT_LT(at(plan, bond0 + " master " + bridge0), at(plan, "eth0 master " + bond0));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("t-direct"))));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("ip link delete dev " + bridge0))));
  converge();
  EXPECT_EQ(master("eth0"), bond0);
}

TEST_F(PlanGroupsTest, WhatABondTakesWhileItRunsIsOneWrite) {
  join();
  converge();
  model.groups["lan"].primary = mac1;
  EXPECT_THAT(lines(), ElementsAre("ip link set dev " + bond0 +
                                   " type bond miimon 100 primary eth1 primary_reselect failure"));
  converge();
  model.groups["lan"].primary.reset();
  EXPECT_THAT(lines(),
              ElementsAre(HasSubstr("echo > /sys/class/net/" + bond0 + "/bonding/primary")));
  converge();
}

TEST_F(PlanGroupsTest, AMemberJoinsAndLeavesAStandingBond) {
  join();
  converge();
  model.groups["lan"].adapters.push_back(mac2);
  const auto plan = lines();
  EXPECT_LT(at(plan, "eth2 master " + bond0), at(plan, "ip link delete dev br020000000003"));
  EXPECT_THAT(plan, Not(Contains(HasSubstr("eth0"))));
  converge();
  model.groups["lan"].adapters.pop_back();
  EXPECT_THAT(lines(), Contains("ip link set dev eth2 master br020000000003 up"));
  converge();
  EXPECT_EQ(link("eth2").link.mac, mac2);
}

TEST_F(PlanGroupsTest, TheGroupGoesOnUnderItsNameWhileItsLeadersCardIsAway) {
  join();
  attach("direct", bridge0);
  converge();
  host.kernel.remove_link("eth0");
  facts.adapters[0].present = false;
  EXPECT_THAT(lines(), IsEmpty());
  EXPECT_EQ(link(bond0).link.mac, mac0);
  host.kernel.plug_adapter("eth0", mac0);
  facts.adapters[0].present = true;
  EXPECT_THAT(lines(), Each(HasSubstr("eth0")));
  converge();
  EXPECT_EQ(master("eth0"), bond0);
}

/// Why: what rides on an adapter when it becomes a member would be dead there.
TEST_F(PlanGroupsTest, AForeignAddressComesAlongIntoTheBondAndBack) {
  facts.adapters[1].lease.reset();
  host.kernel.set_admin_up("eth1", true);
  const Address foreign{
      .link = "eth1", .prefix = prefix("10.7.0.9/24"), .no_prefix_route = false, .ours = false};
  host.kernel.add_foreign_address(foreign);
  host.kernel.add_foreign_route({.destination = prefix("10.9.0.0/16"),
                                 .link = "eth1",
                                 .gateway = ip("10.7.0.1"),
                                 .protocol = 16});
  converge();
  join();
  converge();
  Address moved = foreign;
  moved.link = bridge0;
  moved.no_prefix_route = true;
  EXPECT_THAT(host.kernel.state().addresses, Contains(moved));
  EXPECT_THAT(host.kernel.state().routes,
              Contains(testing::Field(&Route::destination, prefix("10.9.0.0/16"))));
  host.run(make_purge_plan(host.kernel.state()));
  moved.link = "eth0";
  moved.no_prefix_route = false;
  EXPECT_THAT(host.kernel.state().addresses, Contains(moved));
}

TEST_F(PlanGroupsTest, APurgeGivesTheMembersBackUpAndUnderTheirOwnMac) {
  join();
  converge();
  host.run(make_purge_plan(host.kernel.state()));
  for (const ObservedLink& there : host.kernel.state().links) {
    EXPECT_FALSE(there.ours()) << there.link.name;
  }
  for (const char* name : {"eth0", "eth1", "eth2"}) {
    EXPECT_TRUE(link(name).link.admin_up) << name;
    EXPECT_EQ(master(name), "") << name;
    EXPECT_EQ(link(name).link.mac, link(name).permanent_mac) << name;
  }
}

/// Why: it was taken out of the bond and set up again, against the person who had set it down.
TEST_F(PlanGroupsTest, AMemberThatAPersonSetDownStaysDownInItsBond) {
  join();
  converge();
  host.kernel.set_admin_up("eth1", false);
  facts.adapters[1].locally_disabled = true;
  facts.adapters[1].carrier = false;
  EXPECT_THAT(lines(), Each(Not(HasSubstr("eth1"))));
  converge();
  EXPECT_EQ(master("eth1"), bond0);
  EXPECT_FALSE(link("eth1").link.admin_up);
  // Set up again by that person: a member as before.
  host.kernel.set_admin_up("eth1", true);
  facts.adapters[1].locally_disabled = false;
  facts.adapters[1].carrier = true;
  converge();
  EXPECT_EQ(master("eth1"), bond0);
}

/// Why: the kernel shows no primary that is no member: the same write came in every turn, and no
/// command was ever seen to be done.
TEST_F(PlanGroupsTest, APrimaryThatAPersonSetDownIsSetWhenItJoins) {
  join();
  model.groups["lan"].mode = GroupMode::balance_xor;
  converge();
  host.kernel.set_admin_up("eth1", false);
  facts.adapters[1].locally_disabled = true;
  facts.adapters[1].carrier = false;
  model.groups["lan"].mode = GroupMode::active_backup;
  model.groups["lan"].primary = mac1;
  converge();
  EXPECT_EQ(master("eth0"), bond0);
  EXPECT_EQ(master("eth1"), "");
  EXPECT_EQ(link(bond0).link.bond->primary, "");
  host.kernel.set_admin_up("eth1", true);
  facts.adapters[1].locally_disabled = false;
  facts.adapters[1].carrier = true;
  EXPECT_THAT(lines(), Contains(HasSubstr("type bond miimon 100 primary eth1")));
  converge();
  EXPECT_EQ(master("eth1"), bond0);
  EXPECT_EQ(link(bond0).link.bond->primary, "eth1");
}

TEST_F(PlanGroupsTest, APrimaryInSomebodyElsesBridgeIsSetWhenItIsReleased) {
  join();
  model.groups["lan"].primary = mac1;
  converge();
  host.kernel.add_foreign_link({.name = "theirs", .kind = LinkKind::bridge});
  host.run({ChangeLink{.name = "eth1", .master = "theirs"}});
  const Planned planned = host.plan(rendered());
  ASSERT_EQ(planned.conflicts.size(), 1U);
  EXPECT_THAT(planned.conflicts[0].what, HasSubstr("adapter \"eth1\" is a port of \"theirs\""));
  EXPECT_EQ(text_of(planned.plan), "");
  converge();
  EXPECT_EQ(link(bond0).link.bond->primary, "");
  // A present one stays meanwhile: to set it again would be a reselection.
  model.groups["lan"].primary = mac0;
  converge();
  model.groups["lan"].primary = mac1;
  EXPECT_THAT(lines(), IsEmpty());
  EXPECT_EQ(link(bond0).link.bond->primary, "eth0");
  host.run({ChangeLink{.name = "eth1", .master = std::string()}});
  EXPECT_THAT(lines(), Contains(HasSubstr("type bond miimon 100 primary eth1")));
  converge();
  EXPECT_EQ(master("eth1"), bond0);
  EXPECT_EQ(link(bond0).link.bond->primary, "eth1");
}

TEST_F(PlanGroupsTest, AnAdapterThatIsNoLongerOursLeavesTheBond) {
  join();
  model.groups["lan"].adapters.push_back(mac2);
  converge();
  facts.adapters.pop_back();  // Ignored from now on.
  EXPECT_THAT(lines(), ElementsAre("ip link set dev eth2 nomaster up",
                                   "sysctl -w net/ipv6/conf/eth2/disable_ipv6=0"));
  converge();
}

/// Why: a frame may never be larger than what it is handed on to.
TEST_F(PlanGroupsTest, TheMtuOfAGroupReachesEverythingFromTheWireToTheGuest) {
  join();
  model.groups["lan"].management_vlan = 7;
  attach("direct", bridge0);
  converge();
  model.groups["lan"].mtu = 9000;
  // A driver may reset its link: the standby before the active member.
  EXPECT_THAT(lines(), ElementsAre("ip link set dev eth1 mtu 9000", "ip link set dev eth0 mtu 9000",
                                   "ip link set dev " + bond0 + " mtu 9000",
                                   "ip link set dev " + bridge0 + " mtu 9000",
                                   "ip link set dev " + device0 + " mtu 9000",
                                   "ip link set dev t-direct mtu 9000"));
  converge();
  model.groups["lan"].mtu = 1500;
  EXPECT_THAT(
      lines(),
      ElementsAre("ip link set dev t-direct mtu 1500", "ip link set dev " + device0 + " mtu 1500",
                  "ip link set dev " + bridge0 + " mtu 1500",
                  "ip link set dev " + bond0 + " mtu 1500", "ip link set dev eth1 mtu 1500",
                  "ip link set dev eth0 mtu 1500"));
  converge();
}

TEST_F(PlanGroupsTest, AManagementVlanCarriesWhatTheBridgeCarriedAndBack) {
  join();
  converge();
  model.groups["lan"].management_vlan = 7;
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip link add link " + bridge0 + " name " + device0 +
                         " address 02:00:00:00:00:01 mtu 1500 type vlan id 7"),
            at(plan, "ip address replace 192.168.1.50/24 dev " + device0));
  EXPECT_THAT(plan, Contains("sysctl -w net/ipv6/conf/" + bridge0 + "/disable_ipv6=1"));
  EXPECT_THAT(plan,
              Contains("ip rule add priority 11000 oif " + device0 + " lookup 20001 protocol 117"));
  converge();
  EXPECT_EQ(rendered().nft.uplinks.back().bridge, device0);
  model.groups["lan"].management_vlan = 8;
  EXPECT_LT(at(lines(), "ip link delete dev " + device0), at(lines(), "type vlan id 8"));
  converge();
  model.groups["lan"].management_vlan.reset();
  EXPECT_LT(at(lines(), "sysctl -w net/ipv6/conf/" + bridge0 + "/disable_ipv6=0"),
            at(lines(), "ip link delete dev " + device0));
  converge();
}

TEST_F(PlanGroupsTest, ForeignLinksInOurPlaceAreConflictsAndWhatDependsOnThemIsLeftOut) {
  host.kernel.add_foreign_link({.name = bond0, .kind = LinkKind::bond});
  join();
  Planned planned = host.plan(rendered());
  ASSERT_EQ(planned.conflicts.size(), 1U);
  EXPECT_THAT(planned.conflicts[0].what,
              HasSubstr("a link named \"" + bond0 + "\" exists and is not ours"));
  EXPECT_THAT(text_of(planned.plan), Not(HasSubstr(bond0)));
  host.run(planned.plan);
  EXPECT_EQ(text_of(host.plan(rendered()).plan), "");
}

TEST_F(PlanGroupsTest, AForeignVlanDeviceOnOurBridgeIsAConflict) {
  join();
  converge();
  host.kernel.add_foreign_link({.name = "theirs",
                                .kind = LinkKind::vlan,
                                .vlan = VlanAttributes{.parent = bridge0, .id = 7}});
  model.groups["lan"].management_vlan = 7;
  const Planned planned = host.plan(rendered());
  ASSERT_EQ(planned.conflicts.size(), 1U);
  EXPECT_THAT(planned.conflicts[0].what,
              HasSubstr("VLAN 7 of \"" + bridge0 + "\" has the device \"theirs\""));
  EXPECT_THAT(text_of(planned.plan), Not(HasSubstr("dev " + device0)));
}

struct Drift {
  const char* what;
  ChangeLink change;
};

TEST_F(PlanGroupsTest, SomebodyElsesChangeIsRepaired) {
  join();
  model.groups["lan"].primary = mac0;
  converge();
  BondAttributes bond = *link(bond0).link.bond;
  BondAttributes silent = bond;
  silent.miimon_ms = 0;
  BondAttributes other = bond;
  other.primary = "eth1";
  BondAttributes restless = bond;
  restless.reselect = BondReselect::always;
  for (const Drift& drift :
       {Drift{"miimon", {.name = bond0, .bond = silent}},
        Drift{"primary", {.name = bond0, .bond = other}},
        Drift{"reselect", {.name = bond0, .bond = restless}},
        Drift{"mtu", {.name = bond0, .mtu = 1400}}, Drift{"mac", {.name = bond0, .mac = mac2}},
        Drift{"down", {.name = bond0, .admin_up = false}},
        Drift{"alias", {.name = bond0, .alias = "gallium:bond:x"}},
        Drift{"out", {.name = bond0, .master = std::string()}},
        Drift{"member", {.name = "eth1", .master = std::string()}},
        Drift{"wrong place", {.name = "eth1", .master = bridge0}}}) {
    host.run({drift.change});
    EXPECT_THAT(lines(), Not(IsEmpty())) << drift.what;
    SCOPED_TRACE(drift.what);
    converge();
  }
  host.run({DeleteLink{bond0}});
  converge();
  EXPECT_EQ(master("eth0"), bond0);
  host.run({DeleteLink{bridge0}});
  converge();
  EXPECT_EQ(master(bond0), bridge0);
}

TEST_F(PlanGroupsTest, GoldenCreateRemodelAndDissolve) {
  attach("direct", bridge0);
  converge();
  join();
  expect_golden("group_create.txt", turn());
  model.groups["lan"].mode = GroupMode::balance_xor;
  expect_golden("group_mode.txt", turn());
  model.groups.clear();
  facts.adapters[1].lease = lease("172.16.0.7/16", "172.16.0.1");
  expect_golden("group_dissolve.txt", turn());
}

/// A daemon may die after any write: whoever starts next must be able to finish.
TEST_F(PlanGroupsTest, AChangeThatWasCutShortIsFinishedFromAnyStep) {
  Model grouped = model;
  grouped.groups["lan"] = Group{.adapters = {mac0, mac1}};
  Model xored = grouped;
  xored.groups["lan"].mode = GroupMode::balance_xor;
  Model managed = grouped;
  managed.groups["lan"].management_vlan = 7;
  Model turned = grouped;
  std::ranges::reverse(turned.groups["lan"].adapters);
  const std::vector<std::pair<Model, Model>> changes{
      {model, grouped}, {grouped, model}, {grouped, xored}, {grouped, managed}, {grouped, turned}};
  for (const auto& [from, to] : changes) {
    facts.vlan_filtering = !facts.vlan_filtering;
    std::size_t steps = 0;
    for (bool whole = false; !whole && !HasFailure(); ++steps) {
      Host machine;
      if (facts.vlan_filtering) { machine.kernel.allow_vlan_filtering(); }
      for (const AdapterFacts& a : facts.adapters) {
        machine.kernel.plug_adapter(a.name, a.base_mac);
      }
      machine.turn(render(from, facts));
      Plan plan = machine.plan(render(to, facts)).plan;
      whole = steps >= plan.size();
      plan.resize(std::min(steps, plan.size()));
      machine.run(plan);
      machine.converge(render(to, facts));
    }
    EXPECT_GT(steps, 5U);
  }
}

/// A random walk through models and facts; the seed is printed with a failure.
TEST_F(PlanGroupsTest, OneTurnIsEnoughFromAnyModelToAnyOther) {
  constexpr unsigned seeds = 16;
  for (unsigned seed = 0; seed < seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomWalk walk(seed, 5);
    walk.facts.vlan_filtering = seed % 2 == 1;
    Host machine;
    if (walk.facts.vlan_filtering) { machine.kernel.allow_vlan_filtering(); }
    for (const AdapterFacts& a : walk.facts.adapters) {
      machine.kernel.plug_adapter(a.name, a.base_mac);
    }
    for (int step = 0; step < 12; ++step) {
      walk.step();
      const Rendered wanted = render(walk.model, walk.facts);
      if (walk.draw(3) == 0) {
        Plan plan = machine.plan(wanted).plan;
        plan.resize(walk.draw(static_cast<unsigned>(plan.size()) + 1));
        machine.run(plan);
      }
      machine.converge(wanted);
    }
  }
}

}  // namespace
}  // namespace edge::netmodel
