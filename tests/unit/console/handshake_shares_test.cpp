// Who may begin a TLS handshake when more come than the door's rate allows.
#include "console/handshake_shares.hpp"

#include <gtest/gtest.h>

namespace edge::console {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kPerSecond = 250;
const IpAddress kLoud = IpAddress::v4(192, 0, 2, 1);
const IpAddress kQuiet = IpAddress::v4(198, 51, 100, 7);

/// One source comes every millisecond.
class HandshakeSharesTest : public testing::Test {
 protected:
  /// How many of its handshakes were begun in `span`; the quiet one comes every `pause` of it.
  template <class Loud>
  int flood(Duration span, Duration pause, Loud loud) {
    int begun = 0;
    const MonoTime end = now + span;
    MonoTime next = now;
    for (int i = 0; now < end; ++i, now += 1ms) {
      if (now >= next) {
        ++quiet_came;
        quiet_begun += shares.admit(kQuiet, now) ? 1 : 0;
        next += pause;
      }
      begun += shares.admit(loud(i), now) ? 1 : 0;
    }
    return begun;
  }
  int flood(Duration span, Duration pause) {
    return flood(span, pause, [](int) { return kLoud; });
  }

  HandshakeShares shares{kPerSecond};
  MonoTime now{1h};
  int quiet_came = 0;
  int quiet_begun = 0;
};

TEST_F(HandshakeSharesTest, WhoIsAloneIsNeverTurnedAway) {
  for (int i = 0; i < 5000; ++i, now += 1ms) { ASSERT_TRUE(shares.admit(kLoud, now)) << i; }
}

TEST_F(HandshakeSharesTest, AFloodFromOneAddressLeavesATenthOfTheRateToOthers) {
  const int begun = flood(10s, 100ms);
  EXPECT_EQ(quiet_begun, quiet_came) << "a hundred of a rate of 2,500";
  EXPECT_LE(begun, 2400);
  EXPECT_GE(begun, 1500) << "what others do not want it may have";
}

TEST_F(HandshakeSharesTest, NobodyIsTurnedAwayWhileTheRateIsNotUsedUp) {
  for (int i = 0; i < 1000; ++i, now += 5ms) {  // 200 a second.
    ASSERT_TRUE(shares.admit(i % 10 == 0 ? kQuiet : kLoud, now)) << i;
  }
}

TEST_F(HandshakeSharesTest, AddressesOfOneIpv6PrefixAreOneSource) {
  const auto prefix = parse_ip("2001:db8:0:7::").value();
  const int begun = flood(10s, 100ms, [&prefix](int i) {
    IpAddress one = prefix;
    one.bytes[14] = static_cast<std::uint8_t>(i >> 8);
    one.bytes[15] = static_cast<std::uint8_t>(i);
    return one;
  });
  EXPECT_EQ(quiet_begun, quiet_came);
  EXPECT_LE(begun, 2400);
}

TEST_F(HandshakeSharesTest, SeveralFloodsLeaveTheOthersTheirShare) {
  const int begun = flood(
      10s, 100ms, [](int i) { return IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(i % 4)); });
  EXPECT_EQ(quiet_begun, quiet_came);
  EXPECT_LE(begun, 2400);
}

TEST_F(HandshakeSharesTest, AMinuteAfterTheLastOtherOneASourceIsAloneAgain) {
  flood(2s, 1h);  // The quiet one comes once.
  EXPECT_FALSE([this] {
    for (int i = 0; i < 1000; ++i, now += 1ms) {
      if (!shares.admit(kLoud, now)) { return false; }
    }
    return true;
  }());
  now += 1min;
  for (int i = 0; i < 3000; ++i, now += 1ms) { ASSERT_TRUE(shares.admit(kLoud, now)) << i; }
}

TEST_F(HandshakeSharesTest, WithoutARateEverybodyIsAdmitted) {
  HandshakeShares open(0);
  for (int i = 0; i < 5000; ++i) { ASSERT_TRUE(open.admit(i % 100 == 0 ? kQuiet : kLoud, now)); }
}

}  // namespace
}  // namespace edge::console
