#include "dhcp/core/lease.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::dhcp {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const WallTime noon{std::chrono::hours(24 * 365 * 55)};

Lease sample() {
  return {
      .address = parse_prefix("192.168.1.50/24").value(),
      .routers = {IpAddress::v4(192, 168, 1, 1)},
      .classless_routes_present = true,
      .routes = {{.destination = parse_prefix("10.0.0.0/8").value(),
                  .gateway = IpAddress::v4(192, 168, 1, 9)},
                 {.destination = parse_prefix("172.16.0.0/12").value(), .gateway = std::nullopt}},
      .dns = {IpAddress::v4(9, 9, 9, 9)},
      .domain = "ex.lan",
      .search = {"a.lan"},
      .mtu = 1400,
      .ntp = {IpAddress::v4(192, 168, 1, 7)},
      .server = IpAddress::v4(192, 168, 1, 1),
      .lease_time = 600s,
      .renewal_time = 300s,
      .rebinding_time = 525s,
      .acquired = noon,
      .gateway_mac = parse_mac("02:00:00:00:00:01").value()};
}

TEST(LeaseJsonTest, ALeaseComesBackAsItWas) {
  const Lease lease = sample();
  EXPECT_EQ(lease_from_json(to_json(lease)).value(), lease);
  const Lease6 lease6{
      .addresses = {{.address = parse_ip("fd00::5").value(), .preferred = 5s, .valid = 9s}},
      .dns = {parse_ip("fd00::53").value()},
      .search = {"v6.lan"},
      .server_id = "0001",
      .acquired = noon};
  EXPECT_EQ(lease6_from_json(to_json(lease6)).value(), lease6);
}

TEST(LeaseJsonTest, ADamagedTextIsRefusedWithItsKey) {
  const std::string good = to_json(sample());
  const auto replaced = [&good](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return lease_from_json(text);
  };
  EXPECT_THAT(replaced("192.168.1.50/24", "192.168.1.50").error().what, HasSubstr("\"address\""));
  EXPECT_THAT(replaced("192.168.1.50/24", "127.0.0.1/8").error().what, HasSubstr("127.0.0.1"));
  EXPECT_THAT(replaced(":1400", ":70").error().what, HasSubstr("576..65535"));
  EXPECT_THAT(replaced(":600", ":0").error().what, HasSubstr("lease_time_s"));
  EXPECT_THAT(replaced(":300", ":599").error().what, HasSubstr("T1"));
  EXPECT_THAT(replaced("10.0.0.0/8", "10.0.0.0/40").error().what, HasSubstr("\"routes\""));
  EXPECT_THAT(replaced("02:00:00:00:00:01", "nonsense").error().what, HasSubstr("gateway_mac"));
  EXPECT_THAT(replaced("\"9.9.9.9\"", "17").error().what, HasSubstr("\"dns\""));
  for (const std::string text : {"", "{", "[]", "null", "{}"}) {
    const auto lease = lease_from_json(text);
    ASSERT_FALSE(lease.has_value()) << text;
    EXPECT_EQ(lease.error().code, Errc::corrupt);
  }
  EXPECT_FALSE(lease_from_json(std::string(20000, ' ')).has_value());
}

TEST(LeaseTest, LifeEndsAtExpiryAndAClockBeforeTheGrantIsNotTrusted) {
  const Lease lease = sample();
  EXPECT_EQ(remaining(lease, noon), 600s);
  EXPECT_EQ(remaining(lease, noon + 599s), 1s);
  EXPECT_EQ(remaining(lease, noon + 600s), std::nullopt);
  EXPECT_EQ(remaining(lease, noon - 30s), 630s);
  EXPECT_EQ(remaining(lease, WallTime{} + 5s), std::nullopt);  // A clock of 1970.
  Lease endless = lease;
  endless.lease_time = Lease::forever;
  EXPECT_EQ(remaining(endless, noon + 999h), std::chrono::milliseconds::max());
}

TEST(LeaseTest, EffectIsWhatTheKernelAndResolversSee) {
  Lease other = sample();
  other.acquired += 5s;
  other.gateway_mac.reset();
  other.lease_time = 700s;
  other.routers.clear();  // Hidden by option 121.
  EXPECT_TRUE(other.same_effect(sample()));
  other.dns.clear();
  EXPECT_FALSE(other.same_effect(sample()));
}

}  // namespace
}  // namespace edge::dhcp
