// The random walk of the unit tests on a kernel that has bonding and VLANs.
#include "tests/contract/plan/plan_contract.hpp"
#include "tests/unit/netmodel/random_walk.hpp"

namespace edge::netmodel {
namespace {

using namespace test;

/// Goal: what the fake kernel takes, the stock kernel takes as well, and shows as it was wanted,
/// whatever came before; also where the daemon died half way.
class WalkContract : public PlanContract {
 protected:
  void SetUp() override {
    PlanContract::SetUp();
    ASSERT_TRUE(facts.vlan_filtering) << "for a kernel with vlan_filtering";
    ip_batch(
        "link add eth2 address 02:00:00:00:00:03 type veth peer name wire2\n"
        "link add eth3 address 02:00:00:00:00:04 type veth peer name wire3\n"
        "link set wire2 up\nlink set wire3 up\n");
  }
};

TEST_F(WalkContract, OneTurnIsEnoughFromAnyModelToAnyOther) {
  for (unsigned seed = 0; seed < 4 && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomWalk walk(seed, 4);
    walk.facts.vlan_filtering = seed != 0;
    for (int step = 0; step < 6 && !HasFailure(); ++step) {
      walk.step();
      model = walk.model;
      facts = walk.facts;
      SCOPED_TRACE(to_json_text(model));
      if (walk.draw(3) == 0) {
        Plan part = plan().plan;
        part.resize(walk.draw(static_cast<unsigned>(part.size()) + 1));
        run(part);
      }
      converge();
    }
    run(make_purge_plan(kernel->dump({}).value()));
    const ObservedState left = kernel->dump({}).value();
    for (const ObservedLink& link : left.links) {
      EXPECT_FALSE(link.ours()) << link.link.name;
      if (!link.link.name.starts_with("eth")) { continue; }
      EXPECT_TRUE(link.link.admin_up && link.link.master.empty()) << link.link.name;
    }
  }
}

}  // namespace
}  // namespace edge::netmodel
