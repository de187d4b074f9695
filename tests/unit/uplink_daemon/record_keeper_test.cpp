// What purge needs and the disk did not take is written in the same life, as soon as it can be.
#include "uplink/daemon/record_keeper.hpp"

#include <filesystem>

#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class RecordKeeperTest : public testing::Test {
 protected:
  /// A kernel thread whose records could not be written: there is no state folder yet.
  KernelBox box() {
    KernelBox out;
    out.kernel = std::make_unique<test::BorrowedKernel>(kernel);
    out.before = std::make_unique<HandBack>(HandBack::open(state));
    out.originals = std::make_unique<OriginalsFile>(OriginalsFile::open(state));
    netmodel::ObservedState found = kernel.state();
    found.sysctls.push_back({"net/ipv4/ip_forward", "0"});
    out.before->before({}, found);
    out.originals->before({netmodel::SetSysctl{{"net/ipv4/ip_forward", "1"}}}, found);
    return out;
  }
  template <class Predicate>
  bool until(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!predicate() && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
    }
    return predicate();
  }
  bool kept(const std::string& name) const { return fs::exists(state + "/" + name); }
  bool all_kept() const { return kept("machine-before.json") && kept("sysctl-originals.json"); }

  store::TempFolder disk;
  std::string state = disk.file("state");
  netmodel::FakeKernel kernel;
  boost::asio::io_context io{1};
  int changes = 0;
};

TEST_F(RecordKeeperTest, AFolderThatCanBeWrittenLaterGetsThemAndUntilThenItIsSaid) {
  KernelWorker worker(io, box());
  RecordKeeper keeper(io, worker, [this] { ++changes; }, std::chrono::milliseconds(1));
  EXPECT_EQ(keeper.problem(), "");
  keeper.start();
  ASSERT_TRUE(until([&] { return changes == 1; }));
  EXPECT_THAT(keeper.problem(), HasSubstr("machine-before.json"));
  EXPECT_THAT(keeper.problem(), HasSubstr("uplinkd --purge could not give the machine back"));
  fs::create_directory(state);
  ASSERT_TRUE(until([&] { return changes == 2; }));
  EXPECT_EQ(keeper.problem(), "");
  EXPECT_TRUE(all_kept());
  keeper.stop();
}

/// Why: a store that is back asks for a fresh start, which knows only what is on disk.
TEST_F(RecordKeeperTest, ALifeThatEndsTriesOnceMore) {
  {
    KernelWorker worker(io, box());
    RecordKeeper keeper(io, worker, [this] { ++changes; }, std::chrono::hours(1));
    keeper.start();
    ASSERT_TRUE(until([&] { return changes == 1; }));
    fs::create_directory(state);
    keeper.stop();
  }
  EXPECT_TRUE(all_kept());
}

}  // namespace
}  // namespace edge::uplink
