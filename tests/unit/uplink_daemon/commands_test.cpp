// Commands over the fake kernel: exactly once over restarts, and never half.
#include "tests/unit/uplink_daemon/life.hpp"

#include <cerrno>

#include <gmock/gmock.h>

namespace edge::uplink {
namespace {

using test::FaultyDisk;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using test::make_red;
using testing::HasSubstr;

const std::string blink = R"({"op":"port.identify","adapter":"eth0"})";

TEST(CommandsTest, ACommandIsStoredAppliedVerifiedAndAnswered) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  EXPECT_EQ(life.result_of(1), "done");
  ASSERT_GE(life.sent.size(), 3U);
  EXPECT_EQ(life.sent[0].at("type").as_string(), "stored");
  EXPECT_EQ(life.sent[1].at("state").as_string(), "applying");
  EXPECT_TRUE(machine.has_link("n-blue"));
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(CommandsTest, TheSameIdAgainGetsTheStoredAnswerAndNoSecondEffect) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  const auto writes = machine.kernel.writes();
  life.send(Life::command(1, make_blue));
  ASSERT_TRUE(life.until([&] { return life.results_of(1) == 2; }));
  EXPECT_EQ(machine.kernel.writes(), writes);
  EXPECT_EQ(life.commands().revision(), 1);
  life.send(Life::command(1, make_red));
  ASSERT_TRUE(life.until([&] { return life.results_of(1) == 3; }));
  EXPECT_THAT(boost::json::serialize(life.sent.back()), HasSubstr("id_reuse"));
  EXPECT_FALSE(life.model().networks.contains("red"));
}

/// Why: a Console that was started again may write the members in another order; what it is told
/// then would be the end of a command that was run.
TEST(CommandsTest, TheSameCommandIsKnownWhateverTheOrderOfItsMembers) {
  const std::string head = R"({"op":"network.create","network":"blue","kind":"nat",)"
                           R"("subnet":"10.50.0.0/24","dhcp":)";
  const std::string one = head + R"({"from":"10.50.0.10","to":"10.50.0.20"}})";
  const std::string other =
      R"({"subnet":"10.50.0.0/24","dhcp":{"to":"10.50.0.20","from":"10.50.0.10"},)"
      R"("kind":"nat","network":"blue","op":"network.create"})";
  const std::string another = head + R"({"from":"10.50.0.10","to":"10.50.0.21"}})";
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, one));
  ASSERT_EQ(life.result_of(1), "done");
  life.send(Life::command(1, other));
  ASSERT_TRUE(life.until([&] { return life.results_of(1) == 2; }));
  EXPECT_EQ(life.sent.back().at("state").as_string(), "done");
  life.send(Life::command(1, another));
  ASSERT_TRUE(life.until([&] { return life.results_of(1) == 3; }));
  EXPECT_THAT(boost::json::serialize(life.sent.back()), HasSubstr("id_reuse"));
}

TEST(CommandsTest, KilledBeforeTheCommitItIsRunAgainAndKilledAfterItOnlyAnswered) {
  Machine machine;
  {
    Life life(machine);
    life.send(Life::command(1, make_blue));
    ASSERT_TRUE(life.until([&] { return life.heard("stored", 1).has_value(); }));
  }
  {
    Life life(machine);
    life.online = false;
    life.recover();
    ASSERT_TRUE(life.until([&] { return life.commands().executed() == 1; }));
    EXPECT_TRUE(machine.has_link("n-blue"));
  }
  Life life(machine);
  life.recover();
  life.commands().send_unacked();
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.commands().executed(), 0U);
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(CommandsTest, KilledWhileTheKernelWasWrittenItIsFinishedAtTheNextStart) {
  Machine machine;
  {
    Life life(machine);
    life.send(Life::command(1, make_blue));
    ASSERT_TRUE(life.until([&] { return life.heard("state", 1).has_value(); }));
  }
  Life life(machine);
  life.recover();
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.commands().revision(), 1);
  EXPECT_TRUE(machine.has_link("n-blue"));
}

TEST(CommandsTest, AnActionThatWasInterruptedIsNeverRunTwice) {
  Machine machine;
  {
    auto opened = store::Store::open(machine.disk.file("uplink.db"), WallTime{});
    ASSERT_TRUE(opened);
    ASSERT_TRUE(opened->receive({Life::id(1), Life::command(1, blink), {}, "action"}, WallTime{}));
    ASSERT_TRUE(opened->start(Life::id(1), "boot-0", "", WallTime{}));
  }
  Life life(machine);
  life.recover();
  EXPECT_EQ(life.result_of(1), "indeterminate");
  EXPECT_EQ(life.actions, 0);
  life.send(Life::command(2, blink));
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_EQ(life.actions, 1);
}

TEST(CommandsTest, AMistakeOfFormHidesNoneBesideTheModel) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, R"({"op":"adapter.set","adapter":"eth0","mtu":70000},
    {"op":"network.delete","network":"ghost"})"));
  EXPECT_EQ(life.result_of(1), "refused");
  const auto problems = life.heard("result", 1)->at("problems").as_array();
  ASSERT_EQ(problems.size(), 2U) << life.text_of("result", 1);
  EXPECT_THAT(boost::json::serialize(problems[0]), HasSubstr("70000"));
  EXPECT_THAT(boost::json::serialize(problems[1]), HasSubstr("ghost"));
  EXPECT_EQ(problems[1].at("op").as_int64(), 1);
}

TEST(CommandsTest, ADryRunNeitherWritesNorActs) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue + "," + blink, R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_THAT(boost::json::serialize(life.sent.back()), HasSubstr("ip link add name n-blue"));
  EXPECT_EQ(life.actions, 0);
  EXPECT_EQ(machine.kernel.writes(), 0U);
  EXPECT_FALSE(life.model().networks.contains("blue"));
}

TEST(CommandsTest, ADryRunRightAfterATurnAsksTheKernelOnlyWhatItHasNotSaid) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  machine.kernel.fail_dump(1, ENOBUFS);
  life.send(Life::command(2, jumbo, R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("mtu 9000"));
  EXPECT_TRUE(life.heard("result", 2)->at("problems").as_array().empty())
      << life.text_of("result", 2);
  // Another network has sysctls of its own, which the last look did not read.
  life.send(Life::command(3, make_red, R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(3), "refused") << "the kernel that is asked does not answer";
  EXPECT_FALSE(life.heard("result", 3)->at("problems").as_array().empty());
}

/// Why: the next older revision would be shown and kept, and at last the rescue state, for a dump
/// that found no descriptor.
TEST(CommandsTest, AKernelThatCannotBeReadForAWhileIsNoRefusalOfWhatStood) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  for (std::uint64_t dump = 1; dump <= 13; ++dump) { machine.kernel.fail_dump(dump, EMFILE); }
  life.send(Life::command(2, make_red));
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_EQ(life.commands().revision(), 1);
  EXPECT_TRUE(life.model().networks.contains("blue"));
  EXPECT_TRUE(machine.has_link("n-blue"));
  EXPECT_FALSE(machine.has_link("n-red"));
  life.send(Life::command(3, make_red));
  EXPECT_EQ(life.result_of(3), "done");
}

TEST(CommandsTest, ADryRunIsRefusedWhereSomebodyElsesLinkIsInTheWayOfIt) {
  Machine machine;
  machine.add_foreign_bridge("n-red");
  Life life(machine);
  life.send(Life::command(1, make_red, R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("n-red"));
  life.send(Life::command(2, make_blue, R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(2), "done");
}

TEST(CommandsTest, ADryRunSaysOverWhatTheConsoleStaysReachable) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, jumbo, R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_THAT(
      life.text_of("result", 1),
      HasSubstr("the Console stays reachable over eth0/console:8443 (active, dialled anew)"));
  life.send(Life::command(2, R"({"op":"adapter.set","adapter":"eth0","enabled":false})",
                          R"(,"dry_run":true)"));
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("the Console loses this host"));
  const auto result = life.heard("result", 2);
  const auto& console = result->at("console").as_object();
  EXPECT_FALSE(console.at("reachable").as_bool());
  EXPECT_TRUE(console.at("active").is_null());
}

TEST(CommandsTest, AGroupIsMadeWithTheWarningsThatItsMembersGave) {
  Machine machine;
  Life life(machine);
  life.confirms = true;
  const std::string group = R"({"op":"group.create","group":"lan","adapters":["eth0"]})";
  for (int n = 1; n <= 2; ++n) {
    life.send(Life::command(n, group, n == 1 ? R"(,"dry_run":true)" : ""));
    EXPECT_EQ(life.result_of(n), "done");
    EXPECT_THAT(boost::json::serialize(life.sent.back()), HasSubstr("eth0 does not hear eth1"));
  }
  life.send(Life::command(3, make_blue));
  EXPECT_EQ(life.result_of(3), "done");
  EXPECT_THAT(boost::json::serialize(life.sent.back()), testing::Not(HasSubstr("warnings")));
}

TEST(CommandsTest, AnActionThatFailsTakesBackWhatItsCommandChanged) {
  Machine machine;
  Life life(machine);
  life.act_fails = true;
  life.send(Life::command(1, make_blue + "," + blink));
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(boost::json::serialize(life.sent.back()), HasSubstr("no light"));
  EXPECT_FALSE(machine.has_link("n-blue"));
  EXPECT_FALSE(life.model().networks.contains("blue"));
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(CommandsTest, AnActionThatFailsEndsTheDrainThatItsCommandBegan) {
  Machine machine;
  Life life(machine);
  life.act_fails = true;
  life.send(Life::command(1, R"({"op":"path.drain","adapter":"eth0","seconds":3600},)" + blink));
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(life.drains, testing::ElementsAre(std::chrono::hours(1), std::chrono::seconds(0)));
}

TEST(CommandsTest, AnActionThatFailsLeavesTheDrainThatStoodBeforeItsCommand) {
  const auto drain = [](int seconds) {
    return fmt::format(R"({{"op":"path.drain","adapter":"eth0","seconds":{}}})", seconds);
  };
  Machine machine;
  Life life(machine);
  life.act_fails = true;
  life.send(Life::command(1, drain(7200)));
  ASSERT_EQ(life.result_of(1), "done");
  // One that shortens it, and one that ends it.
  for (const int n : {2, 3}) {
    life.send(Life::command(n, drain(n == 2 ? 60 : 0) + "," + blink));
    EXPECT_EQ(life.result_of(n), "refused");
    EXPECT_GT(life.drains.back(), std::chrono::seconds(7100));
    EXPECT_LE(life.drains.back(), std::chrono::seconds(7200));
  }
  EXPECT_EQ(life.drains.size(), 5U);
}

TEST(CommandsTest, WhatTheDiskDoesNotTakeIsUndoneAndRunAgainWhenItDoes) {
  FaultyDisk disk;
  Machine machine;
  Life life(machine, &disk.death);
  life.send(Life::command(1, make_blue));
  ASSERT_TRUE(life.until([&] { return life.heard("state", 1).has_value(); }));
  disk.fail();
  ASSERT_TRUE(
      life.until([&] { return disk.vfs.fired() && !life.model().networks.contains("blue"); }));
  EXPECT_FALSE(life.heard("result", 1));
  disk.heal();
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_TRUE(machine.has_link("n-blue"));
  EXPECT_EQ(life.commands().revision(), 1);
  EXPECT_EQ(life.results_of(1), 1U);
}

TEST(CommandsTest, TheConsoleAsksForTheRevisionsThatAreKeptAndForOneWithItsModel) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  life.send(Life::command(2, make_red));
  ASSERT_EQ(life.result_of(2), "done");
  life.say("history", 7, R"(,"limit":10)");
  ASSERT_TRUE(life.until([&] { return life.heard("history", 7).has_value(); }));
  const auto list = life.heard("history", 7)->at("revisions").as_array();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].at("revision"), 2);
  EXPECT_EQ(list[0].at("cause").as_string(), Life::id(2));
  EXPECT_EQ(life.commands().newest_revisions(), list);
  life.say("history", 8, R"(,"revision":1)");
  ASSERT_TRUE(life.until([&] { return life.heard("history", 8).has_value(); }));
  const auto one = life.heard("history", 8)->at("revision").as_object();
  EXPECT_THAT(boost::json::serialize(one.at("model")), HasSubstr("blue"));
  EXPECT_THAT(boost::json::serialize(one.at("model")), testing::Not(HasSubstr("red")));
  life.say("history", 9, R"(,"revision":99)");
  ASSERT_TRUE(life.until([&] { return life.heard("history", 9).has_value(); }));
  EXPECT_THAT(life.text_of("history", 9), HasSubstr("is not kept"));
}

TEST(CommandsTest, WhatTheKernelRefusesLeavesModelAndNetworkAsTheyWere) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  machine.add_foreign_bridge("n-red");
  life.send(Life::command(2, make_red));
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_THAT(boost::json::serialize(life.sent.back()), HasSubstr("n-red"));
  EXPECT_FALSE(life.model().networks.contains("red"));
  EXPECT_TRUE(machine.has_link("n-blue"));
  EXPECT_EQ(life.commands().revision(), 1);
}

TEST(CommandsTest, OneBadCommandAmongManyThatWaitedDoesNotTakeThemAlong) {
  Machine machine;
  machine.add_foreign_bridge("n-red");
  Life life(machine);
  life.send(Life::command(1, make_blue));
  life.send(Life::command(2, make_red));
  life.send(Life::command(
      3, R"({"op":"network.create","network":"green","kind":"nat","subnet":"10.52.0.0/24"})"));
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_EQ(life.result_of(3), "done");
  EXPECT_TRUE(machine.has_link("n-green"));
}

TEST(CommandsTest, EachResultSaysWhatSomebodyNoticesOfItAlsoWithinABatch) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(
      1,
      make_blue + R"(,{"op":"interface.attach","interface":"web","vm":"web","network":"blue"})"));
  life.send(Life::command(
      2, R"({"op":"gateway.publish","rule":"http","interface":"web","protocol":"tcp","port":80})"));
  life.send(Life::command(3, R"({"op":"gateway.withdraw","rule":"http"})"));
  life.send(Life::command(4, R"({"op":"interface.detach","interface":"web"})"));
  const auto lines = [&](int n) {
    EXPECT_EQ(life.result_of(n), "done");
    const auto result = life.heard("result", n).value();
    const auto* found = result.if_contains("consequences");
    return found == nullptr ? std::string() : boost::json::serialize(*found);
  };
  EXPECT_EQ(lines(1), "") << "what is new is missed by nobody";
  EXPECT_EQ(lines(2), "");
  EXPECT_EQ(lines(3), R"(["rule \"http\" (tcp 80) ends"])");
  EXPECT_EQ(lines(4), R"(["VM \"web\": interface \"web\" on network \"blue\" goes"])");
}

}  // namespace
}  // namespace edge::uplink
