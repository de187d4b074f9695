// What only the real kernel can show: its features, its words, its own netlink answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "netmodel/io/physical.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

class RealKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    auto opened = RtnetlinkKernel::open(nullptr);
    ASSERT_TRUE(opened) << opened.error().what;
    kernel = std::move(*opened);
  }
  std::optional<ObservedLink> link(const std::string& name) {
    const auto state = kernel->dump({});
    EXPECT_TRUE(state);
    const ObservedLink* found = state->find_link(name);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  std::unique_ptr<RtnetlinkKernel> kernel;
};

TEST_F(RealKernelTest, ErrorCarriesTheKernelsOwnWords) {
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  Route route = route_to("0.0.0.0/0", "br0");
  route.gateway = address("10.0.0.1");
  const auto done = kernel->apply(AddRoute{route});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().what.find("Network is unreachable; kernel: Nexthop has invalid gateway"),
            std::string::npos)
      << done.error().what;
}

TEST_F(RealKernelTest, DumpsDoNotCountAsWrites) {
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  const auto writes = kernel->writes();
  EXPECT_GT(writes, 0U);
  ASSERT_TRUE(kernel->dump({}));
  EXPECT_EQ(kernel->writes(), writes);
}

TEST_F(RealKernelTest, BridgeWhoseMakingWasInterruptedIsShownAsOurs) {
  ip("link add br0 group 117 type bridge");
  ASSERT_TRUE(link("br0"));
  EXPECT_TRUE(link("br0")->ours());
  EXPECT_EQ(link("br0")->link.alias, unfinished_alias);
  EXPECT_TRUE(kernel->apply(DeleteLink{"br0"}));
}

TEST_F(RealKernelTest, MadeLinksCarryOurGroupForPeopleWithIproute2) {
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  Link tap;
  tap.name = "t-a";
  tap.kind = LinkKind::tap;
  tap.alias = "gallium:interface:a";
  ASSERT_TRUE(kernel->apply(CreateLink{tap}));
  const std::string shown = ip_output("-o link show group 117");
  EXPECT_NE(shown.find("br0"), std::string::npos);
  EXPECT_NE(shown.find("t-a"), std::string::npos);
}

TEST_F(RealKernelTest, TapWithoutAMasterThatExistsOrAFileDescriptorLeft) {
  Link tap;
  tap.name = "t-a";
  tap.kind = LinkKind::tap;
  tap.alias = "gallium:interface:a";
  tap.tap = TapAttributes{.owner_uid = 107, .vnet_hdr = true, .multi_queue = false};
  ASSERT_TRUE(kernel->apply(CreateLink{tap}));
  kernel.reset();  // Nothing of ours holds it any more.
  const std::string shown = ip_output("-d link show t-a");
  EXPECT_NE(shown.find("persist on"), std::string::npos) << shown;
  EXPECT_NE(shown.find("vnet_hdr on"), std::string::npos) << shown;
  EXPECT_NE(shown.find("user"), std::string::npos) << shown;
}

TEST_F(RealKernelTest, AddressHasBroadcastAndFlagsAsIproute2ShowsThem) {
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  ASSERT_TRUE(kernel->apply(AddAddress{own_address("br0", "10.0.0.5/24")}));
  const std::string shown = ip_output("-d address show br0");
  EXPECT_NE(shown.find("10.0.0.5/24 brd 10.0.0.255 scope global noprefixroute"), std::string::npos)
      << shown;
}

TEST_F(RealKernelTest, FeatureProbeAgreesWithIproute2AndLeavesNothing) {
  const auto features = kernel->probe_features();
  ASSERT_TRUE(features) << features.error().what;
  EXPECT_TRUE(features->ipv6);
  EXPECT_EQ(kernel->dump({})->links.size(), 1U) << "lo only";
  const std::string witness = "link add w type bridge vlan_filtering 1";
  const bool supported = std::system(("ip " + witness + " 2>/dev/null").c_str()) == 0;
  EXPECT_EQ(features->vlan_filtering, supported);
}

TEST_F(RealKernelTest, FeatureProbeClearsWhatAnInterruptedOneLeft) {
  ip("link add gallium-probe group 117 type bridge");
  ASSERT_TRUE(kernel->probe_features());
  EXPECT_FALSE(link("gallium-probe"));
}

TEST_F(RealKernelTest, NeighbourIsFoundByAddress) {
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  ip("neigh add 10.0.0.1 lladdr 02:00:00:00:00:99 dev br0");
  const auto known = kernel->find_neighbour("br0", address("10.0.0.1"));
  ASSERT_TRUE(known && *known);
  EXPECT_EQ((*known)->mac, mac("02:00:00:00:00:99"));
  EXPECT_TRUE((*known)->confirmed);
  const auto unknown = kernel->find_neighbour("br0", address("10.0.0.2"));
  ASSERT_TRUE(unknown) << unknown.error().what;
  EXPECT_FALSE(*unknown);
}

TEST_F(RealKernelTest, NftWithoutAnNftPortIsUnsupported) {
  EXPECT_EQ(kernel->apply(CommitNft{}).error().code, Errc::unsupported);
  EXPECT_EQ(kernel->apply(DeleteNft{}).error().code, Errc::unsupported);
  EXPECT_EQ(kernel->dump_nft().error().code, Errc::unsupported);
}

/// Goal: a dump that the kernel marks as interrupted is repeated, not believed.
/// Method: another thread makes and deletes links meanwhile; each dump must still be whole: every
/// link once, and always the 100 that never change.
TEST_F(RealKernelTest, DumpIsWholeWhileLinksComeAndGo) {
  Link still;  // A tap, not a bridge: ending the namespace then costs no RCU wait per link.
  still.kind = LinkKind::tap;
  still.alias = "gallium:interface:still";
  for (int i = 0; i < 100; ++i) {
    still.name = "s" + std::to_string(i);
    ASSERT_TRUE(kernel->apply(CreateLink{still}));
  }
  std::atomic<bool> stop = false;
  std::thread other([&] {
    auto second = RtnetlinkKernel::open(nullptr);
    Link tap;
    tap.name = "t-x";
    tap.kind = LinkKind::tap;
    tap.alias = "gallium:interface:x";
    while (!stop) {
      (void)(*second)->apply(CreateLink{tap});
      (void)(*second)->apply(DeleteLink{"t-x"});
    }
  });
  int complete = 0;
  for (int i = 0; i < 20; ++i) {
    const auto state = kernel->dump({});
    if (!state) {
      EXPECT_EQ(state.error().code, Errc::transient);
      continue;
    }
    ++complete;
    std::vector<std::string> names;
    for (const ObservedLink& one : state->links) { names.push_back(one.link.name); }
    std::ranges::sort(names);
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end()) << "twice in one dump";
    EXPECT_EQ(std::ranges::count_if(names, [](const auto& name) { return name.starts_with("s"); }),
              100);
  }
  stop = true;
  other.join();
  EXPECT_GT(complete, 0);
}

TEST_F(RealKernelTest, VethIsAnAdapterOnlyByAnExplicitGlob) {
  ip("link add eth0 type veth peer name x0");
  const auto seen = link("eth0");
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->has_device);
  EXPECT_EQ(seen->link.kind, LinkKind::veth);
  EXPECT_FALSE(is_adapter(*seen, {}));
  EXPECT_TRUE(is_adapter(*seen, {.match = {"eth*"}, .ignore = {}}));
  EXPECT_FALSE(read_speed_mbps("lo"));
}

}  // namespace
}  // namespace edge::netmodel
