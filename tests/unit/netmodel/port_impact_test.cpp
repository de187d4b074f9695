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
  return port_impact(before, after, test::two_ports().adapters);
}

Model bonded() {
  Model out = Model::defaults();
  out.groups["lan"] = {.adapters = {eth0, eth1}};
  return out;
}

TEST(PortImpactTest, ANetworkWithABridgeOfItsOwnTouchesNoPort) {
  const Model before = Model::defaults();
  EXPECT_FALSE(may_touch_ports(before, test::one_guest()));
  EXPECT_TRUE(impact(before, test::one_guest()).empty());
}

TEST(PortImpactTest, AGroupTouchesItsLeaderAndEndsThePortsThatJoin) {
  const Model before = Model::defaults();
  EXPECT_TRUE(may_touch_ports(before, bonded()));
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
  EXPECT_TRUE(may_touch_ports(Model::defaults(), after));
  EXPECT_THAT(impact(Model::defaults(), after).touched, ElementsAre(eth0));
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

}  // namespace
}  // namespace edge::netmodel
