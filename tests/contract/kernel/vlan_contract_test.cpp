// What every kernel does with VLANs of bridges, and with VLAN devices.
#include <cerrno>

#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

using Vlans = std::vector<BridgeVlan>;

TEST_P(StockKernelContract, BridgeThatFiltersIsMadeWithoutDefaultPvidInOneOperation) {
  const Link wanted = filtering_bridge_link("br0");
  apply(CreateLink{wanted});
  world->plug_adapter("eth0");
  set_master("eth0", "br0");
  EXPECT_EQ(link("br0")->link.bridge, wanted.bridge);
  EXPECT_EQ(link("br0")->link.vlans, Vlans{});
  EXPECT_EQ(link("eth0")->link.vlans, Vlans{});
}

TEST_P(StockKernelContract, DefaultPvidIsGivenToTheBridgeAndToEachNewPort) {
  Link wanted = filtering_bridge_link("br0");
  wanted.bridge->default_pvid = std::nullopt;
  apply(CreateLink{wanted});
  EXPECT_EQ(link("br0")->link.bridge->default_pvid, 1);
  make_tap("t-a", "br0");
  EXPECT_EQ(vlans("t-a"), Vlans{native(1)});
  EXPECT_EQ(vlans("br0"), Vlans{native(1)});
}

TEST_P(StockKernelContract, VlansOfPortsAndOfTheBridgeItselfAreSetAndSeenAsRanges) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "br0", .add = {native(1)}, .remove = {}, .self = true});
  apply(SetVlans{.link = "t-a", .add = {native(1), tagged(20, 40), tagged(10, 19)}, .remove = {}});
  EXPECT_EQ(vlans("br0"), Vlans{native(1)});
  EXPECT_EQ(vlans("t-a"), (Vlans{native(1), tagged(10, 40)}));

  apply(SetVlans{.link = "t-a", .add = {tagged(100, 100)}, .remove = {tagged(30, 30)}});
  EXPECT_EQ(vlans("t-a"), (Vlans{native(1), tagged(10, 29), tagged(31, 40), tagged(100, 100)}));
}

TEST_P(StockKernelContract, PvidMovesInOneOperation) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(1)}, .remove = {}});
  apply(SetVlans{.link = "t-a", .add = {native(7)}, .remove = {tagged(1, 1)}});
  EXPECT_EQ(vlans("t-a"), Vlans{native(7)});
}

TEST_P(StockKernelContract, NewPvidTakesTheMarkOffTheOldOneWhichStays) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(1)}, .remove = {}});
  apply(SetVlans{.link = "t-a", .add = {native(7)}, .remove = {}});
  BridgeVlan old = native(1);
  old.pvid = false;
  EXPECT_EQ(vlans("t-a"), (Vlans{old, native(7)}));
}

TEST_P(StockKernelContract, AddingAgainIsSuccessAndNewFlagsReplaceOldOnes) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(7)}, .remove = {}});
  apply(SetVlans{.link = "t-a", .add = {native(7)}, .remove = {}});
  EXPECT_EQ(vlans("t-a"), Vlans{native(7)});
  apply(SetVlans{.link = "t-a", .add = {tagged(7, 7)}, .remove = {}});
  EXPECT_EQ(vlans("t-a"), Vlans{tagged(7, 7)});
}

TEST_P(StockKernelContract, RemovingAnIdThatIsNotThereChangesNothing) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(7)}, .remove = {}});
  apply(SetVlans{.link = "t-a", .add = {}, .remove = {tagged(100, 200)}});
  EXPECT_EQ(vlans("t-a"), Vlans{native(7)});
}

TEST_P(StockKernelContract, AllVlansThereAreComeAndGoInOneOperation) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(1), tagged(2, 4094)}, .remove = {}});
  EXPECT_EQ(vlans("t-a"), (Vlans{native(1), tagged(2, 4094)}));
  apply(SetVlans{.link = "t-a", .add = {}, .remove = {tagged(2, 4094)}});
  EXPECT_EQ(vlans("t-a"), Vlans{native(1)});
}

/// As many single ids as there can be: several messages, one operation.
TEST_P(StockKernelContract, EveryOtherVlanIsSetInOneOperation) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  Vlans wanted;
  for (std::uint16_t id = 2; id <= 4094; id = static_cast<std::uint16_t>(id + 2)) {
    wanted.push_back(tagged(id, id));
  }
  apply(SetVlans{.link = "t-a", .add = wanted, .remove = {}});
  EXPECT_EQ(vlans("t-a"), wanted);
}

TEST_P(StockKernelContract, IdsThatCannotBeAreRefusedAndNothingChanges) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  BridgeVlan pvids = tagged(5, 6);
  pvids.pvid = true;
  for (const BridgeVlan& bad : {tagged(0, 0), tagged(4095, 4095), tagged(9, 8), pvids}) {
    EXPECT_EQ(failure(SetVlans{.link = "t-a", .add = {bad}, .remove = {}}).code,
              Errc::invalid_input);
  }
  EXPECT_EQ(vlans("t-a"), Vlans{});
}

TEST_P(StockKernelContract, VlansOfALinkOutsideABridgeAreRefused) {
  world->plug_adapter("eth0");
  EXPECT_EQ(failure(SetVlans{.link = "eth0", .add = {native(1)}, .remove = {}}).code,
            Errc::unsupported);
  EXPECT_EQ(failure(SetVlans{.link = "absent", .add = {native(1)}, .remove = {}}).code,
            Errc::not_found);
}

TEST_P(StockKernelContract, VlansGoWhenThePortLeavesAndAreUnseenWhereNobodyFilters) {
  apply(CreateLink{filtering_bridge_link("br0")});
  make_tap("t-a", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(7)}, .remove = {}});
  set_master("t-a", "");
  EXPECT_EQ(link("t-a")->link.vlans, std::nullopt);
  set_master("t-a", "br0");
  EXPECT_EQ(link("t-a")->link.vlans, Vlans{});
  ChangeLink off = change("br0");
  off.bridge = BridgeAttributes{.vlan_filtering = false};
  apply(off);
  EXPECT_EQ(link("t-a")->link.vlans, std::nullopt);
  EXPECT_EQ(link("br0")->link.vlans, std::nullopt);
}

/// The trap: VLAN 1, put there by hand as pvid and untagged, looks like the default one.
TEST_P(StockKernelContract, DefaultPvidZeroTakesTheNativeVlanAlongAlsoWhereItWasAddedByHand) {
  Link wanted = filtering_bridge_link("br0");
  wanted.bridge->default_pvid = std::nullopt;
  apply(CreateLink{wanted});
  make_tap("t-a", "br0");
  make_tap("t-b", "br0");
  apply(SetVlans{.link = "t-a", .add = {native(1)}, .remove = {}});
  apply(SetVlans{.link = "t-b", .add = {native(7)}, .remove = {}});
  apply(SetVlans{.link = "br0", .add = {native(1)}, .remove = {}, .self = true});
  ChangeLink none = change("br0");
  none.bridge = BridgeAttributes{.default_pvid = std::uint16_t{0}};
  apply(none);
  EXPECT_EQ(vlans("t-a"), Vlans{});
  EXPECT_EQ(vlans("br0"), Vlans{});
  BridgeVlan old = native(1);
  old.pvid = false;
  EXPECT_EQ(vlans("t-b"), (Vlans{old, native(7)})) << "it was not the pvid there";
}

TEST_P(StockKernelContract, BridgeInUseBeginsToFilterWithoutAGapInTheSafeOrder) {
  make_bridge("br0");
  make_tap("t-a", "br0");
  ChangeLink none = change("br0");
  none.bridge = BridgeAttributes{.default_pvid = std::uint16_t{0}};
  apply(none);
  apply(SetVlans{.link = "t-a", .add = {native(1)}, .remove = {}});
  apply(SetVlans{.link = "br0", .add = {native(1)}, .remove = {}, .self = true});
  ChangeLink filter = change("br0");
  filter.bridge = BridgeAttributes{.vlan_filtering = true};
  apply(filter);
  EXPECT_EQ(vlans("t-a"), Vlans{native(1)});
  EXPECT_EQ(vlans("br0"), Vlans{native(1)});
  EXPECT_EQ(link("br0")->link.bridge->default_pvid, 0);
}

TEST_P(StockKernelContract, CreatedVlanDeviceShowsEveryField) {
  make_bridge("br0");
  Link wanted = vlan_device_link("mv0", "br0", 4094);
  wanted.mac = mac("02:00:00:00:00:01");
  wanted.mtu = 1400;
  apply(CreateLink{wanted});
  ASSERT_TRUE(link("mv0"));
  EXPECT_EQ(link("mv0")->link, wanted);
  EXPECT_TRUE(link("mv0")->ours());
}

TEST_P(StockKernelContract, VlanDeviceHasTheParentsMacAndFollowsItsCarrier) {
  world->plug_adapter("eth0");
  make_bridge("br0");
  set_master("eth0", "br0");
  apply(CreateLink{vlan_device_link("mv0", "br0", 7)});
  EXPECT_EQ(link("mv0")->link.mac, link("br0")->link.mac);
  EXPECT_TRUE(world->eventually([&] { return link("mv0")->carrier; }));
  world->set_cable("eth0", false);
  EXPECT_TRUE(world->eventually([&] { return !link("mv0")->carrier; }));
}

TEST_P(StockKernelContract, MtuOfAVlanDeviceAboveTheParentsIsRefused) {
  make_bridge("br0");
  Link tall = vlan_device_link("mv0", "br0", 7);
  tall.mtu = 1501;
  EXPECT_EQ(failure(CreateLink{tall}).code, Errc::invalid_input);
  EXPECT_FALSE(link("mv0"));
  apply(CreateLink{vlan_device_link("mv0", "br0", 7)});
  ChangeLink operation = change("mv0");
  operation.mtu = 1501;
  EXPECT_EQ(failure(operation).code, Errc::invalid_input);
  EXPECT_EQ(link("mv0")->link.mtu, 1500U);
}

TEST_P(StockKernelContract, LoweredParentClampsTheVlanDeviceAndRaisingItDoesNotGiveBack) {
  make_bridge("br0");
  apply(CreateLink{vlan_device_link("mv0", "br0", 7)});
  ChangeLink operation = change("br0");
  operation.mtu = 1400;
  apply(operation);
  EXPECT_EQ(link("mv0")->link.mtu, 1400U);
  operation.mtu = 9000;
  apply(operation);
  EXPECT_EQ(link("mv0")->link.mtu, 1400U);
}

TEST_P(StockKernelContract, SecondVlanDeviceOfAnIdOnAParentIsAConflict) {
  make_bridge("br0");
  make_bridge("br1", "02:00:00:00:00:02");
  apply(CreateLink{vlan_device_link("mv0", "br0", 7)});
  EXPECT_EQ(failure(CreateLink{vlan_device_link("mv1", "br0", 7)}).code, Errc::conflict);
  EXPECT_FALSE(link("mv1"));
  apply(CreateLink{vlan_device_link("mv1", "br1", 7)});
}

TEST_P(StockKernelContract, VlanDeviceGoesWithItsParent) {
  make_bridge("br0");
  apply(CreateLink{vlan_device_link("mv0", "br0", 7)});
  apply(DeleteLink{"br0"});
  EXPECT_FALSE(link("mv0"));
}

TEST_P(StockKernelContract, VlanDeviceWithoutItsParentIsNotFound) {
  EXPECT_EQ(failure(CreateLink{vlan_device_link("mv0", "absent", 7)}).code, Errc::not_found);
  EXPECT_FALSE(link("mv0"));
}

TEST_P(StockKernelContract, BouncedParentBringsTheVlanDeviceBackWithoutItsRoutes) {
  make_bridge("br0");
  apply(CreateLink{vlan_device_link("mv0", "br0", 7)});
  apply(AddAddress{own_address("mv0", "10.0.0.5/24")});
  apply(AddRoute{route_to("10.9.0.0/24", "mv0")});
  world->set_admin_up("br0", false);
  EXPECT_FALSE(link("mv0")->link.admin_up);
  ChangeLink up = change("mv0");
  up.admin_up = true;
  EXPECT_EQ(failure(up).code, Errc::transient) << "not while the parent is down";
  world->set_admin_up("br0", true);
  EXPECT_TRUE(link("mv0")->link.admin_up);
  EXPECT_TRUE(routes("mv0").empty());
}

}  // namespace
}  // namespace edge::netmodel
