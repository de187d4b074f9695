// Foreign transactions are told, ours are not.
#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>
#include <vector>

#include "namespaces.hpp"
#include "netmodel/io/nft_kernel.hpp"
#include "netmodel/io/nft_monitor.hpp"
#include "states.hpp"

namespace edge::netmodel::test {
namespace {

using namespace std::chrono_literals;

class NftMonitorTest : public testing::Test {
 protected:
  void SetUp() override {
    nft = NftKernel::create().value();
    monitor.emplace(
        NftMonitor::start(
            io, [this](std::uint32_t generation) { return nft->is_own_generation(generation); },
            [this](const NftForeignChange& change) { changes.push_back(change); })
            .value());
  }
  /// Runs until `count` changes were told.
  bool told(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 2s;
    while (changes.size() < count && io.run_one_until(deadline) == 1) {}
    return changes.size() == count;
  }

  Namespaces spaces;
  boost::asio::io_context io;
  std::unique_ptr<NftKernel> nft;
  std::optional<NftMonitor> monitor;
  std::vector<NftForeignChange> changes;
};

TEST_F(NftMonitorTest, TellsWhoChangedOurTableAndStaysSilentAboutUs) {
  ASSERT_TRUE(nft->commit(sample()).has_value());
  NftState more = sample();
  more.publications.push_back(publish("bru2", Transport::tcp, 90, "10.200.0.10", 90));
  ASSERT_TRUE(nft->commit(more).has_value());
  spaces.run("host", "nft flush chain inet uplink srcnat");
  ASSERT_TRUE(told(1));  // Ours were read before it, in order, and not told.
  EXPECT_TRUE(changes[0].touches_ours);
  EXPECT_EQ(changes[0].process, "nft");
  EXPECT_NE(changes[0].generation, 0U);
  ASSERT_TRUE(nft->commit(more).has_value());
  ASSERT_TRUE(nft->remove().has_value());
  spaces.run("host", "nft add table inet theirs");
  ASSERT_TRUE(told(2));
  EXPECT_FALSE(changes[1].touches_ours);
}

TEST_F(NftMonitorTest, AFlushedRulesetTouchesOurs) {
  ASSERT_TRUE(nft->commit(sample()).has_value());
  spaces.run("host", "nft flush ruleset");
  ASSERT_TRUE(told(1));
  EXPECT_TRUE(changes[0].touches_ours);
}

TEST_F(NftMonitorTest, ATableOfTheSameNameInAnotherFamilyIsNotOurs) {
  spaces.run("host", "nft add table ip uplink");
  ASSERT_TRUE(told(1));
  EXPECT_FALSE(changes[0].touches_ours);
}

TEST_F(NftMonitorTest, AnotherWriterOfOurTableIsForeign) {
  ASSERT_TRUE(nft->commit(sample()).has_value());
  const auto other = NftKernel::create().value();
  ASSERT_TRUE(other->commit(NftState{}).has_value());
  ASSERT_TRUE(told(1));
  EXPECT_TRUE(changes[0].touches_ours);
}

TEST_F(NftMonitorTest, NothingIsToldAfterItsEnd) {
  spaces.run("host", "nft add table inet theirs");
  monitor.reset();
  io.run();  // Returns: nothing is left to wait for.
  EXPECT_THAT(changes, testing::IsEmpty());
}

}  // namespace
}  // namespace edge::netmodel::test
