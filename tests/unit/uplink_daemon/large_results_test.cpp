// Commands whose results would be larger than the store takes, over a fake kernel and a real store.
#include <set>

#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {
namespace {

using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using test::make_red;
using testing::ElementsAre;
using testing::HasSubstr;

/// Network "blue" with a VM, of which so many ports are published, on every port of the host.
std::string published(int count) {
  std::string out =
      make_blue + R"(,{"op":"interface.attach","interface":"web","vm":"web","network":"blue"})";
  for (int n = 0; n < count; ++n) {
    out += fmt::format(
        R"(,{{"op":"gateway.publish","rule":"r{0}","interface":"web","protocol":"tcp","port":{1}}})",
        n, 10'000 + n);
  }
  return out;
}

TEST(LargeResultsTest, WhatEndsWithThePortIsCountedWhereItIsTooMuchToTell) {
  Machine machine;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, published(1200)));
  ASSERT_EQ(life.result_of(1), "done") << life.text_of("result", 1);
  EXPECT_LT(life.text_of("result", 1).size(), 200'000U) << "the plan is bounded as well";
  const std::string off = R"({"op":"adapter.set","adapter":"eth0","enabled":false})";
  life.send(Life::command(2, off));
  ASSERT_EQ(life.result_of(2), "refused");
  const auto refused = life.heard("result", 2).value();
  const auto& lines = refused.at("consequences").as_array();
  EXPECT_LE(lines.size(), told_lines_max + 2);
  EXPECT_THAT(std::string(lines[lines.size() - 2].as_string()),
              testing::ContainsRegex("^[.][.][.] and [0-9]+ more lines$"));
  EXPECT_THAT(std::string(lines.back().as_string()), HasSubstr("the Console"));
  EXPECT_LE(refused.at("problems").as_array().size(), 4U)
      << "what is told already is not told twice";
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("its path ends"));
}

TEST(LargeResultsTest, AKeptTrialWhoseEndTheStoreWillNeverTakeIsTakenBackAndSaysSo) {
  Machine machine;
  machine.limits.result_bytes_max = 500;
  Life life(machine);
  life.path_up();
  const std::uint32_t before = machine.mtu();
  ASSERT_TRUE(life.try_out(1, jumbo));
  ASSERT_EQ(machine.mtu(), 9000U);
  life.say("confirm", 1);
  EXPECT_EQ(life.result_of(1), "rolled_back");
  EXPECT_THAT(life.text_of("result", 1), HasSubstr("at most 500 are allowed"));
  EXPECT_EQ(machine.mtu(), before);
  EXPECT_EQ(life.commands().revision(), 0);
}

TEST(LargeResultsTest, NorDoesAChangeOfAnotherKindStayWithoutItsRecord) {
  Machine machine;
  machine.limits.result_bytes_max = 500;
  Life life(machine);
  life.send(Life::command(1, make_blue));
  life.send(Life::command(2, make_red));
  for (const int n : {1, 2}) {
    EXPECT_EQ(life.result_of(n), "refused");
    EXPECT_THAT(life.text_of("result", n), HasSubstr("at most 500 are allowed"));
  }
  EXPECT_FALSE(machine.has_link("n-blue"));
  EXPECT_FALSE(machine.has_link("n-red"));
  EXPECT_EQ(life.model().networks, netmodel::Model::defaults().networks);
}

TEST(LargeResultsTest, OneOfABatchTakesNoneOfTheOthersWithIt) {
  Machine machine;
  {
    Life first(machine);  // The first start's plan is long.
    ASSERT_TRUE(first.start());
    ASSERT_TRUE(first.until([&] { return first.settled(); }));
  }
  machine.limits.result_bytes_max = 3000;
  Life life(machine);
  life.path_up();
  life.send(Life::command(1, make_red));
  life.send(Life::command(2, published(20)));
  EXPECT_EQ(life.result_of(1), "done") << life.text_of("result", 1);
  EXPECT_EQ(life.result_of(2), "refused");
  EXPECT_THAT(life.text_of("result", 2), HasSubstr("at most 3000 are allowed"));
  EXPECT_TRUE(machine.has_link("n-red"));
  EXPECT_FALSE(machine.has_link("n-blue"));
}

/// As a former life leaves them: ids 1 to `count`.
void leave_results(const Machine& machine, int count) {
  auto opened = store::Store::open(machine.disk.file("uplink.db"), WallTime{}).value();
  const auto left = opened.together([&]() -> Result<void> {
    for (int n = 1; n <= count; ++n) {
      const std::string result =
          fmt::format(R"({{"type":"result","id":"{}","state":"done"}})", Life::id(n));
      EDGE_ASSIGN(const auto received,
                  opened.receive({Life::id(n), Life::command(n, make_blue), {}, "model"}, {}));
      if (received.receipt != store::Receipt::fresh) { return fail(Errc::conflict, "known"); }
      EDGE_TRY(opened.finish(Life::id(n), store::CommandState::done, result, std::nullopt, {}));
    }
    return {};
  });
  ASSERT_TRUE(left) << left.error().what;
}

/// Why: what the channel holds was read and put into it again with each place that became free.
TEST(UnackedResultsTest, AllOfThemGoThroughAChannelThatIsFullAgainAndAgainEachOnce) {
  constexpr int count = 600;
  Machine machine;
  ASSERT_NO_FATAL_FAILURE(leave_results(machine, count));
  Life life(machine);
  life.room = 0;
  life.commands().send_unacked();
  for (const std::size_t more : {1UZ, 39UZ, 260UZ, 299UZ, 1UZ}) {
    const std::size_t before = life.sent.size();
    life.room = more;
    ASSERT_TRUE(life.until([&] { return life.sent.size() == before + more; }));
  }
  std::set<std::string> ids;
  for (const auto& message : life.sent) { ids.emplace(message.at("id").as_string()); }
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(count));
  EXPECT_EQ(life.sent.size(), static_cast<std::size_t>(count));
  life.room.reset();
  life.send(Life::command(count + 1, make_red));
  EXPECT_EQ(life.result_of(count + 1), "done");
  EXPECT_EQ(life.results_of(1), 1U);
  life.commands().send_unacked();
  ASSERT_TRUE(life.until([&] { return life.results_of(count + 1) == 2; })) << "a new session";
  EXPECT_EQ(life.results_of(1), 2U);
}

TEST(UnackedResultsTest, OneThatEndsWhileTheChannelIsFullFollowsAndTakesNoneThatIsInItAlong) {
  Machine machine;
  Life life(machine);
  life.commands().send_unacked();
  life.send(Life::command(1, make_red));
  ASSERT_EQ(life.result_of(1), "done");
  life.room = 0;
  life.send(Life::command(2, make_blue));
  ASSERT_TRUE(life.until([&] { return life.commands().executed() == 2; }));
  EXPECT_FALSE(life.heard("result", 2));
  life.room.reset();
  EXPECT_EQ(life.result_of(2), "done");
  EXPECT_EQ(life.results_of(1), 1U);
  EXPECT_EQ(life.results_of(2), 1U);
}

TEST(BoundedTest, LinesAndBytesAreBoundedAndTheRestIsCounted) {
  EXPECT_THAT(bounded({"a", "b"}), ElementsAre("a", "b"));
  const std::vector<std::string> many(told_lines_max + 5, "line");
  EXPECT_EQ(bounded(many).back(), "... and 5 more lines");
  EXPECT_EQ(bounded(many).size(), told_lines_max + 1);
  const std::vector<std::string> wide(10, std::string(told_line_bytes_max, 'x'));
  EXPECT_EQ(bounded(wide).back(), "... and 6 more lines");
  std::string batch;
  while (batch.size() < 2 * told_line_bytes_max) { batch += "nft add element\n"; }
  const auto cut = bounded({batch});
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_LT(cut.front().size(), told_line_bytes_max + 64);
  EXPECT_THAT(cut.front(), testing::EndsWith("more bytes"));
}

}  // namespace
}  // namespace edge::uplink
