// A failover on purpose: passed when the Console was heard over another port, ended when it was
// not.
#include "uplink/daemon/failover_drill.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

class FailoverDrillTest : public testing::Test {
 protected:
  void begin(std::optional<std::string> port) {
    drill.begin(port, 30s, [this](Result<std::string> outcome) {
      outcomes.push_back(outcome ? *outcome : "failed: " + outcome.error().what);
    });
  }

  boost::asio::io_context io;
  std::optional<PathKey> active = PathKey{.port = "aa", .endpoint = 0};
  std::optional<MonoTime> drained_until;
  std::vector<std::string> drains, told, outcomes;
  FailoverDrill drill{
      io,
      {.active = [this] { return active; },
       .name = [](const std::string& key) { return "port-" + key; },
       .drain =
           [this](const std::string& key, std::chrono::seconds duration) {
             drains.push_back(key + " " + std::to_string(duration.count()));
           },
       .tell = [this](boost::json::object how) { told.push_back(boost::json::serialize(how)); },
       .drained_until = [this](const std::string&) { return drained_until; }},
      20ms};
};

TEST_F(FailoverDrillTest, PassesWhenTheConsoleIsHeardOverAnotherPortAndNotBefore) {
  begin(std::nullopt);
  EXPECT_THAT(drains, ElementsAre("aa 30"));
  drill.heard();  // What was on its way over the port that is left.
  active = PathKey{.port = "aa", .endpoint = 1};
  drill.heard();
  active.reset();
  drill.heard();
  EXPECT_TRUE(outcomes.empty());
  active = PathKey{.port = "bb", .endpoint = 0};
  drill.heard();
  EXPECT_THAT(outcomes, ElementsAre(HasSubstr("port-bb works: the Console answered over it")));
  EXPECT_THAT(told, ElementsAre(HasSubstr(R"("from":"port-aa","to":"port-bb","ms":)")));
  drill.heard();
  io.run();
  EXPECT_EQ(outcomes.size(), 1U);
  EXPECT_EQ(drains.size(), 1U) << "it ends by itself after its 30 s";
}

TEST_F(FailoverDrillTest, EndsTheDrainWhenNobodyTakesOver) {
  begin("aa");
  io.run();
  EXPECT_THAT(drains, ElementsAre("aa 30", "aa 0"));
  EXPECT_THAT(outcomes, ElementsAre(HasSubstr("failed: the Console answered over no other port")));
  EXPECT_THAT(told, ElementsAre(R"({"from":"port-aa","to":null,"ms":null})"));
}

TEST_F(FailoverDrillTest, ADrainThatStoodBeforeOutlivesADrillThatFails) {
  drained_until = mono_now() + 1h;
  begin("aa");
  io.run();
  EXPECT_THAT(drains, ElementsAre("aa 30", testing::MatchesRegex("aa (3600|35[0-9][0-9])")));
}

TEST_F(FailoverDrillTest, APortThatDoesNotCarryTheTunnelShowsNothing) {
  begin("bb");
  EXPECT_THAT(outcomes, ElementsAre(HasSubstr("port-bb does not carry the tunnel, port-aa does")));
  active.reset();
  begin(std::nullopt);
  EXPECT_THAT(outcomes.back(), HasSubstr("nothing to fail over"));
  EXPECT_TRUE(drains.empty());
}

}  // namespace
}  // namespace edge::uplink
