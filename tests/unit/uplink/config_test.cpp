#include "uplink/core/config.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

constexpr const char* kMinimal = R"(
[console]
endpoints = ["console.example.net:8443", "[fd00::7]:8443"]
server_name = "console.example.net"
ca = "console-ca.pem"
)";

ConfigProblems problems_of(const std::string& text) {
  const auto parsed = parse_config(text, "uplink.toml", "/etc/uplink");
  return parsed ? ConfigProblems{} : parsed.error();
}

TEST(ConfigTest, OnlyConsoleIsNeeded_FilesAreRelativeToTheConfiguration) {
  const auto config = parse_config(kMinimal, "uplink.toml", "/etc/uplink");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->console.ca, "/etc/uplink/console-ca.pem");
  EXPECT_EQ(config->paths.state, "/var/lib/uplink");
  EXPECT_EQ(config->console.endpoints.at(1), (HostPort{"fd00::7", 8443}));
  EXPECT_EQ(config->tunnel.heartbeat_ms, 250U);
}

TEST(ConfigTest, EveryProblemIsListedWithItsLineAndWhatIsAllowed) {
  const auto problems =
      problems_of(std::string(kMinimal) +
                  "certificate = 7\n[tunnel]\nheartbeat_ms = 49\nspeed = 1\n[nonsense]\n");
  ASSERT_EQ(problems.size(), 4U);
  EXPECT_NE(problems[0].find("uplink.toml:6: console.certificate: 7: expected a string"),
            std::string::npos)
      << problems[0];
  EXPECT_NE(problems[1].find("unknown section \"nonsense\"; allowed: adapters"), std::string::npos)
      << problems[1];
  EXPECT_NE(problems[2].find("uplink.toml:8: tunnel.heartbeat_ms: 49 is out of range 50..10000"),
            std::string::npos)
      << problems[2];
  EXPECT_NE(problems[3].find("unknown key \"speed\" in [tunnel]; allowed: clock_trust, dead_after"),
            std::string::npos)
      << problems[3];
}

TEST(ConfigTest, AHostsIdIsOneThatACertificateCanHave) {
  for (const char* id : {"hv-01", "a", "0123456789abcdef0123456789abcdef"}) {
    EXPECT_TRUE(problems_of(std::string(kMinimal) + "[host]\nid = \"" + id + "\"\n").empty()) << id;
  }
  for (const char* id : {"", "HV-01", "hv_01", "-a", "0123456789abcdef0123456789abcdef0"}) {
    const auto problems = problems_of(std::string(kMinimal) + "[host]\nid = \"" + id + "\"\n");
    ASSERT_EQ(problems.size(), 1U) << id;
    EXPECT_NE(problems[0].find("[a-z0-9][a-z0-9-]{0,31}, as in the certificate"), std::string::npos)
        << problems[0];
  }
}

TEST(ConfigTest, BoundsHoldOnBothSides) {
  for (const auto& [value, good] :
       std::vector<std::pair<int, bool>>{{49, false}, {50, true}, {10000, true}, {10001, false}}) {
    EXPECT_EQ(
        problems_of(std::string(kMinimal) + "[tunnel]\nheartbeat_ms = " + std::to_string(value))
            .empty(),
        good)
        << value;
  }
}

TEST(ConfigTest, WhatAWrongClockDoesIsOneOfTwoWordsAndAFlag) {
  const auto config = parse_config(kMinimal, "uplink.toml", "/etc/uplink");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->tunnel.clock_trust, Config::Tunnel::ClockTrust::bounded);
  EXPECT_TRUE(config->tunnel.set_clock);
  const auto strict = parse_config(
      std::string(kMinimal) + "[tunnel]\nclock_trust = \"strict\"\nset_clock = false\n",
      "uplink.toml", "/etc/uplink");
  ASSERT_TRUE(strict) << strict.error().front();
  EXPECT_EQ(strict->tunnel.clock_trust, Config::Tunnel::ClockTrust::strict);
  EXPECT_FALSE(strict->tunnel.set_clock);
  for (const auto& [line, said] : std::vector<std::pair<std::string, std::string>>{
           {"clock_trust = \"none\"", "tunnel.clock_trust: \"none\": expected bounded or strict"},
           {"clock_trust = false", "tunnel.clock_trust: false: expected bounded or strict"},
           {"set_clock = \"yes\"", "tunnel.set_clock: \"yes\": expected true or false"}}) {
    const auto problems = problems_of(std::string(kMinimal) + "[tunnel]\n" + line + "\n");
    ASSERT_EQ(problems.size(), 1U) << line;
    EXPECT_NE(problems[0].find("uplink.toml:7: " + said), std::string::npos) << problems[0];
  }
}

TEST(ConfigTest, CertificateAndKeyComeTogether) {
  const auto problems = problems_of(std::string(kMinimal) + "key = \"host.key\"\n");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("certificate is missing"), std::string::npos) << problems[0];
}

TEST(ConfigTest, TheFirstProxyWhoseAdapterFitsIsThePortsOwn) {
  const auto config = parse_config(std::string(kMinimal) +
                                       "[[tunnel.proxies]]\nadapter = \"eth1\"\nurl = \"direct\"\n"
                                       "[[tunnel.proxies]]\nadapter = \"eth*\"\n"
                                       "url = \"http://user:pass@192.0.2.1:3128\"\n"
                                       "[[tunnel.proxies]]\nurl = \"http://proxy.example:8080/\"\n"
                                       "[tunnel]\nportal_check = \"http://check.example/204\"\n",
                                   "uplink.toml", "/etc/uplink");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->proxy_of("eth1"), nullptr);
  ASSERT_NE(config->proxy_of("eth0"), nullptr);
  EXPECT_EQ(config->proxy_of("eth0")->at, (HostPort{"192.0.2.1", 3128}));
  EXPECT_EQ(config->proxy_of("eth0")->password, "pass");
  EXPECT_EQ(config->proxy_of("wan")->at, (HostPort{"proxy.example", 8080}));
  EXPECT_EQ(config->tunnel.portal_check->at, (HostPort{"check.example", 80}));
  EXPECT_EQ(config->tunnel.portal_check->path, "/204");
  EXPECT_EQ(Config{}.proxy_of("eth0"), nullptr);
}

TEST(ConfigTest, PortsAreMeteredAndOfAKindByTheirNames) {
  const auto config =
      parse_config(std::string(kMinimal) +
                       "[tunnel]\nmetered = [\"wwan*\", \"eth3\"]\nwifi = [\"radio?\"]\n"
                       "mobile = [\"eth3\"]\n",
                   "uplink.toml", "/etc/uplink");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_TRUE(config->is_metered("wwan0"));
  EXPECT_TRUE(config->is_metered("eth3"));
  EXPECT_FALSE(config->is_metered("eth0"));
  EXPECT_EQ(config->link_kind_of("eth3"), Config::LinkKind::mobile);
  EXPECT_EQ(config->link_kind_of("radio1"), Config::LinkKind::wifi);
  EXPECT_EQ(config->link_kind_of("wwan0"), Config::LinkKind::unsaid);
  EXPECT_FALSE(Config{}.is_metered("eth0"));
}

TEST(ConfigTest, PortNamesThatCannotBeAreRefused) {
  for (const auto& [list, why] : std::vector<std::pair<std::string, std::string>>{
           {"\"wwan*\"", "tunnel.metered: \"wwan*\": expected a list of 0..64 strings"},
           {"[7]", "tunnel.metered: 7: expected a string"},
           {"[\"wwan*,eth3\"]", "\"wwan*,eth3\": expected the name of a port, 1..15 characters"},
           {"[\"\"]", "\"\": expected the name of a port"},
           {"[\"a-name-of-16-byte\"]", "with * and ? for others"}}) {
    const auto problems = problems_of(std::string(kMinimal) + "[tunnel]\nmetered = " + list);
    ASSERT_GE(problems.size(), 1U) << list;
    EXPECT_NE(problems[0].find(why), std::string::npos) << problems[0];
  }
}

TEST(ConfigTest, BadProxiesAreRefusedWithoutTheirPassword) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"[[tunnel.proxies]]\nurl = \"http://u:geheim@h:99999\"", "***@h:99999"},
           {"[[tunnel.proxies]]\nurl = \"http://u:geheim@h\"", "with a port"},
           {"[[tunnel.proxies]]\nurl = \"http://u:geheim@h:1/path\"", "without a path"},
           {"[[tunnel.proxies]]\nurl = 7", "tunnel.proxies.url: a number: expected a string"},
           {"[[tunnel.proxies]]\nadapter = \"eth0\"", "url is missing"},
           {"[[tunnel.proxies]]\nurl = \"direct\"\nport = 1",
            "unknown key \"port\" in [[tunnel.proxies]]; allowed: adapter, url"},
           {"[tunnel]\nproxies = \"http://u:geheim@h:1\"", "no list: expected at most 32 tables"},
           {"[[tunnel.proxies]]\nurl = [\"http://u:geheim@h:1\"]", "a list: expected a string"},
           {"[tunnel]\nproxies = [\"http://u:geheim@h:1\"]", "expected a table"},
           {"[tunnel]\nportal_check = \"http://u:geheim@h/\"", "no user and password"},
           {"[tunnel]\nportal_check = \"check.example\"",
            "\"check.example\": it does not begin"}}) {
    const auto problems = problems_of(std::string(kMinimal) + text);
    ASSERT_EQ(problems.size(), 1U) << text;
    EXPECT_NE(problems[0].find(why), std::string::npos) << problems[0];
    EXPECT_TRUE(problems[0].starts_with("uplink.toml:")) << problems[0];
    EXPECT_EQ(problems[0].find("geheim"), std::string::npos) << problems[0];
  }
}

TEST(ConfigTest, ThirtyTwoProxiesAndNoMore) {
  std::string text(kMinimal);
  for (std::size_t i = 0; i < Config::proxies_max; ++i) {
    text += "[[tunnel.proxies]]\nurl = \"direct\"\n";
  }
  EXPECT_TRUE(problems_of(text).empty());
  EXPECT_EQ(problems_of(text + "[[tunnel.proxies]]\nurl = \"direct\"\n").size(), 1U);
}

TEST(ConfigTest, WhatIsWrongHidesNothingThatIsMissingAndIsNotSaidTwice) {
  const auto problems = problems_of("[console]\nserver_name = 5\n[log]\nlevel = \"loud\"\n");
  ASSERT_EQ(problems.size(), 4U) << testing::PrintToString(problems);
  EXPECT_EQ(problems[0], "uplink.toml:2: console.server_name: 5: expected a string");
  EXPECT_EQ(problems[1], "uplink.toml:4: log.level: \"loud\": expected error, warn, info or debug");
  EXPECT_EQ(problems[2],
            "uplink.toml:1: console.endpoints is missing; expected a list of 1..8 HOST:PORT");
  EXPECT_EQ(problems[3],
            "uplink.toml:1: console.ca is missing; expected a PEM file with the Console's CA");
}

TEST(ConfigTest, BrokenTomlNamesTheLine) {
  const auto problems = problems_of("[console\nx");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_TRUE(problems[0].starts_with("uplink.toml:1:")) << problems[0];
}

TEST(GlobTest, StarsAndQuestionMarks) {
  EXPECT_TRUE(glob_matches("eth*", "eth0"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("e?p*s0", "enp3s0"));
  EXPECT_FALSE(glob_matches("eth?", "eth"));
  EXPECT_FALSE(glob_matches("eth*", "wlan0"));
  EXPECT_TRUE(glob_matches("*th*0", "eth10"));
}

}  // namespace
}  // namespace edge::uplink
