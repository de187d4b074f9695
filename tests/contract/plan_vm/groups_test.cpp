// Groups, their VLANs and management VLANs on a kernel that has bonding and vlan_filtering: every
// change of the model is one turn, and the next one finds nothing to do.
#include <algorithm>

#include "netmodel/core/names.hpp"
#include "tests/contract/plan/plan_contract.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::Not;

const MacAddress mac0 = mac("02:00:00:00:00:01");
const MacAddress mac1 = mac("02:00:00:00:00:02");
const std::string bond0 = "bo020000000001";
const std::string device0 = "mv020000000001";

class GroupsContract : public PlanContract {
 protected:
  void SetUp() override {
    PlanContract::SetUp();
    ASSERT_TRUE(facts.vlan_filtering) << "for a kernel with vlan_filtering";
    model = Model::defaults();
  }
  void join() {
    model.groups["lan"] = Group{.adapters = {mac0, mac1}};
    facts.adapters[1].lease.reset();
  }
  void dissolve() {
    model.groups.clear();
    facts.adapters[1].lease = lease("172.16.0.7/16", "172.16.0.1");
  }
  void add_vlan(const std::string& id, std::uint16_t vlan) {
    Network network{.kind = NetworkKind::vlan, .adapter = mac0};
    network.vlan_id = vlan;
    model.networks[id] = network;
  }
  void attach(const std::string& id, const std::string& network) {
    Interface guest{.vm = id, .network = network, .mac = generated_mac("hv-01", "interface", id)};
    model.interfaces[id] = guest;
  }
  ObservedLink link(const std::string& name) {
    const auto state = kernel->dump({});
    EXPECT_TRUE(state);
    const ObservedLink* found = state->find_link(name);
    EXPECT_NE(found, nullptr) << name;
    return found == nullptr ? ObservedLink{} : *found;
  }
};

TEST_F(GroupsContract, GroupIsMadeUnderTwoRunningPortsAndDissolvedAgain) {
  attach("direct", bridge0);
  converge();
  const auto tap = link("t-direct");
  join();
  converge();
  EXPECT_EQ(link("eth0").link.master, bond0);
  EXPECT_EQ(link("eth1").link.master, bond0);
  EXPECT_EQ(link(bond0).link.master, bridge0);
  EXPECT_EQ(link(bond0).link.mac, mac0);
  EXPECT_EQ(link(bridge0).link.mac, mac0);
  EXPECT_EQ(link("t-direct").index, tap.index) << "taps never move";
  EXPECT_EQ(link("t-direct").link.master, bridge0);

  dissolve();
  converge();
  EXPECT_EQ(link("eth0").link.master, bridge0);
  EXPECT_EQ(link("eth1").link.master, bridge1);
  EXPECT_EQ(link("eth1").link.mac, mac1);
  EXPECT_TRUE(link("eth1").link.admin_up);
  EXPECT_EQ(link("t-direct").index, tap.index);
}

TEST_F(GroupsContract, GroupFromTheFirstStart) {
  join();
  converge();
  EXPECT_EQ(link(bond0).link.bond->mode, BondMode::active_backup);
  EXPECT_EQ(link(bond0).link.bond->miimon_ms, 100U);
}

TEST_F(GroupsContract, PrimaryModeAndMtuOfAGroupChangeInOneTurnEach) {
  attach("direct", bridge0);
  join();
  converge();
  const IfIndex tap = link("t-direct").index;
  model.groups["lan"].primary = mac1;
  converge();
  EXPECT_EQ(link(bond0).link.bond->primary, "eth1");
  model.groups["lan"].mtu = 9000;
  converge();
  for (const std::string& name : {std::string("eth0"), std::string("eth1"), bond0, bridge0}) {
    EXPECT_EQ(link(name).link.mtu, 9000U) << name;
  }
  model.groups["lan"].mtu = 1500;
  converge();
  EXPECT_EQ(link("eth1").link.mtu, 1500U);
  for (const GroupMode mode : {GroupMode::balance_xor, GroupMode::lacp, GroupMode::active_backup}) {
    model.groups["lan"].primary.reset();
    model.groups["lan"].mode = mode;
    converge();
    EXPECT_EQ(link("eth0").link.master, bond0);
    EXPECT_EQ(link("eth1").link.master, bond0);
  }
  EXPECT_EQ(link("t-direct").index, tap);
}

TEST_F(GroupsContract, VlansComeAndGoOnUplinkAndTaps) {
  join();
  converge();
  add_vlan("v10", 10);
  add_vlan("v11", 11);
  add_vlan("v4094", 4094);
  attach("a", "v10");
  attach("b", "v4094");
  attach("c", bridge0);
  converge();
  EXPECT_EQ(link(bond0).link.vlans,
            (std::vector<BridgeVlan>{{.first = 1, .last = 1, .pvid = true, .untagged = true},
                                     {.first = 10, .last = 11},
                                     {.first = 4094, .last = 4094}}));
  EXPECT_EQ(link(bridge0).link.vlans,
            (std::vector<BridgeVlan>{{.first = 1, .last = 1, .pvid = true, .untagged = true}}));
  EXPECT_EQ(
      link("t-b").link.vlans,
      (std::vector<BridgeVlan>{{.first = 4094, .last = 4094, .pvid = true, .untagged = true}}));
  dissolve();
  converge();
  EXPECT_EQ(link("eth0").link.vlans->size(), 3U) << "the VLANs move to the adapter";
  model.interfaces.clear();
  model.networks.erase("v10");
  model.networks.erase("v11");
  model.networks.erase("v4094");
  converge();
  EXPECT_EQ(link("eth0").link.vlans->size(), 1U);
}

TEST_F(GroupsContract, ManagementVlanTakesTheAddressAndGivesItBack) {
  join();
  converge();
  model.groups["lan"].management_vlan = 100;
  converge();
  EXPECT_EQ(link(device0).link.vlan, (VlanAttributes{.parent = bridge0, .id = 100}));
  EXPECT_THAT(ip_output("-4 -brief address show dev " + device0), HasSubstr("192.168.1.50/24"));
  EXPECT_THAT(ip_output("-4 -brief address show dev " + bridge0), Not(HasSubstr("192.168.1.50")));
  model.groups["lan"].management_vlan = 200;
  converge();
  model.groups["lan"].management_vlan.reset();
  converge();
  EXPECT_THAT(ip_output("-4 -brief address show dev " + bridge0), HasSubstr("192.168.1.50/24"));
}

TEST_F(GroupsContract, DriftOfBondAndVlansIsRepairedInOneTurn) {
  join();
  model.groups["lan"].primary = mac0;
  add_vlan("v10", 10);
  attach("a", "v10");
  converge();
  ip_batch("link set eth1 nomaster\nlink set " + bond0 + " type bond primary_reselect always\n" +
           "link set " + bridge0 + " type bridge vlan_filtering 0\nlink set t-a nomaster\n");
  EXPECT_GT(converge(), 3U);
  ip_batch("link delete " + bond0 + "\n");
  EXPECT_GT(converge(), 3U);
  ip_batch("link delete " + bridge0 + "\n");
  EXPECT_GT(converge(), 3U);
  EXPECT_EQ(link("t-a").link.master, bridge0);
}

TEST_F(GroupsContract, PurgeGivesTheAdaptersBackUpAndWithTheirOwnMac) {
  join();
  model.groups["lan"].management_vlan = 100;
  add_vlan("v10", 10);
  converge();
  run(make_purge_plan(kernel->dump({}).value()));
  const ObservedState after = kernel->dump({}).value();
  for (const ObservedLink& one : after.links) { EXPECT_FALSE(one.ours()) << one.link.name; }
  EXPECT_EQ(after.find_link("eth0")->link.mac, mac0);
  EXPECT_EQ(after.find_link("eth1")->link.mac, mac1);
  EXPECT_TRUE(after.find_link("eth0")->link.admin_up);
  EXPECT_TRUE(after.find_link("eth1")->link.admin_up);
}

}  // namespace
}  // namespace edge::netmodel
