// A turn makes the kernel show the model, whoever changed what, and says "verified" only then.
#include "tests/unit/uplink_daemon/life.hpp"

#include <cerrno>

#include <fmt/format.h>
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

TEST_F(ReconcilerTest, ALinkThatIsKeptIsOursAgainWhenTheModelNamesIt) {
  life.send(Life::command(1, test::make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  const std::string whole = netmodel::to_json_text(life.model());
  life.reconciler().keep({"n-blue"});
  life.send(Life::command(2, R"({"op":"network.delete","network":"blue"})"));
  ASSERT_EQ(life.result_of(2), "done");
  ASSERT_TRUE(verified());
  EXPECT_TRUE(machine.has_link("n-blue")) << "nobody says what it is";
  life.send(Life::command(3, fmt::format(R"({{"op":"model.replace","model":{}}})", whole)));
  EXPECT_EQ(life.result_of(3), "done") << life.text_of("result", 3);
  EXPECT_TRUE(life.reconciler().last()->conflicts.empty());
  life.reconciler().keep({});
  EXPECT_TRUE(verified());
  EXPECT_TRUE(machine.has_link("n-blue"));
}

TEST_F(ReconcilerTest, RequestsThatComeTogetherMakeOneMoreTurn) {
  for (int i = 0; i < 50; ++i) { life.reconciler().request("burst"); }
  ASSERT_TRUE(life.until([&] { return life.reconciler().turns() >= 1; }));
  for (int i = 0; i < 50; ++i) { life.reconciler().request("burst"); }
  ASSERT_TRUE(verified());
  EXPECT_LE(life.reconciler().turns(), 4U);
}

TEST(TurnResultTest, KnownTroubleDoesNotStandForTheRestOfTheModel) {
  TurnResult turn;
  const std::vector<std::string> known{"mtu: refused"};
  turn.errors = known;
  turn.refused = turn.rest = {"ip link set eth0 mtu 9000"};
  EXPECT_TRUE(turn.shows_but(known)) << "only what it refuses as before";
  EXPECT_FALSE(turn.shows_but({})) << "a trouble that is new";
  turn.rest.emplace_back("ip link add n-blue type bridge");
  EXPECT_FALSE(turn.shows_but(known)) << "somebody takes our bridge away all the time";

  TurnResult
      beside;  // A conflict is known and in no plan: what is planned has to show all the same.
  beside.conflicts = known;
  beside.verified = true;
  EXPECT_TRUE(beside.shows_but(known));
  beside.verified = false;
  beside.rest = {"ip link add n-blue type bridge"};
  EXPECT_FALSE(beside.shows_but(known));
}

}  // namespace
}  // namespace edge::uplink
