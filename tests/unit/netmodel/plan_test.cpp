#include "netmodel/core/plan.hpp"

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

/// Goal: each ordering rule with its why, on a kernel of values that refuses what the real one
/// refuses.
using PlanTest = OneGuestPlan;

TEST_F(PlanTest, OneTurnIsEnoughAndTheNextWritesNothing) {
  converge();
  const auto writes = host.kernel.writes();
  host.turn(rendered());
  EXPECT_EQ(host.kernel.writes(), writes);
}

/// Why: in a window without rules a guest's first packet would be tracked without NAT, and stay so
/// (T3).
TEST_F(PlanTest, TheTableComesBeforeForwardingAndBeforeAnyLink) {
  const auto plan = lines();
  EXPECT_EQ(at(plan, "nft "), 0U);
  EXPECT_LT(at(plan, "net/ipv4/ip_forward=1"), at(plan, "ip link"));
}

/// Why: a frame that arrives before arp_ignore and rp_filter are right is answered on the wrong
/// port.
TEST_F(PlanTest, ABridgeIsMadeAndSetUpBeforeItsPortJoins) {
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip link add name " + bridge0), at(plan, bridge0 + "/arp_ignore"));
  EXPECT_LT(at(plan, bridge0 + "/arp_ignore"), at(plan, "ip link set dev eth0 master " + bridge0));
  EXPECT_LT(at(plan, "ip link set dev eth0 master"),
            at(plan, "ip address replace 192.168.1.50/24"));
}

/// Why: without its own MAC a bridge takes the lowest of its ports, and the lease and neighbours
/// are lost.
TEST_F(PlanTest, ABridgeHasItsMacMtuAndNoForwardDelayFromBirth) {
  EXPECT_THAT(lines(), Contains(HasSubstr("ip link add name " + bridge0 +
                                          " address 02:00:00:00:00:01 mtu 1500 type bridge "
                                          "forward_delay 0 stp_state 0")));
}

/// Why: the kernel refuses a route whose gateway it cannot reach (ENETUNREACH).
TEST_F(PlanTest, AddressThenConnectedRouteThenGatewayThenRules) {
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip address replace 192.168.1.50/24"),
            at(plan, "ip route replace 192.168.1.0/24 dev"));
  EXPECT_LT(at(plan, "ip route replace 192.168.1.0/24 dev " + bridge0 + " table 20001"),
            at(plan, "ip route replace default via 192.168.1.1 dev " + bridge0 + " table 20001"));
  EXPECT_LT(at(plan, "table 20001"), at(plan, "ip rule add"));
}

/// Why: a frame may never be larger than what it is handed on to: the wire first on the way up,
/// guests first down.
TEST_F(PlanTest, MtuRisesFromTheWireAndFallsFromTheGuest) {
  Interface direct{.vm = "v", .network = bridge0, .mac = mac("52:54:00:00:00:12")};
  model.interfaces["direct"] = direct;
  converge();
  model.adapters[mac("02:00:00:00:00:01")].mtu = 9000;
  EXPECT_THAT(lines(), ElementsAre("ip link set dev eth0 mtu 9000",
                                   "ip link set dev " + bridge0 + " mtu 9000",
                                   "ip link set dev t-direct mtu 9000"));
  converge();
  model.adapters[mac("02:00:00:00:00:01")].mtu = 1500;
  EXPECT_THAT(lines(), ElementsAre("ip link set dev t-direct mtu 1500",
                                   "ip link set dev " + bridge0 + " mtu 1500",
                                   "ip link set dev eth0 mtu 1500"));
  converge();
}

/// Why: routes of a pulled port must go at once, and nothing else may move.
TEST_F(PlanTest, CarrierLossIsFourRouteRemovals) {
  converge();
  facts.adapters[0].carrier = false;
  const auto plan = lines();
  EXPECT_EQ(plan.size(), 4U);
  for (const std::string& line : plan) {
    EXPECT_THAT(line, AllOf(HasSubstr("ip route delete"), HasSubstr(bridge0)));
  }
  EXPECT_LT(at(plan, "delete default"), at(plan, "delete 192.168.1.0/24"));
  converge();
  facts.adapters[0].carrier = true;
  EXPECT_EQ(lines().size(), 4U);
}

/// Why: removing the old address first would take the new routes and a moment of silence with it.
TEST_F(PlanTest, AChangedLeaseComesBeforeTheOldOneGoes) {
  converge();
  facts.adapters[0].lease = lease("192.168.1.77/24", "192.168.1.1");
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip address replace 192.168.1.77/24"), at(plan, "src 192.168.1.77"));
  EXPECT_LT(at(plan, "src 192.168.1.77"), at(plan, "ip address delete 192.168.1.50/24"));
  EXPECT_LT(at(plan, "ip rule add priority 12000 from 192.168.1.77"),
            at(plan, "ip rule delete priority 12000 from 192.168.1.50"));
  converge();
}

TEST_F(PlanTest, AnotherGatewayIsOneReplaceAndNoRemoval) {
  converge();
  facts.adapters[0].lease->routers = {ip("192.168.1.2")};
  const auto plan = lines();
  EXPECT_EQ(plan.size(), 2U);  // Main and the port's table.
  for (const std::string& line : plan) {
    EXPECT_THAT(line, HasSubstr("ip route replace default via 192.168.1.2"));
  }
  converge();
}

/// Why: swapped cables. Each address must never be without a link for longer than it takes.
TEST_F(PlanTest, SwappedCablesSwapAddresses) {
  converge();
  std::swap(facts.adapters[0].lease, facts.adapters[1].lease);
  converge();
}

TEST_F(PlanTest, TheSameAddressOnBothPortsConverges) {
  facts.adapters[1].lease = facts.adapters[0].lease;
  converge();
}

TEST_F(PlanTest, WhatIsOursAndNotWantedGoesTapsBeforeBridges) {
  converge();
  model = Model{};
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip link delete dev t-web"), at(plan, "ip link delete dev n-default"));
  converge();
  EXPECT_EQ(host.kernel.state().find_link("t-web"), nullptr);
}

/// Why: QEMU opens with headers whatever card the guest has, and the kernel takes the opener's
/// flag.
TEST_F(PlanTest, ATapIsNotMadeAnewForWhatItsOpenerAskedFor) {
  converge();
  Link other = host.kernel.state().find_link("t-web")->link;
  other.tap->vnet_hdr = !other.tap->vnet_hdr;
  host.kernel.set_tap("t-web", *other.tap);
  host.kernel.set_carrier("t-web", true);
  EXPECT_TRUE(lines().empty());
}

TEST_F(PlanTest, ATapOfAnotherOwnerIsMadeAnewOnceNobodyHasItOpen) {
  converge();
  TapAttributes other = *host.kernel.state().find_link("t-web")->link.tap;
  other.owner_uid = 107;
  host.kernel.set_tap("t-web", other);
  host.kernel.set_carrier("t-web", true);
  EXPECT_TRUE(lines().empty());
  host.kernel.set_carrier("t-web", false);
  EXPECT_THAT(lines(), Contains(HasSubstr("ip tuntap add dev t-web mode tap user 0")));
  converge();
}

/// Why: multi_queue is fixed when a tap is made (TUNSETIFF).
TEST_F(PlanTest, ATapWithOtherQueuesIsMadeAnew) {
  converge();
  model.interfaces["web"].hardware = Hardware::virtio_multiqueue;
  const auto plan = lines();
  EXPECT_LT(at(plan, "ip link delete dev t-web"),
            at(plan, "ip tuntap add dev t-web mode tap user 0 vnet_hdr multi_queue"));
  converge();
}

/// U52: whatever a person or a program breaks is put back, and nothing more.
TEST_F(PlanTest, DriftIsRepaired) {
  converge();
  const Rendered want = rendered();
  ASSERT_TRUE(host.kernel.apply(DeleteLink{"n-default"}));
  const auto plan = lines();
  EXPECT_THAT(plan, Contains(HasSubstr("ip link add name n-default")));
  EXPECT_THAT(plan, Contains("ip link set dev t-web master n-default"));
  EXPECT_THAT(plan, Contains("sysctl -w net/ipv6/conf/n-default/disable_ipv6=1"));
  EXPECT_THAT(plan, Not(Contains(HasSubstr(bridge0))));
  converge();
  ASSERT_TRUE(host.kernel.apply(DeleteNft{}));
  EXPECT_EQ(lines().size(), 1U);
  converge();
  ASSERT_TRUE(host.kernel.apply(SetSysctl{{"net/ipv4/conf/" + bridge0 + "/rp_filter", "1"}}));
  EXPECT_THAT(lines(), ElementsAre("sysctl -w net/ipv4/conf/" + bridge0 + "/rp_filter=2"));
  converge();
}

TEST_F(PlanTest, AnAdapterThatComesBackUnderAnotherNameFindsItsBridge) {
  converge();
  host.kernel.rename_link("eth0", "enp3s0");
  facts.adapters[0].name = "enp3s0";
  for (const std::string& line : lines()) { EXPECT_THAT(line, HasSubstr("enp3s0/disable_ipv6")); }
  converge();
  host.kernel.remove_link("enp3s0");  // U9: the NIC leaves; the daemon's facts say so.
  facts.adapters.erase(facts.adapters.begin());
  converge();
  EXPECT_EQ(host.kernel.state().find_link(bridge0), nullptr);
}

TEST_F(PlanTest, ALeftAdapterThatFactsStillNameIsNoError) {
  converge();
  host.kernel.remove_link("eth0");
  const Planned planned = host.plan(rendered());
  EXPECT_THAT(planned.conflicts, IsEmpty());
}

/// Why: `ip rule` lets one rule stand twice, and then deletes only one of them.
TEST(PlanRulesTest, ARuleOfOursThatStandsTwiceLosesOne) {
  DesiredState desired;
  desired.rules = {{.priority = 10000, .mark = 20001, .table = 20001}};
  ObservedState observed;
  observed.rules = {desired.rules[0], desired.rules[0]};
  const Plan plan = make_plan(desired, {}, observed, NftState{}).plan;
  ASSERT_EQ(plan.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<RemoveRule>(plan[0]));
}

}  // namespace
}  // namespace edge::netmodel
