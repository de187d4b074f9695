#include "base/net.hpp"

#include <gtest/gtest.h>

namespace edge {
namespace {

TEST(MacAddressTest, RoundTripsAndRejectsEveryOtherForm) {
  EXPECT_EQ(to_string(parse_mac("02:Ab:00:ff:10:01").value()), "02:ab:00:ff:10:01");
  EXPECT_EQ(to_hex(parse_mac("02:ab:00:ff:10:01").value()), "02ab00ff1001");
  for (const char* bad :
       {"", "02:ab:00:ff:10", "02:ab:00:ff:10:0g", "02-ab-00-ff-10-01", "02:ab:00:ff:10:011"}) {
    EXPECT_FALSE(parse_mac(bad)) << bad;
  }
}

TEST(IpPrefixTest, NetworkClearsHostBitsAtEveryLength) {
  EXPECT_EQ(to_string(parse_prefix("10.1.2.3/24")->network()), "10.1.2.0/24");
  EXPECT_EQ(to_string(parse_prefix("10.1.2.3/0")->network()), "0.0.0.0/0");
  EXPECT_EQ(to_string(parse_prefix("10.1.2.3/31")->network()), "10.1.2.2/31");
  EXPECT_EQ(to_string(parse_prefix("fd00::ff/121")->network()), "fd00::80/121");
}

TEST(IpPrefixTest, OverlapIsSymmetricAndRespectsFamily) {
  const auto wide = parse_prefix("192.168.0.0/16").value();
  const auto narrow = parse_prefix("192.168.7.1/24").value();
  EXPECT_TRUE(wide.overlaps(narrow));
  EXPECT_TRUE(narrow.overlaps(wide));
  EXPECT_FALSE(narrow.overlaps(parse_prefix("192.168.8.0/24").value()));
  EXPECT_FALSE(parse_prefix("::/0")->overlaps(wide));
}

TEST(IpPrefixTest, LengthBeyondTheFamilyNamesTheRange) {
  const auto bad = parse_prefix("10.0.0.0/33");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().what.find("0..32"), std::string::npos) << bad.error().what;
  EXPECT_FALSE(parse_prefix("::/129"));
  EXPECT_FALSE(parse_prefix("10.0.0.0"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/-1"));
}

TEST(HostPortTest, KnowsNamesAddressesAndBrackets) {
  EXPECT_EQ(parse_host_port("console.example.net:8443").value(),
            (HostPort{"console.example.net", 8443}));
  EXPECT_EQ(parse_host_port("[fd00::1]:1").value(), (HostPort{"fd00::1", 1}));
  EXPECT_EQ(to_string(HostPort{"fd00::1", 1}), "[fd00::1]:1");
  for (const char* bad : {"", ":1", "a:", "a:0", "a:65536", "fd00::1:80", "[fd00::1", "a"}) {
    EXPECT_FALSE(parse_host_port(bad)) << bad;
  }
}

}  // namespace
}  // namespace edge
