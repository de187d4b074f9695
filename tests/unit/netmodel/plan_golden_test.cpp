// Whole turns, line by line, in the words of ip and nft.
#include "tests/unit/netmodel/plan_fixture.hpp"

namespace edge::netmodel {
namespace {

using namespace test;

using PlanGoldenTest = OneGuestPlan;

TEST_F(PlanGoldenTest, FirstStartWithTwoAdapters) {
  model = Model::defaults();
  facts.adapters[0].lease.reset();
  facts.adapters[1].lease.reset();
  expect_golden("first_start.txt", turn());
}

TEST_F(PlanGoldenTest, NetworkInterfaceAndPublication) {
  model = Model::defaults();
  converge();
  model.networks["web"].subnet = prefix("10.5.0.0/24");
  Interface guest{.vm = "vm1", .network = "web", .mac = mac("52:54:00:00:00:11")};
  guest.host_number = 10;
  model.interfaces["web-1"] = guest;
  model.gateway["http"] =
      GatewayRule{.interface = "web-1", .port_first = 8080, .port_last = 8080, .to_port = 80};
  expect_golden("network_and_publication.txt", turn());
}

TEST_F(PlanGoldenTest, MtuUpAndDown) {
  Interface direct{.vm = "v", .network = bridge0, .mac = mac("52:54:00:00:00:12")};
  model.interfaces["direct"] = direct;
  converge();
  model.adapters[mac("02:00:00:00:00:01")].mtu = 9000;
  std::string text = turn();
  model.adapters[mac("02:00:00:00:00:01")].mtu = 1500;
  text += "\n" + turn();
  expect_golden("mtu_up_and_down.txt", text);
}

TEST_F(PlanGoldenTest, CarrierLossOfOneOfTwo) {
  converge();
  facts.adapters[0].carrier = false;
  expect_golden("carrier_loss.txt", turn());
}

TEST_F(PlanGoldenTest, Takeover) {
  model = Model::defaults();
  facts.adapters[0].lease.reset();
  facts.adapters.pop_back();
  host.kernel.set_admin_up("eth0", true);
  host.kernel.add_foreign_address({.link = "eth0",
                                   .prefix = prefix("192.168.1.9/24"),
                                   .no_prefix_route = false,
                                   .ours = false});
  host.kernel.add_foreign_route({.destination = IpPrefix{},
                                 .link = "eth0",
                                 .gateway = ip("192.168.1.1"),
                                 .metric = 100,
                                 .protocol = 16});
  expect_golden("takeover.txt", turn());
}

TEST_F(PlanGoldenTest, Purge) {
  converge();
  expect_golden("purge.txt", golden_text(make_purge_plan(host.kernel.state())));
}

}  // namespace
}  // namespace edge::netmodel
