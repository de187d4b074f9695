// Commands that can touch a path, over a fake kernel and a real store.
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using test::Life;
using test::Machine;
using testing::HasSubstr;

constexpr const char* jumbo = R"({"op":"adapter.set","adapter":"eth0","mtu":9000})";
constexpr const char* off = R"({"op":"adapter.set","adapter":"eth0","enabled":false})";

std::uint32_t mtu_of(Machine& machine) {
  return machine.kernel.dump({}).value().find_link("eth0")->link.mtu.value_or(0);
}

std::string confirm(int n) { return fmt::format(R"({{"type":"confirm","id":"{}"}})", Life::id(n)); }

TEST(TrialCommandsTest, AChangeOfAPortIsKeptAfterAFreshWelcomeAndAConfirm) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.trials().running() && life.paths[0].welcomes == 2; }));
  EXPECT_EQ(mtu_of(machine), 9000U);
  EXPECT_EQ(life.commands().revision(), 0);
  life.send(confirm(1));
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(TrialCommandsTest, WithoutAConfirmItIsTakenBackAndTheReasonIsTold) {
  Machine machine;
  Life life(machine);
  life.path_up();
  const std::uint32_t before = mtu_of(machine);
  life.send(Life::command(1, jumbo, R"(,"confirm_within_s":1)"));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(mtu_of(machine), before);
  EXPECT_EQ(life.commands().revision(), 0);
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)),
              HasSubstr("not confirmed within 1 s"));
}

TEST(TrialCommandsTest, APathThatDoesNotComeBackTakesItBackWithItsFailingStep) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.answers = false;
  life.send(Life::command(1, jumbo, R"(,"confirm_within_s":2)"));
  ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  life.send(confirm(1));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)),
              HasSubstr("path eth0/console:8443: tcp"));
}

TEST(TrialCommandsTest, KilledInATrialTheNextLifeShowsTheRevisionFromBeforeAndSaysSo) {
  Machine machine;
  const std::uint32_t before = mtu_of(machine);
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, jumbo));
    ASSERT_TRUE(life.until([&] { return life.heard("state", 1) && life.trials().running(); }));
    EXPECT_EQ(mtu_of(machine), 9000U);
  }
  Life life(machine);
  life.recover();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(mtu_of(machine), before);
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(TrialCommandsTest, ACommandBehindAnInterruptedTrialIsApplied) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, jumbo));
    life.send(Life::command(
        2, R"({"op":"network.create","network":"blue","kind":"nat","subnet":"10.50.0.0/24"})"));
    ASSERT_TRUE(life.until([&] { return life.trials().running() && life.heard("stored", 2); }));
  }
  Life life(machine);
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_TRUE(machine.kernel.dump({}).value().find_link("n-blue") != nullptr);
  EXPECT_THAT(life.lacking(), testing::IsEmpty());
}

TEST(TrialCommandsTest, ActionsOfACommandThatIsTakenBackAreNotDone) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, std::string(jumbo) + R"(,{"op":"port.identify","adapter":"eth0"})",
                          R"(,"confirm_within_s":1)"));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(life.actions, 0);
}

TEST(TrialCommandsTest, ADrainOfTheLastPathNeedsForce) {
  Machine machine;
  Life life(machine);
  life.path_up();
  const std::string drain = R"({"op":"path.drain","adapter":"eth0","seconds":60})";
  life.send(Life::command(1, drain));
  EXPECT_EQ(life.result_of(1), "refused");
  life.send(Life::command(2, drain, R"(,"force":true)"));
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_EQ(life.actions, 1);
}

TEST(TrialCommandsTest, WhatWouldCutTheLastPathNeedsForce) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, off));
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)),
              HasSubstr("it would cut the last way to the Console"));
  EXPECT_EQ(machine.kernel.writes(), 0U);
}

TEST(TrialCommandsTest, ALocalCommandNeedsTheProofButNoConfirm) {
  Machine machine;
  Life life(machine);
  life.path_up();
  std::string state;
  boost::json::object command = boost::json::parse(Life::command(1, jumbo)).as_object();
  life.commands().run_local(std::move(command), [&](boost::json::object result) {
    state = std::string(result.at("state").as_string());
  });
  ASSERT_TRUE(life.until([&] { return !state.empty(); }));
  EXPECT_EQ(state, "done");
}

TEST(TrialCommandsTest, AnUndoThatTheKernelRefusesLandsInTheRescueState) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, jumbo, R"(,"confirm_within_s":1)"));
  ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  machine.kernel.refuse("mtu 1500");
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)), HasSubstr("the rescue state"));
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(TrialCommandsTest, APersonAtTheMachineEndsATrialAtOnce) {
  Machine machine;
  Life life(machine);
  life.path_up();
  const std::uint32_t before = mtu_of(machine);
  EXPECT_FALSE(life.commands().abort_trial("ended", [](const boost::json::object&) { FAIL(); }));
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  std::string told;
  EXPECT_TRUE(life.commands().abort_trial("ended by a person", [&](boost::json::object result) {
    told = boost::json::serialize(result);
  }));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(told, HasSubstr("rolled_back"));
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)), HasSubstr("ended by a person"));
  EXPECT_EQ(mtu_of(machine), before);
  life.send(Life::command(2, jumbo));
  life.confirms = true;
  EXPECT_EQ(life.result_of(2), "done") << "the next trial is not ended with it";
}

TEST(TrialCommandsTest, ATrialThatStillWaitsForAPathIsEndedBeforeItIsApplied) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.paths[0].broken = Step::tcp;
  const auto writes = machine.kernel.writes();
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] {
    return life.commands().abort_trial("ended by a person", [](const boost::json::object&) {});
  }));
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_EQ(machine.kernel.writes(), writes);
}

TEST(TrialCommandsTest, TheConsoleEndsItsTrialAndNoOther) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  life.send(fmt::format(R"({{"type":"abort","id":"{}"}})", Life::id(2)));
  EXPECT_TRUE(life.trials().running());
  life.send(fmt::format(R"({{"type":"abort","id":"{}"}})", Life::id(1)));
  EXPECT_EQ(life.result_of(1), "rolled_back");
}

TEST(TrialCommandsTest, ALandingThatTheDiskDoesNotTakeStandsAndIsStoredWhenItDoes) {
  store::FaultVfs disk;
  test::Death death;
  death.disk = &disk;
  death.mortal = false;
  Machine machine;
  Life life(machine, &death);
  life.path_up();
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  machine.kernel.refuse("mtu 1500");
  disk.arm(1, store::FaultVfs::Fault::io_error, store::FaultVfs::Lasting::from_then_on);
  std::string told;
  ASSERT_TRUE(life.commands().abort_trial("ended by a person", [&](boost::json::object result) {
    told = boost::json::serialize(result);
  }));
  ASSERT_TRUE(life.until([&] { return !told.empty(); }));
  EXPECT_THAT(told, HasSubstr("its end could not be stored"));
  const netmodel::Model landed = life.model();
  EXPECT_FALSE(life.heard("result", 1));
  disk.disarm();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)), HasSubstr("the rescue state"));
  EXPECT_EQ(life.commands().revision(), 1);
  EXPECT_EQ(life.model(), landed);
}

TEST(TrialCommandsTest, AKeptTrialThatTheDiskDoesNotTakeIsTakenBackAndSaysWhy) {
  store::FaultVfs disk;
  test::Death death;
  death.disk = &disk;
  death.mortal = false;
  Machine machine;
  Life life(machine, &death);
  life.path_up();
  const std::uint32_t before = mtu_of(machine);
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  disk.arm(1, store::FaultVfs::Fault::io_error, store::FaultVfs::Lasting::from_then_on);
  life.send(confirm(1));
  ASSERT_TRUE(life.until([&] { return disk.fired() && mtu_of(machine) == before; }));
  disk.disarm();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)),
              HasSubstr("its end could not be stored"));
  EXPECT_EQ(mtu_of(machine), before);
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(TrialCommandsTest, AnInterruptedTrialIsUndoneBeforeAnythingElseAndThenSaysSo) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, jumbo));
    ASSERT_TRUE(life.until([&] { return life.trials().running(); }));
  }
  machine.kernel.refuse("mtu 1500");
  Life life(machine);
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.undone, 0) << "the first turn was refused: it is not undone yet";
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(life.undone, 1);
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 1)), HasSubstr("the rescue state"));
}

TEST(TrialCommandsTest, TheModelThatStandsAlreadyChangesNothingAndSaysSo) {
  Machine machine;
  Life life(machine);
  const std::string blue =
      R"({"op":"network.create","network":"blue","kind":"nat","subnet":"10.50.0.0/24"})";
  life.send(Life::command(1, blue));
  ASSERT_EQ(life.result_of(1), "done");
  EXPECT_TRUE(life.heard("result", 1)->at("changed").as_bool());
  const auto writes = machine.kernel.writes();
  life.send(Life::command(2, fmt::format(R"({{"op":"model.replace","model":{}}})",
                                         netmodel::to_json_text(life.model()))));
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_FALSE(life.heard("result", 2)->at("changed").as_bool());
  EXPECT_EQ(machine.kernel.writes(), writes);
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(TrialCommandsTest, AStaleCommandIsToldWhatChangedMeanwhile) {
  Machine machine;
  Life life(machine);
  const std::string blue =
      R"({"op":"network.create","network":"blue","kind":"nat","subnet":"10.50.0.0/24"})";
  const std::string red =
      R"({"op":"network.create","network":"red","kind":"nat","subnet":"10.51.0.0/24"})";
  life.send(Life::command(1, blue));
  ASSERT_EQ(life.result_of(1), "done");
  life.send(Life::command(2, red));
  ASSERT_EQ(life.result_of(2), "done");
  life.send(Life::command(3, R"({"op":"network.delete","network":"blue"})", R"(,"revision":1)"));
  EXPECT_EQ(life.result_of(3), "superseded");
  EXPECT_THAT(boost::json::serialize(*life.heard("result", 3)), HasSubstr("+ networks red"));
}

}  // namespace
}  // namespace edge::uplink
