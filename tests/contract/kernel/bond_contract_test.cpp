// What every kernel does with bonds.
#include <cerrno>

#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

TEST_P(StockKernelContract, CreatedBondShowsEveryField) {
  const Link wanted = bond_link("bo0", {.mode = BondMode::active_backup});
  apply(CreateLink{wanted});
  ASSERT_TRUE(link("bo0"));
  EXPECT_EQ(link("bo0")->link, wanted);
  EXPECT_TRUE(link("bo0")->ours());
  EXPECT_FALSE(link("bo0")->carrier);
}

TEST_P(StockKernelContract, EachModeTakesItsOptionsAtCreation) {
  const BondAttributes modes[] = {
      {.mode = BondMode::active_backup, .reselect = BondReselect::better},
      {.mode = BondMode::balance_xor, .xmit_hash_policy = 1},
      {.mode = BondMode::lacp, .xmit_hash_policy = 1, .lacp_fast = true},
      {.mode = BondMode::lacp, .miimon_ms = 200, .lacp_fast = false}};
  for (const BondAttributes& wanted : modes) {
    make_bond("bo0", wanted);
    EXPECT_EQ(bond("bo0"), wanted) << "mode " << static_cast<int>(wanted.mode);
    apply(DeleteLink{"bo0"});
  }
}

TEST_P(StockKernelContract, MemberJoinsInOneOperationAndIsUpWithTheBondsMacAndMtu) {
  world->plug_adapter("eth0");
  const auto before = *link("eth0");
  Link wanted = bond_link("bo0", {});
  wanted.mtu = 1400;
  apply(CreateLink{wanted});
  set_master("eth0", "bo0");

  const auto member = *link("eth0");
  EXPECT_EQ(member.link.master, "bo0");
  EXPECT_TRUE(member.link.admin_up);
  EXPECT_EQ(member.link.mac, wanted.mac);
  EXPECT_EQ(member.link.mtu, 1400U);
  EXPECT_EQ(member.permanent_mac, before.link.mac) << "the base MAC stays known";
  EXPECT_EQ(link("bo0")->link.mac, wanted.mac);
}

TEST_P(StockKernelContract, MemberThatLeavesIsUpWithItsOwnMacAndMtu) {
  world->plug_adapter("eth0");
  const auto before = *link("eth0");
  Link wanted = bond_link("bo0", {});
  wanted.mtu = 1400;
  apply(CreateLink{wanted});
  set_master("eth0", "bo0");
  set_master("eth0", "");
  const auto after = *link("eth0");
  EXPECT_EQ(after.link, before.link);
}

TEST_P(StockKernelContract, LinkMovesBetweenBridgeAndBondInOneOperationEach) {
  world->plug_adapter("eth0");
  make_bridge("br0");
  make_bond("bo0");
  set_master("eth0", "br0");
  set_master("eth0", "bo0");
  EXPECT_EQ(link("eth0")->link.master, "bo0");
  EXPECT_TRUE(link("eth0")->link.admin_up);
  EXPECT_TRUE(world->eventually([&] { return link("bo0")->carrier; }));

  set_master("eth0", "br0");
  EXPECT_EQ(link("eth0")->link.master, "br0");
  EXPECT_TRUE(link("eth0")->link.admin_up);
  EXPECT_TRUE(world->eventually([&] { return link("br0")->carrier && !link("bo0")->carrier; }));
}

TEST_P(StockKernelContract, JoiningAgainChangesNothing) {
  world->plug_adapter("eth0");
  make_bond("bo0");
  set_master("eth0", "bo0");
  ASSERT_TRUE(world->eventually([&] { return link("eth0")->carrier; }));
  const auto before = link("eth0");
  set_master("eth0", "bo0");
  EXPECT_EQ(link("eth0"), before);
}

TEST_P(StockKernelContract, JoiningTakesRoutesOfTheMemberAlongAndLeavesItsAddress) {
  world->plug_adapter("eth0");
  apply(AddAddress{own_address("eth0", "10.0.0.5/24")});
  apply(AddRoute{route_to("10.9.0.0/24", "eth0")});
  make_bond("bo0");
  set_master("eth0", "bo0");
  EXPECT_TRUE(routes("eth0").empty());
  EXPECT_EQ(addresses("eth0").size(), 1U);
}

TEST_P(StockKernelContract, UnknownMasterLeavesTheLinkUp) {
  world->plug_adapter("eth0");
  ChangeLink operation = change("eth0");
  operation.master = "absent";
  EXPECT_EQ(failure(operation).code, Errc::not_found);
  EXPECT_TRUE(link("eth0")->link.admin_up);
}

TEST_P(StockKernelContract, LinkThatTheBondRefusesIsUpAfterwards) {
  make_bridge("br0");
  make_bond("bo0");
  set_master("bo0", "br0");
  ChangeLink operation = change("br0");
  operation.master = "bo0";
  failure(operation);  // It would be a member of its own port.
  EXPECT_EQ(link("br0")->link.master, "");
  EXPECT_TRUE(link("br0")->link.admin_up);
}

/// Pulled cables of an active-backup bond: MII monitoring looks every 100 ms.
TEST_P(StockKernelContract, TrafficMovesToTheMemberWithCarrierAndTheBondKeepsItsCarrier) {
  world->plug_adapter("eth0");
  world->plug_adapter("eth1");
  make_bond("bo0");
  set_master("eth0", "bo0");
  set_master("eth1", "bo0");
  ASSERT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth0"; }));
  world->set_cable("eth0", false);
  EXPECT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth1"; }));
  EXPECT_TRUE(link("bo0")->carrier);
  EXPECT_FALSE(link("eth0")->carrier);

  world->set_cable("eth1", false);
  EXPECT_TRUE(world->eventually([&] { return !link("bo0")->carrier; })) << "both are out";
  EXPECT_EQ(link("bo0")->bond_active, "");
  world->set_cable("eth0", true);
  EXPECT_TRUE(world->eventually([&] { return link("bo0")->carrier; }));
  EXPECT_EQ(link("bo0")->bond_active, "eth0");
}

TEST_P(StockKernelContract, PrimaryIsActiveOnceItIsAMemberAndDoesNotComeBackAfterAFailure) {
  world->plug_adapter("eth0");
  world->plug_adapter("eth1");
  make_bond("bo0", {.primary = "eth1", .reselect = BondReselect::failure});
  set_master("eth0", "bo0");
  EXPECT_EQ(bond("bo0").primary, "") << "no member yet: the kernel does not show it";
  ASSERT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth0"; }));
  set_master("eth1", "bo0");
  EXPECT_EQ(bond("bo0").primary, "eth1");
  ASSERT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth1"; }));

  world->set_cable("eth1", false);
  ASSERT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth0"; }));
  world->set_cable("eth1", true);
  ASSERT_TRUE(world->eventually([&] { return link("eth1")->carrier; }));
  // Away from eth0 it goes only when eth0 fails.
  world->set_cable("eth0", false);
  EXPECT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth1"; }));
}

TEST_P(StockKernelContract, PrimaryThatIsReselectedAlwaysComesBack) {
  world->plug_adapter("eth0");
  world->plug_adapter("eth1");
  make_bond("bo0", {.primary = "eth0", .reselect = BondReselect::always});
  set_master("eth0", "bo0");
  set_master("eth1", "bo0");
  world->set_cable("eth0", false);
  ASSERT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth1"; }));
  world->set_cable("eth0", true);
  EXPECT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth0"; }));
}

TEST_P(StockKernelContract, PrimaryAndReselectChangeUnderMembers) {
  world->plug_adapter("eth0");
  world->plug_adapter("eth1");
  make_bond("bo0");
  set_master("eth0", "bo0");
  set_master("eth1", "bo0");
  ChangeLink operation = change("bo0");
  operation.bond = BondAttributes{.primary = "eth1", .reselect = BondReselect::always};
  apply(operation);
  EXPECT_EQ(bond("bo0"), *operation.bond);
  EXPECT_TRUE(world->eventually([&] { return link("bo0")->bond_active == "eth1"; }));
  operation.bond->primary = "";
  apply(operation);
  EXPECT_EQ(bond("bo0"), *operation.bond);
}

TEST_P(StockKernelContract, PrimaryThatDoesNotExistIsNotFound) {
  EXPECT_EQ(failure(CreateLink{bond_link("bo0", {.primary = "absent"})}).code, Errc::not_found);
  EXPECT_FALSE(link("bo0"));
}

TEST_P(StockKernelContract, ModeAndMacPolicyAreRefusedWhileThereAreMembers) {
  world->plug_adapter("eth0");
  make_bond("bo0");
  set_master("eth0", "bo0");
  const auto before = bond("bo0");
  ChangeLink mode = change("bo0");
  mode.bond = BondAttributes{.mode = BondMode::balance_xor};
  EXPECT_EQ(failure(mode).code, Errc::conflict);
  ChangeLink policy = change("bo0");
  policy.bond = BondAttributes{.fail_over_mac = 1};
  EXPECT_EQ(failure(policy).code, Errc::conflict);
  EXPECT_EQ(bond("bo0"), before);
  EXPECT_EQ(link("eth0")->link.master, "bo0");
}

TEST_P(StockKernelContract, MacAndMtuOfTheBondReachItsMembers) {
  world->plug_adapter("eth0");
  world->plug_adapter("eth1");
  make_bond("bo0");
  set_master("eth0", "bo0");
  set_master("eth1", "bo0");
  ChangeLink operation = change("bo0");
  operation.mtu = 9000;
  operation.mac = mac("02:00:00:00:00:b1");
  apply(operation);
  for (const std::string name : {"bo0", "eth0", "eth1"}) {
    EXPECT_EQ(link(name)->link.mtu, 9000U) << name;
    EXPECT_EQ(link(name)->link.mac, operation.mac) << name;
  }
}

TEST_P(StockKernelContract, DeletedBondLeavesItsMembersUpWithTheirOwnMac) {
  world->plug_adapter("eth0");
  const auto before = *link("eth0");
  make_bond("bo0");
  set_master("eth0", "bo0");
  apply(DeleteLink{"bo0"});
  EXPECT_FALSE(link("bo0"));
  EXPECT_EQ(link("eth0")->link, before.link);
}

TEST_P(StockKernelContract, BondIsThePortOfABridgeAndCarriesItsCarrier) {
  world->plug_adapter("eth0");
  make_bridge("br0");
  make_bond("bo0");
  set_master("bo0", "br0");
  set_master("eth0", "bo0");
  EXPECT_TRUE(world->eventually([&] { return link("br0")->carrier; }));
  world->set_cable("eth0", false);
  EXPECT_TRUE(world->eventually([&] { return !link("br0")->carrier; }));
}

}  // namespace
}  // namespace edge::netmodel
