#include "netmodel/core/names.hpp"

#include <gtest/gtest.h>

namespace edge::netmodel {
namespace {

TEST(IdTest, HoldsBothSidesOfEachBoundary) {
  for (const std::string& good : {std::string("a"), std::string("0"), std::string("web-1"),
                                  std::string("a-"), std::string(32, 'x')}) {
    EXPECT_TRUE(is_id(good)) << good;
  }
  for (const std::string& bad :
       {std::string(""), std::string("-a"), std::string("A"), std::string("a_b"),
        std::string("a b"), std::string("\xc3\xa4"), std::string(33, 'x')}) {
    EXPECT_FALSE(is_id(bad)) << bad;
  }
}

TEST(LinkNameTest, AnIdOfThirteenCharactersFitsAndOneOfFourteenIsHashed) {
  EXPECT_EQ(network_bridge_name("default"), "n-default");
  EXPECT_EQ(network_bridge_name("abcdefghijklm"), "n-abcdefghijklm");
  const std::string hashed = network_bridge_name("abcdefghijklmn");
  EXPECT_EQ(hashed.size(), link_name_max);
  EXPECT_TRUE(hashed.starts_with("n-abcdef-")) << hashed;
  EXPECT_NE(hashed, network_bridge_name("abcdefghijklmo"));
  EXPECT_EQ(tap_name("vm1-eth0"), "t-vm1-eth0");
  EXPECT_EQ(port_bridge_name(parse_mac("02:00:00:aa:00:01").value()), "br020000aa0001");
}

TEST(Fnv1a64Test, GivesThePublishedVectors) {
  EXPECT_EQ(fnv1a64(""), 0xcbf29ce484222325ULL);
  EXPECT_EQ(fnv1a64("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8ULL);
}

TEST(GeneratedMacTest, IsStableAndDependsOnHostKindIdAndAttempt) {
  const MacAddress mac = generated_mac("hv-01", "interface", "web");
  EXPECT_EQ(mac, generated_mac("hv-01", "interface", "web"));
  EXPECT_EQ(to_string(mac).substr(0, 9), "52:54:00:");
  EXPECT_FALSE(mac.is_multicast());
  EXPECT_NE(mac, generated_mac("hv-02", "interface", "web"));
  EXPECT_NE(mac, generated_mac("hv-01", "network", "web"));
  EXPECT_NE(mac, generated_mac("hv-01", "interface", "web2"));
  EXPECT_NE(mac, generated_mac("hv-01", "interface", "web", 1));
}

/// Why: a bridge without a MAC of its own takes the lowest of its ports; 0xfe is above every
/// adapter.
TEST(TapHostMacTest, IsAboveEveryUnicastAdapterAddress) {
  const MacAddress guest = parse_mac("52:54:00:01:02:03").value();
  EXPECT_EQ(to_string(tap_host_mac(guest)), "fe:54:00:01:02:03");
}

/// Why: a bridge keeps frames to the MAC address of its port for the host; the guest would get
/// none.
TEST(TapHostMacTest, IsNeverTheGuestsOwn) {
  const MacAddress guest = parse_mac("fe:54:00:01:02:03").value();
  EXPECT_EQ(to_string(tap_host_mac(guest)), "fa:54:00:01:02:03");
  const MacAddress other = parse_mac("fa:54:00:01:02:03").value();
  EXPECT_EQ(to_string(tap_host_mac(other)), "fe:54:00:01:02:03");
  EXPECT_FALSE(tap_host_mac(guest).is_multicast());
}

}  // namespace
}  // namespace edge::netmodel
