#include "netmodel/core/apply_operations.hpp"

#include <gmock/gmock.h>

#include <fmt/format.h>

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

using ApplyTest = ApplyFixture;

std::string replace_by(const Model& wanted) {
  return fmt::format(R"({{"op":"model.replace","model":{}}})", to_json_text(wanted));
}

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
  const Model unaware = model;
  for (const std::string_view operation :
       {R"("adapter.set","adapter":"02:00:00:00:00:09","mtu":9000)",
        R"("network.create","network":"u","kind":"untagged","adapter":"02:00:00:00:00:09")",
        R"("gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":80,
              "adapters":["02:00:00:00:00:09"])",
        R"("host.set","uplink_order":["02:00:00:00:00:09","eth0"])"}) {
    model = unaware;
    EXPECT_THAT(refuse({with(operation, R"("allow_pending":false)")}),
                Contains(AllOf(HasSubstr("there is no adapter \"02:00:00:00:00:09\""),
                               HasSubstr("for a card that comes later set \"allow_pending\""))))
        << operation;
    accept({with(operation, R"("allow_pending":true)")});
  }
  // What an operation made known, those after it may name.
  model = unaware;
  accept({R"({"op":"adapter.set","adapter":"02:00:00:00:00:0a","mtu":9000,"allow_pending":true})",
          R"({"op":"host.set","uplink_order":["02:00:00:00:00:0a"]})"});
  // Nobody can be asked to light up, or to spare, a card that is not there.
  EXPECT_THAT(refuse({R"({"op":"port.identify","adapter":"02:00:00:00:00:0b"})"}),
              ElementsAre(Not(HasSubstr("allow_pending"))));
}

TEST_F(ApplyTest, NothingIsAppliedInPart) {
  const auto result = outcome({web_network, R"({"op":"network.delete","network":"nope"})",
                               R"({"op":"port.identify","adapter":"eth0"})"});
  EXPECT_FALSE(result.model);
  EXPECT_THAT(result.actions, IsEmpty());
  ASSERT_EQ(result.problems.total(), 1U);
  EXPECT_EQ(result.problems.items()[0].op, 1U);
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

/// Why: nobody asked for the old number, so nobody can be told that it does not fit any more.
TEST_F(ApplyTest, ReplaceGivesANewAddressWhereTheOldOneIsNotToBeHad) {
  accept(
      {web_network,
       R"({"op":"interface.attach","interface":"i","vm":"v","network":"web","address":"10.5.0.200"})",
       R"({"op":"interface.attach","interface":"j","vm":"v","network":"web","address":"10.5.0.15"})"});
  const auto guests_on = [&](std::string_view network) {
    const auto result = outcome({fmt::format(
        R"({{"op":"model.replace","model":{{"networks":[{{"network":"web",{}}}],
             "interfaces":[{{"interface":"i","vm":"v","network":"web"}},
                           {{"interface":"j","vm":"v","network":"web"}}]}}}})",
        network)});
    EXPECT_TRUE(result.model) << network << ": " << result.problems.items().front().what;
    return result.model.value_or(model).interfaces;
  };
  const auto reserved_for = [](std::string_view mac_address) {
    return fmt::format(
        R"("kind":"nat","subnet":"10.5.0.0/24","dhcp":{{"reservations":[{{"mac":"{}","address":"10.5.0.200"}}]}})",
        mac_address);
  };
  const auto moved = guests_on(R"("kind":"nat","subnet":"10.6.0.0/24")");
  EXPECT_EQ(moved.at("i").host_number, 200U);
  EXPECT_EQ(moved.at("j").host_number, 15U);

  const auto smaller = guests_on(R"("kind":"nat","subnet":"10.5.0.0/28")");  // .15 is broadcast.
  EXPECT_LE(smaller.at("i").host_number.value(), 14U);
  EXPECT_LE(smaller.at("j").host_number.value(), 14U);
  EXPECT_NE(smaller.at("i").host_number, smaller.at("j").host_number);
  const auto just_enough = guests_on(R"("kind":"nat","subnet":"10.5.0.0/27")");
  EXPECT_EQ(just_enough.at("j").host_number, 15U);

  const auto reserved = guests_on(reserved_for("52:54:00:00:00:01"));
  EXPECT_NE(reserved.at("i").host_number.value(), 200U);
  EXPECT_EQ(reserved.at("j").host_number, 15U);
  const auto its_own = guests_on(reserved_for(to_string(model.interfaces.at("i").mac)));
  EXPECT_EQ(its_own.at("i").host_number, 200U);

  const auto bridged = guests_on(R"("kind":"untagged","adapter":"eth0")");
  EXPECT_FALSE(bridged.at("i").host_number);
}

/// Why: a rollback names everything. A lease that came later is no reason to refuse it.
TEST_F(ApplyTest, ReplaceIsNotRefusedForASubnetThatStoodBeforeTheLeaseCame) {
  const auto leases = facts.taken;
  facts.taken.clear();
  accept({R"({"op":"network.create","network":"lan","kind":"nat","subnet":"192.168.1.0/24"})"});
  facts.taken = leases;
  Model wanted = model;
  wanted.networks["more"].subnet = prefix("10.7.0.0/24");
  accept({replace_by(wanted)});
  EXPECT_EQ(model, wanted);

  wanted.networks.at("lan").subnet = prefix("192.168.0.0/16");
  EXPECT_THAT(refuse({replace_by(wanted)}),
              ElementsAre("network \"lan\": subnet 192.168.0.0/16 overlaps 192.168.1.0/24 of the "
                          "lease of port \"eth0\""));
  wanted = model;
  wanted.networks["late"].subnet = prefix("192.168.1.128/25");
  EXPECT_THAT(refuse({replace_by(wanted)}),
              ElementsAre("network \"late\": subnet 192.168.1.128/25 overlaps 192.168.1.0/24 of "
                          "network \"lan\"",
                          HasSubstr("network \"late\": subnet 192.168.1.128/25 overlaps "
                                    "192.168.1.0/24 of the lease")));
  // What came with the same command is new, whoever says it twice.
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"late","kind":"nat",
                          "subnet":"192.168.1.128/25"})",
                      replace_by(wanted)}),
              testing::SizeIs(2));
  EXPECT_THAT(
      refuse({replace_by(model), R"({"op":"network.update","network":"lan","dns":["9.9.9.9"]})"}),
      ElementsAre(HasSubstr("network \"lan\": subnet 192.168.1.0/24 overlaps")));
}

TEST_F(ApplyTest, ReplaceIsNotRefusedForWhatCardsHaveBecome) {
  accept(
      {R"({"op":"adapter.set","adapter":"eth0","mtu":9000})",
       R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],"role":"infrastructure"})",
       web_network,
       R"({"op":"gateway.publish","rule":"r","address":"10.5.0.9","protocol":"tcp","port":443})"});
  facts.adapters[0].mtu_max = 4000;
  facts.adapters[1].speed_mbps = 1000;
  facts.bonding = false;
  facts.reserved_ports.push_back({Transport::tcp, 443, "the REST service"});
  Model wanted = model;
  wanted.networks["more"].subnet = prefix("10.7.0.0/24");
  accept({replace_by(wanted)});
  EXPECT_EQ(model, wanted);

  wanted.adapters.at(mac("02:00:00:00:00:01")).mtu = 8000;
  wanted.groups.at("g").mtu = 1500;
  wanted.gateway.at("r").to_port = 8443;
  EXPECT_THAT(refuse({replace_by(wanted)}),
              ElementsAre(HasSubstr("MTU 8000 is out of the range 68..4000"),
                          HasSubstr("port \"eth1\" runs at 1000 Mbit/s"),
                          HasSubstr("this kernel has no bonding"),
                          "rule \"r\": tcp port 443 is used by the REST service"));
}

/// Why: what is in force is not judged again, whatever stands before it in the command; what
/// follows is.
TEST_F(ApplyTest, ReplaceByWhatIsInForceIsNotRefused) {
  const auto leases = facts.taken;
  facts.taken.clear();
  accept({R"({"op":"network.create","network":"lan","kind":"nat","subnet":"192.168.1.0/24"})",
          web_network, web_interface});
  facts.taken = leases;
  facts.adapters[0].mtu_max = 1000;
  const Model in_force = model;
  const std::string same = replace_by(model);
  constexpr std::string_view late =
      R"({"op":"network.create","network":"late","kind":"nat","subnet":"192.168.1.128/25"})";
  constexpr std::string_view detach = R"({"op":"interface.detach","interface":"i"})";
  constexpr std::string_view drain = R"({"op":"path.drain","adapter":"eth0","seconds":60})";
  for (const std::string_view before : {std::string_view(same), detach, late, drain}) {
    SCOPED_TRACE(before);
    const ApplyOutcome found = outcome({before, same});
    ASSERT_TRUE(found.model) << found.problems.items().front().what;
    EXPECT_EQ(*found.model, in_force);
    EXPECT_EQ(found.actions.empty(), before != drain);
  }
  EXPECT_THAT(refuse({same, late}), testing::SizeIs(2));
  EXPECT_FALSE(outcome({same, detach}).model->interfaces.contains("i"));
}

/// Why: a rollback names everything, also the card that has died since.
TEST_F(ApplyTest, ReplaceIsNotRefusedForACardThatHasDiedWhereverTheModelNamesIt) {
  accept({web_network, web_interface});
  const Model unaware = model;
  const auto both = facts.adapters;
  for (const std::string_view operation :
       {R"({"op":"adapter.set","adapter":"eth1","enabled":false})",
        R"({"op":"group.create","group":"g","adapters":["eth1"]})",
        R"({"op":"network.create","network":"u","kind":"untagged","adapter":"eth1"})",
        R"({"op":"interface.attach","interface":"p","vm":"v","network":"br020000000002"})",
        R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":80,
              "adapters":["eth1"]})",
        R"({"op":"host.set","uplink_order":["eth1","eth0"]})",
        R"({"op":"host.set","management":{"adapter":"eth1","address":"192.0.2.10/24"}})"}) {
    SCOPED_TRACE(operation);
    model = unaware;
    facts.adapters = both;
    accept({operation});
    facts.adapters.pop_back();
    const Model wanted = model;
    accept({replace_by(wanted)});
    EXPECT_EQ(model, wanted);
    // Once known, it may be named in another place too, and by its MAC address only.
    constexpr std::string_view by_mac =
        R"({"op":"adapter.set","adapter":"02:00:00:00:00:02","mtu":1500})";
    EXPECT_TRUE(outcome({by_mac}).model);
    EXPECT_THAT(refuse({R"({"op":"adapter.set","adapter":"eth1","mtu":1500})"}),
                ElementsAre(HasSubstr("there is no adapter \"eth1\"")));
    model = unaware;
    EXPECT_THAT(refuse({by_mac}), ElementsAre(HasSubstr("there is no adapter")));
  }
}

TEST_F(ApplyTest, ReplaceIsRefusedForACardThatNobodyNamedBefore) {
  const MacAddress nobody = mac("02:00:00:00:00:09");
  accept({web_network, web_interface,
          R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":80,
              "adapters":["eth1"]})"});
  Model wanted = model;
  wanted.networks["u"] = Network{.kind = NetworkKind::untagged};
  wanted.networks["u"].adapter = nobody;
  wanted.gateway.at("r").adapters = {nobody};
  wanted.host.uplink_order = {nobody};
  wanted.host.management = Management{.adapter = nobody, .address = prefix("192.0.2.10/24")};
  const auto unknown = HasSubstr("there is no adapter \"02:00:00:00:00:09\"");
  EXPECT_THAT(refuse({replace_by(wanted)}),
              ElementsAre(unknown, unknown, unknown, unknown, HasSubstr("name \"group\" or")));
}

TEST_F(ApplyTest, WhatReplaceBringsIsToBlameAndNotWhatItFound) {
  accept(
      {web_network,
       R"({"op":"gateway.publish","rule":"r","address":"10.5.0.9","protocol":"tcp","port":443})"});
  Model wanted = model;
  wanted.networks["a"].subnet = prefix("10.5.0.0/16");
  wanted.gateway["a"] = model.gateway.at("r");
  EXPECT_THAT(
      refuse({replace_by(wanted)}),
      ElementsAre("network \"a\": subnet 10.5.0.0/16 overlaps 10.5.0.0/24 of network \"web\"",
                  "rule \"a\": tcp port 443 is published by rule \"r\" already"));
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
  EXPECT_EQ(model_from_json(R"({"schema_version":0})").error().code, Errc::corrupt);
  const auto newer = model_from_json(R"({"schema_version":9,"moons":[]})");
  EXPECT_EQ(newer.error().code, Errc::unsupported);
  EXPECT_THAT(newer.error().what, HasSubstr("schema_version 9, this program knows 1..1"));
}

}  // namespace
}  // namespace edge::netmodel
