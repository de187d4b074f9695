// Every guest behind a bond is announced once per round, in its VLAN.
#include "uplink/core/announce.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using testing::Contains;
using testing::ElementsAre;

MacAddress mac(std::string_view text) { return parse_mac(text).value(); }
const MacAddress eth0 = mac("02:00:00:00:00:01");
const MacAddress eth1 = mac("02:00:00:00:00:02");
const MacAddress silent = mac("52:54:00:00:00:11");
const MacAddress tagged = mac("52:54:00:00:00:12");

netmodel::Model bonded() {
  netmodel::Model model = netmodel::Model::defaults();
  model.groups["lan"] = {.adapters = {eth0, eth1}};
  netmodel::Network vlan{.kind = netmodel::NetworkKind::vlan, .group = "lan"};
  vlan.vlan_id = 42;
  model.networks["v42"] = vlan;
  model.interfaces["a"] = {.vm = "vm1", .network = "br020000000001", .mac = silent};
  model.interfaces["b"] = {.vm = "vm2", .network = "v42", .mac = tagged};
  model.interfaces["c"] = {.vm = "vm3", .network = "default", .mac = mac("52:54:00:00:00:13")};
  return model;
}

TEST(AnnounceTest, GuestsOfTheGroupsBridgeAndThePortItselfAreAnnounced) {
  EXPECT_THAT(guests_of(bonded(), eth0),
              ElementsAre(GuestMac{eth0, 0}, GuestMac{silent, 0}, GuestMac{tagged, 42}));
}

TEST(AnnounceTest, ThePortsOwnAddressIsOnItsManagementVlan) {
  auto model = bonded();
  model.groups["lan"].management_vlan = 7;
  EXPECT_THAT(guests_of(model, eth0), Contains(GuestMac{eth0, 7}));
}

TEST(AnnounceTest, EachGuestHasItsSeatAndThoseOfNatNetworksHaveNone) {
  const auto seats = seats_of(bonded());
  EXPECT_EQ(seats, (std::map<MacAddress, Seat>{{silent, {eth0, 0}}, {tagged, {eth0, 42}}}));
  auto model = bonded();
  model.interfaces["a"].network = "br020000000003";
  EXPECT_EQ(seats_of(model).at(silent).leader, mac("02:00:00:00:00:03"));
}

TEST(AnnounceTest, WhatTheBridgeLearnedComesAlongOnce) {
  const std::vector<GuestMac> learned{{silent, 1}, {mac("52:54:00:00:00:99"), 42}, {silent, 1}};
  const auto all = with_learned(guests_of(bonded(), eth0), learned);
  EXPECT_EQ(all.size(), 4U);
  EXPECT_THAT(all, Contains(GuestMac{mac("52:54:00:00:00:99"), 42}));
}

TEST(AnnounceTest, ABoundHoldsAndTheModelsGuestsComeFirst) {
  std::vector<GuestMac> learned;
  for (std::uint16_t i = 0; i < announced_guests_max + 10; ++i) {
    MacAddress address = mac("06:00:00:00:00:00");
    address.bytes[4] = static_cast<std::uint8_t>(i >> 8U);
    address.bytes[5] = static_cast<std::uint8_t>(i & 0xffU);
    learned.push_back({address, 0});
  }
  const auto all = with_learned({{silent, 0}}, learned);
  EXPECT_EQ(all.size(), announced_guests_max);
  EXPECT_EQ(all.front(), (GuestMac{silent, 0}));
}

}  // namespace
}  // namespace edge::uplink
