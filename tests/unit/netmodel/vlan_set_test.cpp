// Sets of VLAN ids: canonical form, what adding and removing leaves, the way from one to another.
#include "netmodel/core/vlan_set.hpp"

#include <gtest/gtest.h>

namespace edge::netmodel {
namespace {

using Vlans = std::vector<BridgeVlan>;

BridgeVlan tagged(std::uint16_t first, std::uint16_t last) {
  return {.first = first, .last = last};
}
BridgeVlan native(std::uint16_t id) {
  return {.first = id, .last = id, .pvid = true, .untagged = true};
}

TEST(VlanSetTest, JoinedIsSortedAndNeighboursOfTheSameFlagsAreOne) {
  EXPECT_EQ(joined(Vlans{tagged(12, 20), native(1), tagged(10, 11), tagged(2, 3)}),
            (Vlans{native(1), tagged(2, 3), tagged(10, 20)}));
}

TEST(VlanSetTest, IdsOutsideTheRangeAreLeftOut) {
  EXPECT_EQ(joined(Vlans{tagged(0, 1), tagged(4094, 65535)}),
            (Vlans{tagged(1, 1), tagged(4094, 4094)}));
  EXPECT_TRUE(joined(Vlans{tagged(9, 8)}).empty());
}

/// What is canonical is passed through as it is; each case is one step beside that.
TEST(VlanSetTest, JoinedLeavesOnlyWhatIsCanonicalAsItIs) {
  BridgeVlan pvids = tagged(5, 6);
  pvids.pvid = true;
  BridgeVlan fifth = tagged(5, 5), sixth = tagged(6, 6);
  sixth.pvid = true;
  const Vlans good{native(1), tagged(2, 3), tagged(5, 5), tagged(4094, 4094)};
  EXPECT_EQ(joined(good), good);
  EXPECT_EQ(joined(Vlans{tagged(2, 3), tagged(4, 4)}), (Vlans{tagged(2, 4)}));
  EXPECT_EQ(joined(Vlans{tagged(2, 4), tagged(4, 5)}), (Vlans{tagged(2, 5)}));
  EXPECT_EQ(joined(Vlans{tagged(7, 7), tagged(2, 2)}), (Vlans{tagged(2, 2), tagged(7, 7)}));
  EXPECT_EQ(joined(Vlans{pvids}), (Vlans{fifth, sixth})) << "only one can be the pvid";
  BridgeVlan first = tagged(1, 1);
  first.untagged = true;
  EXPECT_EQ(joined(Vlans{native(1), native(9)}), (Vlans{first, native(9)}));
}

TEST(VlanSetTest, NewPvidTakesTheMarkOffTheOldOneWhichStays) {
  BridgeVlan old = native(1);
  old.pvid = false;
  EXPECT_EQ(with_vlans(Vlans{native(1)}, Vlans{native(7)}), (Vlans{old, native(7)}));
}

TEST(VlanSetTest, NewFlagsReplaceOldOnesInsideARange) {
  EXPECT_EQ(with_vlans(Vlans{tagged(2, 6)}, Vlans{native(4)}),
            (Vlans{tagged(2, 3), native(4), tagged(5, 6)}));
}

TEST(VlanSetTest, RemovingFromTheMiddleLeavesTwoRanges) {
  EXPECT_EQ(without_vlans(Vlans{tagged(2, 6)}, Vlans{native(4), tagged(90, 91)}),
            (Vlans{tagged(2, 3), tagged(5, 6)}));
}

TEST(VlanSetTest, DifferenceOfEqualSetsIsNothing) {
  EXPECT_FALSE(vlan_difference(Vlans{tagged(2, 6)}, Vlans{tagged(2, 6)}));
  EXPECT_FALSE(vlan_difference(Vlans{tagged(2, 4), tagged(5, 6)}, Vlans{tagged(2, 6)}));
}

TEST(VlanSetTest, DifferenceLeadsFromOneToTheOtherWithTheFewestRanges) {
  const Vlans have{native(1), tagged(2, 1000)};
  const Vlans want{native(1), tagged(2, 499), tagged(501, 1000), tagged(2000, 2000)};
  const auto change = vlan_difference(have, want);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->add, (Vlans{tagged(2000, 2000)}));
  EXPECT_EQ(change->remove, (Vlans{tagged(500, 500)}));
  EXPECT_EQ(without_vlans(with_vlans(have, change->add), change->remove), want);
}

TEST(VlanSetTest, DifferenceMovesThePvidByAddingAndThenRemoving) {
  const auto change = vlan_difference(Vlans{native(1)}, Vlans{native(7)});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->add, (Vlans{native(7)}));
  EXPECT_EQ(change->remove, (Vlans{tagged(1, 1)}));
}

TEST(VlanSetTest, TextIsWhatAPersonWouldType) {
  const SetVlans ports{.link = "eth0", .add = {native(1), tagged(2, 40)}, .remove = {tagged(9, 9)}};
  EXPECT_EQ(to_text(ports),
            "bridge vlan add dev eth0 vid 1 pvid untagged\n"
            "bridge vlan add dev eth0 vid 2-40\n"
            "bridge vlan del dev eth0 vid 9");
  const SetVlans self{.link = "br0", .add = {native(1)}, .remove = {}, .self = true};
  EXPECT_EQ(to_text(self), "bridge vlan add dev br0 vid 1 pvid untagged self");
}

}  // namespace
}  // namespace edge::netmodel
