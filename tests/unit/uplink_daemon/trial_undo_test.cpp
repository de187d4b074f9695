// Which commands are tried out besides those that name a port, and what a trial leaves for the next
// start.
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {
namespace {

using test::die_in_a_trial;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using test::make_red;
using testing::HasSubstr;

TEST(TrialKindsTest, ANetworkOverTheConsolesSubnetIsTriedOutAndOverItsAddressNeedsForce) {
  Machine machine;
  machine.needed = {{.address = parse_ip("10.50.0.9").value(), .what = "the Console"}};
  machine.needed.front().is_console = true;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, make_blue));
  life.say("confirm", 1);
  EXPECT_EQ(life.result_of(1), "done");
  machine.needed.front().address = parse_ip("10.51.0.1").value();
  life.send(Life::command(2, make_red));
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("holds 10.51.0.1 of the Console"));
  EXPECT_FALSE(machine.has_link("n-red"));
  life.answers = false;
  life.send(Life::command(3, make_red, R"(,"force":true,"confirm_within_s":2)"));
  EXPECT_EQ(life.result_of(3), "rolled_back");
  EXPECT_THAT(life.text_of("result", 3), HasSubstr("path eth0/console:8443: tcp"));
  EXPECT_FALSE(machine.has_link("n-red"));
}

/// Why: it may wait for its paths for half a minute, and what it was planned by is as old then.
TEST(TrialKindsTest, WhatCameToBeWhileItWaitedForAPathIsJudgedToo) {
  Machine machine;
  machine.needed = {{.address = parse_ip("10.50.0.9").value(), .what = "the Console"}};
  machine.needed.front().is_console = true;
  Life life(machine);
  life.path_up();
  life.paths[0].broken = Step::tcp;
  life.send(Life::command(1, make_blue));
  ASSERT_TRUE(life.until([&] { return life.looks >= 1; })) << "it waits";
  EXPECT_FALSE(life.heard("result", 1));
  const auto writes = machine.kernel.writes();
  machine.needed.front().address = parse_ip("10.50.0.1").value();
  life.paths[0].broken = Step::none;
  life.trials().poke();
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("it would cut the last way to the Console"));
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("holds 10.50.0.1 of the Console"));
  EXPECT_EQ(machine.kernel.writes(), writes);
}

TEST(TrialUndoTest, ItIsOnDiskWithItsBootAndADeadlineOnAClockThatNobodySets) {
  Machine machine;
  const MonoTime earliest = mono_now() + std::chrono::seconds(60);
  die_in_a_trial(machine);
  const MonoTime latest = mono_now() + std::chrono::seconds(60);
  auto store = store::Store::open(machine.disk.file("uplink.db"), WallTime{}, {});
  ASSERT_TRUE(store);
  const auto records = store->unfinished();
  ASSERT_TRUE(records && records->size() == 1);
  EXPECT_EQ(records->front().boot_id, "boot-1");
  const auto undo = boost::json::parse(records->front().undo).as_object();
  const auto ms = [](MonoTime at) { return at.time_since_epoch() / std::chrono::milliseconds(1); };
  EXPECT_GE(undo.at("deadline_mono_ms").as_int64(), ms(earliest));
  EXPECT_LE(undo.at("deadline_mono_ms").as_int64(), ms(latest));
  EXPECT_EQ(undo.at("revision").as_int64(), 0);
}

/// Why: a start never goes on with a trial, so no deadline of another boot is compared with ours.
TEST(TrialUndoTest, AfterARebootItIsTakenBackAtOnceThoughItsTimeIsNotOver) {
  Machine machine;
  die_in_a_trial(machine);
  machine.reboot();
  Life life(machine);
  ASSERT_TRUE(life.start());
  ASSERT_TRUE(life.until([&] { return life.undone == 1; }));
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_TRUE(machine.has_link("n-default")) << "the network of the revision before, made anew";
  EXPECT_NE(machine.mtu(), 9000U);
  EXPECT_THAT(life.lacking(), testing::IsEmpty());
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(TrialUndoTest, WhatIsBackIsSaidWhenADumpShowsIt) {
  Machine machine;
  Life life(machine);
  life.path_up();
  const std::uint32_t before = machine.mtu();
  ASSERT_TRUE(life.try_out(1, jumbo, R"(,"confirm_within_s":1)"));
  machine.kernel.ignore("mtu 1500", Reconciler::tries_max + 1);
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_EQ(machine.mtu(), before);
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("taken back: revision 0\""));
}

TEST(TrialUndoTest, WhatNoDumpShowsIsSaidToBeWrittenOnly) {
  Machine machine;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo, R"(,"confirm_within_s":1)"));
  machine.kernel.ignore("mtu 1500", 1000);
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("the kernel does not show all of it yet"));
  EXPECT_EQ(life.model().adapters.size(), 0U) << "no reason for an older one or the rescue state";
}

TEST(TrialUndoTest, WhatTheKernelRefusesOfTheRescueStateIsTold) {
  Machine machine;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo + "," + make_blue, R"(,"confirm_within_s":1)"));
  machine.kernel.refuse("mtu 1500");
  EXPECT_EQ(life.result_of(1), "rolled_back");
  const std::string told = life.text_of("result", 1);
  EXPECT_THAT(told, HasSubstr("the rescue state: DHCP on every port, no groups; of it the kernel "
                              "refused: ip link set dev"));
}

/// Why: the kernel has refused a network; the Console's move is not undone by that.
TEST(TrialUndoTest, AnOlderRevisionThatIsShownInsteadLeavesTheConsoleWhereItIs) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, make_blue));
  ASSERT_EQ(life.result_of(1), "done");
  const std::string moved =
      R"({"op":"host.set","console":{"endpoints":["console-2.example.net:8443"]}})";
  ASSERT_TRUE(life.try_out(2, jumbo + "," + moved));
  life.say("confirm", 2);
  ASSERT_EQ(life.result_of(2), "done");
  const auto addresses = life.model().host.console_endpoints;
  ASSERT_EQ(addresses.size(), 1U);

  const std::string other = R"({"op":"adapter.set","adapter":"eth0","mtu":1600})";
  ASSERT_TRUE(life.try_out(3, other, R"(,"confirm_within_s":1)"));
  machine.kernel.refuse("mtu 9000");
  EXPECT_EQ(life.result_of(3), "rolled_back");
  EXPECT_THAT(life.text_of("result", 3), HasSubstr("the model of revision 1"));
  EXPECT_EQ(life.model().host.console_endpoints, addresses);
  EXPECT_EQ(life.model().networks.count("blue"), 1U);
}

/// Why: nothing may be dialled over a network that is neither revision; the copy in memory knows
/// the older ones.
TEST(TrialUndoTest, WithoutAFileItGoesAsFarBackAndEndsWhenTheFileIsThere) {
  Machine machine;
  {
    Life life(machine);
    life.path_up();
    life.send(Life::command(1, make_blue));
    ASSERT_EQ(life.result_of(1), "done");
    ASSERT_TRUE(life.try_out(2, jumbo));
    life.say("confirm", 2);
    ASSERT_EQ(life.result_of(2), "done");
    ASSERT_TRUE(life.try_out(3, R"({"op":"adapter.set","adapter":"eth0","mtu":1600})"));
    life.send(Life::command(5, make_red));
    ASSERT_TRUE(life.until([&] { return life.heard("stored", 5).has_value(); }));
  }
  machine.kernel.refuse("mtu 9000");
  machine.read_only = true;
  {
    Life life(machine);
    ASSERT_TRUE(life.start());
    EXPECT_EQ(life.undone, 0) << "the first turn was refused";
    ASSERT_TRUE(life.until([&] { return life.undone == 1; }));
    EXPECT_EQ(machine.mtu(), 1500U);
    EXPECT_TRUE(life.model().networks.contains("blue")) << "revision 1";
    EXPECT_FALSE(life.heard("result", 3)) << "its end is not on disk";
    EXPECT_FALSE(life.heard("result", 5)) << "it waits for the file";
    bool over = false;
    life.commands().wind_down("stopped", [&] { over = true; });
    EXPECT_TRUE(life.until([&] { return over; })) << "a stop does not wait for the file";
  }
  machine.kernel.refuse("");
  machine.read_only = false;
  Life life(machine);
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.result_of(3), "rolled_back");
  EXPECT_EQ(machine.mtu(), 9000U);
  EXPECT_EQ(life.result_of(5), "done");
  EXPECT_THAT(life.lacking(), testing::IsEmpty());
}

TEST(TakenUpTest, InMemoryItIsTheUndosAndOfAnOlderCopyNothing) {
  store::CommandRecord trial, other;
  trial.undo = "{}";
  const std::vector<store::CommandRecord> both{trial, other};
  EXPECT_EQ(taken_up(both, {.durable = true}, false).size(), 2U);
  EXPECT_EQ(taken_up(both, {.durable = true}, true).size(), 2U);
  EXPECT_EQ(taken_up(both, {.durable = false}, false).size(), 1U);
  EXPECT_TRUE(taken_up(both, {.durable = false}, true).empty()) << "it was over long ago";
}

}  // namespace
}  // namespace edge::uplink
