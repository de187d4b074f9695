// Every disk write fails in turn; the power goes at every step: a command is before or after, never
// between.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "fault_vfs.hpp"
#include "store/io/sha256.hpp"
#include "store/io/store.hpp"
#include "temp_folder.hpp"

namespace edge::store {
namespace {

constexpr std::string_view kId = "00000000-0000-4000-8000-000000000001";

IncomingCommand command(std::string_view id = kId) {
  const std::string payload(6000, 'p');  // More than a page: several writes per commit.
  return {.id = std::string(id),
          .payload = payload,
          .sha256 = sha256(payload),
          .command_class = "model"};
}

/// The life of one command as steps; `reached` tells from the file how many are in it.
Result<void> take_step(Store& store, int step) {
  switch (step) {
    case 1: {
      EDGE_ASSIGN(const auto outcome, store.receive(command(), kNow));
      return outcome.receipt == Receipt::fresh ? Result<void>{} : fail(Errc::conflict, "not fresh");
    }
    case 2: return store.start(kId, "boot", "{}", kNow);
    case 3: {
      const Revision revision{
          .number = 1, .model = std::string(9000, 'm'), .cause = "c", .time = kNow};
      return store.finish(kId, CommandState::done, "{\"ok\":1}", revision, kNow);
    }
    case 4: return store.ack_result(kId);
    default: return fail(Errc::invalid_input, "no such step");
  }
}
constexpr int kSteps = 4;

/// Fails the test if the file holds a mixture.
int reached(Store& store) {
  const auto record = store.command(kId);
  EXPECT_TRUE(record) << record.error().what;
  const bool revised = store.newest_revision().value().has_value();
  if (!record || !*record) {
    EXPECT_FALSE(revised);
    return 0;
  }
  const CommandRecord& found = **record;
  EXPECT_EQ(found.payload, command().payload);
  EXPECT_EQ(revised, found.state == CommandState::done);
  EXPECT_EQ(found.result.empty(), found.state != CommandState::done);
  if (found.state == CommandState::stored) { return 1; }
  if (found.state == CommandState::applying) { return 2; }
  return found.result_acked ? 4 : 3;
}

using Fault = FaultVfs::Fault;
using Lasting = FaultVfs::Lasting;

class StoreFault : public testing::TestWithParam<std::tuple<Fault, Lasting>> {
 protected:
  FaultVfs vfs;
};
INSTANTIATE_TEST_SUITE_P(Faults, StoreFault,
                         testing::Combine(testing::Values(Fault::io_error, Fault::disk_full),
                                          testing::Values(Lasting::once, Lasting::from_then_on)));

TEST_P(StoreFault, EachFailedWriteLeavesEachStepWhole) {
  const auto [fault, lasting] = GetParam();
  int fired = 0;
  for (int step = 1; step <= kSteps; ++step) {
    for (std::uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(testing::Message() << "step " << step << " write " << nth);
      ASSERT_LT(nth, 100U);
      TempFolder folder;
      const std::string path = folder.file("s.db");
      bool over = false;
      bool refused = false;
      {
        Store store =
            Store::open(path, kNow, {.limits = {.reserve_bytes = 4096}, .vfs = FaultVfs::kName})
                .value();
        for (int before = 1; before < step; ++before) { ASSERT_TRUE(take_step(store, before)); }
        vfs.arm(nth, fault, lasting);
        const auto taken = take_step(store, step);
        over = !vfs.fired();
        if (taken) {
          EXPECT_EQ(reached(store), step);
        } else {
          ++fired;
          EXPECT_EQ(taken.error().code,
                    fault == Fault::disk_full ? Errc::no_space : Errc::transient)
              << taken.error().what;
          EXPECT_EQ(reached(store), step - 1) << "an error means: nothing happened";
          refused = lasting == Lasting::once;
        }
        vfs.arm(1, Fault::io_error, Lasting::from_then_on);  // It dies here.
      }
      vfs.disarm();
      {
        // A failed sync may have reached the disk all the same; a disk that takes the next write is
        // made to forget it. One that takes nothing any more: after is as good as before, between
        // is not.
        Store store = Store::open(path, kNow, {.limits = {}, .vfs = FaultVfs::kName}).value();
        EXPECT_FALSE(store.opened().corrupt_file);
        int at = reached(store);
        EXPECT_TRUE((at == step && !refused) || at == step - 1) << at;
        while (at < kSteps) { ASSERT_TRUE(take_step(store, ++at)) << at; }
        EXPECT_EQ(reached(store), kSteps);
      }
      if (over || testing::Test::HasFailure()) { break; }
    }
  }
  EXPECT_GT(fired, 4);
}

TEST_P(StoreFault, AGroupIsKeptAsAWholeOrNotAtAll) {
  const auto [fault, lasting] = GetParam();
  for (std::uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(testing::Message() << "write " << nth);
    ASSERT_LT(nth, 200U);
    TempFolder folder;
    Store store = Store::open(folder.file("s.db"), kNow,
                              {.limits = {.reserve_bytes = 0}, .vfs = FaultVfs::kName})
                      .value();
    std::vector<IncomingCommand> group;
    for (int n = 0; n < 8; ++n) {
      group.push_back(command("00000000-0000-4000-8000-00000000000" + std::to_string(n)));
    }
    vfs.arm(nth, fault, lasting);
    const auto outcomes = store.receive_all(group, kNow);
    vfs.disarm();
    std::size_t stored = 0;
    for (const auto& outcome : outcomes) { stored += outcome ? 1 : 0; }
    EXPECT_EQ(store.unfinished()->size(), stored);
    EXPECT_TRUE(stored == 0 || stored == group.size()) << stored;
    if (!vfs.fired()) { break; }
  }
}

TEST(StoreFullDisk, ABegunCommandEndsByGivingUpTheReserveAndNoNewOneBegins) {
  FaultVfs vfs;
  TempFolder folder;
  const std::string path = folder.file("s.db");
  Store store =
      Store::open(path, kNow, {.limits = {.reserve_bytes = 65536}, .vfs = FaultVfs::kName}).value();
  ASSERT_TRUE(std::filesystem::exists(path + ".reserve"));
  ASSERT_TRUE(take_step(store, 1));
  ASSERT_TRUE(take_step(store, 2));
  vfs.arm(1, Fault::disk_full, Lasting::once);  // Once: giving up the reserve made room.
  ASSERT_TRUE(take_step(store, 3));
  EXPECT_TRUE(vfs.fired());
  EXPECT_EQ(reached(store), 3);
  EXPECT_FALSE(std::filesystem::exists(path + ".reserve"));

  // The disk has room again: the reserve is taken back before the next command is.
  vfs.disarm();
  EXPECT_TRUE(store.receive(command("00000000-0000-4000-8000-000000000002"), kNow));
  EXPECT_TRUE(std::filesystem::exists(path + ".reserve"));
}

TEST(StoreFullDisk, AGroupWithABegunCommandEndsTheSameWay) {
  FaultVfs vfs;
  TempFolder folder;
  Store store = Store::open(folder.file("s.db"), kNow,
                            {.limits = {.reserve_bytes = 65536}, .vfs = FaultVfs::kName})
                    .value();
  ASSERT_TRUE(take_step(store, 1));
  vfs.arm(1, Fault::disk_full, Lasting::once);
  const auto both = store.together([&]() -> Result<void> {
    EDGE_TRY(take_step(store, 2));
    return take_step(store, 3);
  });
  ASSERT_TRUE(both) << both.error().what;
  EXPECT_TRUE(vfs.fired());
  EXPECT_EQ(reached(store), 3);
}

TEST(StoreWhole, AFailureInItTakesBackAllOfItAndNothingElseOfItsGroup) {
  TempFolder folder;
  Store store = Store::open(folder.file("s.db"), kNow).value();
  const auto group = store.together([&]() -> Result<void> {
    EDGE_TRY(store.put_setting("before", "1"));
    const auto part = store.whole([&]() -> Result<void> {
      EDGE_TRY(store.put_setting("inside", "1"));
      return store.start("00000000-0000-4000-8000-000000000009", "boot", "", kNow);
    });
    EXPECT_FALSE(part);
    return store.whole([&] { return store.put_setting("behind", "1"); });
  });
  ASSERT_TRUE(group) << group.error().what;
  EXPECT_EQ(store.setting("before").value(), "1");
  EXPECT_EQ(store.setting("inside").value(), std::nullopt);
  EXPECT_EQ(store.setting("behind").value(), "1");
}

/// The power goes after a random number of writes, mid-commit or between; unsynced sectors are kept
/// at random.
TEST(StorePowerCut, WhatWasAcknowledgedIsThereAndNothingIsTorn) {
  const std::uint64_t seed =
      testing::UnitTest::GetInstance()->random_seed() != 0
          ? static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed())
          : 20251121;
  Random random(seed);
  int in_flight = 0;
  for (int round = 0; round < 300 && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    FaultVfs vfs;
    TempFolder folder, after;
    int acknowledged = 0;
    {
      Store store = Store::open(folder.file("s.db"), kNow,
                                {.limits = {.reserve_bytes = 0}, .vfs = FaultVfs::kName})
                        .value();
      // From the chosen write on nothing reaches the disk: that is the moment of the cut.
      vfs.arm(1 + random.below(40), Fault::io_error, Lasting::from_then_on);
      while (acknowledged < kSteps && take_step(store, acknowledged + 1)) { ++acknowledged; }
      for (const auto& [file, bytes] : vfs.after_power_cut(random)) {
        if (file.ends_with("-shm")) { continue; }
        std::ofstream(after.file(std::filesystem::path(file).filename()), std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
      }
      vfs.disarm();
    }
    Store store = Store::open(after.file("s.db"), kNow).value();
    EXPECT_FALSE(store.opened().corrupt_file) << store.opened().corrupt_reason;
    const int found = reached(store);
    EXPECT_TRUE(found == acknowledged || found == acknowledged + 1)
        << found << " of " << acknowledged;
    in_flight += acknowledged < kSteps ? 1 : 0;
  }
  EXPECT_GT(in_flight, 30) << "the cuts must hit the steps";
}

/// Not a sample: at each write of a life in turn, with none, all and half of what was not synced.
TEST(StorePowerCut, AtEveryWriteOfALifeEitherStateIsFound) {
  Random random(11);
  int points = 0;
  for (std::uint64_t nth = 1; nth < 500 && !testing::Test::HasFailure(); ++nth) {
    bool over = false;
    for (const unsigned kept_percent : {0U, 50U, 100U}) {
      SCOPED_TRACE(testing::Message() << "write " << nth << " kept " << kept_percent << " %");
      FaultVfs vfs;
      TempFolder folder, after;
      int acknowledged = 0;
      {
        Store store = Store::open(folder.file("s.db"), kNow,
                                  {.limits = {.reserve_bytes = 0}, .vfs = FaultVfs::kName})
                          .value();
        vfs.arm(nth, Fault::io_error, Lasting::from_then_on);
        while (acknowledged < kSteps && take_step(store, acknowledged + 1)) { ++acknowledged; }
        over = !vfs.fired();
        for (const auto& [file, bytes] : vfs.after_power_cut(random, kept_percent)) {
          if (file.ends_with("-shm")) { continue; }
          std::ofstream(after.file(std::filesystem::path(file).filename()), std::ios::binary)
              .write(reinterpret_cast<const char*>(bytes.data()),
                     static_cast<std::streamsize>(bytes.size()));
        }
        vfs.disarm();
      }
      // Through the same VFS: its syncs cost nothing.
      Store store =
          Store::open(after.file("s.db"), kNow, {.limits = {}, .vfs = FaultVfs::kName}).value();
      EXPECT_FALSE(store.opened().corrupt_file) << store.opened().corrupt_reason;
      const int found = reached(store);
      EXPECT_TRUE(found == acknowledged || found == acknowledged + 1)
          << found << " of " << acknowledged;
    }
    if (over) { break; }
    ++points;
  }
  EXPECT_GT(points, 15);
  RecordProperty("points", points);
  std::printf("points: power cut at each of %d writes of a life, 3 ways each\n", points);
}

/// What a daemon meets: an event and a new command share a group on a disk that stays full. The
/// event gives the reserve up, the repeated group must not let the command take it again, for ever.
TEST(StoreFullDisk, GroupOfAnEventAndANewCommandEnds_TheCommandIsRefused) {
  FaultVfs vfs;
  TempFolder folder;
  Store store = Store::open(folder.file("s.db"), kNow,
                            {.limits = {.reserve_bytes = 65536}, .vfs = FaultVfs::kName})
                    .value();
  vfs.arm(1, Fault::disk_full, Lasting::from_then_on);
  Result<ReceiveOutcome> received = fail(Errc::transient, "not asked");
  const auto ended = store.together([&]() -> Result<void> {
    static_cast<void>(store.add_event(kNow, "port.carrier_down", "{}"));
    received = store.receive(command(), kNow);
    return {};
  });
  EXPECT_FALSE(ended);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, Errc::no_space);
}

}  // namespace
}  // namespace edge::store
