// The journal's promises, the same for a store in memory and one in a file.
#include <gtest/gtest.h>

#include "store/io/sha256.hpp"
#include "store/io/store.hpp"
#include "tests/unit/store/temp_folder.hpp"

namespace edge::store {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};

std::string id_of(int n) {
  return "00000000-0000-4000-8000-" + std::string(12 - std::to_string(n).size(), '0') +
         std::to_string(n);
}
IncomingCommand command(int n, const std::string& payload = "{}") {
  return {.id = id_of(n), .payload = payload, .sha256 = sha256(payload), .command_class = "model"};
}

enum class Where { memory, file };

class JournalContract : public testing::TestWithParam<Where> {
 protected:
  Store open(StoreLimits limits = {}) {
    const std::string path = GetParam() == Where::memory ? ":memory:" : folder.file("store.db");
    auto store = Store::open(path, kNow, {.limits = limits, .vfs = {}});
    EXPECT_TRUE(store) << store.error().what;
    return std::move(*store);
  }
  void end(Store& store, int n, CommandState state = CommandState::done) {
    ASSERT_TRUE(store.start(id_of(n), "boot", "", kNow));
    ASSERT_TRUE(store.finish(id_of(n), state, R"({"state":"done"})", std::nullopt, kNow));
  }

  TempFolder folder;
};
INSTANTIATE_TEST_SUITE_P(Stores, JournalContract, testing::Values(Where::memory, Where::file),
                         [](const auto& one) {
                           return one.param == Where::memory ? "memory" : "file";
                         });

TEST_P(JournalContract, AFreshCommandIsStoredAndUnfinished) {
  Store store = open();
  EXPECT_EQ(store.receive(command(1, R"({"a":1})"), kNow)->receipt, Receipt::fresh);
  const auto open_commands = store.unfinished().value();
  ASSERT_EQ(open_commands.size(), 1U);
  EXPECT_EQ(open_commands[0].id, id_of(1));
  EXPECT_EQ(open_commands[0].payload, R"({"a":1})");
  EXPECT_EQ(open_commands[0].sha256, sha256(R"({"a":1})"));
  EXPECT_EQ(open_commands[0].state, CommandState::stored);
  EXPECT_EQ(open_commands[0].received, kNow);
  EXPECT_FALSE(open_commands[0].started);
}

TEST_P(JournalContract, TheSameCommandAgainIsAnsweredFromTheRecord) {
  Store store = open();
  ASSERT_TRUE(store.receive(command(1), kNow));
  EXPECT_EQ(store.receive(command(1), kNow)->receipt, Receipt::known);
  EXPECT_EQ(store.receive(command(1), kNow)->state, CommandState::stored);
  ASSERT_NO_FATAL_FAILURE(end(store, 1, CommandState::rolled_back));
  const auto again = store.receive(command(1), kNow).value();
  EXPECT_EQ(again.receipt, Receipt::known);
  EXPECT_EQ(again.state, CommandState::rolled_back);
  EXPECT_EQ(again.result, R"({"state":"done"})");
  EXPECT_TRUE(store.unfinished()->empty());
}

TEST_P(JournalContract, AnotherPayloadUnderAKnownIdIsIdReuseAndChangesNothing) {
  Store store = open();
  ASSERT_TRUE(store.receive(command(1, "one"), kNow));
  EXPECT_EQ(store.receive(command(1, "two"), kNow)->receipt, Receipt::id_reuse);
  EXPECT_EQ(store.command(id_of(1)).value()->payload, "one");
}

TEST_P(JournalContract, BadIdsAndLargePayloadsNameTheValueAndTheLimit) {
  Store store = open({.payload_bytes_max = 8});
  auto bad = command(1);
  bad.id = "not-a-uuid";
  const auto refused = store.receive(bad, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_input);
  EXPECT_NE(refused.error().what.find("not-a-uuid"), std::string::npos);
  EXPECT_TRUE(store.receive(command(1, "12345678"), kNow));
  const auto large = store.receive(command(2, "123456789"), kNow);
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().what.find("9 bytes; at most 8"), std::string::npos) << large.error().what;
}

TEST_P(JournalContract, AGroupKeepsTheGoodOnesAndRefusesTheBadOne) {
  Store store = open();
  std::vector<IncomingCommand> group{command(1), command(2), command(3)};
  group[1].id = "bad";
  const auto outcomes = store.receive_all(group, kNow);
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_TRUE(outcomes[0]);
  EXPECT_EQ(outcomes[1].error().code, Errc::invalid_input);
  EXPECT_TRUE(outcomes[2]);
  EXPECT_EQ(store.unfinished()->size(), 2U);
}

TEST_P(JournalContract, StepsHappenInOrderOnly) {
  Store store = open();
  EXPECT_EQ(store.start(id_of(1), "boot", "", kNow).error().code, Errc::not_found);
  ASSERT_TRUE(store.receive(command(1), kNow));
  EXPECT_EQ(store.mark(id_of(1), CommandState::applying, "x").error().code, Errc::conflict);
  ASSERT_TRUE(store.start(id_of(1), "boot", "{\"undo\":1}", kNow + 1s));
  EXPECT_EQ(store.start(id_of(1), "boot", "", kNow).error().code, Errc::conflict);
  ASSERT_TRUE(store.mark(id_of(1), CommandState::confirming, "half"));
  const auto begun = *store.command(id_of(1)).value();
  EXPECT_EQ(begun.state, CommandState::confirming);
  EXPECT_EQ(begun.step, "half");
  EXPECT_EQ(begun.undo, "{\"undo\":1}");
  EXPECT_EQ(begun.boot_id, "boot");
  EXPECT_EQ(begun.started, kNow + 1s);
  ASSERT_TRUE(store.finish(id_of(1), CommandState::done, "{}", std::nullopt, kNow + 2s));
  const auto twice = store.finish(id_of(1), CommandState::refused, "{}", std::nullopt, kNow);
  EXPECT_EQ(twice.error().code, Errc::conflict);
  EXPECT_EQ(store.command(id_of(1)).value()->state, CommandState::done);
  EXPECT_EQ(store.command(id_of(1)).value()->finished, kNow + 2s);
}

TEST_P(JournalContract, ResultAndRevisionLandTogetherOrNotAtAll) {
  Store store = open();
  ASSERT_TRUE(store.receive(command(1), kNow));
  ASSERT_TRUE(store.receive(command(2), kNow));
  const Revision first{.number = 5, .model = "{\"m\":1}", .cause = id_of(1), .time = kNow};
  ASSERT_TRUE(store.finish(id_of(1), CommandState::done, "{}", first, kNow));
  EXPECT_EQ(store.newest_revision().value()->model, "{\"m\":1}");

  // The revision is fine, the command is not: neither may stay.
  const Revision second{.number = 6, .model = "{}", .cause = "", .time = kNow};
  EXPECT_EQ(store.finish(id_of(1), CommandState::done, "{}", second, kNow).error().code,
            Errc::conflict);
  EXPECT_EQ(store.newest_revision().value()->number, 5);
  // The command is fine, the revision is not.
  EXPECT_EQ(store.finish(id_of(2), CommandState::done, "{}", first, kNow).error().code,
            Errc::conflict);
  EXPECT_EQ(store.command(id_of(2)).value()->state, CommandState::stored);
}

TEST_P(JournalContract, ResultsAreOfferedUntilAcked) {
  Store store = open();
  for (int n = 1; n <= 3; ++n) {
    ASSERT_TRUE(store.receive(command(n), kNow));
    ASSERT_NO_FATAL_FAILURE(end(store, n));
  }
  ASSERT_TRUE(store.receive(command(4), kNow));
  ASSERT_TRUE(store.ack_result(id_of(2)));
  ASSERT_TRUE(store.ack_result(id_of(4)));  // Without a result there is nothing to ack.
  ASSERT_TRUE(store.ack_result(id_of(9)));
  const auto offered = store.unacked_results(10).value();
  ASSERT_EQ(offered.size(), 2U);
  EXPECT_EQ(offered[0].id, id_of(1));
  EXPECT_EQ(offered[1].id, id_of(3));
  EXPECT_EQ(store.unacked_results(1)->size(), 1U);
  EXPECT_FALSE(store.command(id_of(4)).value()->result_acked);
}

TEST_P(JournalContract, PruneDropsOnlyAckedResultsOlderThanTheRetention) {
  Store store = open({.journal_retention = 24h});
  for (int n = 1; n <= 2; ++n) {
    ASSERT_TRUE(store.receive(command(n), kNow));
    ASSERT_NO_FATAL_FAILURE(end(store, n));
  }
  ASSERT_TRUE(store.ack_result(id_of(1)));
  EXPECT_EQ(store.prune(kNow + 24h).value(), 0);
  EXPECT_EQ(store.prune(kNow + 24h + 1ms).value(), 1);
  EXPECT_FALSE(store.command(id_of(1)).value());
  EXPECT_TRUE(store.command(id_of(2)).value());
}

TEST_P(JournalContract, AFullJournalForgetsAckedCommandsAndNeverUnackedOnes) {
  Store store = open({.journal_rows_max = 3});
  for (int n = 1; n <= 3; ++n) {
    ASSERT_TRUE(store.receive(command(n), kNow));
    ASSERT_NO_FATAL_FAILURE(end(store, n));
  }
  const auto refused = store.receive(command(4), kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_EQ(store.receive(command(3), kNow)->receipt, Receipt::known)
      << "a known one is still answered";
  ASSERT_TRUE(store.ack_result(id_of(2)));
  EXPECT_TRUE(store.receive(command(4), kNow));
  EXPECT_FALSE(store.command(id_of(2)).value());
  EXPECT_TRUE(store.command(id_of(1)).value());
}

}  // namespace
}  // namespace edge::store
