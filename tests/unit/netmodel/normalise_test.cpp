#include "netmodel/core/normalise.hpp"

#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {
namespace {

using namespace test;

struct Same {
  const char* what;
  Route wanted;
  Route shown;
};

/// The kernel shows some things in other words than they were written.
TEST(NormaliseTest, WhatTheKernelSpellsDifferentlyIsEqual) {
  const IpPrefix v6 = prefix("2001:db8::/64");
  const Same table[] = {
      {"IPv6 metric 0 is 1024",
       {.destination = v6, .link = "b"},
       {.destination = v6, .link = "b", .metric = 1024}},
      {"host bits",
       {.destination = prefix("10.0.0.7/8"), .link = "b"},
       {.destination = prefix("10.0.0.0/8"), .link = "b"}},
      {"gateway 0.0.0.0 is on link",
       {.link = "b", .gateway = ip("0.0.0.0"), .on_link_gateway = true},
       {.link = "b"}},
      {"unreachable of IPv6 is shown on lo",
       {.destination = v6, .type = RouteType::unreachable, .metric = 1024},
       {.destination = v6, .type = RouteType::unreachable, .link = "lo", .metric = 1024}},
  };
  for (const Same& c : table) { EXPECT_EQ(normalise(c.wanted), normalise(c.shown)) << c.what; }
  EXPECT_NE(normalise(Route{.link = "b"}), normalise(Route{.link = "b", .metric = 1}));
  EXPECT_NE(normalise(Route{.link = "b", .source = ip("10.0.0.1")}), normalise(Route{.link = "b"}));

  Rule all{.priority = 5, .from = prefix("0.0.0.0/0"), .mark_mask = 0};
  EXPECT_EQ(normalise(all), normalise(Rule{.priority = 5}));
  Rule masked{.priority = 5, .mark = 1, .mark_mask = 0xff};
  EXPECT_NE(normalise(masked), normalise(Rule{.priority = 5, .mark = 1}));
  EXPECT_EQ(normalise(Sysctl{"a", "1\n"}), (Sysctl{"a", "1"}));
}

TEST(NormaliseTest, OrderAndRepetitionHaveNoMeaning) {
  DesiredState one;
  one.rules = {{.priority = 2}, {.priority = 1}, {.priority = 2}};
  DesiredState other;
  other.rules = {{.priority = 1}, {.priority = 2}};
  EXPECT_EQ(normalise(one), normalise(other));
  EXPECT_EQ(normalise(normalise(one)), normalise(one));
}

}  // namespace
}  // namespace edge::netmodel
