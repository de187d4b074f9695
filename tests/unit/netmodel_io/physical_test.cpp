#include "netmodel/io/physical.hpp"

#include <gtest/gtest.h>

namespace edge::netmodel {
namespace {

ObservedLink nic(const std::string& name, bool has_device = true) {
  ObservedLink link;
  link.link.name = name;
  link.link.kind = has_device ? LinkKind::physical : LinkKind::veth;
  link.link.mac = parse_mac("02:00:00:00:00:01").value();
  link.has_device = has_device;
  return link;
}

TEST(IsAdapterTest, EveryNetdevWithABusDeviceByDefault) {
  EXPECT_TRUE(is_adapter(nic("enp3s0"), {}));
  EXPECT_FALSE(is_adapter(nic("veth1", false), {}));
}

TEST(IsAdapterTest, ExplicitGlobTakesAVeth_TheStarDoesNot) {
  EXPECT_TRUE(is_adapter(nic("eth0", false), {.match = {"eth[0-9]"}, .ignore = {}}));
  EXPECT_FALSE(is_adapter(nic("uplink0", false), {.match = {"*", "eth*"}, .ignore = {}}));
  EXPECT_FALSE(is_adapter(nic("enp3s0"), {.match = {"eth*"}, .ignore = {}}));
}

TEST(IsAdapterTest, IgnoreWins) {
  EXPECT_FALSE(is_adapter(nic("eth0"), {.match = {"eth0"}, .ignore = {"eth*"}}));
}

TEST(IsAdapterTest, OursAndEveryKindMadeOfOthersIsNone) {
  const AdapterGlobs every{.match = {"?*"}, .ignore = {}};
  ObservedLink ours = nic("eth0");
  ours.link.alias = "gallium:port:020000000001";
  EXPECT_FALSE(is_adapter(ours, every));
  for (const LinkKind kind :
       {LinkKind::bridge, LinkKind::tap, LinkKind::bond, LinkKind::vlan, LinkKind::loopback}) {
    ObservedLink link = nic("eth0");
    link.link.kind = kind;
    EXPECT_FALSE(is_adapter(link, every));
  }
}

TEST(IsAdapterTest, LinkWithoutAMacIsNone) {
  ObservedLink link = nic("can0");
  link.link.mac.reset();
  EXPECT_FALSE(is_adapter(link, {}));
  link.link.mac = MacAddress{};
  EXPECT_FALSE(is_adapter(link, {}));
}

TEST(AdaptersTest, AreInOrderOfName) {
  ObservedState state;
  state.links = {nic("eth1"), nic("lo0", false), nic("eth0")};
  const auto found = adapters(state, {});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0]->link.name, "eth0");
  EXPECT_EQ(found[1]->link.name, "eth1");
}

TEST(BaseMacTest, IsThePermanentAddressWhereTheKernelHasOne) {
  ObservedLink link = nic("eth0");
  EXPECT_EQ(base_mac(link), link.link.mac);
  link.permanent_mac = parse_mac("00:11:22:33:44:55").value();
  EXPECT_EQ(base_mac(link), link.permanent_mac);
}

}  // namespace
}  // namespace edge::netmodel
