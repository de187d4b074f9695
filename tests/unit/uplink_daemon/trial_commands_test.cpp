// Commands that can touch a path, over a fake kernel and a real store.
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using test::die_in_a_trial;
using test::FaultyDisk;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using test::make_red;
using testing::HasSubstr;

constexpr const char* off = R"({"op":"adapter.set","adapter":"eth0","enabled":false})";

TEST(TrialCommandsTest, AChangeOfAPortIsKeptAfterAFreshWelcomeAndAConfirm) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.trials().running() && life.paths[0].welcomes == 2; }));
  EXPECT_EQ(machine.mtu(), 9000U);
  EXPECT_EQ(life.commands().revision(), 0);
  life.say("confirm", 1);
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(TrialCommandsTest, ATrialIsSaidThoughResultsFillTheTunnel) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.room = 0;
  life.send(Life::command(1, jumbo));
  ASSERT_TRUE(life.until([&] { return life.heard("state", 1).has_value(); }));
  ASSERT_TRUE(life.until([&] { return life.trials().running() && life.paths[0].welcomes == 2; }));
  life.say("confirm", 1);
  life.room.reset();
  EXPECT_EQ(life.result_of(1), "done");
}

TEST(TrialCommandsTest, WithoutAConfirmItIsTakenBackAndTheReasonIsTold) {
  Machine machine;
  Life life(machine);
  life.path_up();
  const std::uint32_t before = machine.mtu();
  life.send(Life::command(1, jumbo, R"(,"confirm_within_s":1)"));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(machine.mtu(), before);
  EXPECT_EQ(life.commands().revision(), 0);
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("not confirmed within 1 s"));
}

TEST(TrialCommandsTest, APathThatDoesNotComeBackTakesItBackWithItsFailingStep) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.answers = false;
  ASSERT_TRUE(life.try_out(1, jumbo, R"(,"confirm_within_s":2)"));
  life.say("confirm", 1);
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("path eth0/console:8443: tcp"));
}

TEST(TrialCommandsTest, KilledInATrialTheNextLifeShowsTheRevisionFromBeforeAndSaysSo) {
  Machine machine;
  const std::uint32_t before = machine.mtu();
  die_in_a_trial(machine);
  Life life(machine);
  life.recover();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(machine.mtu(), before);
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(TrialCommandsTest, ACommandBehindAnInterruptedTrialIsApplied) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, jumbo));
    life.send(Life::command(2, make_blue));
    ASSERT_TRUE(life.until([&] { return life.trials().running() && life.heard("stored", 2); }));
  }
  Life life(machine);
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_TRUE(machine.has_link("n-blue"));
  EXPECT_THAT(life.lacking(), testing::IsEmpty());
}

TEST(TrialCommandsTest, ActionsOfACommandThatIsTakenBackAreNotDone) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, jumbo + R"(,{"op":"port.identify","adapter":"eth0"})",
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
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("it would cut the last way to the Console"));
  EXPECT_EQ(machine.kernel.writes(), 0U);
}

TEST(TrialCommandsTest, ALocalCommandNeedsTheProofButNoConfirm) {
  Machine machine;
  Life life(machine);
  life.path_up();
  std::string state;
  boost::json::object order = boost::json::parse(Life::command(1, jumbo)).as_object();
  life.commands().run_local(order, [&](boost::json::object result) {
    state = std::string(result.at("state").as_string());
  });
  ASSERT_TRUE(life.until([&] { return !state.empty(); }));
  EXPECT_EQ(state, "done");
}

TEST(TrialCommandsTest, AnUndoThatTheKernelRefusesLandsInTheRescueState) {
  Machine machine;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo, R"(,"confirm_within_s":1)"));
  machine.kernel.refuse("mtu 1500");
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("the rescue state"));
  EXPECT_EQ(life.commands().revision(), 2) << "1 was the change that did not stay";
}

TEST(TrialCommandsTest, APersonAtTheMachineEndsATrialAtOnce) {
  Machine machine;
  Life life(machine);
  life.path_up();
  const std::uint32_t before = machine.mtu();
  EXPECT_FALSE(life.commands().abort_trial("ended", [](const boost::json::object&) { FAIL(); }));
  ASSERT_TRUE(life.try_out(1, jumbo));
  std::string told;
  EXPECT_TRUE(life.commands().abort_trial("ended by a person", [&](boost::json::object result) {
    told = boost::json::serialize(result);
  }));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(told, HasSubstr("rolled_back"));
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("ended by a person"));
  EXPECT_EQ(machine.mtu(), before);
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

TEST(TrialCommandsTest, AVirtualAddressIsTriedOutLikeAnAddressOfOnesOwn) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.confirms = true;
  life.send(Life::command(1, R"({"op":"host.set","management":{"adapter":"eth0",)"
                             R"("address":"192.168.1.50/24","gateway":"192.168.1.1"}})"));
  ASSERT_EQ(life.result_of(1), "done");
  life.send(Life::command(
      2, R"({"op":"host.set","virtual_ip":"192.168.1.100","cluster":{"id":7,"advert_ms":10000}})"));
  ASSERT_TRUE(life.until(
      [&] { return life.trials().running() && life.trials().view().contains("waits_for"); }));
  EXPECT_THAT(boost::json::serialize(life.trials().view()), HasSubstr("may not stand yet"));
  life.send(fmt::format(R"({{"type":"abort","id":"{}"}})", Life::id(2)));
  EXPECT_EQ(life.result_of(2), "rolled_back");
  EXPECT_FALSE(life.model().host.virtual_ip);
}

TEST(TrialCommandsTest, TheConsoleEndsItsTrialAndNoOther) {
  Machine machine;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo));
  life.say("abort", 2);
  EXPECT_TRUE(life.trials().running());
  life.say("abort", 1);
  EXPECT_EQ(life.result_of(1), "rolled_back");
}

TEST(TrialCommandsTest, TheConsoleEndsWhatWaitsBehindATrialAndTheTrialGoesOn) {
  Machine machine;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo));
  life.send(Life::command(2, make_blue));
  ASSERT_TRUE(life.until([&] { return life.heard("stored", 2).has_value(); }));
  life.say("abort", 2);
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("before it was applied"));
  EXPECT_TRUE(life.trials().running());
  life.say("confirm", 1);
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_FALSE(life.model().networks.contains("blue"));
}

TEST(TrialCommandsTest, ALandingThatTheDiskDoesNotTakeStandsAndIsStoredWhenItDoes) {
  FaultyDisk disk;
  Machine machine;
  Life life(machine, &disk.death);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo));
  machine.kernel.refuse("mtu 1500");
  disk.fail();
  std::string told;
  ASSERT_TRUE(life.commands().abort_trial("ended by a person", [&](boost::json::object result) {
    told = boost::json::serialize(result);
  }));
  ASSERT_TRUE(life.until([&] { return !told.empty(); }));
  EXPECT_THAT(told, HasSubstr("its end could not be stored"));
  const netmodel::Model landed = life.model();
  EXPECT_FALSE(life.heard("result", 1));
  disk.heal();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("the rescue state"));
  EXPECT_EQ(life.commands().revision(), 2) << "1 was the change that did not stay";
  EXPECT_EQ(life.model(), landed);
}

TEST(TrialCommandsTest, AKeptTrialThatTheDiskDoesNotTakeIsTakenBackAndSaysWhy) {
  FaultyDisk disk;
  Machine machine;
  Life life(machine, &disk.death);
  life.path_up();
  const std::uint32_t before = machine.mtu();
  ASSERT_TRUE(life.try_out(1, jumbo));
  disk.fail();
  life.say("confirm", 1);
  ASSERT_TRUE(life.until([&] { return disk.vfs.fired() && machine.mtu() == before; }));
  disk.heal();
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("its end could not be stored"));
  EXPECT_EQ(machine.mtu(), before);
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(TrialCommandsTest, AnInterruptedTrialIsUndoneBeforeAnythingElseAndThenSaysSo) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    ASSERT_TRUE(life.try_out(1, jumbo));
  }
  machine.kernel.refuse("mtu 1500");
  Life life(machine);
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.undone, 0) << "the first turn was refused: it is not undone yet";
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(life.undone, 1);
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("the rescue state"));
}

TEST(TrialCommandsTest, TheModelThatStandsAlreadyChangesNothingAndSaysSo) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
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

constexpr const char* make_green =
    R"({"op":"network.create","network":"green","kind":"nat","subnet":"10.52.0.0/24"})";

/// Command 2 was made for what command 1 would have become, and comes after command 3.
void expect_no_base_but_its_own(Life& life, std::string_view what) {
  life.send(Life::command(3, make_green));
  ASSERT_EQ(life.result_of(3), "done");
  EXPECT_EQ(life.heard("result", 3)->at("revision").as_int64(), 2) << "1 was given before";
  life.send(Life::command(2, R"({"op":"network.delete","network":"green"})", R"(,"revision":1)"));
  EXPECT_EQ(life.result_of(2), "superseded");
  EXPECT_TRUE(life.model().networks.contains("green"));
  EXPECT_THAT(life.text_of("result", 2), HasSubstr(what));
}

TEST(TrialCommandsTest, TheNumberOfATrialThatWasTakenBackIsGivenToNoOther) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, jumbo, R"(,"confirm_within_s":1)"));
    ASSERT_EQ(life.result_of(1), "rolled_back");
    EXPECT_EQ(life.heard("result", 1)->at("revision").as_int64(), 0);
    life.send(Life::command(4, jumbo, R"(,"revision":1)"));
    EXPECT_EQ(life.result_of(4), "superseded");
    EXPECT_THAT(life.text_of("result", 4), HasSubstr("was taken back"));
  }
  Life life(machine);  // The disk knows.
  expect_no_base_but_its_own(life, "is not kept, or was taken back");
}

TEST(TrialCommandsTest, NorIsThatOfATrialInWhichTheDaemonWasKilled) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, jumbo));
    ASSERT_TRUE(life.until([&] { return life.heard("state", 1) && life.trials().running(); }));
  }
  Life life(machine);
  ASSERT_TRUE(life.start());
  ASSERT_EQ(life.result_of(1), "rolled_back");
  expect_no_base_but_its_own(life, "is not kept, or was taken back");
}

TEST(TrialCommandsTest, NorIsThatOfAChangeThatTheKernelRefused) {
  Machine machine;
  machine.add_foreign_bridge("n-red");
  Life life(machine);
  life.send(Life::command(1, make_red));
  ASSERT_EQ(life.result_of(1), "refused");
  expect_no_base_but_its_own(life, "is not kept, or was taken back");
}

TEST(TrialCommandsTest, TheRevisionBeforeARenumberedOneIsAnotherModel) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  life.send(Life::command(2, make_red));
  ASSERT_EQ(life.result_of(2), "done");
  life.send(R"({"type":"known","revision":57})");
  ASSERT_TRUE(life.until([&] { return life.commands().revision() == 58; }));
  EXPECT_EQ(life.commands().revision_before(), 1);
}

TEST(TrialCommandsTest, WhatTheConsoleSawOfALostStoreIsNotNumberedAnew) {
  Machine machine;
  {
    Life life(machine);
    life.send(Life::command(1, make_green));
    ASSERT_EQ(life.result_of(1), "done");
    life.send(R"({"type":"known","revision":57})");
    life.send(
        Life::command(2, R"({"op":"network.delete","network":"green"})", R"(,"revision":57)"));
    EXPECT_EQ(life.result_of(2), "superseded") << "its 57 is not what stands here";
    EXPECT_EQ(life.commands().revision(), 58) << "the same model, under a number of its own";
    EXPECT_EQ(life.commands().newest_revisions().at(0).at("cause").as_string(),
              "renumbered: was 1");
    EXPECT_EQ(life.commands().revision_before(), 1);
    life.send(R"({"type":"known","revision":58})");
    life.send(R"({"type":"known","revision":9223372036854775807})");
    life.send(R"({"type":"known"})");
  }
  Life life(machine);
  EXPECT_EQ(life.commands().revision(), 58);
  EXPECT_TRUE(life.model().networks.contains("green"));
  life.send(Life::command(3, R"({"op":"network.delete","network":"green"})", R"(,"revision":58)"));
  EXPECT_EQ(life.result_of(3), "done");
  EXPECT_EQ(life.commands().revision(), 59);
}

TEST(TrialCommandsTest, CommandsThatAreTriedSinglyKeepTheNumbersOfTheirFirstTry) {
  Machine machine;
  machine.add_foreign_bridge("n-red");
  Life life(machine);
  life.send(Life::command(1, make_green));
  life.send(Life::command(2, make_red, R"(,"revision":1)"));
  life.send(Life::command(3, R"({"op":"network.delete","network":"green"})", R"(,"revision":2)"));
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.heard("result", 1)->at("revision").as_int64(), 1);
  EXPECT_EQ(life.result_of(2), "refused") << "made for the first, which is revision 1";
  EXPECT_EQ(life.result_of(3), "superseded") << "made for the second, which is none";
}

TEST(TrialCommandsTest, AStaleCommandIsToldWhatChangedMeanwhile) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  life.send(Life::command(2, make_red));
  ASSERT_EQ(life.result_of(2), "done");
  life.send(Life::command(3, R"({"op":"network.delete","network":"blue"})", R"(,"revision":1)"));
  EXPECT_EQ(life.result_of(3), "superseded");
  EXPECT_THAT(life.text_of("result", 3), HasSubstr("+ networks red"));
}

}  // namespace
}  // namespace edge::uplink
