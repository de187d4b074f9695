// Operations on networks: what they need, change and refuse.
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

TEST_F(ApplyTest, ANatNetworkComesChangesAndGoes) {
  accept({web_network});
  accept({R"({"op":"network.update","network":"web","dns":["9.9.9.9"]})"});
  EXPECT_EQ(model.networks.at("web").dns.size(), 1U);
  EXPECT_EQ(model.networks.at("web").subnet, prefix("10.5.0.0/24"));
  accept({R"({"op":"network.delete","network":"web"})"});
  EXPECT_FALSE(model.networks.contains("web"));
  EXPECT_THAT(refuse({R"({"op":"network.delete","network":"web"})"}),
              ElementsAre(HasSubstr("there is no such network")));
  EXPECT_THAT(refuse({web_network, web_network}), ElementsAre(HasSubstr("exists already")));
}

TEST_F(ApplyTest, AFieldOfAnotherKindIsNamed) {
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"web","kind":"nat","vlan_id":5})"}),
              ElementsAre(HasSubstr("field \"vlan_id\" does not belong to kind nat")));
}

TEST_F(ApplyTest, SubnetsAreUsablePrefixes) {
  const auto create = [](std::string_view subnet) {
    return fmt::format(R"({{"op":"network.create","network":"web","kind":"nat","subnet":"{}"}})",
                       subnet);
  };
  for (const char* good : {"10.0.0.0/9", "10.5.0.0/30", "172.16.0.0/12", "223.255.255.0/24"}) {
    EXPECT_TRUE(outcome({create(good)}).model) << good;
  }
  for (const char* bad : {"10.0.0.0/7", "10.5.0.0/31", "127.0.0.0/24", "169.254.0.0/24",
                          "224.0.0.0/24", "0.0.0.0/8", "fd00::/64"}) {
    EXPECT_THAT(refuse({create(bad)}), ElementsAre(HasSubstr("network \"web\": subnet "))) << bad;
  }
  EXPECT_THAT(refuse({create("10.5.0.7/24")}),
              ElementsAre(HasSubstr("has host bits set; did you mean 10.5.0.0/24?")));
}

TEST_F(ApplyTest, SubnetsOverlapNothing) {
  const auto create = [](std::string_view id, std::string_view subnet) {
    return fmt::format(R"({{"op":"network.create","network":"{}","kind":"nat","subnet":"{}"}})", id,
                       subnet);
  };
  EXPECT_THAT(refuse({create("web", "192.168.0.0/16")}),
              ElementsAre("network \"web\": subnet 192.168.0.0/16 overlaps 192.168.1.0/24 of the "
                          "lease of port \"eth0\""));
  EXPECT_THAT(refuse({create("web", "10.200.0.128/25")}),
              ElementsAre(HasSubstr("overlaps 10.200.0.0/24 of network \"default\"")));
  EXPECT_THAT(
      refuse({create("a", "10.5.0.0/16"), create("b", "10.5.9.0/24"), create("c", "10.5.10.0/24")}),
      ElementsAre(
          HasSubstr("network \"b\": subnet 10.5.9.0/24 overlaps 10.5.0.0/16 of network \"a\""),
          HasSubstr("network \"c\": subnet 10.5.10.0/24 overlaps 10.5.0.0/16 of network \"a\"")));
  accept({create("a", "10.5.0.0/24"), create("b", "10.5.1.0/24")});
}

/// Why: a lease comes when it likes. A network that it hits is reported; it must not block every
/// other command.
TEST_F(ApplyTest, AFactThatTurnedAgainstAnotherObjectBlocksNothing) {
  accept({web_network});
  facts.taken.push_back({prefix("10.5.0.0/16"), "the lease of port \"eth1\""});
  accept({R"({"op":"adapter.set","adapter":"eth0","mtu":1600})"});
  EXPECT_THAT(refuse({R"({"op":"network.update","network":"web","dns":[]})"}),
              ElementsAre(HasSubstr("overlaps")));
  EXPECT_EQ(validate(model, facts).total(), 1U);
}

TEST_F(ApplyTest, TheDhcpRangeLiesInTheSubnetAndWithoutTheGateway) {
  const auto create = [](std::string_view from, std::string_view to) {
    return fmt::format(
        R"({{"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/24","dhcp":{{"from":"{}","to":"{}"}}}})",
        from, to);
  };
  EXPECT_TRUE(outcome({create("10.5.0.2", "10.5.0.254")}).model);
  EXPECT_TRUE(outcome({create("10.5.0.9", "10.5.0.9")}).model);
  EXPECT_THAT(refuse({create("10.5.0.1", "10.5.0.9")}),
              ElementsAre(HasSubstr("contains the gateway 10.5.0.1")));
  EXPECT_THAT(refuse({create("10.5.0.2", "10.5.0.255")}),
              ElementsAre(HasSubstr("dhcp.to 10.5.0.255 is outside")));
  EXPECT_THAT(refuse({create("10.5.0.0", "10.5.0.9")}),
              ElementsAre(HasSubstr("dhcp.from 10.5.0.0 is outside")));
  EXPECT_THAT(refuse({create("10.5.0.9", "10.5.0.8")}), ElementsAre(HasSubstr("is reversed")));
  EXPECT_THAT(refuse({create("10.6.0.1", "fd00::1")}), testing::SizeIs(2));
  EXPECT_THAT(
      refuse(
          {R"({"op":"network.create","network":"w","kind":"nat","dhcp":{"from":"10.5.0.2","to":"10.5.0.3"}})"}),
      ElementsAre(HasSubstr("needs \"subnet\"")));
}

TEST_F(ApplyTest, ReservationsAreUniqueHostAddresses) {
  const auto with = [](std::string_view list) {
    return fmt::format(
        R"({{"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/24","dhcp":{{"reservations":[{}]}}}})",
        list);
  };
  const std::string one = R"({"mac":"52:54:00:00:00:01","address":"10.5.0.5"})";
  EXPECT_TRUE(outcome({with(one)}).model);
  EXPECT_THAT(
      refuse({with(one + "," + one)}),
      ElementsAre(HasSubstr("the MAC address is named twice"), HasSubstr("is reserved twice")));
  EXPECT_THAT(refuse({with(R"({"mac":"01:54:00:00:00:01","address":"10.5.0.1"})")}),
              ElementsAre(HasSubstr("not a unicast MAC"), HasSubstr("10.5.0.1 is the gateway")));
  EXPECT_THAT(refuse({with(R"({"mac":"52:54:00:00:00:01","address":"10.5.1.5"})")}),
              ElementsAre(HasSubstr("10.5.1.5 is not a host address of 10.5.0.0/24")));
}

TEST_F(ApplyTest, ANetworkInUseCannotBeDeletedAndNamesItsInterfaces) {
  accept({web_network, web_interface,
          R"({"op":"interface.attach","interface":"j","vm":"v","network":"web"})"});
  EXPECT_THAT(refuse({R"({"op":"network.delete","network":"web"})"}),
              ElementsAre("network \"web\": 2 interfaces are attached (i, j); detach first"));
  accept({R"({"op":"interface.detach","interface":"i"})",
          R"({"op":"interface.detach","interface":"j"})",
          R"({"op":"network.delete","network":"web"})"});
  EXPECT_THAT(refuse({R"({"op":"network.delete","network":"br020000000001"})"}),
              ElementsAre(HasSubstr("the untagged network of an adapter cannot be deleted")));
}

}  // namespace
}  // namespace edge::netmodel
