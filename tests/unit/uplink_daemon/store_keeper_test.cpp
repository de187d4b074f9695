// A store in trouble: events wait for it in order, and a lost journal runs nothing twice.
#include "uplink/daemon/store_keeper.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

namespace edge::uplink {
namespace {

namespace json = boost::json;
constexpr WallTime now{std::chrono::milliseconds(1'700'000'000'000)};
constexpr const char* empty_command =
    R"({"type":"command","id":"00000000-0000-4000-8000-000000000001","operations":[]})";

/// While it lives every write to a file fails, as on a disk that broke (EFBIG).
class BrokenDisk {
 public:
  BrokenDisk() : before_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit none{.rlim_cur = 0, .rlim_max = limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  BrokenDisk(const BrokenDisk&) = delete;
  BrokenDisk& operator=(const BrokenDisk&) = delete;
  ~BrokenDisk() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    ::signal(SIGXFSZ, before_);
  }

 private:
  rlimit limit_{};
  void (*before_)(int);
};

class StoreKeeperTest : public testing::Test {
 protected:
  StoreKeeperTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "edge-keeper-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    store.emplace(io, store::Store::open(folder + "/uplink.db", now).value());
    events.emplace(*store);
    events->listen([this](const store::EventRecord& event) { told.push_back(event); });
  }
  ~StoreKeeperTest() override {
    store.reset();
    std::filesystem::remove_all(folder);
  }
  template <class Done>
  void run_until(Done&& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(100));
    }
    ASSERT_TRUE(done());
  }
  std::unique_ptr<StoreKeeper> keeper(StoreStart start) {
    start.file = folder + "/uplink.db";
    start.folder = folder;
    return std::make_unique<StoreKeeper>(
        io, *store, *events, folder, std::move(start),
        StoreKeeper::Hooks{.changed = [] {},
                           .restart = [this] { ++restarts; },
                           .send =
                               [this](std::string_view text) {
                                 sent.emplace_back(text);
                                 return Result<void>{};
                               },
                           .last_known = [this] { return ++asked_what_stands, stands; },
                           .keep =
                               [this](const std::set<std::string>& links) {
                                 left_alone.emplace_back(links.begin(), links.end());
                               }});
  }
  boost::asio::io_context io;
  std::string folder;
  std::optional<store::StoreWorker> store;
  std::optional<EventLog> events;
  std::vector<store::EventRecord> told;
  std::vector<std::string> sent;
  int restarts = 0;
  std::optional<LastKnown> stands = LastKnown{};
  int asked_what_stands = 0;
  std::vector<std::vector<std::string>> left_alone;  ///< Each time that it was said.
};

TEST_F(StoreKeeperTest, EventsThatTheDiskDoesNotTakeWaitAndKeepTheirOrder) {
  events->add("before", {});
  run_until([&] { return told.size() == 1; });
  {
    const BrokenDisk broken;
    events->add("first", {});
    run_until([&] { return events->held() == 1; });
    events->add("second", {});
    events->add("third", {});
    EXPECT_EQ(events->held(), 3U) << "behind those that wait, without asking the disk";
    events->retry();
    run_until([&] { return events->held() == 3; });
    EXPECT_EQ(told.size(), 1U);
  }
  events->retry();
  run_until([&] { return told.size() == 4; });
  EXPECT_EQ(events->held(), 0U);
  EXPECT_EQ(told[1].kind, "first");
  EXPECT_EQ(told[3].kind, "third");
  EXPECT_EQ(told[3].number, 4);
}

TEST_F(StoreKeeperTest, ADiskThatBreaksAndHealsIsToldOnce) {
  const auto watch = keeper({});
  watch->start();
  EXPECT_EQ(watch->view().at("state").as_string(), "ok");
  EXPECT_EQ(watch->problem(), "");
  {
    const BrokenDisk broken;
    events->add("anything", {});
    run_until([&] { return watch->view().at("state").as_string() == "failing"; });
    EXPECT_FALSE(watch->view().at("durable").as_bool());
    EXPECT_NE(watch->problem().find("commands are refused"), std::string::npos);
  }
  run_until([&] { return watch->view().at("state").as_string() == "ok"; });
  run_until([&] { return events->held() == 0; });
  run_until([&] { return !told.empty() && told.back().kind == "store.recovered"; });
  EXPECT_EQ(told.front().kind, "anything");
  EXPECT_EQ(told.size(), 3U) << "anything, store.trouble, store.recovered";
  EXPECT_EQ(restarts, 0) << "it healed in its place";
  watch->stop();
}

TEST_F(StoreKeeperTest, ACommandThatALostJournalMayHaveRunIsAnsweredAndNeverRun) {
  const auto watch = keeper({.settle_event = 1});
  ASSERT_TRUE(watch->take(empty_command));
  run_until([&] { return sent.size() == 1; });
  const json::object answer = json::parse(sent[0]).as_object();
  EXPECT_EQ(answer.at("state").as_string(), "indeterminate");
  EXPECT_EQ(answer.at("problems").as_array().size(), 1U);
  ASSERT_TRUE(watch->take(empty_command)) << "said again";
  run_until([&] { return sent.size() == 2; });
  EXPECT_EQ(sent[1], sent[0]);
  EXPECT_FALSE(watch->take(R"({"type":"result_ack","id":"00000000-0000-4000-8000-000000000001"})"))
      << "everything else goes its way";
  EXPECT_FALSE(keeper({})->take(empty_command)) << "nothing was lost";
}

TEST_F(StoreKeeperTest, WhatIsTriedOutIsNotRememberedAsWhatStands) {
  const auto watch = keeper({});
  stands.reset();
  watch->remember_soon();
  run_until([&] { return asked_what_stands > 0; });
  EXPECT_FALSE(std::filesystem::exists(folder + "/last-known.json"));
  stands = LastKnown{.host_id = "hv-01", .revision = 4};
  run_until([&] { return std::filesystem::exists(folder + "/last-known.json"); });
  watch->stop();
}

TEST_F(StoreKeeperTest, WhatIsKeptIsReleasedAtOnceAndTold) {
  const auto watch = keeper({.kept = {"n-lan", "t-app"}});
  watch->start();
  EXPECT_TRUE(watch->view().contains("kept"));
  watch->release_kept();
  EXPECT_FALSE(watch->view().contains("kept"));
  EXPECT_EQ(watch->problem(), "");
  ASSERT_EQ(left_alone.size(), 2U);
  EXPECT_EQ(left_alone[0], (std::vector<std::string>{"n-lan", "t-app"}));
  EXPECT_TRUE(left_alone[1].empty());
  run_until([&] { return !told.empty(); });
  EXPECT_EQ(told[0].kind, "store.settled");
  EXPECT_THAT(told[0].json, testing::HasSubstr(R"("no_longer_kept":["n-lan","t-app"])"));
  watch->release_kept();
  EXPECT_EQ(left_alone.size(), 2U) << "nothing is left to be released";
  watch->stop();
}

TEST_F(StoreKeeperTest, WhatAStoredModelNamesIsKeptNoLonger) {
  const auto watch = keeper({.kept = {"n-lan", "t-app"}});
  watch->start();
  LastKnown known{.host_id = "hv-01", .revision = 4};
  known.model.networks["lan"] = {.kind = netmodel::NetworkKind::isolated};
  stands = known;
  watch->remember_soon();
  run_until([&] { return left_alone.size() == 2; });
  EXPECT_EQ(left_alone[1], (std::vector<std::string>{"t-app"}));
  watch->stop();
  store.reset();
  EXPECT_EQ(
      store::Store::open(folder + "/uplink.db", now).value().setting(kept_links_setting).value(),
      R"(["t-app"])");
}

/// Why: the life that went on from the copy may have run them; what the Console misses is sent anew
/// by somebody who has looked.
TEST_F(StoreKeeperTest, WhatAnOldCopyOfTheStoreHadNotFinishedIsEndedAndNeverRun) {
  constexpr const char* stored_id = "00000000-0000-4000-8000-000000000001";
  constexpr const char* begun_id = "00000000-0000-4000-8000-000000000002";
  store.reset();
  Config config;
  config.paths.state = config.paths.runtime = folder;
  const std::string model = netmodel::to_json_text(netmodel::Model::defaults());
  auto copy = store::Store::open(folder + "/uplink.db", now).value();
  ASSERT_TRUE(copy.add_revision({4, model, "default", now}));
  ASSERT_TRUE(copy.receive({stored_id, empty_command, {}, "model"}, now));
  ASSERT_TRUE(copy.receive({begun_id, empty_command, {}, "model"}, now));
  ASSERT_TRUE(copy.start(begun_id, "boot-0", R"({"number":5})", now));
  const netmodel::ObservedState nothing{};
  const auto same = rebuild_store(copy, config, "hv-01", nothing, std::nullopt);
  ASSERT_TRUE(same) << same.error().what;
  EXPECT_EQ(copy.unfinished().value().size(), 2U) << "nothing newer is known: it is no copy";
  const std::string install_id = copy.identity().value().install_id;

  LastKnown newer{.host_id = "hv-01", .revision = 9};
  newer.model = netmodel::Model::defaults();
  ASSERT_TRUE(write_last_known(folder, folder, to_json_text(newer)));
  const auto start = rebuild_store(copy, config, "hv-01", nothing, std::nullopt);
  ASSERT_TRUE(start) << start.error().what;
  EXPECT_NE(start->settle_event, 0);
  EXPECT_EQ(copy.newest_revision().value()->number, 9);
  EXPECT_TRUE(copy.unfinished().value().empty());
  EXPECT_NE(copy.identity().value().install_id, install_id) << "its events count anew";
  const auto ended = copy.unacked_results(10).value();
  ASSERT_EQ(ended.size(), 2U);
  for (const auto& command : ended) {
    EXPECT_EQ(command.state, store::CommandState::indeterminate);
    EXPECT_TRUE(command.undo.empty()) << "no trial is taken back from the newer model";
    EXPECT_THAT(command.result, testing::HasSubstr("store_lost"));
    EXPECT_EQ(json::parse(command.result).at("id").as_string(), command.id);
  }
}

/// Why: the Console takes no larger one, and all that come behind it would wait.
TEST_F(StoreKeeperTest, TheEventOfALossIsOfBoundedSizeWhateverIsKept) {
  store.reset();
  Config config;
  config.paths.state = config.paths.runtime = folder;
  auto lost = store::Store::open(folder + "/uplink.db", now).value();
  netmodel::ObservedState full;
  for (int i = 0; i < 2000; ++i) {
    netmodel::ObservedLink tap;
    tap.link.name = fmt::format("t-guest{}", i);
    tap.link.alias = fmt::format("{}interface:guest{}", netmodel::our_alias, i);
    full.links.push_back(tap);
  }
  const auto start = rebuild_store(lost, config, "hv-01", full, std::nullopt);
  ASSERT_TRUE(start) << start.error().what;
  ASSERT_EQ(start->kept.size(), 2000U);
  const auto newest = lost.newest_events(1).value();
  ASSERT_EQ(newest.size(), 1U);
  EXPECT_LE(newest[0].json.size(), EventLog::data_bytes_max);
  EXPECT_EQ(json::parse(newest[0].json).at("rebuilt_from").as_string(), "kernel");
}

TEST_F(StoreKeeperTest, AStoreInMemoryAsksForAFreshStartWhenItsFileIsBack) {
  store.reset();
  store.emplace(io, store::Store::open_volatile(folder + "/uplink.db", folder,
                                                {Errc::denied, 0, "read-only"}, now)
                        .value());
  events.emplace(*store);
  StoreStart start{.standing = {.durable = false, .reason = "read-only", .journal_known = true}};
  const auto watch = keeper(std::move(start));
  EXPECT_EQ(watch->view().at("state").as_string(), "memory");
  watch->start();
  run_until([&] { return restarts == 1; });
  watch->stop();
  store.reset();
  auto file = store::Store::open(folder + "/uplink.db", now).value();
  const auto kept = file.newest_events(10).value();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].kind, "store.trouble");
}

}  // namespace
}  // namespace edge::uplink
