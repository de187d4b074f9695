// Commands while the store is held by somebody else, full of waiting ones, or told what is kept.
#include <atomic>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"
#include "uplink/daemon/open_store.hpp"

namespace edge::uplink {
namespace {

using test::FaultyDisk;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using test::make_red;
using test::PersonsLock;
using testing::HasSubstr;

std::string file_of(const Machine& machine) { return machine.disk.file("uplink.db"); }

/// A machine whose file somebody holds from the moment that the kernel is asked for network "blue".
struct HeldMachine {
  HeldMachine() {
    machine.kernel.before_apply = [this](const netmodel::Operation& operation) {
      if (!netmodel::to_text(operation).contains("n-blue") || held.exchange(true)) { return; }
      lock.take();
    };
  }

  Machine machine;
  PersonsLock lock{file_of(machine)};
  std::atomic<bool> held = false;
};

/// The kernel, as the last turn saw it.
bool shows_blue(Life& life) {
  const auto& last = life.reconciler().last();
  return last && last->observed.find_link("n-blue") != nullptr;
}

std::string replacement(const netmodel::Model& model) {
  return fmt::format(R"({{"op":"model.replace","model":{}}})", netmodel::to_json_text(model));
}

/// Command n of very many, all of which make the same network.
std::string one_of_many(std::size_t n) {
  return fmt::format(
      R"({{"type":"command","id":"00000000-0000-4000-8001-{:012}","operations":[{}]}})", n,
      make_blue);
}

/// What was said of command n, all of it.
std::size_t stored_of(const Life& life, int n) {
  return static_cast<std::size_t>(std::ranges::count_if(life.sent, [&](const auto& message) {
    return message.at("type").as_string() == "stored" && message.at("id") == Life::id(n).c_str();
  }));
}

/// Why: a lock passes. Until then the change must not stand without its record, nor be given up.
TEST(CommandsStoreTest, AChangeWhoseEndMeetsALockGoesBackAndIsRunAgainWhenItIsGone) {
  HeldMachine held;
  Life life(held.machine);
  life.send(Life::command(1, make_blue));
  ASSERT_TRUE(life.until([&] { return shows_blue(life); }));
  ASSERT_TRUE(life.until([&] { return !shows_blue(life); })) << "2 s of waiting for each job";
  EXPECT_FALSE(life.heard("result", 1)) << "it is not over";
  held.lock.release();
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_TRUE(held.machine.has_link("n-blue"));
  EXPECT_EQ(life.commands().revision(), 1);
  EXPECT_EQ(life.results_of(1), 1U);
}

TEST(CommandsStoreTest, WhatGoesBackWhileTheDiskDoesNotTellIsWhatStoodBefore) {
  HeldMachine held;
  Life life(held.machine);
  life.act_fails = true;
  life.send(Life::command(1, make_blue + R"(,{"op":"port.identify","adapter":"eth0"})"));
  ASSERT_TRUE(life.until([&] { return shows_blue(life); }));
  ASSERT_TRUE(life.until([&] { return !shows_blue(life); }));
  held.lock.release();
  EXPECT_EQ(life.result_of(1), "refused");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("no light"));
  EXPECT_FALSE(life.model().networks.contains("blue"));
  EXPECT_FALSE(held.machine.has_link("n-blue"));
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(CommandsStoreTest, WhatWaitsIsStoredWhateverTheDiskSaysAndAnotherUnderItsIdIsRefused) {
  Machine machine;
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo));
  life.send(Life::command(2, make_blue));
  ASSERT_TRUE(life.until([&] { return life.heard("stored", 2).has_value(); }));
  PersonsLock lock(file_of(machine));
  lock.take();
  for (const int n : {1, 2}) {
    life.send(Life::command(n, n == 1 ? jumbo : make_blue));
    EXPECT_EQ(stored_of(life, n), 2U);
    EXPECT_FALSE(life.heard("result", n));
  }
  life.send(Life::command(2, make_red));
  EXPECT_EQ(stored_of(life, 2), 2U);
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("id_reuse"));
  lock.release();
}

/// To be asked again later it would be run behind what came after it.
TEST(CommandsStoreTest, WhatALockedStoreCannotTakeIsRefusedAndWhatFollowsIsRun) {
  Machine machine;
  Life life(machine);
  PersonsLock lock(file_of(machine));
  lock.take();
  life.send(Life::command(2, make_red));
  const auto order = boost::json::parse(Life::command(3, make_red)).as_object();
  std::string local;
  life.commands().run_local(
      order, [&](const boost::json::object& result) { local = boost::json::serialize(result); });
  ASSERT_TRUE(life.until([&] { return !local.empty(); }));
  EXPECT_THAT(local, HasSubstr("not stored and not run"));
  EXPECT_EQ(life.result_of(2), "refused");
  lock.release();
  life.send(Life::command(4, make_blue));
  EXPECT_EQ(life.result_of(4), "done");
  EXPECT_EQ(life.commands().revision(), 1) << "the refused ones were not run";
}

TEST(CommandsStoreTest, WhereTooManyWaitOnlyWhatIsNewIsRefusedAndWhoeverSentItHearsOfIt) {
  Machine machine;
  Life life(machine);
  life.send(Life::command(1, make_red));
  ASSERT_EQ(life.result_of(1), "done");
  life.path_up();
  ASSERT_TRUE(life.try_out(2, jumbo));
  for (std::size_t n = 0; n < Commands::queue_max; ++n) { life.send(one_of_many(n)); }
  ASSERT_TRUE(life.until([&] { return life.commands().pending() == Commands::queue_max; }));
  life.sent.clear();
  life.send(one_of_many(7));
  ASSERT_EQ(life.sent.size(), 1U);
  EXPECT_EQ(life.sent[0].at("type").as_string(), "stored");
  life.send(Life::command(2, jumbo));
  EXPECT_EQ(stored_of(life, 2), 1U) << "it is being tried out";
  life.send(Life::command(1, make_red));
  EXPECT_EQ(life.result_of(1), "done") << "the journal knows it";
  life.send(Life::command(3, make_blue));
  EXPECT_EQ(life.result_of(3), "refused");
  EXPECT_THAT(life.text_of("result", 3), HasSubstr("4096 commands are waiting"));
  std::string local;
  const auto order = boost::json::parse(Life::command(4, make_blue)).as_object();
  life.commands().run_local(order, [&](const boost::json::object& result) {
    local = std::string(result.at("state").as_string());
  });
  ASSERT_TRUE(life.until([&] { return !local.empty(); }));
  EXPECT_EQ(local, "refused");
  EXPECT_EQ(life.commands().pending(), Commands::queue_max);
}

TEST(CommandsStoreTest, AnAbortOfAWaitingOneThatTheDiskDoesNotTakeHoldsAllTheSame) {
  FaultyDisk disk;
  Machine machine;
  Life life(machine, &disk.death);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo));
  life.send(Life::command(2, make_blue));
  ASSERT_TRUE(life.until([&] { return life.heard("stored", 2).has_value(); }));
  disk.fail();
  life.say("abort", 2);
  EXPECT_EQ(life.commands().pending(), 0U);
  ASSERT_TRUE(life.until([&] { return life.commands().pending() == 1; })) << "it is back";
  EXPECT_FALSE(life.heard("result", 2));
  disk.heal();
  life.say("confirm", 1);
  EXPECT_EQ(life.result_of(1), "done");
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("before it was applied"));
  EXPECT_FALSE(life.model().networks.contains("blue"));
  EXPECT_EQ(life.results_of(2), 1U);
}

TEST(CommandsStoreTest, AModelReplaceThatIsDoneEndsWhatIsKeptWhateverComesBehindIt) {
  Machine machine;
  {
    auto opened = store::Store::open(file_of(machine), WallTime{}).value();
    ASSERT_TRUE(opened.put_setting(kept_links_setting, R"(["n-old"])"));
  }
  const std::string no_model = R"({"op":"model.replace","model":{"networks":[{"network":"Bad"}]}})";
  {
    Life life(machine);
    life.send(Life::command(1, replacement(life.model()), R"(,"dry_run":true)"));
    EXPECT_EQ(life.result_of(1), "done");
    life.send(Life::command(2, no_model));
    EXPECT_EQ(life.result_of(2), "refused");
    EXPECT_EQ(life.replaced, 0) << "nobody has said yet what everything is";
    life.send(Life::command(3, replacement(life.model())));
    life.send(Life::command(4, make_blue));
    EXPECT_EQ(life.result_of(3), "done");
    EXPECT_FALSE(life.heard("result", 3)->at("changed").as_bool());
    EXPECT_EQ(life.result_of(4), "done");
    EXPECT_EQ(life.replaced, 1);
  }
  auto opened = store::Store::open(file_of(machine), WallTime{}).value();
  EXPECT_EQ(opened.setting(kept_links_setting).value(), "[]") << "also for the next start";
}

}  // namespace
}  // namespace edge::uplink
