// What purge needs and the disk did not take is written in the same life, as soon as it can be.
#include "uplink/daemon/record_keeper.hpp"

#include <filesystem>

#include <gmock/gmock.h>

#include "dhcp/io/folder.hpp"
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

/// Why: a disk that gave errors when the daemon started again and is well later. What the life
/// before wrote is what the machine was; ours is what that life had made of it.
TEST_F(RecordKeeperTest, ARecordThatCouldNotBeReadIsJoinedAndNotReplaced) {
  fs::create_directory(state);
  static_cast<void>(box());
  const std::string record = state + "/machine-before.json";
  const std::string originals = state + "/sysctl-originals.json";
  for (const std::string& file : {record, originals}) {
    fs::rename(file, file + ".good");
    fs::create_directory(file);  // Reading it fails, and it is there.
  }
  const std::string at_first = dhcp::read_file(record + ".good", 1 << 20).value();
  HandBack before = HandBack::open(state);
  OriginalsFile values = OriginalsFile::open(state);
  netmodel::ObservedState ours = kernel.state();
  ours.sysctls.push_back({"net/ipv4/ip_forward", "1"});
  ours.sysctls.push_back({"net/ipv4/other", "5"});
  before.before({}, ours);
  values.before({netmodel::SetSysctl{{"net/ipv4/ip_forward", "0"}},
                 netmodel::SetSysctl{{"net/ipv4/other", "6"}}},
                ours);
  EXPECT_THAT(values.write_again(), HasSubstr("sysctl-originals.json"));
  EXPECT_TRUE(fs::is_directory(originals));
  for (const std::string& file : {record, originals}) {
    fs::remove(file);
    fs::rename(file + ".good", file);
  }
  EXPECT_EQ(values.write_again(), "");
  EXPECT_EQ(before.write_again(), "");
  EXPECT_EQ(dhcp::read_file(record, 1 << 20).value(), at_first);
  const std::string joined = dhcp::read_file(originals, 1 << 20).value();
  EXPECT_THAT(joined, HasSubstr(R"("net/ipv4/ip_forward":{"was":"0","ours":"0"})"));
  EXPECT_THAT(joined, HasSubstr(R"("net/ipv4/other":{"was":"5","ours":"6"})"));
}

}  // namespace
}  // namespace edge::uplink
