// Operations on publications: targets, ports, ranges, many at once.
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
using testing::Not;

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

/// n000 has 10.0.0.0/25 and fd00:0:0:1::/64, n999 has 10.3.249.0/25 and fd00:0:0:3e8::/64.
void add_thousand_networks(Model& model) {
  for (unsigned i = 0; i < 1000; ++i) {
    Network& network = model.networks[fmt::format("n{:03}", i)];
    network.subnet = prefix(fmt::format("10.{}.{}.0/25", i / 250, i % 250));
    if (i % 111 == 0) { network.subnet6 = prefix(fmt::format("fd00:0:0:{:x}::/64", i + 1)); }
  }
}

TEST_F(ApplyTest, TenThousandPublicationsMaySpreadOverAThousandNetworks) {
  add_thousand_networks(model);
  std::vector<ModelOperation> operations;
  for (unsigned i = 0; i < operations_max; ++i) {
    GatewayPublish publish;
    publish.rule = fmt::format("r{}", i);
    publish.address =
        ip(fmt::format("10.{}.{}.{}", i % 1000 / 250, i % 250, 2 + i / 1000));  // 2..11
    publish.port_first = publish.port_last = static_cast<std::uint16_t>(10000 + i);
    operations.emplace_back(publish);
  }
  const auto result = apply_operations(model, operations, facts);
  ASSERT_TRUE(result.model) << result.problems.items().front().what;
  EXPECT_EQ(result.model->gateway.size(), operations_max);
}

TEST_F(ApplyTest, APublishedAddressIsFoundInItsNetworkAmongAThousand) {
  add_thousand_networks(model);
  const auto kept = [](std::string_view network) {
    return HasSubstr(
        fmt::format("is the gateway, network or broadcast address of network \"{}\"", network));
  };
  const auto outside = HasSubstr("is in no nat network");
  EXPECT_THAT(
      refuse({publish_address("a", "10.0.0.0", 1), publish_address("b", "10.0.0.1", 2),
              publish_address("c", "10.1.249.127", 3), publish_address("d", "10.3.249.127", 4),
              publish_address("e", "fd00:0:0:1::1", 5), publish_address("f", "fd00:0:0:3e8::", 6)}),
      ElementsAre(kept("n000"), kept("n000"), kept("n499"), kept("n999"), kept("n000"),
                  kept("n999")));
  EXPECT_THAT(
      refuse({publish_address("a", "9.255.255.255", 1), publish_address("b", "10.0.0.128", 2),
              publish_address("c", "10.2.7.255", 3), publish_address("d", "10.3.249.128", 4),
              publish_address("e", "10.4.0.9", 5), publish_address("f", "fd00::2", 6),
              publish_address("g", "fd00:0:0:3e9::2", 7)}),
      ElementsAre(outside, outside, outside, outside, outside, outside, outside));
  accept({publish_address("a", "10.0.0.2", 1), publish_address("b", "10.0.0.126", 2),
          publish_address("c", "10.1.249.126", 3), publish_address("d", "10.3.249.2", 4),
          publish_address("e", "10.3.249.126", 5), publish_address("f", "10.200.0.254", 6),
          publish_address("g", "fd00:0:0:1::2", 7),
          publish_address("h", "fd00:0:0:3e8:ffff:ffff:ffff:ffff", 8)});
}

/// Why: subnets that overlap are reported, and what else is wrong in the same turn.
TEST_F(ApplyTest, OfNetworksThatOverlapTheFirstByIdHoldsAPublishedAddress) {
  const auto problems =
      refuse({R"({"op":"network.create","network":"a","kind":"isolated","subnet":"10.5.0.0/16"})",
              R"({"op":"network.create","network":"b","kind":"nat","subnet":"10.5.3.0/24"})",
              R"({"op":"network.create","network":"m","kind":"nat","subnet":"10.6.3.0/24"})",
              R"({"op":"network.create","network":"n","kind":"nat","subnet":"10.6.3.0/28"})",
              R"({"op":"network.create","network":"z","kind":"isolated","subnet":"10.6.0.0/16"})",
              publish_address("in-a", "10.5.3.9", 1), publish_address("in-m", "10.6.3.5", 2),
              publish_address("in-z", "10.6.4.9", 3), publish_address("before-m", "10.6.2.9", 4),
              publish_address("broadcast-of-n", "10.6.3.15", 5)});
  EXPECT_THAT(problems,
              Contains(HasSubstr("address 10.5.3.9 is in network \"a\" of kind isolated")));
  EXPECT_THAT(problems,
              Contains(HasSubstr("address 10.6.4.9 is in network \"z\" of kind isolated")));
  EXPECT_THAT(problems,
              Contains(HasSubstr("address 10.6.2.9 is in network \"z\" of kind isolated")));
  EXPECT_THAT(problems, Not(Contains(HasSubstr("rule \"in-m\""))));
  EXPECT_THAT(problems, Not(Contains(HasSubstr("rule \"broadcast-of-n\""))));
}

}  // namespace
}  // namespace edge::netmodel
