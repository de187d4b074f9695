// A store in trouble: events wait for it in order, and a lost journal runs nothing twice.
#include "uplink/daemon/store_keeper.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>

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
                           .keep = [](const std::set<std::string>&) {}});
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
