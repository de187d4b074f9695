// The machine's own sysctls are given back as they were, unless somebody else has set them since.
#include "uplink/core/sysctl_originals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using netmodel::Sysctl;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string forward = "net/ipv4/ip_forward";

TEST(SysctlOriginalsTest, TheFirstValueIsGivenBackWhateverWeWroteLater) {
  SysctlOriginals originals("boot-1");
  EXPECT_TRUE(originals.remember(forward, "0", "1"));
  EXPECT_FALSE(originals.remember(forward, "1", "1"));
  EXPECT_TRUE(originals.remember(forward, "1", "2"));
  EXPECT_THAT(originals.to_restore({{forward, "2"}}), ElementsAre(Sysctl{forward, "0"}));
}

TEST(SysctlOriginalsTest, WhatSomebodyElseSetSinceStays) {
  SysctlOriginals originals("boot-1");
  originals.remember(forward, "0", "1");
  EXPECT_THAT(originals.to_restore({{forward, "3"}}), IsEmpty());
  EXPECT_THAT(originals.to_restore({}), IsEmpty()) << "its link is gone";
}

TEST(SysctlOriginalsTest, ARestartOfTheDaemonKeepsThemAndARestartOfTheMachineDoesNot) {
  SysctlOriginals originals("boot-1");
  originals.remember(forward, "0", "1");
  const std::string text = originals.to_json();
  EXPECT_THAT(SysctlOriginals::from_json(text, "boot-1").to_restore({{forward, "1"}}),
              ElementsAre(Sysctl{forward, "0"}));
  EXPECT_TRUE(SysctlOriginals::from_json(text, "boot-2").empty());
}

TEST(SysctlOriginalsTest, AMachineWideValueThatIsNotWantedAnyMoreGoesBackOnce) {
  const std::string forward6 = "net/ipv6/conf/all/forwarding";
  const std::string adapter = "net/ipv6/conf/eth0/disable_ipv6";
  SysctlOriginals originals("boot-1");
  originals.remember(forward6, "0", "1");
  originals.remember(adapter, "0", "1");
  const std::vector<Sysctl> now{{forward6, "1"}, {adapter, "1"}};
  EXPECT_THAT(originals.no_longer_wanted({{forward6, "1"}}, now), IsEmpty());
  EXPECT_THAT(originals.no_longer_wanted({}, now), ElementsAre(Sysctl{forward6, "0"}))
      << "what a link has is asked for again when the link is";
  EXPECT_THAT(originals.no_longer_wanted({}, {{forward6, "2"}}), IsEmpty()) << "somebody else's";
  EXPECT_TRUE(originals.remember(forward6, "1", "0"));
  EXPECT_THAT(originals.no_longer_wanted({}, {{forward6, "1"}}), IsEmpty())
      << "given back: what is there now is the machine's own wish";
}

/// Why: a machine with containers has new links all day.
TEST(SysctlOriginalsTest, WhatALinkHadIsForgottenWithIt) {
  const std::string path = "net/ipv6/conf/veth7/accept_ra";
  SysctlOriginals originals("boot-1");
  originals.remember(path, "1", "2");
  originals.remember(forward, "0", "1");
  netmodel::ObservedState observed;
  observed.links.emplace_back().link.name = "veth7";
  originals.forget_gone(observed);
  EXPECT_TRUE(originals.knows(path));
  observed.links.clear();
  originals.forget_gone(observed);
  EXPECT_THAT(originals.paths(), ElementsAre(forward));
}

TEST(SysctlOriginalsTest, ADamagedFileIsAsNone) {
  for (const char* text :
       {"", "[]", "{", R"({"boot_id":"boot-1"})", R"({"boot_id":1,"sysctls":{}})",
        R"({"boot_id":"boot-1","sysctls":[]})", R"({"boot_id":"boot-1","sysctls":{"a":1}})",
        R"({"boot_id":"boot-1","sysctls":{"a":{"was":"1"}}})"}) {
    EXPECT_TRUE(SysctlOriginals::from_json(text, "boot-1").empty()) << text;
  }
}

TEST(SysctlOriginalsTest, ValuesOfOurOwnLinksGoWithThem) {
  netmodel::ObservedState observed;
  netmodel::ObservedLink adapter;
  adapter.link.name = "eth0";
  netmodel::ObservedLink bridge;
  bridge.link.name = "br0";
  bridge.link.alias = "gallium:port:020000000001";
  observed.links = {adapter, bridge};
  EXPECT_TRUE(belongs_to_machine(forward, observed));
  EXPECT_TRUE(belongs_to_machine("net/ipv4/conf/all/src_valid_mark", observed));
  EXPECT_TRUE(belongs_to_machine("net/ipv6/conf/eth0/disable_ipv6", observed));
  EXPECT_FALSE(belongs_to_machine("net/ipv6/conf/br0/accept_ra", observed));
  EXPECT_FALSE(belongs_to_machine("net/ipv4/conf/notyet/rp_filter", observed));
}

}  // namespace
}  // namespace edge::uplink
