// What is said about a machine that others configured: what is taken, what is in the way, what is
// left alone. And the file that gives it back.
#include "uplink/core/takeover.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "uplink/core/machine_before.hpp"

namespace edge::uplink {
namespace {

namespace json = boost::json;
using netmodel::LinkKind;
using netmodel::ObservedLink;

ObservedLink link(const char* name, LinkKind kind, unsigned index, const char* master = "") {
  ObservedLink out;
  out.link.name = name;
  out.link.kind = kind;
  out.link.master = master;
  out.index = IfIndex{index};
  return out;
}

struct Machine {
  netmodel::ObservedState state;
  std::vector<Finding> findings(const Surroundings& around = {}) const {
    std::vector<const ObservedLink*> adapters;
    for (const auto& found : state.links) {
      if (found.link.kind == LinkKind::physical) { adapters.push_back(&found); }
    }
    return takeover_findings(state, adapters, around);
  }
};

TEST(TakeoverTest, AnAdapterInUseIsNamedWithItsAddressAndItsWayOut) {
  Machine machine;
  machine.state.links = {link("eth0", LinkKind::physical, 2)};
  machine.state.addresses = {{"eth0", parse_prefix("192.0.2.5/24").value(), false, false},
                             {"eth0", parse_prefix("fe80::1/64").value(), false, false}};
  netmodel::Route route;
  route.link = "eth0";
  route.destination = parse_prefix("0.0.0.0/0").value();
  route.gateway = parse_ip("192.0.2.1").value();
  machine.state.routes = {route};
  const auto found = machine.findings();
  ASSERT_EQ(found.size(), 1U) << "nothing else is there to be told";
  EXPECT_EQ(found[0].kind, "takeover.adapter");
  EXPECT_EQ(json::serialize(found[0].data.at("addresses")), R"(["192.0.2.5/24"])");
  EXPECT_EQ(json::serialize(found[0].data.at("routes")), R"(["default via 192.0.2.1"])");
}

TEST(TakeoverTest, APortOfAForeignBridgeIsInTheWayAndTheRestIsListed) {
  Machine machine;
  machine.state.links = {link("eth0", LinkKind::physical, 2, "virbr0"),
                         link("virbr0", LinkKind::bridge, 3), link("lo", LinkKind::loopback, 1)};
  const auto found = machine.findings({.nft_tables = {"inet firewalld"}, .managers = {"libvirt"}});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].kind, "takeover.conflict");
  EXPECT_EQ(found[0].data.at("master").as_string(), "virbr0");
  EXPECT_EQ(found[1].kind, "takeover.foreign");
  EXPECT_EQ(json::serialize(found[1].data.at("links")), R"(["bridge virbr0"])");
  EXPECT_EQ(json::serialize(found[1].data.at("nft_tables")), R"(["inet firewalld"])");
}

TEST(TakeoverTest, ARestartFindsItsOwnAndSaysNothing) {
  Machine machine;
  machine.state.links = {link("eth0", LinkKind::physical, 2, "br020000000001"),
                         link("br020000000001", LinkKind::bridge, 3),
                         link("docker0", LinkKind::bridge, 4)};
  machine.state.links[1].link.alias = "gallium:port:020000000001";
  EXPECT_TRUE(machine.findings({.nft_tables = {"ip nat"}, .managers = {}}).empty());
}

TEST(MachineBeforeTest, ComesBackOfItsOwnBootOnly) {
  MachineBefore before{.boot_id = "boot-1", .links = {}, .sysctls = {}};
  before.links["eth0"] = {
      .index = 2, .mtu = 9000, .up = true, .addresses = {"0218"}, .routes = {"02", "03"}};
  before.sysctls["net/ipv4/conf/eth0/forwarding"] = "0";
  const auto same = MachineBefore::from_json(before.to_json(), "boot-1");
  EXPECT_EQ(same.links, before.links);
  EXPECT_EQ(same.sysctls, before.sysctls);
  EXPECT_TRUE(MachineBefore::from_json(before.to_json(), "boot-2").empty());
  EXPECT_TRUE(MachineBefore::from_json("{", "boot-1").empty());
}

}  // namespace
}  // namespace edge::uplink
