// Operations on interfaces: addresses, MACs, the network they belong to.
#include "netmodel/core/apply_operations.hpp"

#include <gmock/gmock.h>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"
#include "tests/unit/netmodel/apply_fixture.hpp"

namespace edge::netmodel {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

using namespace test;

using ApplyTest = ApplyFixture;

TEST_F(ApplyTest, AGeneratedMacIsStableUniqueAndNeverATakenOne) {
  accept({web_network, web_interface});
  const MacAddress generated = model.interfaces.at("i").mac;
  EXPECT_EQ(generated, generated_mac("hv-01", "interface", "i"));
  accept({R"({"op":"interface.detach","interface":"i"})", web_interface});
  EXPECT_EQ(model.interfaces.at("i").mac, generated);

  accept({R"({"op":"interface.detach","interface":"i"})"});
  accept({fmt::format(
      R"({{"op":"interface.attach","interface":"thief","vm":"v","network":"web","mac":"{}"}})",
      to_string(generated))});
  accept({web_interface});
  EXPECT_EQ(model.interfaces.at("i").mac, generated_mac("hv-01", "interface", "i", 1));
}

TEST_F(ApplyTest, AMacAddressIsUnicastAndUnique) {
  const auto attach = [](std::string_view id, std::string_view address) {
    return fmt::format(
        R"({{"op":"interface.attach","interface":"{}","vm":"v","network":"default","mac":"{}"}})",
        id, address);
  };
  EXPECT_THAT(refuse({attach("i", "01:00:00:00:00:05")}),
              ElementsAre(HasSubstr("is not a unicast MAC address")));
  EXPECT_THAT(refuse({attach("i", "00:00:00:00:00:00")}),
              ElementsAre(HasSubstr("is not a unicast MAC address")));
  EXPECT_THAT(refuse({attach("i", "02:00:00:00:00:01")}),
              ElementsAre(HasSubstr("is that of adapter \"eth0\"")));
  EXPECT_THAT(refuse({attach("i", to_string(generated_mac("hv-01", "network", "default")))}),
              ElementsAre(HasSubstr("is that of the bridge of network \"default\"")));
  EXPECT_THAT(
      refuse({attach("i", "52:00:00:00:00:05"), attach("j", "52:00:00:00:00:05")}),
      ElementsAre("interface \"j\": mac 52:00:00:00:00:05 is used by interface \"i\" already"));
  // The tap of "i" has fe:00:00:00:00:05: a bridge would keep the guest's frames for the host.
  EXPECT_THAT(refuse({attach("i", "52:00:00:00:00:05"), attach("j", "fe:00:00:00:00:05")}),
              ElementsAre("interface \"j\": mac fe:00:00:00:00:05 is that of the host's end of "
                          "interface \"i\""));
}

/// Why: a model from before the rule would have every command of its host refused.
TEST_F(ApplyTest, AMacLikeATapsIsJudgedOnOneBridgeAndWhereACommandTouchesIt) {
  const auto attach = [](std::string_view id, std::string_view network, std::string_view address) {
    return fmt::format(
        R"({{"op":"interface.attach","interface":"{}","vm":"v","network":"{}","mac":"{}"}})", id,
        network, address);
  };
  accept(
      {R"({"op":"network.create","network":"other","kind":"isolated","subnet":"10.71.0.0/24"})"});
  accept({attach("i", "default", "52:00:00:00:00:05"), attach("j", "other", "fe:00:00:00:00:05")});
  accept({attach("k", "default", "56:00:00:00:00:05")});
  EXPECT_THAT(refuse({R"({"op":"interface.update","interface":"j","network":"default"})"}),
              testing::Contains(HasSubstr("is that of the host's end of interface")));
  model.interfaces.at("j").network = "default";  // As an older program took it.
  accept(
      {R"({"op":"network.create","network":"third","kind":"isolated","subnet":"10.72.0.0/24"})"});
  accept({R"({"op":"interface.detach","interface":"i"})",
          R"({"op":"interface.detach","interface":"k"})"});
  accept({attach("l", "default", "52:00:00:00:00:07")});
}

TEST_F(ApplyTest, GuestsGetAStableAddressOutOfTheDhcpRange) {
  accept(
      {R"({"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/29"})"});  // .2 to
                                                                                            // .6
  for (int i = 0; i < 5; ++i) {
    accept({fmt::format(R"({{"op":"interface.attach","interface":"i{}","vm":"v","network":"web"}})",
                        i)});
  }
  std::set<std::uint32_t> numbers;
  for (const auto& [id, interface] : model.interfaces) {
    numbers.insert(interface.host_number.value());
  }
  EXPECT_THAT(numbers, ElementsAre(2U, 3U, 4U, 5U, 6U));
  EXPECT_THAT(
      refuse({R"({"op":"interface.attach","interface":"one-more","vm":"v","network":"web"})"}),
      ElementsAre(HasSubstr("network \"web\" has no free address left in 10.5.0.2..10.5.0.6")));
  const Model before = model;
  accept({R"({"op":"network.update","network":"web","dns":["9.9.9.9"]})"});
  EXPECT_EQ(model.interfaces, before.interfaces);
}

TEST_F(ApplyTest, AGivenAddressOrAReservationIsKept) {
  accept(
      {R"({"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/24","dhcp":{"reservations":[{"mac":"52:54:00:00:00:01","address":"10.5.0.5"}]}})",
       R"({"op":"interface.attach","interface":"a","vm":"v","network":"web","address":"10.5.0.7"})",
       R"({"op":"interface.attach","interface":"b","vm":"v","network":"web","mac":"52:54:00:00:00:01"})"});
  EXPECT_EQ(address_of(model, model.interfaces.at("a"), {}), parse_ip("10.5.0.7").value());
  EXPECT_EQ(address_of(model, model.interfaces.at("b"), {}), parse_ip("10.5.0.5").value());
  EXPECT_THAT(
      refuse(
          {R"({"op":"interface.attach","interface":"c","vm":"v","network":"web","address":"10.5.0.7"})"}),
      ElementsAre(HasSubstr("address 10.5.0.7 is that of interface \"a\" already")));
  EXPECT_THAT(
      refuse(
          {R"({"op":"interface.attach","interface":"c","vm":"v","network":"web","address":"10.5.0.5"})"}),
      Contains(HasSubstr("address 10.5.0.5")));
  EXPECT_THAT(
      refuse(
          {R"({"op":"interface.attach","interface":"c","vm":"v","network":"web","address":"10.5.0.1"})"}),
      ElementsAre(HasSubstr("is the gateway of network \"web\"")));
  for (const char* bad : {"10.5.0.0", "10.5.0.255", "10.6.0.5", "fd00::5"}) {
    EXPECT_THAT(
        refuse({fmt::format(
            R"({{"op":"interface.attach","interface":"c","vm":"v","network":"web","address":"{}"}})",
            bad)}),
        ElementsAre(HasSubstr("does not fit network \"web\"")))
        << bad;
  }
}

TEST_F(ApplyTest, ANewSubnetKeepsTheHostNumbersThatItHas) {
  accept(
      {web_network,
       R"({"op":"interface.attach","interface":"a","vm":"v","network":"web","address":"10.5.0.5"})",
       R"({"op":"interface.attach","interface":"b","vm":"v","network":"web","address":"10.5.0.77"})"});
  accept({R"({"op":"network.update","network":"web","subnet":"10.6.0.0/28"})"});
  EXPECT_EQ(address_of(model, model.interfaces.at("a"), {}), parse_ip("10.6.0.5").value());
  EXPECT_LE(model.interfaces.at("b").host_number.value(), 14U);
}

TEST_F(ApplyTest, AnInterfaceNeedsANetworkThatExists) {
  EXPECT_THAT(refuse({web_interface}),
              ElementsAre("interface \"i\": network \"web\" does not exist"));
  accept({web_interface, web_network});  // The order within a command is the caller's.
  accept({R"({"op":"interface.update","interface":"i","network":"br020000000001"})"});
  EXPECT_FALSE(model.interfaces.at("i").host_number);
  EXPECT_THAT(refuse({R"({"op":"interface.update","interface":"i","network":"br0200000000ff"})"}),
              ElementsAre(HasSubstr("network \"br0200000000ff\" does not exist")));
  EXPECT_THAT(refuse({R"({"op":"interface.update","interface":"i","host_number":5})"}),
              ElementsAre(HasSubstr("is bridged")));
  EXPECT_THAT(refuse({R"({"op":"interface.update","interface":"x","vm":"v"})"}),
              ElementsAre(HasSubstr("no such interface")));
}

}  // namespace
}  // namespace edge::netmodel
