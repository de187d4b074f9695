// The real Console under the load generator in its smallest form: it keeps what it promises to ten
// thousand hosts, with fifty.
#include <gtest/gtest.h>

#include <csignal>

#include "console/clock.hpp"
#include "tests/bench/swarm/swarm.hpp"

namespace edge::swarm {
namespace {

using namespace std::chrono_literals;

class ConsoleScaleTest : public testing::Test {
 protected:
  static constexpr unsigned hosts = 50;
  static constexpr Duration limit = 120s;  // Seconds in truth; a loaded machine is no failure.

  void SetUp() override {
    const std::string program = console_beside_this_program();
    ASSERT_FALSE(program.empty()) << "uplink-console is not beside this program";
    // Slow heartbeats: that a path falls silent while this machine is busy is not what is tested.
    console = std::make_unique<ConsoleProcess>(program,
                                               "[timers]\nheartbeat_ms = 5000\ndead_after = 10\n");
    console->start();
    swarm = std::make_unique<Swarm>(*console, SwarmOptions{.hosts = hosts});
    ASSERT_TRUE(swarm->wait_for_console(limit)) << console->log();
    ASSERT_TRUE(swarm->connect(limit)) << console->log();
  }
  std::unique_ptr<ConsoleProcess> console;
  std::unique_ptr<Swarm> swarm;
};

TEST_F(ConsoleScaleTest, ACommandToAllIsAnsweredByAllOnce) {
  ASSERT_TRUE(swarm->command_all(limit)) << console->log();
  EXPECT_EQ(swarm->counts().commands, hosts);
  EXPECT_EQ(swarm->counts().commands_twice, 0U);
  EXPECT_EQ(swarm->commands_refused(), 0U);
  const auto metrics = swarm->get("/metrics", limit).body;
  EXPECT_NE(metrics.find("uplink_console_commands_finished_total 50\n"), std::string::npos);
  EXPECT_NE(metrics.find("uplink_console_paths 100\n"), std::string::npos);
}

TEST_F(ConsoleScaleTest, AfterARestartAllAreBackSpreadAsTheConsoleAsked) {
  ASSERT_TRUE(swarm->restart_console(SIGTERM, limit)) << console->log();
  ASSERT_TRUE(swarm->run_until([&] { return swarm->whole(); }, limit)) << console->log();
  EXPECT_GE(swarm->counts().asked_to_wait, hosts) << "it says goodbye before it ends";
  EXPECT_LE(swarm->counts().asked_to_wait, 2 * hosts)
      << "a second goodbye would take the spread of "
         "the first one back";
  ASSERT_TRUE(swarm->command_all(limit)) << console->log();
}

TEST_F(ConsoleScaleTest, AfterAKillAllAreBack) {
  ASSERT_TRUE(swarm->restart_console(SIGKILL, limit)) << console->log();
  ASSERT_TRUE(swarm->run_until([&] { return swarm->whole(); }, limit)) << console->log();
  ASSERT_TRUE(swarm->command_all(limit)) << console->log();
  EXPECT_EQ(swarm->counts().commands, hosts);
}

}  // namespace
}  // namespace edge::swarm
