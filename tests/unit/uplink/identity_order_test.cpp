#include "uplink/core/identity_order.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using enum IdentitySource;
using Order = std::vector<IdentitySource>;

IdentitySight file(std::string fingerprint, bool in_date = true) {
  return {.in_date = in_date, .fingerprint = std::move(fingerprint), .replaces = {}};
}
IdentitySight slot(std::string replaces, bool in_date = true) {
  return {.in_date = in_date, .fingerprint = "s", .replaces = std::move(replaces)};
}

TEST(IdentityOrderTest, BeforeTheFirstRenewalItIsThatOfTheFiles) {
  EXPECT_EQ(identity_order({{configured, file("f1")}}, std::nullopt), Order{configured});
  EXPECT_EQ(identity_order({}, std::nullopt), Order{});
}

TEST(IdentityOrderTest, ASlotThatNobodyCalledCurrentYetComesLast) {
  EXPECT_EQ(identity_order({{configured, file("f1")}, {slot_a, slot("f1")}}, std::nullopt),
            (Order{configured, slot_a}));
}

TEST(IdentityOrderTest, TheCurrentSlotThenTheOtherThenTheFiles) {
  EXPECT_EQ(identity_order({{configured, file("f1")}, {slot_a, slot("f1")}, {slot_b, slot("f1")}},
                           slot_b),
            (Order{slot_b, slot_a, configured}));
}

TEST(IdentityOrderTest, FilesThatAPersonPutThereSinceGoFirst) {
  EXPECT_EQ(identity_order({{configured, file("f2")}, {slot_a, slot("f1")}}, slot_a),
            (Order{configured, slot_a}));
  EXPECT_EQ(identity_order({{configured, file("f2", false)}, {slot_a, slot("f1")}}, slot_a),
            (Order{slot_a, configured}))
      << "but not when they are out of date";
}

TEST(IdentityOrderTest, ACurrentSlotThatCannotBeReadIsReplacedByTheOtherOne) {
  EXPECT_EQ(identity_order({{configured, file("f1")}, {slot_b, slot("f1")}}, slot_a),
            (Order{slot_b, configured}));
  EXPECT_EQ(identity_order({{configured, file("f1")}}, slot_a), Order{configured});
}

TEST(IdentityOrderTest, WhatIsOutOfDateIsTheLastResort) {
  EXPECT_EQ(
      identity_order(
          {{configured, file("f1", false)}, {slot_a, slot("f1", false)}, {slot_b, slot("f1")}},
          slot_a),
      (Order{slot_b, slot_a, configured}));
}

TEST(IdentityOrderTest, ARenewalNeverOverwritesWhatIsShown) {
  EXPECT_EQ(spare_of(configured, std::nullopt), slot_a);
  EXPECT_EQ(spare_of(configured, slot_a), slot_b);
  EXPECT_EQ(spare_of(slot_a, slot_a), slot_b);
  EXPECT_EQ(spare_of(slot_b, slot_a), slot_a) << "fallen back to b: a is what failed";
}

}  // namespace
}  // namespace edge::uplink
