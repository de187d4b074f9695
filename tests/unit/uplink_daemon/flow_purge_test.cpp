// Exactly the flows that a change made wrong are asked away: no more, no less, no dump too many.
#include "uplink/daemon/flow_purge.hpp"

#include <chrono>
#include <mutex>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using netmodel::Publication;
using netmodel::UplinkPort;
using testing::ElementsAre;
using testing::IsEmpty;

/// Keeps what it was asked; waits at the gate before each answer.
struct Asked {
  std::mutex mutex;
  std::vector<std::string> lines;
};

class FakeConntrack final : public netmodel::ConntrackPort {
 public:
  explicit FakeConntrack(std::shared_ptr<Asked> asked) : asked_(std::move(asked)) {}
  Result<unsigned> remove_for_address(const IpAddress& address) override {
    const std::lock_guard lock(asked_->mutex);
    asked_->lines.push_back(edge::to_string(address));
    return 1;
  }
  Result<unsigned> remove_for_publications(std::span<const Publication> publications,
                                           const UplinkPort& uplink) override {
    const std::lock_guard lock(asked_->mutex);
    asked_->lines.push_back(fmt::format("{} x{}", uplink.bridge, publications.size()));
    return 0;
  }

 private:
  std::shared_ptr<Asked> asked_;
};

class FlowPurgeTest : public testing::Test {
 protected:
  FlowPurgeTest() { rules_.uplinks = {UplinkPort{.bridge = "br0"}, UplinkPort{.bridge = "br1"}}; }
  static Publication publication(const std::string& in_link, std::uint16_t port) {
    Publication out{};
    out.in_link = in_link;
    out.port = port;
    return out;
  }
  void publish(std::uint16_t port) {
    rules_.publications.push_back(publication("br0", port));
    flows_.on_rules(rules_);
  }
  std::size_t lines() {
    const std::lock_guard lock(asked_->mutex);
    return asked_->lines.size();
  }
  /// What was asked since the last look.
  std::vector<std::string> asked() {
    bool answered = false;  // Answers come in order: whatever was asked before is over then.
    worker_.run([](ConntrackBox&) -> Result<int> { return 0; },
                [&answered](const Result<int>&) { answered = true; });
    io_.restart();
    while (!answered && io_.run_one_for(std::chrono::seconds(10)) > 0) {}
    EXPECT_TRUE(answered);
    const std::lock_guard lock(asked_->mutex);
    return std::exchange(asked_->lines, {});
  }

  std::shared_ptr<Asked> asked_ = std::make_shared<Asked>();
  boost::asio::io_context io_{1};
  ConntrackWorker worker_{io_, ConntrackBox{std::make_unique<FakeConntrack>(asked_)}};
  MonoTime now_ = mono_now();  // Timers are real.
  FlowPurge flows_{io_, worker_, [this] { return now_; }};
  netmodel::NftState rules_;
};

TEST_F(FlowPurgeTest, AfterARestartTheFlowsOfWhatStoodGoOn) {
  rules_.publications = {publication("br0", 80), publication("br0", 81)};
  flows_.stood(rules_);
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), IsEmpty());
  publish(82);
  EXPECT_THAT(asked(), ElementsAre("br0 x1")) << "and what is new is asked away as ever";
}

TEST_F(FlowPurgeTest, ALostAddressIsPurgedOnceTheRulesAreInPlace) {
  flows_.on_rules(rules_);
  flows_.address_gone(parse_ip("192.168.1.50").value());
  EXPECT_THAT(asked(), IsEmpty());
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), ElementsAre("192.168.1.50"));
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(FlowPurgeTest, PublicationsThatCameOrWentArePurgedOnTheirUplinkOnly) {
  rules_.publications = {publication("br0", 80), publication("br0", 81), publication("br1", 80)};
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), ElementsAre("br0 x2", "br1 x1"));
  rules_.publications.erase(rules_.publications.begin());
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), ElementsAre("br0 x1"));
}

TEST_F(FlowPurgeTest, ABurstOfPublicationsIsOneQuestion) {
  publish(80);
  now_ += std::chrono::milliseconds(40);  // So long took the first; the rest is 360.
  EXPECT_THAT(asked(), ElementsAre("br0 x1"));
  publish(81);
  publish(82);
  EXPECT_THAT(asked(), IsEmpty());
  now_ += std::chrono::milliseconds(360);
  while (lines() == 0 && io_.run_one_for(std::chrono::seconds(10)) > 0) {}
  EXPECT_THAT(asked(), ElementsAre("br0 x2"));
}

TEST_F(FlowPurgeTest, ALostAddressDoesNotWait) {
  publish(80);
  now_ += std::chrono::milliseconds(40);
  EXPECT_THAT(asked(), ElementsAre("br0 x1"));
  publish(81);
  EXPECT_THAT(asked(), IsEmpty());
  flows_.address_gone(parse_ip("192.168.1.50").value());
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), ElementsAre("192.168.1.50", "br0 x1"));
}

TEST_F(FlowPurgeTest, AfterTheEndNothingIsAsked) {
  flows_.stop();
  flows_.address_gone(parse_ip("192.168.1.50").value());
  flows_.on_rules(rules_);
  EXPECT_THAT(asked(), IsEmpty());
}

}  // namespace
}  // namespace edge::uplink
