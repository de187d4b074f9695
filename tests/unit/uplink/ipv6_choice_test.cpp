// Which IPv6 address a dial begins with, and by which router it leaves.
#include "uplink/core/ipv6_choice.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using netmodel::AddressState;

const IpAddress a = parse_ip("2001:db8:a::1").value();
const IpAddress b = parse_ip("2001:db8:b::1").value();
const IpAddress c = parse_ip("2001:db8:c::1").value();
using Addresses = std::vector<IpAddress>;

TEST(Ipv6ChoiceTest, TheFirstIsTheSource_OneMoreIsNoReasonToLeaveAnother) {
  EXPECT_EQ(choose_sources({{a}, {b}}), (Sources6{.dial = a, .others = {b}}));
  EXPECT_EQ(choose_sources({}), Sources6{});
}

TEST(Ipv6ChoiceTest, ALeasedOneGoesBeforeOneOfAnAdvertisement) {
  EXPECT_EQ(choose_sources({{a}, {b, AddressState::ready, true}}),
            (Sources6{.dial = b, .others = {a}}));
}

TEST(Ipv6ChoiceTest, ADeprecatedOneIsLeftForAnyThatIsNot) {
  EXPECT_EQ(choose_sources({{a, AddressState::deprecated}, {b}, {c}}),
            (Sources6{.dial = b, .others = {c}, .leaving = {a}}));
  EXPECT_EQ(choose_sources({{a, AddressState::deprecated, true}, {b}}),
            (Sources6{.dial = b, .leaving = {a}}));
}

TEST(Ipv6ChoiceTest, WhereAllAreDeprecatedNoneIsLeft) {
  EXPECT_EQ(choose_sources({{a, AddressState::deprecated}, {b, AddressState::deprecated}}),
            (Sources6{.dial = a, .others = {b}}));
}

TEST(Ipv6ChoiceTest, OneThatNothingCanBeBoundToIsNone) {
  EXPECT_EQ(choose_sources({{a, AddressState::unusable}, {b, AddressState::deprecated}}),
            Sources6{.dial = b});
  EXPECT_EQ(choose_sources({{a, AddressState::unusable}}), Sources6{});
}

TEST(Ipv6ChoiceTest, ARouterIsKeptWhileItIsAdvertisedAndAnswers) {
  EXPECT_EQ(choose_router({a, b}, b, {}), b);
  EXPECT_EQ(choose_router({a, b}, b, {a}), b);
  EXPECT_EQ(choose_router({a}, b, {}), a) << "its lifetime is over";
  EXPECT_EQ(choose_router({}, b, {}), std::nullopt);
  EXPECT_EQ(choose_router({a, b}, std::nullopt, {}), a);
}

TEST(Ipv6ChoiceTest, ARouterThatFailsIsLeftForOneThatDoesNot_OrKeptForWantOfIt) {
  EXPECT_EQ(choose_router({a, b, c}, a, {a, b}), c);
  EXPECT_EQ(choose_router({a}, a, {a}), a);
  EXPECT_EQ(choose_router({a, b}, b, {a, b}), b) << "all fail: to and fro would help nobody";
  EXPECT_EQ(choose_router({a, b}, std::nullopt, {a, b}), a);
}

}  // namespace
}  // namespace edge::uplink
