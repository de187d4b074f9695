// What every kernel does with links.
#include <algorithm>
#include <cerrno>

#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

INSTANTIATE_TEST_SUITE_P(On, KernelContract, testing::Values("fake", "real"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(KernelContract, CreatedBridgeShowsEveryField) {
  Link wanted = bridge_link("br021122334455", "02:11:22:33:44:55");
  wanted.mtu = 1400;
  apply(CreateLink{wanted});

  const auto seen = link("br021122334455");
  ASSERT_TRUE(seen);
  wanted.bridge->vlan_filtering = false;  // Not asked for; the kernel shows it.
  wanted.bridge->default_pvid = seen->link.bridge->default_pvid;  // A kernel that filters: 1.
  EXPECT_EQ(seen->link, wanted);
  EXPECT_TRUE(seen->ours());
  EXPECT_FALSE(seen->has_device);
  EXPECT_FALSE(seen->carrier);
  EXPECT_NE(seen->index.value, 0U);
}

TEST_P(KernelContract, BridgeOfDefaultMtuShowsIt) {
  make_bridge("br0");
  EXPECT_EQ(link("br0")->link.mtu, 1500U);
}

TEST_P(KernelContract, BridgeAttributesCanBeChangedLater) {
  make_bridge("br0");
  ChangeLink operation = change("br0");
  operation.bridge =
      BridgeAttributes{.forward_delay_cs = 400, .stp = false, .multicast_snooping = true};
  apply(operation);
  const BridgeAttributes seen = *link("br0")->link.bridge;
  EXPECT_EQ(seen.forward_delay_cs, 400U);
  EXPECT_TRUE(seen.multicast_snooping);
}

TEST_P(KernelContract, BridgeKeepsMacAndMtuWhateverItsPortsDo) {
  world->plug_adapter("eth0");
  make_bridge("br0", "02:ff:ff:ff:ff:01");
  ChangeLink small = change("eth0");
  small.mtu = 1300;
  small.mac = mac("02:00:00:00:00:02");
  apply(small);
  ChangeLink enslave = change("eth0");
  enslave.master = "br0";
  apply(enslave);
  EXPECT_EQ(link("br0")->link.mac, mac("02:ff:ff:ff:ff:01"));
  EXPECT_EQ(link("br0")->link.mtu, 1500U);

  enslave.master = "";
  apply(enslave);
  EXPECT_EQ(link("br0")->link.mac, mac("02:ff:ff:ff:ff:01"));
  EXPECT_EQ(link("br0")->link.mtu, 1500U);
}

TEST_P(KernelContract, CreatedTapIsPersistentAndShowsEveryField) {
  make_bridge("n-default");
  Link wanted;
  wanted.name = "t-vm1";
  wanted.kind = LinkKind::tap;
  wanted.mac = mac("fe:11:22:33:44:55");
  wanted.mtu = 9000;
  wanted.master = "n-default";
  wanted.alias = "gallium:interface:vm1";
  wanted.tap = TapAttributes{.owner_uid = 107, .vnet_hdr = true, .multi_queue = true};
  apply(CreateLink{wanted});

  const auto seen = link("t-vm1");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->link, wanted);
  EXPECT_TRUE(world->eventually([&] { return !link("t-vm1")->carrier; })) << "no VM has it open";
}

TEST_P(KernelContract, TakenNameIsAConflictAndTheOtherLinkIsUntouched) {
  world->add_foreign_bridge("br0");
  const auto before = link("br0");
  const Error error = failure(CreateLink{bridge_link("br0", "02:00:00:00:00:09")});
  EXPECT_EQ(error.code, Errc::conflict);
  EXPECT_EQ(error.os_errno, EEXIST);
  EXPECT_EQ(link("br0"), before);

  Link tap;
  tap.name = "br0";
  tap.kind = LinkKind::tap;
  EXPECT_EQ(failure(CreateLink{tap}).code, Errc::conflict);
  EXPECT_EQ(link("br0"), before);
}

TEST_P(KernelContract, ExistingTapIsAConflictAndNotAttachedTo) {
  make_bridge("br0");
  make_tap("t-a", "br0");
  Link again;
  again.name = "t-a";
  again.kind = LinkKind::tap;
  EXPECT_EQ(failure(CreateLink{again}).code, Errc::conflict);
  EXPECT_EQ(link("t-a")->link.alias, "gallium:interface:t-a");
}

TEST_P(KernelContract, UnknownMasterRefusesTheTapAndLeavesNothing) {
  Link tap;
  tap.name = "t-a";
  tap.kind = LinkKind::tap;
  tap.master = "absent";
  tap.alias = "gallium:interface:a";
  EXPECT_EQ(failure(CreateLink{tap}).code, Errc::not_found);
  EXPECT_FALSE(link("t-a"));
}

TEST_P(KernelContract, BadNamesAreRefused) {
  EXPECT_EQ(failure(CreateLink{bridge_link("sixteen-letters-", "02:00:00:00:00:01")}).code,
            Errc::invalid_input);
  EXPECT_EQ(failure(CreateLink{bridge_link("", "02:00:00:00:00:01")}).code, Errc::invalid_input);
}

TEST_P(KernelContract, PortIsEnslavedAndReleased) {
  world->plug_adapter("eth0");
  make_bridge("br0");
  ChangeLink operation = change("eth0");
  operation.master = "br0";
  apply(operation);
  EXPECT_EQ(link("eth0")->link.master, "br0");
  EXPECT_TRUE(world->eventually([&] { return link("br0")->carrier; }))
      << "the port's carrier carries on";

  operation.master = "";
  apply(operation);
  EXPECT_EQ(link("eth0")->link.master, "");
  EXPECT_TRUE(link("eth0")->link.admin_up);
  EXPECT_TRUE(world->eventually([&] { return !link("br0")->carrier; }));
}

TEST_P(KernelContract, BridgeTakes1023PortsAndSaysThatItIsFull) {
  make_bridge("br0");
  for (int i = 0; i < 1023; ++i) { make_tap("t-" + std::to_string(i), "br0"); }
  make_tap("t-last", "");
  ChangeLink operation = change("t-last");
  operation.master = "br0";
  EXPECT_EQ(failure(operation).code, Errc::no_space);
  EXPECT_EQ(link("t-last")->link.master, "");
}

TEST_P(KernelContract, BridgeAsPortOfABridgeIsRefused) {
  make_bridge("br0");
  make_bridge("br1", "02:00:00:00:00:02");
  ChangeLink operation = change("br1");
  operation.master = "br0";
  failure(operation);
  EXPECT_EQ(link("br1")->link.master, "");
}

TEST_P(KernelContract, DeletedBridgeReleasesItsPorts) {
  world->plug_adapter("eth0");
  make_bridge("br0");
  make_tap("t-a", "br0");
  ChangeLink operation = change("eth0");
  operation.master = "br0";
  apply(operation);

  apply(DeleteLink{"br0"});
  EXPECT_FALSE(link("br0"));
  EXPECT_EQ(link("eth0")->link.master, "");
  EXPECT_EQ(link("t-a")->link.master, "");
}

TEST_P(KernelContract, DeletedTapIsGone) {
  make_bridge("br0");
  make_tap("t-a", "br0");
  apply(DeleteLink{"t-a"});
  EXPECT_FALSE(link("t-a"));
}

TEST_P(KernelContract, ForeignLinkIsSeenButCannotBeDeleted) {
  world->add_foreign_bridge("docker0");
  ASSERT_TRUE(link("docker0"));
  EXPECT_FALSE(link("docker0")->ours());
  EXPECT_EQ(failure(DeleteLink{"docker0"}).code, Errc::denied);
  EXPECT_TRUE(link("docker0"));
}

TEST_P(KernelContract, OnlyTheFieldsThatAreSetChange) {
  world->plug_adapter("eth0");
  auto expected = *link("eth0");
  ChangeLink operation = change("eth0");
  operation.mtu = 9000;
  apply(operation);
  expected.link.mtu = 9000;
  EXPECT_EQ(*link("eth0"), expected);
}

TEST_P(KernelContract, MtuOfAChainGoesUpAndDown) {
  world->plug_adapter("eth0");
  make_bridge("br0");
  make_tap("t-a", "br0");
  ChangeLink enslave = change("eth0");
  enslave.master = "br0";
  apply(enslave);
  const std::string up[] = {"eth0", "br0", "t-a"};
  const std::string down[] = {"t-a", "br0", "eth0"};
  for (const auto& name : up) {
    ChangeLink operation = change(name);
    operation.mtu = 9000;
    apply(operation);
  }
  for (const auto& name : up) { EXPECT_EQ(link(name)->link.mtu, 9000U) << name; }
  for (const auto& name : down) {
    ChangeLink operation = change(name);
    operation.mtu = 1500;
    apply(operation);
  }
  for (const auto& name : up) { EXPECT_EQ(link(name)->link.mtu, 1500U) << name; }
}

TEST_P(KernelContract, MtuAboveTheDevicesRangeIsRefused) {
  world->plug_adapter("eth0");
  ChangeLink operation = change("eth0");
  operation.mtu = link("eth0")->mtu_max + 1;
  EXPECT_EQ(failure(operation).code, Errc::invalid_input);
  EXPECT_EQ(link("eth0")->link.mtu, 1500U);
}

TEST_P(KernelContract, AbsentLinkIsNotFoundWhateverIsAsked) {
  EXPECT_EQ(failure(change("absent")).code, Errc::not_found);
  EXPECT_EQ(failure(DeleteLink{"absent"}).code, Errc::not_found);
  EXPECT_EQ(failure(AddAddress{own_address("absent", "10.0.0.1/24")}).code, Errc::not_found);
  EXPECT_EQ(failure(RemoveAddress{own_address("absent", "10.0.0.1/24")}).code, Errc::not_found);
  EXPECT_EQ(failure(AddRoute{route_to("10.0.0.0/24", "absent")}).code, Errc::not_found);
  EXPECT_EQ(failure(RemoveRoute{route_to("10.0.0.0/24", "absent")}).code, Errc::not_found);
}

TEST_P(KernelContract, PulledCableCountsAndKeepsTheLinkUp) {
  world->plug_adapter("eth0");
  ASSERT_TRUE(world->eventually([&] { return link("eth0")->carrier; }));
  const std::uint32_t before = link("eth0")->carrier_down_count;
  world->set_cable("eth0", false);
  EXPECT_FALSE(link("eth0")->carrier);
  EXPECT_TRUE(link("eth0")->link.admin_up);
  EXPECT_EQ(link("eth0")->carrier_down_count, before + 1);
  world->set_cable("eth0", true);
  EXPECT_TRUE(link("eth0")->carrier);
}

TEST_P(KernelContract, RenamedLinkKeepsItsIndexAndItsAddresses) {
  world->plug_adapter("eth0");
  apply(AddAddress{own_address("eth0", "10.0.0.1/24")});
  const IfIndex index = link("eth0")->index;
  world->rename_link("eth0", "lan0");
  EXPECT_FALSE(link("eth0"));
  ASSERT_TRUE(link("lan0"));
  EXPECT_EQ(link("lan0")->index, index);
  EXPECT_EQ(addresses("lan0").size(), 1U);
}

TEST_P(KernelContract, ErrorNamesTheOperation) {
  const Operation operation = DeleteLink{"absent"};
  EXPECT_TRUE(failure(operation).what.starts_with(to_text(operation))) << failure(operation).what;
}

}  // namespace
}  // namespace edge::netmodel
