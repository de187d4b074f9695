// An orderly end: what is begun is ended before the daemon goes, and nothing else is begun.
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using test::FaultyDisk;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using testing::HasSubstr;

/// As Daemon::stop does it; true from when the daemon may go.
std::shared_ptr<bool> told_to_stop(Life& life) {
  auto over = std::make_shared<bool>(false);
  life.commands().wind_down("the daemon was stopped", [over] { *over = true; });
  return over;
}

TEST(WindDownTest, ATrialIsTakenBackAndItsCauseIsOnDisk) {
  Machine machine;
  const std::uint32_t before = machine.mtu();
  {
    Life life(machine);
    life.path_up();
    ASSERT_TRUE(life.try_out(1, jumbo));
    ASSERT_EQ(machine.mtu(), 9000U);
    life.send(Life::command(2, make_blue));
    ASSERT_TRUE(life.until([&] { return life.heard("stored", 2).has_value(); }));
    const auto over = told_to_stop(life);
    EXPECT_FALSE(*over);
    ASSERT_TRUE(life.until([&] { return *over; }));
    EXPECT_EQ(machine.mtu(), before);
    EXPECT_EQ(life.commands().revision(), 0);
    EXPECT_EQ(life.commands().pending(), 1U) << "what waited behind it is not begun";
    EXPECT_FALSE(life.heard("state", 2));
  }
  Life life(machine);
  life.commands().send_unacked();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("the daemon was stopped"));
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("taken back: revision 0"));
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_EQ(life.undone, 0) << "nothing was left to be undone";
}

TEST(WindDownTest, WhatWaitsForAPathIsNotBegunAndHasItsTurnInTheNextLife) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.paths[0].broken = Step::tcp;
    life.send(Life::command(1, jumbo));
    ASSERT_TRUE(life.until([&] { return life.looks >= 1; })) << "it waits";
    EXPECT_TRUE(*told_to_stop(life)) << "at once";
    life.commands().stop();
    life.trials().stop();
  }
  Life life(machine);
  life.path_up();
  life.confirms = true;
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.result_of(1), "done");
}

TEST(WindDownTest, ATrialOfWhichNothingIsInTheKernelIsNotAppliedAtAll) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.hold_advice = true;
    life.send(Life::command(1, R"({"op":"group.create","group":"lan","adapters":["eth0"]})"));
    ASSERT_TRUE(life.until([&] { return life.advised != nullptr; }));
    const std::size_t writes = machine.kernel.applied().size();
    const auto over = told_to_stop(life);
    EXPECT_FALSE(*over) << "it is on disk as begun";
    life.advised({});
    ASSERT_TRUE(life.until([&] { return *over; }));
    EXPECT_EQ(machine.kernel.applied().size(), writes);
  }
  Life life(machine);
  life.commands().send_unacked();
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("stopped before it was applied"));
}

TEST(WindDownTest, WhatAPersonAsksForWhileTheDaemonStopsIsRefused) {
  Machine machine;
  Life life(machine);
  EXPECT_TRUE(*told_to_stop(life));
  std::string said;
  life.commands().run_local(
      boost::json::parse(Life::command(1, make_blue)).as_object(),
      [&](const boost::json::object& answer) { said = boost::json::serialize(answer); });
  EXPECT_THAT(said, HasSubstr("the daemon is stopping"));
}

TEST(WindDownTest, AChangeThatIsBegunIsFinished) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_TRUE(life.until([&] { return life.heard("state", 1).has_value(); }));
  const auto over = told_to_stop(life);
  EXPECT_FALSE(*over);
  ASSERT_TRUE(life.until([&] { return *over; }));
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_TRUE(machine.has_link("n-blue"));
  life.send(Life::command(2, jumbo));
  ASSERT_TRUE(life.until([&] { return life.heard("stored", 2).has_value(); }));
  EXPECT_EQ(life.commands().pending(), 1U) << "on disk, for the next life";
}

TEST(WindDownTest, WhereNothingRunsTheDaemonMayGoAtOnce) {
  Machine machine;
  Life life(machine);
  EXPECT_TRUE(*told_to_stop(life));
}

TEST(WindDownTest, ADiskThatDoesNotTakeTheEndIsNotWaitedFor) {
  FaultyDisk disk;
  Machine machine;
  const std::uint32_t before = machine.mtu();
  {
    Life life(machine, &disk.death);
    life.path_up();
    ASSERT_TRUE(life.try_out(1, jumbo));
    disk.fail();
    const auto over = told_to_stop(life);
    ASSERT_TRUE(life.until([&] { return *over; }));
    EXPECT_EQ(machine.mtu(), before);
    EXPECT_FALSE(life.heard("result", 1));
  }
  disk.heal();
  Life life(machine);
  ASSERT_TRUE(life.start());
  life.commands().send_unacked();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(machine.mtu(), before);
  EXPECT_EQ(life.commands().revision(), 0);
}

}  // namespace
}  // namespace edge::uplink
