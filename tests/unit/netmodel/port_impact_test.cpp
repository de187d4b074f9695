#include "netmodel/core/port_impact.hpp"

#include <gmock/gmock.h>

#include "netmodel/core/rescue.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {
namespace {

using test::mac;
using testing::ElementsAre;
using testing::IsEmpty;

const MacAddress eth0 = mac("02:00:00:00:00:01");
const MacAddress eth1 = mac("02:00:00:00:00:02");

PortImpact impact(const Model& before, const Model& after) {
  return port_impact(before, after, test::two_ports().adapters, {});
}

Model bonded() {
  Model out = Model::defaults();
  out.groups["lan"] = {.adapters = {eth0, eth1}};
  return out;
}

TEST(PortImpactTest, ANetworkWithABridgeOfItsOwnTouchesNoPort) {
  const Model before = Model::defaults();
  EXPECT_FALSE(may_touch_ports(before, test::one_guest(), {}));
  EXPECT_TRUE(impact(before, test::one_guest()).empty());
}

TEST(PortImpactTest, AGroupTouchesItsLeaderAndEndsThePortsThatJoin) {
  const Model before = Model::defaults();
  EXPECT_TRUE(may_touch_ports(before, bonded(), {}));
  EXPECT_THAT(impact(before, bonded()).touched, ElementsAre(eth0));
  EXPECT_THAT(impact(before, bonded()).ended, ElementsAre(eth1));
  EXPECT_THAT(impact(bonded(), before).touched, ElementsAre(eth0, eth1));
  EXPECT_THAT(impact(bonded(), before).ended, IsEmpty());
}

TEST(PortImpactTest, OnlyThePortWhoseSettingsChangeIsTouched) {
  Model after = Model::defaults();
  after.adapters[eth1].mtu = 9000;
  EXPECT_THAT(impact(Model::defaults(), after).touched, ElementsAre(eth1));
  after = Model::defaults();
  after.adapters[eth1].enabled = false;
  EXPECT_THAT(impact(Model::defaults(), after).touched, IsEmpty());
  EXPECT_THAT(impact(Model::defaults(), after).ended, ElementsAre(eth1));
  after = bonded();
  after.groups["lan"].mode = GroupMode::balance_xor;
  EXPECT_THAT(impact(bonded(), after).touched, ElementsAre(eth0));
  after = bonded();
  after.groups["lan"].management_vlan = 7;
  EXPECT_THAT(impact(bonded(), after).touched, ElementsAre(eth0));
}

TEST(PortImpactTest, AnotherManagementVlanAndAMemberThatIsSwitchedOffTouchThePort) {
  Model before = Model::defaults();
  before.groups["lan"] = {.adapters = {eth0}, .management_vlan = 10};
  Model after = before;
  after.groups["lan"].management_vlan = 77;
  EXPECT_THAT(impact(before, after).touched, ElementsAre(eth0));
  after = bonded();
  after.adapters[eth1].enabled = false;
  EXPECT_THAT(impact(bonded(), after).touched, ElementsAre(eth0));
}

TEST(PortImpactTest, AStaticAddressTouchesThePortThatHasIt) {
  Model after = Model::defaults();
  after.host.management = {.adapter = eth0, .address = test::prefix("192.168.1.9/24")};
  EXPECT_TRUE(may_touch_ports(Model::defaults(), after, {}));
  EXPECT_THAT(impact(Model::defaults(), after).touched, ElementsAre(eth0));
}

/// Why: its holder owns it on every link. A Console or a resolver of the same address is reached by
/// no path any more.
TEST(PortImpactTest, AVirtualAddressTouchesThePortThatCarriesItFromItsBeginToItsEnd) {
  Model without = Model::defaults();
  without.host.management = {.adapter = eth0, .address = test::prefix("192.168.1.9/24")};
  Model with = without;
  with.host.virtual_ip = test::ip("192.168.1.50");
  with.host.cluster = {.id = 7, .advert_ms = 500};
  EXPECT_TRUE(may_touch_ports(without, with, {}));
  EXPECT_THAT(impact(without, with).touched, ElementsAre(eth0));
  EXPECT_THAT(impact(with, without).touched, ElementsAre(eth0));
  Model preempting = with;
  preempting.host.cluster->preempt = true;
  EXPECT_TRUE(may_touch_ports(with, preempting, {})) << "it may become the holder";
  EXPECT_THAT(impact(with, preempting).touched, ElementsAre(eth0));
  EXPECT_FALSE(may_touch_ports(with, with, {}));
  Model half = without;  // Hosts of a cluster, but nothing that floats: keepalived does not run.
  half.host.cluster = with.host.cluster;
  EXPECT_FALSE(may_touch_ports(without, half, {}));
}

/// Goal: the gateway of a network is an address of the host's own: what comes from it over a path
/// is dropped as martian (seen: a NAT network over the Console's address cut every path for good).
class CoveredAddressTest : public testing::Test {
 protected:
  static Model network(std::string_view subnet, NetworkKind kind = NetworkKind::nat) {
    Model out = Model::defaults();
    const IpPrefix given = test::prefix(subnet);
    Network made{.kind = kind};
    (given.address.family == Family::v4 ? made.subnet : made.subnet6) = given;
    out.networks["over"] = made;
    return out;
  }
  std::vector<CoveredAddress> found(const Model& before, const Model& after) const {
    return covered_addresses(before, after, needed);
  }

  Model without = Model::defaults();
  std::vector<NeededAddress> needed{
      {.address = test::ip("203.0.113.13"), .what = "the Console", .is_console = true},
      {.address = test::ip("2001:db8::1"), .what = "a resolver"}};
};

TEST_F(CoveredAddressTest, ANetworkOverWhatPathsNeedTouchesEveryPort) {
  for (const auto kind :
       {NetworkKind::nat, NetworkKind::routed, NetworkKind::isolated, NetworkKind::open}) {
    const Model after = network("203.0.113.0/24", kind);
    EXPECT_TRUE(may_touch_ports(without, after, needed));
    EXPECT_THAT(port_impact(without, after, test::two_ports().adapters, needed).touched,
                ElementsAre(eth0, eth1));
  }
  EXPECT_FALSE(may_touch_ports(without, network("203.0.112.0/24"), needed));
  EXPECT_TRUE(may_touch_ports(without, network("2001:db8::/64"), needed));
  EXPECT_FALSE(may_touch_ports(without, network("2001:db8:1::/64"), needed));
}

TEST_F(CoveredAddressTest, TheGatewayTheNetworkAndTheBroadcastAddressAreTheHostsOwn) {
  const auto owned = [&](std::string_view subnet, std::string_view address) {
    needed.front().address = test::ip(address);
    const auto covered = found(without, network(subnet));
    return covered.size() == 1 && covered.front().owned;
  };
  EXPECT_TRUE(owned("203.0.113.12/30", "203.0.113.12"));
  EXPECT_TRUE(owned("203.0.113.12/30", "203.0.113.13"));
  EXPECT_FALSE(owned("203.0.113.12/30", "203.0.113.14"));
  EXPECT_TRUE(owned("203.0.113.12/30", "203.0.113.15"));
  EXPECT_TRUE(owned("2001:db8:2::/64", "2001:db8:2::1"));
  EXPECT_FALSE(owned("2001:db8:2::/64", "2001:db8:2::2"));
}

/// Why: an address of the host's own is its own on every link: no path would reach the Console.
TEST_F(CoveredAddressTest, SoAreTheManagementAndTheVirtualAddress) {
  Model managed = Model::defaults();
  managed.host.management = {.adapter = eth0, .address = test::prefix("203.0.113.13/28")};
  ASSERT_EQ(found(without, managed).size(), 1U);
  EXPECT_TRUE(found(without, managed).front().owned);
  EXPECT_THAT(port_impact(without, managed, test::two_ports().adapters, needed).touched,
              ElementsAre(eth0, eth1));
  EXPECT_THAT(found(managed, managed), IsEmpty());
  needed.front().address = test::ip("203.0.113.15");
  EXPECT_EQ(found(without, managed).size(), 1U) << "its broadcast address";
  needed.front().address = test::ip("203.0.113.14");
  EXPECT_THAT(found(without, managed), IsEmpty()) << "a neighbour";
  Model cluster = managed;
  cluster.host.virtual_ip = needed.front().address;
  cluster.host.cluster = {.id = 7};
  ASSERT_EQ(found(managed, cluster).size(), 1U);
  EXPECT_THAT(port_impact(managed, cluster, test::two_ports().adapters, needed).touched,
              ElementsAre(eth0, eth1));
}

TEST_F(CoveredAddressTest, WhatStoodBeforeOrGoesIsNoTrial) {
  const Model with = network("203.0.113.0/24");
  Model other_dns = with;
  other_dns.networks["over"].dns = {test::ip("9.9.9.9")};
  EXPECT_THAT(found(with, other_dns), IsEmpty());
  EXPECT_THAT(found(with, without), IsEmpty());
  EXPECT_EQ(found(with, network("203.0.113.0/25")).size(), 1U);
  EXPECT_EQ(found(with, network("203.0.113.0/24", NetworkKind::routed)).size(), 1U);
}

/// Why: scenario untouched_paths shows on a kernel that no path notices either.
TEST_F(CoveredAddressTest, PublicationsAndTheOrderOfPreferenceTouchNoPort) {
  const Model before = test::one_guest();
  Model after = before;
  after.gateway["http"].port_last = 8090;
  after.gateway["ssh"] = {.interface = "web", .port_first = 2222, .port_last = 2222, .to_port = 22};
  after.host.uplink_order = {eth1, eth0};
  EXPECT_FALSE(may_touch_ports(before, after, needed));
  EXPECT_TRUE(port_impact(before, after, test::two_ports().adapters, needed).empty());
}

TEST(PortImpactTest, AVirtualAddressIsThereFourAdvertisementsAfterItsCommand) {
  using std::chrono::milliseconds;
  Model without = Model::defaults();
  without.host.management = {.adapter = eth0, .address = test::prefix("192.168.1.9/24")};
  Model with = without;
  with.host.virtual_ip = test::ip("192.168.1.50");
  with.host.cluster = {.id = 7, .advert_ms = 500};
  EXPECT_EQ(begins_within(without, with), milliseconds(4000));
  EXPECT_EQ(begins_within(with, without), milliseconds(2000));
  EXPECT_EQ(begins_within(with, with), milliseconds(0));
}

TEST(RescueTest, NoGroupNoSettingNoBridgedNetworkIsLeftAndGuestsBehindNatStay) {
  Model model = test::one_guest();
  model.groups["lan"] = {.adapters = {eth0, eth1}};
  model.adapters[eth0].enabled = false;
  model.networks["v7"] = {.kind = NetworkKind::vlan, .group = "lan", .vlan_id = 7};
  model.interfaces["tagged"] = {.vm = "vm2", .network = "v7", .mac = mac("52:54:00:00:00:22")};
  model.host.management = {.group = "lan", .address = test::prefix("192.168.1.9/24")};
  EXPECT_EQ(rescue_of(model), test::one_guest());
}

TEST(PortImpactTest, WhereTheConsoleIsReachedIsTriedOutThoughItTouchesNoPort) {
  Model after = Model::defaults();
  after.host.console_endpoints = {{"console.example", 8443}};
  EXPECT_TRUE(may_touch_ports(Model::defaults(), after, {}));
  EXPECT_FALSE(may_touch_ports(after, after, {}));
  EXPECT_TRUE(impact(Model::defaults(), after).empty());
}

}  // namespace
}  // namespace edge::netmodel
