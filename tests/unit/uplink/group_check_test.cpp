// A group whose members do not all hear each other is named, with who is on which side.
#include "uplink/core/group_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::string> three{"eth0", "eth1", "eth2"};

std::vector<Hearing> both(const std::string& a, const std::string& b) {
  return {{.from = a, .by = b}, {.from = b, .by = a}};
}
std::vector<Hearing> operator+(std::vector<Hearing> a, const std::vector<Hearing>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(GroupCheckTest, AllHearAll) {
  EXPECT_THAT(
      split_lines("lan", three, both("eth0", "eth1") + both("eth0", "eth2") + both("eth1", "eth2")),
      IsEmpty());
}

TEST(GroupCheckTest, TheOneOnAnotherSwitchIsNamed) {
  EXPECT_THAT(split_lines("lan", three, both("eth0", "eth1")),
              ElementsAre(AllOf(HasSubstr("\"lan\""), HasSubstr("eth0, eth1 | eth2"))));
}

TEST(GroupCheckTest, HearingInOneDirectionOnlyIsNotHearing) {
  EXPECT_THAT(split_lines("lan", {"eth0", "eth1"}, {{.from = "eth0", .by = "eth1"}}),
              ElementsAre(HasSubstr("eth0 | eth1")));
}

TEST(GroupCheckTest, ATagMeansAnotherNativeVlan) {
  const auto lines =
      split_lines("lan", {"eth0", "eth1"},
                  {{.from = "eth0", .by = "eth1", .vlan = 42}, {.from = "eth1", .by = "eth0"}});
  EXPECT_THAT(lines, ElementsAre(HasSubstr("VLAN tag 42"), HasSubstr("eth0 | eth1")));
}

TEST(GroupCheckTest, EveryMemberOfOneAggregateCarries) {
  EXPECT_THAT(lacp_lines("lan", {{"eth0", true, true}, {"eth1", true, true}}), IsEmpty());
  EXPECT_THAT(lacp_lines("lan", {}), IsEmpty());
}

TEST(GroupCheckTest, ASwitchWithoutLacpIsSaidOnceForAllMembers) {
  EXPECT_THAT(lacp_lines("lan", {{"eth0", false, true}, {"eth1", false, false}}),
              ElementsAre(AllOf(HasSubstr("no LACP on eth0, eth1: one member carries at a time"),
                                HasSubstr("active-backup"))));
}

TEST(GroupCheckTest, APortOutsideTheAggregateAndOneInAnotherAreNamedApart) {
  EXPECT_THAT(
      lacp_lines("lan", {{"eth0", true, true}, {"eth1", false, false}, {"eth2", true, false}}),
      ElementsAre(HasSubstr("no LACP on eth1: nothing is carried there"),
                  HasSubstr("eth2 ended in another aggregate")));
}

}  // namespace
}  // namespace edge::uplink
