// The whole turn on both kernels: render, plan, apply, dump, and the next plan is empty.
#include <algorithm>

#include "tests/contract/plan/plan_contract.hpp"

namespace edge::netmodel {
namespace {

using test::bridge0;
using test::bridge1;
using test::lease;
using test::mac;
using test::prefix;

TEST_F(PlanContract, FirstStartAndAnUnchangedModel) { EXPECT_GT(converge(), 20U); }

TEST_F(PlanContract, EachChangeOfFactsConverges) {
  converge();
  facts.adapters[0].carrier = false;
  EXPECT_EQ(converge(), 4U);
  facts.adapters[0].carrier = true;
  facts.adapters[0].lease->classless_routes = {{prefix("10.9.0.0/16"), test::ip("192.168.1.9")},
                                               {prefix("0.0.0.0/0"), test::ip("192.168.1.2")}};
  facts.adapters[0].lease->mtu = 1400;
  converge();
  facts.adapters[0].lease = lease("192.168.1.77/24", "192.168.1.1");
  converge();
  std::swap(facts.adapters[0].lease, facts.adapters[1].lease);
  converge();
  facts.adapters[1].lease = facts.adapters[0].lease;  // One address on both ports.
  converge();
  facts.adapters[1].lease = lease("203.0.113.7/32", "10.0.0.1");
  converge();
  facts.adapters[1].lease.reset();
  converge();
}

TEST_F(PlanContract, EachChangeOfTheModelConverges) {
  converge();
  model.networks["a-network-with-a-long-name"].subnet = prefix("10.5.0.0/24");
  Interface direct{.vm = "v", .network = bridge0, .mac = mac("52:54:00:00:00:12")};
  model.interfaces["direct"] = direct;
  model.adapters[mac("02:00:00:00:00:01")].mtu = 9000;
  converge();
  model.adapters[mac("02:00:00:00:00:01")].mtu = 1500;
  EXPECT_EQ(converge(), 3U);
  model.interfaces["web"].hardware = Hardware::virtio_multiqueue;
  converge();
  model.gateway["http"].sources = {prefix("10.0.0.0/8")};
  model.host.uplink_order = {mac("02:00:00:00:00:02")};
  converge();
  model.adapters[mac("02:00:00:00:00:02")].enabled = false;
  converge();
  model = Model{};
  converge();
}

TEST_F(PlanContract, DriftIsRepairedInOneTurn) {
  converge();
  ip_batch("link delete n-default\nroute flush proto 117\naddress flush dev " + bridge0 +
           "\nlink set eth1 nomaster\nlink set eth1 down\nrule delete priority 9000\n");
  EXPECT_GT(converge(), 5U);
}

TEST_F(PlanContract, ATakeoverKeepsTheMachinesAddressAndAReleaseGivesItBack) {
  facts.adapters[0].lease.reset();
  ip_batch(
      "link set eth0 up\naddress add 192.168.1.9/24 dev eth0\n"
      "route add default via 192.168.1.1 dev eth0 proto 16 metric 100\n");
  converge();
  EXPECT_THAT(ip_output("-4 -brief address show dev " + bridge0),
              testing::HasSubstr("192.168.1.9/24"));
  EXPECT_THAT(ip_output("-4 -brief address show dev eth0"),
              testing::Not(testing::HasSubstr("192.168.1.9")));
  EXPECT_THAT(ip_output("route show proto 16"),
              testing::HasSubstr("default via 192.168.1.1 dev " + bridge0));
  run(make_purge_plan(kernel->dump({}).value()));
  EXPECT_THAT(ip_output("-4 -brief address show dev eth0"), testing::HasSubstr("192.168.1.9/24"));
  EXPECT_THAT(ip_output("route show proto 16"),
              testing::HasSubstr("default via 192.168.1.1 dev eth0 metric 100"));
}

TEST_F(PlanContract, PurgeLeavesNothingOfOurs) {
  const std::string rules_before = ip_output("rule") + ip_output("-6 rule");
  converge();
  run(make_purge_plan(kernel->dump({}).value()));
  const ObservedState after = kernel->dump({}).value();
  for (const ObservedLink& link : after.links) { EXPECT_FALSE(link.ours()) << link.link.name; }
  EXPECT_TRUE(std::ranges::none_of(after.addresses, [](const Address& a) { return a.ours; }));
  EXPECT_TRUE(std::ranges::none_of(after.routes,
                                   [](const Route& r) { return r.protocol == our_protocol; }));
  EXPECT_EQ(ip_output("rule") + ip_output("-6 rule"), rules_before);
  EXPECT_EQ(kernel->dump_nft().value(), std::nullopt);
  EXPECT_TRUE(after.find_link("eth0")->link.admin_up);
}

}  // namespace
}  // namespace edge::netmodel
