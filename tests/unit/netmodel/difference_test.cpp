#include "netmodel/core/difference.hpp"

#include <gmock/gmock.h>

namespace edge::netmodel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DifferenceTest, EqualModelsHaveNone) {
  EXPECT_THAT(difference(Model::defaults(), Model::defaults()), IsEmpty());
}

TEST(DifferenceTest, WhatCameWhatWentAndWhatChangedIsNamed) {
  Model from = Model::defaults();
  from.groups["lan"] = {.adapters = {parse_mac("02:00:00:00:00:01").value()}};
  Model to = Model::defaults();
  to.networks["default"].subnet = parse_prefix("10.9.0.0/24").value();
  to.networks["web"] = {.subnet = parse_prefix("10.5.0.0/24").value()};
  to.host.virtual_ip = parse_ip("192.0.2.1").value();
  EXPECT_THAT(
      difference(from, to),
      ElementsAre("- groups lan", HasSubstr("networks default.subnet: "),
                  HasSubstr("+ networks web: {"), HasSubstr("+ host.virtual_ip: \"192.0.2.1\"")));
}

TEST(DifferenceTest, ItIsBounded) {
  Model to = Model::defaults();
  for (int i = 0; i < 1000; ++i) { to.networks["n" + std::to_string(i)] = {}; }
  const auto lines = difference(Model::defaults(), to);
  EXPECT_EQ(lines.size(), difference_lines_max);
  EXPECT_EQ(lines.back(), "and 901 more differences");
}

}  // namespace
}  // namespace edge::netmodel
