// A turn makes the kernel show the model, whoever changed what, and says "verified" only then.
#include "tests/unit/uplink_daemon/life.hpp"

#include <cerrno>

#include <boost/asio/co_spawn.hpp>

namespace edge::uplink {
namespace {

using test::Life;
using test::Machine;

class ReconcilerTest : public testing::Test {
 protected:
  /// Asks for a turn and waits until the reconciler rests, verified.
  bool verified() {
    const auto before = life.reconciler().turns();
    life.reconciler().request("test");
    return life.until([&] { return life.reconciler().turns() > before; }) &&
           life.reconciler().last()->verified;
  }
  Machine machine;
  Life life{machine};
};

TEST_F(ReconcilerTest, OneTurnConvergesAndTheNextWritesNothing) {
  EXPECT_TRUE(verified());
  const auto writes = machine.kernel.writes();
  EXPECT_GT(writes, 0U);
  EXPECT_TRUE(verified());
  EXPECT_EQ(machine.kernel.writes(), writes);
}

TEST_F(ReconcilerTest, WhatSomebodyElseTookAwayComesBack) {
  ASSERT_TRUE(verified());
  machine.kernel.remove_link("n-default");
  EXPECT_TRUE(verified());
  EXPECT_NE(machine.kernel.state().find_link("n-default"), nullptr);
}

TEST_F(ReconcilerTest, AWriteThatFailsIsNotVerifiedAndTheNextTurnHealsIt) {
  machine.kernel.fail_apply(3, ENOBUFS);
  EXPECT_FALSE(verified());
  EXPECT_EQ(life.reconciler().last()->errors.size(), 1U);
  EXPECT_TRUE(verified());
}

TEST_F(ReconcilerTest, AKernelThatCannotBeReadIsAnErrorNotAnEmptyMachine) {
  ASSERT_TRUE(verified());
  const auto writes = machine.kernel.writes();
  machine.kernel.fail_dump(1, ENOBUFS);
  EXPECT_FALSE(verified());
  EXPECT_EQ(machine.kernel.writes(), writes);
  EXPECT_TRUE(verified());
}

TEST_F(ReconcilerTest, RequestsThatComeTogetherMakeOneMoreTurn) {
  for (int i = 0; i < 50; ++i) { life.reconciler().request("burst"); }
  ASSERT_TRUE(life.until([&] { return life.reconciler().turns() >= 1; }));
  for (int i = 0; i < 50; ++i) { life.reconciler().request("burst"); }
  ASSERT_TRUE(verified());
  EXPECT_LE(life.reconciler().turns(), 4U);
}

}  // namespace
}  // namespace edge::uplink
