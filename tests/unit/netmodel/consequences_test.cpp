#include "netmodel/core/consequences.hpp"

#include <gmock/gmock.h>

#include <boost/json/serialize.hpp>

#include "netmodel/core/names.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Goal: whoever would notice a change reads it before it is made, and nobody else is named.
class ConsequencesTest : public testing::Test {
 protected:
  ConsequencesTest() {
    for (const AdapterFacts& a : before_facts.adapters) {
      host.kernel.plug_adapter(a.name, a.base_mac);
    }
    const Rendered now = render(before, before_facts);
    before_facts.automatic_subnets = now.automatic_subnets;
    after_facts.automatic_subnets = now.automatic_subnets;
  }
  /// With the plan that leads there.
  Consequences found() {
    host.turn(render(before, before_facts));
    const Plan plan = host.plan(render(after, after_facts)).plan;
    return consequences({before, before_facts}, {after, after_facts}, plan);
  }
  std::vector<std::string> lines() { return to_lines(found()); }
  void attach(const std::string& id, const std::string& network) {
    Interface guest{.vm = "vm-" + id, .network = network};
    guest.mac = generated_mac("hv-01", "interface", id);
    before.interfaces[id] = guest;
  }

  Host host;
  Model before = one_guest();
  Model after = before;
  RenderFacts before_facts = two_ports();
  RenderFacts after_facts = before_facts;
};

TEST_F(ConsequencesTest, AnUnchangedModelAndANewNetworkConcernNobody) {
  EXPECT_THAT(lines(), IsEmpty());
  EXPECT_TRUE(found().leased_port_remains);
  after.networks["web"] = Network{};
  EXPECT_THAT(lines(), IsEmpty());
}

TEST_F(ConsequencesTest, ANewGroupTakesAPortAwayAndPausesAnother) {
  after.groups["lan"] = Group{.adapters = {mac0, mac1}};
  EXPECT_THAT(lines(),
              ElementsAre("port \"eth0\": it becomes a bond, traffic pauses for a moment",
                          "port \"eth1\" joins group \"lan\": its address 172.16.0.7 and its path "
                          "end",
                          "rule \"http\" (tcp 8080) ends at 172.16.0.7 of port \"eth1\""));
}

TEST_F(ConsequencesTest, AGroupThatGoesOrChangesItsModePauses) {
  before.groups["lan"] = Group{.adapters = {mac0, mac1}};
  before_facts.adapters[1].lease.reset();
  EXPECT_THAT(lines(), ElementsAre("group \"lan\": its bond ends, traffic pauses for a moment"));
  after = before;
  after.groups["lan"].mode = GroupMode::lacp;
  EXPECT_THAT(lines(),
              ElementsAre("group \"lan\": its bond is made anew, traffic pauses for a moment"));
  after = before;
  after.groups["lan"].mtu = 9000;
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("MTU 1500 becomes 9000")));
}

TEST_F(ConsequencesTest, ANetworkOverTheConsolesAddressIsNamedAndOverEachOfThemCutsTheLastPath) {
  after_facts.needed = {{.address = ip("203.0.113.13"), .what = "the Console", .is_console = true},
                        {.address = ip("203.0.113.53"), .what = "a resolver"}};
  after.networks["over"] = Network{.kind = NetworkKind::nat, .subnet = prefix("203.0.113.0/26")};
  EXPECT_THAT(lines(),
              ElementsAre("network \"over\": its subnet 203.0.113.0/26 holds 203.0.113.13 of the "
                          "Console",
                          "network \"over\": its subnet 203.0.113.0/26 holds 203.0.113.53 of a "
                          "resolver"));
  EXPECT_FALSE(found().cuts_last_path);
  after.networks["over"].subnet = prefix("203.0.113.12/30");
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("nothing else there can be reached any more")));
  EXPECT_TRUE(found().cuts_last_path);
  after_facts.needed.push_back(
      {.address = ip("198.51.100.7"), .what = "the Console", .is_console = true});
  EXPECT_FALSE(found().cuts_last_path) << "the Console has another address";
}

TEST_F(ConsequencesTest, AnotherSubnetConcernsEachGuestOfItsNetwork) {
  before.networks["lab"] = Network{.kind = NetworkKind::isolated, .subnet = prefix("10.6.0.0/24")};
  attach("quiet", "lab");
  after = before;
  after.networks["lab"].subnet = prefix("10.7.0.0/24");
  EXPECT_THAT(lines(), ElementsAre("VM \"vm-quiet\": interface \"quiet\": network \"lab\" has "
                                   "10.7.0.0/24 in place of 10.6.0.0/24: it needs a new address"));
}

TEST_F(ConsequencesTest, APulledCableEndsThePathAndCutsItsGuests) {
  attach("direct", bridge0);
  after = before;
  after_facts.adapters[0].carrier = false;
  EXPECT_THAT(lines(),
              ElementsAre("port \"eth0\" has no link: its path ends",
                          "VM \"vm-direct\": interface \"direct\" is cut off network "
                          "\"br020000000001\": port \"eth0\" has no link",
                          "rule \"http\" (tcp 8080) ends at 192.168.1.50 of port \"eth0\""));
  EXPECT_TRUE(found().leased_port_remains);
  // One member of a bond is no loss.
  before.groups["lan"] = Group{.adapters = {mac0, mac1}};
  before_facts.adapters[1].lease.reset();
  after_facts.adapters[1].lease.reset();
  after = before;
  EXPECT_THAT(lines(), IsEmpty());
  after_facts.adapters[1].carrier = false;
  const Consequences both = found();
  EXPECT_FALSE(both.leased_port_remains);
  EXPECT_EQ(both.items.front().what, "group \"lan\" has no link: its path ends");
  EXPECT_EQ(both.items.back().kind, "host.unreachable");
}

TEST_F(ConsequencesTest, AManagementVlanNeedsANewLeaseUnlessTheAddressIsStatic) {
  after.groups["lan"] = Group{.adapters = {mac0}, .management_vlan = 7};
  after.gateway.clear();
  before.gateway.clear();
  EXPECT_THAT(lines(),
              ElementsAre("port \"eth0\" moves from br020000000001 to mv020000000001: it needs a "
                          "new lease, its path is dialled anew"));
  after.host.management = Management{.group = "lan", .address = prefix("10.9.0.5/24")};
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("it needs no new lease")));
  before_facts.adapters.pop_back();
  after_facts.adapters.pop_back();
  EXPECT_TRUE(found().leased_port_remains);
  after.host.management.reset();
  EXPECT_FALSE(found().leased_port_remains);
}

TEST_F(ConsequencesTest, GuestsThatMoveGoOrGetANewTapAreNamed) {
  attach("direct", bridge0);
  attach("tagged", "blue");
  Network blue{.kind = NetworkKind::vlan, .adapter = mac0};
  blue.vlan_id = 5;
  before.networks["blue"] = blue;
  before_facts.vlan_filtering = after_facts.vlan_filtering = true;
  host.kernel.allow_vlan_filtering();
  after = before;
  after.interfaces["direct"].network = bridge1;
  after.networks["blue"].vlan_id = 6;
  after.interfaces["web"].hardware = Hardware::virtio_multiqueue;
  EXPECT_THAT(lines(), ElementsAre("VM \"vm-direct\": interface \"direct\" moves from network "
                                   "\"br020000000001\" to \"br020000000002\"",
                                   "VM \"vm-tagged\": interface \"tagged\" moves with its network "
                                   "\"blue\" to VLAN 6",
                                   "VM \"vm1\": interface \"web\" gets a new tap, which the VM has "
                                   "to open"));
  after = before;
  after.gateway.clear();
  after.interfaces.erase("web");
  EXPECT_THAT(lines(), ElementsAre("VM \"vm1\": interface \"web\" on network \"default\" goes",
                                   "rule \"http\" (tcp 8080) ends"));
}

TEST_F(ConsequencesTest, AsJsonEachHasItsKindSubjectAndLine) {
  after.adapters[mac0].enabled = false;
  after.adapters[mac1].enabled = false;
  const Consequences all = found();
  std::vector<std::string> kinds;
  for (const Consequence& item : all.items) { kinds.push_back(item.kind); }
  EXPECT_THAT(kinds, ElementsAre("port.down", "port.down", "publication.ends", "host.unreachable"));
  EXPECT_THAT(boost::json::serialize(to_json(all)),
              HasSubstr(R"({"leased_port_remains":false,"items":[{"kind":"port.down",)"
                        R"("subject":"eth0","what":"port \"eth0\" is switched off: its path )"
                        R"(ends"})"));
  EXPECT_THAT(all.items[2].what, HasSubstr("and is reachable nowhere"));
}

}  // namespace
}  // namespace edge::netmodel
