#include <gmock/gmock.h>

#include <fmt/format.h>

#include "netmodel/core/command.hpp"
#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "tests/unit/netmodel/apply_fixture.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const MacAddress first = mac("02:00:00:00:00:01");
const MacAddress second = mac("02:00:00:00:00:02");
const MacAddress third = mac("02:00:00:00:00:03");

constexpr std::string_view pair_group =
    R"({"op":"group.create","group":"g","adapters":["eth0","eth1"]})";

/// Goal: each rule of groups and of the networks on them, from both sides.
class ApplyGroupsTest : public ApplyFixture {
 protected:
  ApplyGroupsTest() {
    facts.adapters = {{first, "eth0", 68, 9000}, {second, "eth1", 68, 4000}, {third, "eth2", 0, 0}};
  }
  std::vector<std::string> parse_problems(std::string_view operation) {
    const auto parsed = parse_operations(boost::json::parse(fmt::format("[{}]", operation)));
    std::vector<std::string> out;
    if (parsed) { return out; }
    for (const Problem& problem : parsed.error().items()) { out.push_back(problem.what); }
    return out;
  }
};

TEST_F(ApplyGroupsTest, AGroupComesChangesAndGoes) {
  accept({R"({"op":"group.create","group":"g","adapters":["eth1","02:00:00:00:00:01"],
              "primary":"eth0","mtu":4000,"management_vlan":7})"});
  const Group& group = model.groups.at("g");
  EXPECT_THAT(group.adapters, ElementsAre(second, first));
  EXPECT_EQ(group.mode, GroupMode::active_backup);
  EXPECT_EQ(group.primary, first);
  EXPECT_EQ(group.mtu, 4000U);
  EXPECT_EQ(group.management_vlan, 7);
  EXPECT_EQ(leader_of(model, first), second);

  const auto stored = model_from_json(to_json_text(model));
  ASSERT_TRUE(stored) << stored.error().what;
  EXPECT_EQ(*stored, model);

  accept({R"({"op":"group.update","group":"g","primary":null,"mtu":null,"management_vlan":null})"});
  EXPECT_EQ(model.groups.at("g"), (Group{.adapters = {second, first}}));
  accept({R"({"op":"group.delete","group":"g"})"});
  EXPECT_THAT(model.groups, IsEmpty());
  EXPECT_THAT(refuse({R"({"op":"group.delete","group":"g"})"}),
              ElementsAre("group \"g\": there is no such group"));
  EXPECT_THAT(refuse({R"({"op":"group.update","group":"g","mtu":1500})"}),
              ElementsAre(HasSubstr("there is no such group")));
  EXPECT_THAT(refuse({pair_group, pair_group}), ElementsAre(HasSubstr("exists already")));
}

TEST_F(ApplyGroupsTest, AnAdapterBelongsToOneGroupAndMovesInOneCommand) {
  accept({pair_group});
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"h","adapters":["eth2","eth1"]})"}),
              ElementsAre("group \"h\": adapter \"eth1\" is in group \"g\" already; an adapter "
                          "belongs to one group"));
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"a","adapters":["eth1"]})"}),
              ElementsAre(HasSubstr("group \"a\": adapter \"eth1\" is in group \"g\" already")));
  accept({R"({"op":"group.create","group":"h","adapters":["eth2","eth1"]})",
          R"({"op":"group.update","group":"g","adapters":["eth0"]})"});
  EXPECT_EQ(group_of(model, second), "h");
  EXPECT_THAT(refuse({R"({"op":"group.update","group":"g","adapters":[]})"}),
              ElementsAre("group \"g\": a group needs at least one adapter"));
  EXPECT_THAT(refuse({R"({"op":"group.update","group":"g","adapters":["eth0","eth0"]})"}),
              ElementsAre("group \"g\": adapter \"eth0\" is named twice"));
}

TEST_F(ApplyGroupsTest, AnUnknownAdapterIsPendingOnlyWhenAskedFor) {
  constexpr std::string_view coming =
      R"({"op":"group.create","group":"g","adapters":["eth0","02:00:00:00:00:09"])";
  const std::string plain = std::string(coming) + "}";
  EXPECT_THAT(refuse({plain}),
              ElementsAre(HasSubstr("group \"g\": there is no adapter \"02:00:00:00:00:09\"")));
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"g","adapters":["eth9"],
                          "allow_pending":true})"}),
              ElementsAre(HasSubstr("there is no adapter \"eth9\"")));
  const std::string asked = std::string(coming) + R"(,"allow_pending":true})";
  accept({asked});
  EXPECT_THAT(model.groups.at("g").adapters, SizeIs(2));
  accept({R"({"op":"group.update","group":"g","adapters":["02:00:00:00:00:09","eth0"]})"});
  // What follows from a group that was refused is not reported once more.
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"h","adapters":["eth9"]})",
                      R"({"op":"network.create","network":"n","kind":"untagged","group":"h"})"}),
              SizeIs(1));
}

TEST_F(ApplyGroupsTest, ThePrimaryIsAMemberAndBelongsToActiveBackup) {
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],
                          "primary":"eth2"})"}),
              ElementsAre("group \"g\": primary \"eth2\" is no member of the group; allowed: eth0, "
                          "eth1"));
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],
                          "mode":"802.3ad","primary":"eth0"})"}),
              ElementsAre(HasSubstr("primary belongs to mode active-backup")));
  accept({R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],"primary":"eth1"})"});
  EXPECT_THAT(refuse({R"({"op":"group.update","group":"g","adapters":["eth0","eth2"]})"}),
              ElementsAre(HasSubstr("primary \"eth1\" is no member")));
  accept({R"({"op":"group.update","group":"g","mode":"balance-xor"})"});
  EXPECT_FALSE(model.groups.at("g").primary);
}

TEST_F(ApplyGroupsTest, ModesThatBreakGuestsAndArpMonitoringAreRefusedWithTheReason) {
  for (const char* mode : {"balance-rr", "broadcast", "balance-tlb", "balance-alb"}) {
    EXPECT_THAT(
        parse_problems(fmt::format(
            R"({{"op":"group.create","group":"g","adapters":["eth0"],"mode":"{}"}})", mode)),
        ElementsAre(HasSubstr(fmt::format("mode \"{}\" breaks bridged VMs: ", mode))));
  }
  EXPECT_THAT(
      parse_problems(R"({"op":"group.create","group":"g","adapters":["eth0"],"mode":"fast"})"),
      ElementsAre(HasSubstr("allowed: active-backup, balance-xor, 802.3ad")));
  for (const char* key : {"arp_interval", "arp_ip_target", "arp_validate", "arp_missed_max"}) {
    EXPECT_THAT(
        parse_problems(fmt::format(R"({{"op":"group.update","group":"g","{}":"all"}})", key)),
        ElementsAre(HasSubstr(fmt::format("field \"{}\": ARP monitoring does not work", key))));
  }
  EXPECT_THAT(parse_problems(R"({"op":"group.create","group":"g"})"),
              ElementsAre(HasSubstr("\"adapters\" is missing")));
  EXPECT_THAT(parse_problems(R"({"op":"group.update","group":"g","management_vlan":1})"),
              ElementsAre(HasSubstr("management_vlan 1 is out of range 2..4094")));
}

TEST_F(ApplyGroupsTest, TheMtuIsHeldToWhatEveryMembersDriverAllows) {
  for (const int mtu : {1499, 9001}) {
    EXPECT_THAT(parse_problems(fmt::format(
                    R"({{"op":"group.create","group":"g","adapters":["eth0"],"mtu":{}}})", mtu)),
                ElementsAre(HasSubstr(fmt::format("MTU {} is out of range 1500..9000", mtu))));
  }
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],
                          "mtu":9000})"}),
              ElementsAre("group \"g\": MTU 9000 is out of the range 68..4000 that the driver of "
                          "port \"eth1\" allows"));
  accept({R"({"op":"group.create","group":"g","adapters":["eth0","eth2"],"mtu":9000})"});
  facts.adapters[0].mtu_max = 1500;  // Facts change by themselves and block no other command.
  accept({R"({"op":"network.create","network":"n","kind":"nat"})"});
}

TEST_F(ApplyGroupsTest, InfrastructureNeedsTwoFastAdaptersOrTheWordThatItIsAnEvaluation) {
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"g","adapters":["eth0"],
                          "role":"infrastructure"})"}),
              ElementsAre(HasSubstr("needs at least two adapters and has 1; for an evaluation set "
                                    "\"allow_single\"")));
  accept({R"({"op":"group.create","group":"g","adapters":["eth0"],"role":"infrastructure",
              "allow_single":true})"});
  accept({R"({"op":"group.delete","group":"g"})"});
  facts.adapters[1].speed_mbps = 1000;
  constexpr std::string_view both = R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],
                                        "role":"infrastructure"})";
  EXPECT_THAT(refuse({both}),
              ElementsAre(HasSubstr("port \"eth1\" runs at 1000 Mbit/s; an infrastructure group "
                                    "needs 10000 Mbit/s or more")));
  facts.adapters[1].speed_mbps = 10'000;
  accept({both});
}

TEST_F(ApplyGroupsTest, WhatTheKernelLacksIsNamed) {
  facts.bonding = false;
  facts.vlan_filtering = false;
  EXPECT_THAT(refuse({pair_group}), ElementsAre(HasSubstr("this kernel has no bonding")));
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"vlan","adapter":"eth0",
                          "vlan_id":5})"}),
              ElementsAre("network \"n\": this kernel's bridge has no vlan_filtering"));
  EXPECT_THAT(refuse({R"({"op":"group.create","group":"g","adapters":["eth0"],
                          "management_vlan":5})"}),
              ElementsAre(HasSubstr("no vlan_filtering")));
  accept({R"({"op":"group.create","group":"g","adapters":["eth0"]})",
          R"({"op":"network.create","network":"n","kind":"untagged","group":"g"})"});
}

TEST_F(ApplyGroupsTest, ABridgedNetworkIsInExactlyOnePlace) {
  accept({pair_group});
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"untagged"})"}),
              ElementsAre(HasSubstr("needs exactly one of \"group\" and \"adapter\"")));
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"untagged","group":"g",
                          "adapter":"eth2"})"}),
              ElementsAre(HasSubstr("needs exactly one of \"group\" and \"adapter\"")));
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"untagged","group":"h"})"}),
              ElementsAre("network \"n\": group \"h\" does not exist"));
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"untagged",
                          "adapter":"eth9"})"}),
              ElementsAre(HasSubstr("there is no adapter \"eth9\"")));
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"untagged",
                          "adapter":"eth1"})"}),
              ElementsAre("network \"n\": adapter \"eth1\" is a member of group \"g\"; name the "
                          "group"));
  accept({R"({"op":"network.create","network":"n","kind":"untagged","group":"g"})"});
  EXPECT_EQ(bridged_network_leader(model, "n"), first);
  // Naming the other place is a move.
  accept({R"({"op":"network.update","network":"n","adapter":"eth2"})"});
  EXPECT_EQ(bridged_network_leader(model, "n"), third);
  accept({R"({"op":"network.update","network":"n","group":"g"})"});
  EXPECT_FALSE(model.networks.at("n").adapter);
}

struct BadNetwork {
  const char* fields;
  const char* problem;
};

TEST_F(ApplyGroupsTest, AVlanNetworkHasAnIdAndNoSubnet) {
  for (const BadNetwork& c : {
           BadNetwork{R"("kind":"vlan")", "a vlan network needs \"vlan_id\" (2..4094)"},
           BadNetwork{R"("kind":"untagged","vlan_id":5)",
                      "field \"vlan_id\" does not belong to kind untagged"},
           BadNetwork{R"("kind":"vlan","vlan_id":5,"subnet":"10.5.0.0/24")",
                      "field \"subnet\" does not belong to kind vlan"},
           BadNetwork{R"("kind":"vlan","vlan_id":5,"subnet6":"fd00::/64")", "field \"subnet6\""},
           BadNetwork{R"("kind":"vlan","vlan_id":5,"dhcp":false)", "field \"dhcp\""},
           BadNetwork{R"("kind":"vlan","vlan_id":5,"dns":["9.9.9.9"])", "field \"dns\""},
       }) {
    const std::string op =
        fmt::format(R"({{"op":"network.create","network":"n","adapter":"eth0",{}}})", c.fields);
    EXPECT_THAT(refuse({op}), ElementsAre(HasSubstr(c.problem))) << c.fields;
  }
  for (const char* id : {"0", "1", "4095", "-1", "\"x\""}) {
    EXPECT_THAT(parse_problems(fmt::format(
                    R"({{"op":"network.create","network":"n","kind":"vlan","vlan_id":{}}})", id)),
                SizeIs(1))
        << id;
  }
  for (const char* id : {"2", "4094"}) {
    const std::string op = fmt::format(
        R"({{"op":"network.create","network":"n{0}","kind":"vlan","adapter":"eth0","vlan_id":{0}}})",
        id);
    accept({op});
  }
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"br020000000001","kind":"untagged",
                          "adapter":"eth0"})"}),
              Contains(HasSubstr("are kept for the untagged networks of adapters")));
}

TEST_F(ApplyGroupsTest, AVlanIdAndTheUntaggedNetworkAreTakenOncePerGroup) {
  accept({pair_group, R"({"op":"network.create","network":"u","kind":"untagged","group":"g"})",
          R"({"op":"network.create","network":"five","kind":"vlan","group":"g","vlan_id":5})"});
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"a","kind":"untagged","group":"g"})"}),
              ElementsAre(HasSubstr("network \"a\": network \"u\" is the untagged one of this "
                                    "group already")));
  EXPECT_THAT(
      refuse({R"({"op":"network.create","network":"z","kind":"vlan","group":"g","vlan_id":5})"}),
      ElementsAre("network \"z\": VLAN id 5 is that of network \"five\" already"));
  // The leader's name is another word for its group.
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"z","kind":"vlan","adapter":"eth0",
                          "vlan_id":5})"}),
              ElementsAre(HasSubstr("VLAN id 5 is that of network \"five\"")));
  accept({R"({"op":"network.create","network":"z","kind":"vlan","adapter":"eth2","vlan_id":5})",
          R"({"op":"network.create","network":"y","kind":"untagged","adapter":"eth2"})"});
  EXPECT_THAT(refuse({R"({"op":"group.update","group":"g","management_vlan":5})"}),
              ElementsAre(HasSubstr("VLAN id 5 is the management VLAN of group \"g\"")));
  accept({R"({"op":"group.update","group":"g","management_vlan":6})"});
  EXPECT_EQ(port_l3_name(model, second), "mv020000000001");
  EXPECT_THAT(tagged_vlans(model).at(first), ElementsAre(5, 6));
}

TEST_F(ApplyGroupsTest, WhatHasUsersStays) {
  accept({pair_group, R"({"op":"network.create","network":"u","kind":"untagged","group":"g"})",
          R"({"op":"interface.attach","interface":"i","vm":"v","network":"u"})"});
  EXPECT_THAT(refuse({R"({"op":"group.delete","group":"g"})"}),
              ElementsAre("group \"g\": 1 network is on it (u); delete or move it first"));
  EXPECT_THAT(refuse({R"({"op":"network.delete","network":"u"})"}),
              ElementsAre(HasSubstr("1 interface is attached (i); detach first")));
  EXPECT_THAT(refuse({R"({"op":"interface.update","interface":"i","host_number":5})"}),
              ElementsAre(HasSubstr("is bridged")));
}

/// Why: the untagged network and the port of an adapter end where it joins another one.
TEST_F(ApplyGroupsTest, AnAdapterWhosePortIsInUseDoesNotBecomeAMember) {
  accept({R"({"op":"interface.attach","interface":"lead","vm":"v","network":"br020000000001"})",
          R"({"op":"interface.attach","interface":"i","vm":"v","network":"br020000000002"})",
          R"({"op":"interface.attach","interface":"nat","vm":"v","network":"default"})",
          R"({"op":"gateway.publish","rule":"r","interface":"nat","protocol":"tcp","port":80,
              "adapters":["eth1"]})"});
  EXPECT_THAT(refuse({pair_group}),
              ElementsAre("group \"g\": adapter \"eth1\" cannot join while 1 interface is on its "
                          "untagged network \"br020000000002\" (i); detach or move it first",
                          "group \"g\": adapter \"eth1\" cannot join while 1 publication arrives "
                          "on it alone (r); withdraw it or publish on \"eth0\" first"));
  accept({pair_group, R"({"op":"interface.update","interface":"i","network":"br020000000001"})",
          R"({"op":"gateway.withdraw","rule":"r"})"});
  EXPECT_THAT(
      refuse({R"({"op":"interface.update","interface":"i","network":"br020000000002"})"}),
      ElementsAre(HasSubstr("interface \"i\": network \"br020000000002\" is that of port \"eth1\", "
                            "which is a member of group \"g\"; use \"br020000000001\"")));
  EXPECT_THAT(refuse({R"({"op":"gateway.publish","rule":"r","interface":"nat","protocol":"tcp",
                          "port":80,"adapters":["eth1"]})"}),
              ElementsAre("rule \"r\": adapter \"eth1\" is a member of group \"g\"; publish on its "
                          "port \"eth0\""));
  EXPECT_THAT(refuse({R"({"op":"path.drain","adapter":"eth1"})"}),
              ElementsAre(HasSubstr("is a member of group \"g\"; drain its port \"eth0\"")));
  accept({R"({"op":"path.drain","adapter":"eth0"})"});
  accept({R"({"op":"port.identify","adapter":"eth1"})"});
}

/// Why: the kernel answers the 1,024th port of a bridge with "Exchange full".
TEST_F(ApplyGroupsTest, ABridgeHasNoMorePortsThanTheKernelAllows) {
  accept({R"({"op":"network.create","network":"u","kind":"untagged","adapter":"eth0"})"});
  for (int i = 0; i < 1022; ++i) {
    Interface interface{.vm = "v", .network = i % 2 == 0 ? "u" : "br020000000001"};
    interface.mac = generated_mac("hv-01", "interface", std::to_string(i));
    model.interfaces[fmt::format("i{}", i)] = interface;
  }
  EXPECT_TRUE(validate(model, facts).empty());
  constexpr std::string_view one_more =
      R"({"op":"interface.attach","interface":"z","vm":"v","network":"u"})";
  EXPECT_THAT(refuse({one_more}),
              ElementsAre("interface \"z\": the bridge of port \"eth0\" has no port left: the "
                          "kernel allows 1023, 1022 interfaces are attached"));
  accept({R"({"op":"interface.attach","interface":"z","vm":"v","network":"br020000000003"})"});
  model.interfaces.erase("z");
  model.interfaces.erase(std::prev(model.interfaces.end()));
  facts.foreign_ports = {{port_bridge_name(first), {"vnet0"}}};
  EXPECT_THAT(
      refuse({R"({"op":"interface.attach","interface":"z","vm":"v",
                          "network":"br020000000001"})"}),
      ElementsAre(HasSubstr("the kernel allows 1023, 1021 interfaces and 1 ports of somebody "
                            "else are attached")));
}

/// Why: a VM manager puts taps of its own into our bridges; they are guests like the model's.
TEST_F(ApplyGroupsTest, PortsThatSomebodyElsePutIntoABridgeCountAsAttached) {
  accept({R"({"op":"network.create","network":"n","kind":"nat","subnet":"10.50.0.0/24"})"});
  facts.foreign_ports = {{"n-n", {"vnet0", "vnet1"}}, {port_bridge_name(second), {"vnet2"}}};
  const auto gone = ElementsAre(
      "network \"n\": 2 ports that somebody else put into its bridge n-n are attached (vnet0, "
      "vnet1); take them out first: ip link set vnet0 nomaster");
  EXPECT_THAT(refuse({R"({"op":"network.delete","network":"n"})"}), gone);
  EXPECT_THAT(refuse({R"({"op":"model.replace","model":{}})"}), gone);
  EXPECT_THAT(
      refuse({pair_group}),
      ElementsAre(HasSubstr("adapter \"eth1\" cannot join: a port that somebody else put into "
                            "its bridge br020000000002 is attached (vnet2); take it out "
                            "first: ip link set vnet2 nomaster")));
  facts.foreign_ports.clear();
  accept({R"({"op":"network.delete","network":"n"})", pair_group});
}

TEST_F(ApplyGroupsTest, AWholeModelWithGroupsReplacesTheOldOne) {
  accept({pair_group});
  accept({R"({"op":"model.replace","model":{"groups":[{"group":"h","adapters":["eth1","eth0"],
              "mode":"802.3ad"}],"networks":[{"network":"n","kind":"vlan","group":"h","vlan_id":9}],
              "interfaces":[{"interface":"i","vm":"v","network":"n"}]}})"});
  EXPECT_EQ(bridged_network_leader(model, "n"), second);
  EXPECT_FALSE(model.groups.contains("g"));
  const std::string again =
      fmt::format(R"({{"op":"model.replace","model":{}}})", to_json_text(model));
  const Model before = model;
  accept({again});
  EXPECT_EQ(model, before);
}

/// Why: what somebody sends by mistake or in anger may not fill memory or an answer.
TEST_F(ApplyGroupsTest, TenThousandAndOneProblemsAnswerInBoundedSize) {
  std::string list;
  for (int i = 0; i < 10'000; ++i) {
    list += fmt::format(
        R"({}{{"op":"network.create","network":"n{}","kind":"vlan","group":"none","vlan_id":{}}})",
        i == 0 ? "" : ",", i, i == 0 ? 4095 : 5);
  }
  const auto parsed = parse_operations(boost::json::parse("[" + list + "]"));
  ASSERT_FALSE(parsed);
  boost::json::array operations = boost::json::parse("[" + list + "]").as_array();
  operations.erase(operations.begin());
  const auto sound = parse_operations(operations);
  ASSERT_TRUE(sound);
  const ApplyOutcome result = apply_operations(model, *sound, facts);
  EXPECT_EQ(result.problems.total(), 9'999U);
  EXPECT_THAT(result.problems.items(), SizeIs(Problems::problems_max));
}

}  // namespace
}  // namespace edge::netmodel
