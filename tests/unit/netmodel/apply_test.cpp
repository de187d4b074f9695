#include "netmodel/core/apply_operations.hpp"

#include <gmock/gmock.h>

#include <fmt/format.h>
#include <boost/json/parse.hpp>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"
#include "tests/unit/netmodel/apply_fixture.hpp"

namespace edge::netmodel {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using namespace test;

constexpr std::string_view web_network =
    R"({"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/24"})";
constexpr std::string_view web_interface =
    R"({"op":"interface.attach","interface":"i","vm":"v","network":"web"})";

using ApplyTest = ApplyFixture;

TEST_F(ApplyTest, AGuestWithoutANetworkJoinsTheDefaultOne) {
  accept({R"({"op":"interface.attach","interface":"i","vm":"v"})"});
  EXPECT_EQ(model.interfaces.at("i").network, default_network);
}

TEST_F(ApplyTest, AdapterMtuIsHeldToTheDriversRange) {
  accept({R"({"op":"adapter.set","adapter":"eth0","mtu":9000})"});
  EXPECT_EQ(model.adapters.at(mac("02:00:00:00:00:01")).mtu, 9000U);
  accept({R"({"op":"adapter.set","adapter":"02:00:00:00:00:02","mtu":1500,"enabled":false})"});
  EXPECT_FALSE(model.adapters.at(mac("02:00:00:00:00:02")).enabled);
  EXPECT_THAT(
      refuse({R"({"op":"adapter.set","adapter":"eth1","mtu":1501})"}),
      ElementsAre(HasSubstr(
          "MTU 1501 is out of the range 68..1500 that the driver of port \"eth1\" allows")));
  EXPECT_THAT(refuse({R"({"op":"adapter.set","adapter":"eth0"})"}),
              ElementsAre(HasSubstr("nothing to set")));
}

TEST_F(ApplyTest, AnUnknownAdapterIsRefusedUnlessItMayComeLater) {
  EXPECT_THAT(
      refuse({R"({"op":"adapter.set","adapter":"eth9","mtu":1500})"}),
      ElementsAre(HasSubstr(
          "adapter \"eth9\": there is no adapter \"eth9\"; present: eth0 (02:00:00:00:00:01), "
          "eth1 (02:00:00:00:00:02)")));
  constexpr std::string_view by_mac =
      R"({"op":"adapter.set","adapter":"02:00:00:00:00:09","mtu":1500})";
  refuse({by_mac});
  facts.allow_pending_adapters = true;
  accept({by_mac});
  facts.allow_pending_adapters = false;
  accept({by_mac});  // Known by now: its settings can be changed while it is away.
}

/// Why: a card may be bought with its settings, its networks and its publications made ready.
TEST_F(ApplyTest, EachOperationThatNamesAnAdapterMayNameOneThatComesLaterIfItSaysSo) {
  const auto with = [](std::string_view operation, std::string_view more) {
    return fmt::format(R"({{"op":{},{}}})", operation, more);
  };
  accept({web_network, R"({"op":"interface.attach","interface":"i","vm":"v","network":"web"})"});
  for (const std::string_view operation :
       {R"("adapter.set","adapter":"02:00:00:00:00:09","mtu":9000)",
        R"("network.create","network":"u","kind":"untagged","adapter":"02:00:00:00:00:09")",
        R"("gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":80,
              "adapters":["02:00:00:00:00:09"])",
        R"("host.set","uplink_order":["02:00:00:00:00:09","eth0"])"}) {
    model.adapters.clear();
    EXPECT_THAT(refuse({with(operation, R"("allow_pending":false)")}),
                Contains(AllOf(HasSubstr("there is no adapter \"02:00:00:00:00:09\""),
                               HasSubstr("for a card that comes later set \"allow_pending\""))))
        << operation;
    accept({with(operation, R"("allow_pending":true)")});
  }
  // What an operation made known, those after it may name.
  model.adapters.clear();
  accept({R"({"op":"adapter.set","adapter":"02:00:00:00:00:0a","mtu":9000,"allow_pending":true})",
          R"({"op":"host.set","uplink_order":["02:00:00:00:00:0a"]})"});
  // Nobody can be asked to light up, or to spare, a card that is not there.
  EXPECT_THAT(refuse({R"({"op":"port.identify","adapter":"02:00:00:00:00:0b"})"}),
              ElementsAre(Not(HasSubstr("allow_pending"))));
}

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

TEST_F(ApplyTest, NothingIsAppliedInPart) {
  const auto result = outcome({web_network, R"({"op":"network.delete","network":"nope"})",
                               R"({"op":"port.identify","adapter":"eth0"})"});
  EXPECT_FALSE(result.model);
  EXPECT_THAT(result.actions, IsEmpty());
  ASSERT_EQ(result.problems.total(), 1U);
  EXPECT_EQ(result.problems.items()[0].op, 1U);
}

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

TEST_F(ApplyTest, UplinkOrderIsStoredByMacAndNamesEachOnce) {
  accept({R"({"op":"host.set","uplink_order":["eth1","02:00:00:00:00:01"]})"});
  EXPECT_THAT(model.host.uplink_order,
              ElementsAre(mac("02:00:00:00:00:02"), mac("02:00:00:00:00:01")));
  EXPECT_THAT(refuse({R"({"op":"host.set","uplink_order":["eth1","eth1"]})"}),
              ElementsAre(HasSubstr("twice")));
  EXPECT_THAT(refuse({R"({"op":"host.set","uplink_order":["eth7"]})"}),
              ElementsAre(HasSubstr("no adapter \"eth7\"")));
}

TEST_F(ApplyTest, ActionsChangeNoModel) {
  const Model before = model;
  accept({R"({"op":"path.drain","adapter":"eth0","seconds":60})",
          R"({"op":"port.identify","adapter":"eth1"})", R"({"op":"failover.drill"})",
          R"({"op":"failover.drill","adapter":"eth0","seconds":5})"});
  EXPECT_EQ(model, before);
  EXPECT_THAT(
      actions,
      ElementsAre(HostAction(DrainPort{mac("02:00:00:00:00:01"), std::chrono::seconds(60)}),
                  HostAction(IdentifyPort{mac("02:00:00:00:00:02"), std::chrono::seconds(10)}),
                  HostAction(DrillPort{std::nullopt, std::chrono::seconds(30)}),
                  HostAction(DrillPort{mac("02:00:00:00:00:01"), std::chrono::seconds(5)})));
  refuse({R"({"op":"failover.drill","adapter":"eth9"})"});
  refuse({R"({"op":"path.drain","adapter":"eth9"})"});
}

TEST_F(ApplyTest, ReplaceIsTheWholeModelAndKeepsWhatItLeavesOpen) {
  accept({web_network, web_interface, R"({"op":"adapter.set","adapter":"eth0","mtu":9000})"});
  const Interface before = model.interfaces.at("i");
  accept(
      {R"({"op":"model.replace","model":{"networks":[{"network":"web","kind":"nat","subnet":"10.5.0.0/24"}],
           "interfaces":[{"interface":"i","vm":"v","network":"web"}]}})"});
  EXPECT_EQ(model.interfaces.at("i"), before);
  EXPECT_FALSE(model.networks.contains("default"));
  EXPECT_TRUE(model.adapters.empty());
  EXPECT_THAT(
      refuse(
          {R"({"op":"model.replace","model":{"interfaces":[{"interface":"i","vm":"v","network":"gone"}]}})"}),
      ElementsAre(HasSubstr("network \"gone\" does not exist")));
}

/// Why: a kept revision is gone back to also while a card is out that it names.
TEST_F(ApplyTest, ReplaceMayNameAdaptersThatComeLaterIfItSaysSo) {
  const auto replace = [](std::string_view more) {
    return fmt::format(
        R"({{"op":"model.replace","model":{{"adapters":[{{"adapter":"02:00:00:00:00:09","mtu":1600}}],
             "groups":[{{"group":"lan","adapters":["02:00:00:00:00:09"]}}],
             "interfaces":[{{"interface":"i","vm":"v","network":"br020000000008"}}]}}{}}})",
        more);
  };
  EXPECT_THAT(refuse({replace("")}),
              ElementsAre(HasSubstr("there is no adapter \"02:00:00:00:00:09\""),
                          HasSubstr("there is no adapter \"02:00:00:00:00:09\""),
                          HasSubstr("network \"br020000000008\" does not exist")));
  accept({replace(R"(,"allow_pending":true)")});
  EXPECT_EQ(model.adapters.size(), 1U);
  EXPECT_EQ(model.groups.at("lan").adapters.size(), 1U);
}

TEST_F(ApplyTest, ReplaceGivesAnOldAddressToWhoAsksForItNow) {
  accept(
      {web_network,
       R"({"op":"interface.attach","interface":"i","vm":"v","network":"web","address":"10.5.0.20"})"});
  const MacAddress old_mac = model.interfaces.at("i").mac;
  accept({fmt::format(
      R"({{"op":"model.replace","model":{{"networks":[{{"network":"web","kind":"nat","subnet":"10.5.0.0/24"}}],
           "interfaces":[{{"interface":"i","vm":"v","network":"web"}},
                         {{"interface":"j","vm":"v","network":"web","address":"10.5.0.20","mac":"{}"}}]}}}})",
      to_string(old_mac))});
  EXPECT_EQ(model.interfaces.at("j").host_number, 20U);
  EXPECT_NE(model.interfaces.at("i").host_number, 20U);
  EXPECT_NE(model.interfaces.at("i").mac, old_mac);
}

TEST_F(ApplyTest, JsonIsCanonicalAndReadsBackEqual) {
  accept(
      {web_network, web_interface, R"({"op":"adapter.set","adapter":"eth0","mtu":9000})",
       R"({"op":"host.set","uplink_order":["eth1"]})",
       R"({"op":"network.create","network":"q","kind":"nat","subnet":"10.7.0.0/24","dns":["9.9.9.9"],"dhcp":{"from":"10.7.0.5","to":"10.7.0.9","reservations":[{"mac":"52:54:00:00:00:01","address":"10.7.0.5","name":"db"}]}})",
       R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"udp","port":"100-109","to_port":200,"sources":["192.0.2.0/24","10.0.0.0/8"],"adapters":["eth1","eth0"]})",
       R"({"op":"gateway.publish","rule":"s","address":"10.7.0.8","protocol":"tcp","port":100})"});
  const std::string text = to_json_text(model);
  const auto back = model_from_json(text);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(*back, model);
  EXPECT_EQ(to_json_text(*back), text);
  EXPECT_TRUE(text.starts_with(
      R"({"schema_version":1,"adapters":[{"adapter":"02:00:00:00:00:01","mtu":9000,"enabled":true}])"))
      << text;
  EXPECT_EQ(
      to_json_text(Model::defaults()),
      R"({"schema_version":1,"adapters":[],"groups":[],"networks":[{"network":"default","kind":"nat"}],"interfaces":[],"gateway":[],"host":{}})");
  EXPECT_EQ(model_from_json("{").error().code, Errc::corrupt);
  EXPECT_EQ(model_from_json(R"({"schema_version":9})").error().code, Errc::corrupt);
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
