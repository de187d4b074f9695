// The real Console under the load generator in its smallest form: it keeps what it promises to ten
// thousand hosts, with fifty.
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/unique_fd.hpp"
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
    // What ASan keeps of freed memory, to find uses after it, would look like a leak.
    const char* given = std::getenv("ASAN_OPTIONS");
    const std::string small = "quarantine_size_mb=1:thread_local_quarantine_size_kb=16";
    setenv("ASAN_OPTIONS", (given == nullptr ? small : given + (":" + small)).c_str(), 1);
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
  /// Connections that say the beginning of a TLS record and nothing more.
  std::vector<UniqueFd> half_open(std::size_t count) const {
    std::vector<UniqueFd> peers;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(console->tunnel_port());
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::size_t i = 0; i < count; ++i) {
      UniqueFd peer(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      static_cast<void>(connect(peer.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at));
      peers.push_back(std::move(peer));
    }
    return peers;
  }
  static bool over(const UniqueFd& peer) {
    char byte = 0;
    const auto got = recv(peer.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }
  /// One after the other until the Console has closed them all.
  bool wave() {
    const std::vector<UniqueFd> peers = half_open(200);
    std::vector<bool> spoke(peers.size(), false);
    return swarm->run_until(
        [&] {
          for (std::size_t i = 0; i < peers.size(); ++i) {
            if (!spoke[i]) {
              spoke[i] = ::send(peers[i].get(), "\x16\x03\x01", 3, MSG_NOSIGNAL) == 3;
            }
          }
          return std::ranges::all_of(peers, over);
        },
        limit);
  }

  std::unique_ptr<ConsoleProcess> console;
  std::unique_ptr<Swarm> swarm;
};

TEST_F(ConsoleScaleTest, HalfOpenPeersCostNoMemoryAndNobodyItsPath) {
  constexpr long grown_kib_max = 4096;
  for (int i = 0; i < 2; ++i) { ASSERT_TRUE(wave()) << console->log(); }
  const long before = console->resident_kib();
  for (int i = 0; i < 3; ++i) { ASSERT_TRUE(wave()) << console->log(); }
  const long grown = console->resident_kib() - before;
  RecordProperty("grown_kib", std::to_string(grown));
  EXPECT_LE(grown, grown_kib_max) << "of " << before << " KiB";
  EXPECT_TRUE(swarm->whole());
  ASSERT_TRUE(swarm->command_all(limit)) << console->log();
}

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
