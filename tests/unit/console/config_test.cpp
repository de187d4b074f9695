// console.toml: right, or every problem with its line and what is allowed.
#include "console/config.hpp"

#include <gtest/gtest.h>

namespace edge::console {
namespace {

constexpr std::string_view kGood = R"([listen]
tunnel = ["0.0.0.0:8443", "[::]:8443"]
http = "127.0.0.1:8080"
[tls]
ca = "ca.pem"
certificate = "/etc/console.pem"
key = "console.key"
[http]
token = "0123456789"
[timers]
heartbeat_ms = 100
[limits]
handshakes_per_s = 400
)";

TEST(ConsoleConfig, ReadsAllAndResolvesFileNames) {
  const auto config = parse_config(kGood, "console.toml", "/etc/uplink");
  ASSERT_TRUE(config) << config.error().front();
  ASSERT_EQ(config->listen.tunnel.size(), 2U);
  EXPECT_EQ(config->listen.tunnel[1].host, "::");
  EXPECT_EQ(config->listen.http.port, 8080);
  EXPECT_EQ(config->tls.ca, "/etc/uplink/ca.pem");
  EXPECT_EQ(config->tls.certificate, "/etc/console.pem");
  EXPECT_EQ(config->timers.heartbeat_ms, 100U);
  EXPECT_EQ(config->timers.dead_after, 3U);
  EXPECT_EQ(config->limits.handshakes_per_s, 400U);
  EXPECT_EQ(config->limits.memory_mib, 0U);
  EXPECT_EQ(config->limits.queued_mib, 512U);
}

TEST(ConsoleConfig, ListsEveryProblemWithItsLine) {
  const auto config = parse_config(
      "[listen]\ntunnel = [\"console.example:8443\"]\nhttp = 8080\n[surprise]\nx = "
      "1\n[http]\ntoken = \"short\"\n"
      "[timers]\nheartbeat_ms = 5\nheartbeats = 1\n[log]\nlevel = \"loud\"\n",
      "c.toml", "/");
  ASSERT_FALSE(config);
  const auto& problems = config.error();
  const auto said = [&](std::string_view line, std::string_view word) {
    for (const auto& problem : problems) {
      if (problem.starts_with(line) && problem.find(word) != std::string::npos) { return true; }
    }
    return false;
  };
  EXPECT_TRUE(said("c.toml:2: ", "console.example"));
  EXPECT_TRUE(said("c.toml:3: ", "listen.http: 8080: expected a string"));
  EXPECT_TRUE(said("c.toml:4: ", "allowed: http, limits, listen, log, paths, signer, timers, tls"));
  EXPECT_TRUE(said("c.toml:7: ", "5 characters: expected 8..256"));
  EXPECT_TRUE(said("c.toml:9: ", "5 is out of range 50..10000"));
  EXPECT_TRUE(said("c.toml:10: ", "unknown key \"heartbeats\" in [timers]; allowed: dead_after"));
  EXPECT_TRUE(said("c.toml:12: ", "error, warn, info or debug"));
  for (const char* file : {"tls.ca", "tls.certificate", "tls.key"}) {
    EXPECT_TRUE(said("c.toml:1: ", std::string(file) + " is missing; expected a PEM file"));
  }
  EXPECT_EQ(problems.size(), 10U) << testing::PrintToString(problems);
  for (const auto& problem : problems) {
    EXPECT_EQ(problem.find("short"), std::string::npos) << "the token is secret";
  }
  const auto number = parse_config("[http]\ntoken = 20061212\n", "c.toml", "/");
  ASSERT_FALSE(number);
  EXPECT_EQ(number.error().front(), "c.toml:2: http.token: a number: expected a string");
}

TEST(ConsoleConfig, ASignerIsACaAndItsKey) {
  const std::string good(kGood);
  const auto none = parse_config(good, "c.toml", "/e");
  EXPECT_TRUE(none->signer.ca.empty());
  const auto all =
      parse_config(good + "[signer]\nca = \"a\"\nkey = \"/k\"\ndays = 30\n", "c.toml", "/e");
  ASSERT_TRUE(all) << all.error().front();
  EXPECT_EQ(all->signer.ca, "/e/a");
  EXPECT_EQ(all->signer.key, "/k");
  EXPECT_EQ(all->signer.days, 30U);
  EXPECT_EQ(all->signer.spread_s, 600U);
  const auto half = parse_config(good + "[signer]\nca = \"a\"\n", "c.toml", "/e");
  ASSERT_FALSE(half);
  EXPECT_NE(half.error().front().find("signer.key is missing; expected"), std::string::npos);
  EXPECT_FALSE(parse_config(good + "[signer]\nca=\"a\"\nkey=\"k\"\ndays=0\n", "c.toml", "/e"));
}

TEST(ConsoleConfig, NamesWhatIsMissingAndBrokenText) {
  const auto empty = parse_config("", "c.toml", "/");
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().size(), 5U);
  const auto broken = parse_config("this is = = not toml", "c.toml", "/");
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().front().starts_with("c.toml:1: "));
}

}  // namespace
}  // namespace edge::console
