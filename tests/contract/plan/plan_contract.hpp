// A host of veth pairs in a namespace of the test's own, and whole turns on it: render, plan,
// apply, dump, plan again.
#pragma once

#include <memory>

#include <gmock/gmock.h>

#include "netmodel/io/nft_kernel.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {

/// Goal: one turn brings the kernel to the model from wherever it was, and the next one writes
/// nothing. Method: two veth pairs with a cable in them stand for the adapters, in a namespace of
/// the test's own.
class PlanContract : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    ip_batch(
        "link set lo up\n"
        "link add eth0 address 02:00:00:00:00:01 type veth peer name wire0\n"
        "link add eth1 address 02:00:00:00:00:02 type veth peer name wire1\n"
        "link set wire0 up\nlink set wire1 up\n");
    auto opened_nft = NftKernel::create();
    ASSERT_TRUE(opened_nft) << opened_nft.error().what;
    nft = std::move(*opened_nft);
    auto opened = RtnetlinkKernel::open(nft.get());
    ASSERT_TRUE(opened) << opened.error().what;
    kernel = std::move(*opened);
    const auto features = kernel->probe_features();
    ASSERT_TRUE(features) << features.error().what;
    facts.vlan_filtering = features->vlan_filtering;
    facts.ipv6 = features->ipv6;
    for (AdapterFacts& adapter : facts.adapters) { adapter.mtu_max = 9000; }
  }

  Planned plan() {
    rendered = render(model, facts);
    facts.automatic_subnets = rendered.automatic_subnets;
    const auto observed = kernel->dump(sysctl_paths(rendered.state));
    EXPECT_TRUE(observed) << observed.error().what;
    const auto table = kernel->dump_nft();
    EXPECT_TRUE(table) << table.error().what;
    return make_plan(rendered.state, rendered.nft, *observed, *table);
  }
  void run(const Plan& operations) {
    for (const Operation& operation : operations) {
      const auto done = kernel->apply(operation);
      EXPECT_TRUE(done) << to_text(operation) << ": " << (done ? "" : done.error().what);
    }
  }
  /// Returns how many operations the turn took.
  std::size_t converge() {
    const Planned first = plan();
    EXPECT_TRUE(first.conflicts.empty());
    run(first.plan);
    EXPECT_EQ(test::text_of(plan().plan), "");
    const auto writes = kernel->writes();
    run(plan().plan);
    EXPECT_EQ(kernel->writes(), writes);
    return first.plan.size();
  }

  std::unique_ptr<NftKernel> nft;
  std::unique_ptr<RtnetlinkKernel> kernel;
  RenderFacts facts = test::two_ports();
  Model model = test::one_guest();
  Rendered rendered;
};

}  // namespace edge::netmodel
