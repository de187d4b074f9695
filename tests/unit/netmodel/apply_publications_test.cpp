// Operations on publications: targets, ports, ranges, many at once.
#include "netmodel/core/apply_operations.hpp"

#include <gmock/gmock.h>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"
#include "tests/unit/netmodel/apply_fixture.hpp"

namespace edge::netmodel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using namespace test;

using ApplyTest = ApplyFixture;

TEST_F(ApplyTest, APublicationNeedsATargetOnANatNetwork) {
  accept(
      {web_network, web_interface,
       R"({"op":"interface.attach","interface":"p","vm":"v","network":"br020000000001"})",
       R"({"op":"network.create","network":"quiet","kind":"nat","subnet":"10.7.0.0/24","dhcp":false})",
       R"({"op":"interface.attach","interface":"q","vm":"v","network":"quiet"})"});
  const auto publish = [](std::string_view target) {
    return fmt::format(R"({{"op":"gateway.publish","rule":"r",{},"protocol":"tcp","port":80}})",
                       target);
  };
  EXPECT_TRUE(outcome({publish(R"("interface":"i")")}).model);
  EXPECT_TRUE(outcome({publish(R"("address":"10.5.0.9")")}).model);
  EXPECT_TRUE(outcome({publish(R"("address":"10.200.0.9")")}).model);  // Of the automatic subnet.
  EXPECT_THAT(refuse({publish(R"("interface":"x")")}),
              ElementsAre("rule \"r\": interface \"x\" does not exist"));
  EXPECT_THAT(refuse({publish(R"("interface":"p")")}),
              ElementsAre(HasSubstr("of kind untagged: its ports need no publication")));
  EXPECT_THAT(refuse({publish(R"("interface":"q")")}),
              ElementsAre(HasSubstr("has no address: DHCP is off")));
  EXPECT_THAT(refuse({publish(R"("address":"10.9.0.9")")}),
              ElementsAre(HasSubstr("is in no nat network")));
  EXPECT_THAT(refuse({publish(R"("address":"10.5.0.1")")}),
              ElementsAre(HasSubstr("is the gateway, network or broadcast")));
  EXPECT_THAT(refuse({publish(R"("address":"fd00::1")")}),
              ElementsAre(HasSubstr("address fd00::1 is in no nat network")));
  accept({publish(R"("interface":"i")")});
  EXPECT_THAT(refuse({R"({"op":"interface.detach","interface":"i"})"}),
              ElementsAre("interface \"i\": it is published by r; withdraw first"));
  accept(
      {R"({"op":"gateway.withdraw","rule":"r"})", R"({"op":"interface.detach","interface":"i"})"});
}

std::string publish_address(std::string_view rule, std::string_view address, int port) {
  return fmt::format(
      R"({{"op":"gateway.publish","rule":"{}","address":"{}","protocol":"tcp","port":{}}})", rule,
      address, port);
}

/// Why: the rule would lead to an address of nobody, or of whoever gets it next.
TEST_F(ApplyTest, ASubnetInWhichAnAddressIsPublishedDoesNotGo) {
  constexpr std::string_view deletion = R"({"op":"network.delete","network":"web"})";
  constexpr std::string_view renumbering =
      R"({"op":"network.update","network":"web","subnet":"10.6.0.0/24"})";
  constexpr std::string_view withdraw = R"({"op":"gateway.withdraw","rule":"r"})";
  accept({web_network, publish_address("r", "10.5.0.16", 80)});
  const auto published =
      ElementsAre("network \"web\": published by rule \"r\" at 10.5.0.16; withdraw it first");
  EXPECT_THAT(refuse({deletion}), published);
  EXPECT_THAT(refuse({renumbering}), published);
  EXPECT_THAT(refuse({R"({"op":"network.update","network":"web","subnet":"10.5.0.0/28"})"}),
              published);
  EXPECT_THAT(refuse({R"({"op":"model.replace","model":{"gateway":[
                  {"rule":"r","address":"10.5.0.16","protocol":"tcp","port":80}]}})"}),
              published);
  // Where the address still is one of a nat network, it stands.
  accept({R"({"op":"network.update","network":"web","subnet":"10.5.0.0/27"})"});
  EXPECT_TRUE(outcome({deletion, R"({"op":"network.create","network":"n","kind":"nat",
                                   "subnet":"10.5.0.0/24"})"})
                  .model);
  EXPECT_TRUE(outcome({deletion, withdraw}).model);
  EXPECT_TRUE(outcome({withdraw, renumbering}).model);
  EXPECT_TRUE(outcome({renumbering, withdraw, publish_address("r", "10.6.0.16", 80)}).model);
  EXPECT_THAT(refuse({renumbering, withdraw, publish_address("r", "10.5.0.16", 80)}),
              ElementsAre("rule \"r\": address 10.5.0.16 is in no nat network"));
  accept({publish_address("s", "10.5.0.17", 81)});
  EXPECT_THAT(refuse({deletion}),
              ElementsAre("network \"web\": published by rules \"r\" at 10.5.0.16, \"s\" at "
                          "10.5.0.17; withdraw them first"));
}

TEST_F(ApplyTest, APublishedIpv6AddressHoldsItsSubnetToo) {
  accept({web_network, R"({"op":"network.update","network":"web","subnet6":"fd00:5::/64"})",
          publish_address("t", "fd00:5::10", 53)});
  EXPECT_THAT(
      refuse({R"({"op":"network.update","network":"web","subnet6":"none"})"}),
      ElementsAre("network \"web\": published by rule \"t\" at fd00:5::10; withdraw it first"));
}

TEST_F(ApplyTest, APublishedAddressOfAnAutomaticSubnetHoldsItAsFarAsItIsKnown) {
  accept({publish_address("r", "10.200.0.9", 80)});
  EXPECT_THAT(refuse({R"({"op":"network.update","network":"default","subnet":"10.9.0.0/24"})"}),
              ElementsAre(HasSubstr("network \"default\": published by rule \"r\"")));
  accept({R"({"op":"network.update","network":"default","subnet":"10.200.0.0/24"})"});
  facts.automatic_subnets.clear();  // The way back: render chooses the subnet.
  EXPECT_TRUE(outcome({R"({"op":"model.replace","model":{
                  "networks":[{"network":"default","kind":"nat"}],
                  "gateway":[{"rule":"r","address":"10.200.0.9","protocol":"tcp","port":80}]}})"})
                  .model);
}

TEST_F(ApplyTest, NoTwoPublicationsClaimOnePort) {
  accept({web_network, web_interface});
  const auto publish = [](std::string_view id, std::string_view rest) {
    return fmt::format(R"({{"op":"gateway.publish","rule":"{}","interface":"i",{}}})", id, rest);
  };
  accept({publish("a", R"("protocol":"tcp","port":"8000-8009")")});
  EXPECT_EQ(model.gateway.at("a").to_port, 8000);
  EXPECT_THAT(refuse({publish("b", R"("protocol":"tcp","port":8009)")}),
              ElementsAre("rule \"b\": tcp port 8009 is published by rule \"a\" already"));
  EXPECT_THAT(
      refuse({publish("0", R"("protocol":"tcp","port":"7000-8000","adapters":["eth1"])")}),
      ElementsAre(HasSubstr("rule \"0\": tcp ports 7000-8000 is published by rule \"a\" already")));
  accept({publish("b", R"("protocol":"udp","port":8009)"),
          publish("c", R"("protocol":"tcp","port":8010)"),
          publish("d", R"("protocol":"tcp","port":7999)")});
  accept({publish("e", R"("protocol":"tcp","port":22,"adapters":["eth0"])"),
          publish("f", R"("protocol":"tcp","port":22,"adapters":["eth1"])")});
  EXPECT_THAT(refuse({publish("g", R"("protocol":"tcp","port":22)")}),
              ElementsAre(HasSubstr("already")));
  EXPECT_THAT(
      refuse({publish(
          "g", R"("protocol":"tcp","port":"8400-8500","sources":["10.0.0.5/8","fd00::/8"])")}),
      ElementsAre(HasSubstr("did you mean 10.0.0.0/8"),
                  HasSubstr("source fd00::/8 is IPv6, in which the target has no address"),
                  "rule \"g\": tcp port 8480 is used by the status page"));
  EXPECT_TRUE(outcome({publish("g", R"("protocol":"udp","port":8480)")}).model);
}

TEST_F(ApplyTest, ARangeMapsToARangeOfTheSameSizeWithinThePorts) {
  accept({web_network, web_interface});
  const auto publish = [](int to_port) {
    return fmt::format(
        R"({{"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":"100-109","to_port":{}}})",
        to_port);
  };
  EXPECT_TRUE(outcome({publish(65526)}).model);
  EXPECT_THAT(refuse({publish(65527)}),
              ElementsAre(HasSubstr("would map to ports 65527-65536; allowed: up to 65535")));
}

/// The size of command that the figures speak of: quick enough for a unit test, and each port once.
TEST_F(ApplyTest, TenThousandPublicationsAreOneCommand) {
  std::vector<ModelOperation> operations;
  for (unsigned i = 0; i < operations_max; ++i) {
    GatewayPublish publish;
    publish.rule = fmt::format("r{}", i);
    publish.address = parse_ip("10.200.0.9").value();
    publish.port_first = publish.port_last = static_cast<std::uint16_t>(10000 + i);
    operations.emplace_back(publish);
  }
  const auto result = apply_operations(model, operations, facts);
  ASSERT_TRUE(result.model);
  EXPECT_EQ(result.model->gateway.size(), operations_max);
}

}  // namespace
}  // namespace edge::netmodel
