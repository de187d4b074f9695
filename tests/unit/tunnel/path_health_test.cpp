// Heartbeats: when to ping, what silence means, what is forgiven.
#include "tunnel/core/path_health.hpp"
#include "start_time.hpp"

#include <gtest/gtest.h>

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;

class PathHealthTest : public testing::Test {
 protected:
  /// Pings are answered after `rtt` so often that srtt and rttvar settle.
  void settle_rtt(Duration rtt) {
    for (int i = 0; i < 100; ++i) {
      while (true) {
        if (const auto nonce = health.ping_due(now, random)) {
          now += rtt;
          health.on_received(now);
          health.on_pong(*nonce, now);
          break;
        }
        now += 10ms;
        health.on_received(now);
      }
    }
  }
  Verdict judge(MonoTime at) const { return health.judge(at, PeerElsewhere::heard); }
  MonoTime next_deadline() const { return health.next_deadline(now, PeerElsewhere::heard); }

  MonoTime now = t0;
  Random random{1};
  PathHealth health{{.active = 250ms, .standby = 1000ms, .dead_after = 3}, t0};
};

TEST_F(PathHealthTest, PingsAtOnce_ThenEvery75To100PercentOfTheInterval) {
  ASSERT_EQ(health.ping_due(now, random), 1U);
  Duration shortest = 10s;
  Duration longest = 0s;
  for (std::uint64_t nonce = 2; nonce < 300; ++nonce) {
    EXPECT_FALSE(health.ping_due(now, random));
    health.on_received(now);
    const MonoTime due = next_deadline();
    EXPECT_FALSE(health.ping_due(due - 1ns, random));
    ASSERT_EQ(health.ping_due(due, random), nonce);
    shortest = std::min(shortest, due - now);
    longest = std::max(longest, due - now);
    now = due;
  }
  EXPECT_GE(shortest, 750ms);
  EXPECT_LT(shortest, 770ms);
  EXPECT_LE(longest, 1000ms);
  EXPECT_GT(longest, 980ms);
}

TEST_F(PathHealthTest, SilenceMakesSuspect_ThenSilent_AndMuchLaterDead) {
  settle_rtt(0ms);
  health.set_active(true, now);
  EXPECT_EQ(judge(now + 375ms - 1ns), Verdict::alive);
  EXPECT_EQ(judge(now + 375ms), Verdict::suspect);
  EXPECT_EQ(judge(now + 750ms - 1ns), Verdict::suspect);
  EXPECT_EQ(judge(now + 750ms), Verdict::silent);
  EXPECT_EQ(judge(now + 3750ms - 1ns), Verdict::silent) << "as a standby from then on";
  EXPECT_EQ(judge(now + 3750ms), Verdict::dead);
  health.on_received(now + 700ms);
  EXPECT_EQ(judge(now + 750ms), Verdict::alive);
  EXPECT_EQ(health.silence(now + 750ms), 50ms);
}

TEST_F(PathHealthTest, SilentIsWhoWasLeftSilent_UntilItIsHeard) {
  settle_rtt(0ms);
  health.set_active(true, now);
  now += 800ms;
  health.set_active(false, now);
  EXPECT_EQ(judge(now), Verdict::silent) << "a standby would be alive";
  EXPECT_EQ(health.silence(now), 800ms);
  EXPECT_EQ(judge(now + 3s - 1ns), Verdict::silent);
  EXPECT_EQ(judge(now + 3s), Verdict::dead);
  health.set_active(true, now + 1s);
  EXPECT_EQ(judge(now + 1s), Verdict::silent) << "active again, and still not heard";
  health.on_received(now + 2s);
  EXPECT_EQ(judge(now + 2s), Verdict::alive);
}

// The host finds the silence first and tells the Console, whose own round trips varied.
TEST_F(PathHealthTest, WhoIsLeftWhileQuietIsSilentAlthoughItsRoundTripsAllowedMore) {
  settle_rtt(0ms);
  health.set_active(true, now);
  for (int i = 0; i < 8; ++i) {
    const auto nonce = health.ping_due(now += 250ms, random);
    ASSERT_TRUE(nonce);
    health.on_received(now);
    if (i % 2 == 0) { health.on_pong(*nonce, now + 240ms); }
  }
  ASSERT_EQ(judge(now + 700ms), Verdict::alive);
  health.set_active(false, now + 700ms);
  EXPECT_EQ(judge(now + 700ms), Verdict::silent);
  health.on_received(now + 701ms);
  EXPECT_EQ(judge(now + 701ms), Verdict::alive);
}

TEST_F(PathHealthTest, WhoIsLeftWithinItsLongWayIsNoSilentOne) {
  settle_rtt(400ms);
  health.set_active(true, now);
  health.set_active(false, now + 649ms);
  EXPECT_EQ(judge(now + 649ms), Verdict::alive);
}

TEST_F(PathHealthTest, WhoIsLeftWhileItIsHeardIsAStandbyLikeAnother) {
  settle_rtt(0ms);
  health.set_active(true, now);
  health.set_active(false, now + 374ms);
  EXPECT_EQ(judge(now + 374ms), Verdict::alive);
}

TEST_F(PathHealthTest, WithoutASignOfThePeerElsewhereTheWorstRoundTripIsWaitedForToo) {
  settle_rtt(400ms);
  EXPECT_EQ(health.dead_after(PeerElsewhere::unheard),
            health.dead_after(PeerElsewhere::heard) + 400ms);
  const MonoTime end = now + health.dead_after(PeerElsewhere::heard);
  EXPECT_EQ(health.judge(end, PeerElsewhere::heard), Verdict::dead);
  EXPECT_EQ(health.judge(end + 400ms - 1ns, PeerElsewhere::unheard), Verdict::silent);
  EXPECT_EQ(health.judge(end + 400ms, PeerElsewhere::unheard), Verdict::dead);
}

TEST_F(PathHealthTest, SlowHeartbeatsDoNotKeepASilentPathForMinutes) {
  PathHealth slow{{.active = 1s, .standby = 60s, .dead_after = 2}, t0};
  slow.on_pong(*slow.ping_due(now, random), now);
  slow.set_active(true, now);
  EXPECT_EQ(slow.judge(now + 2s, PeerElsewhere::heard), Verdict::silent);
  EXPECT_EQ(slow.judge(now + 6s - 1ns, PeerElsewhere::heard), Verdict::silent);
  EXPECT_EQ(slow.judge(now + 6s, PeerElsewhere::heard), Verdict::dead);
}

// A Console over a satellite: its first PONG takes longer than three beats, and so does the news of
// our WELCOME on the other side.
TEST_F(PathHealthTest, BeforeTheFirstRoundTripSilenceHasASecondMore) {
  health.set_active(true, now);
  EXPECT_EQ(judge(now + 375ms), Verdict::suspect);
  EXPECT_EQ(judge(now + 1750ms - 1ns), Verdict::suspect);
  EXPECT_EQ(judge(now + 1750ms), Verdict::silent);
}

TEST_F(PathHealthTest, APingFromBeforeAnOutageEndedIsNoSampleOfTheWay) {
  settle_rtt(2ms);
  health.set_active(true, now);
  const auto before = health.ping_due(now, random);
  ASSERT_TRUE(before);
  const auto srtt = health.srtt();
  now += 1200ms;
  health.on_received(now);
  health.on_pong(*before, now);
  EXPECT_EQ(health.srtt(), srtt);
  const auto after = health.ping_due(now, random);
  ASSERT_TRUE(after);
  now += 80ms;
  health.on_received(now);
  health.on_pong(*after, now);
  EXPECT_GT(health.srtt(), srtt);
}

TEST_F(PathHealthTest, AStandbyPathHasThreeSeconds) {
  settle_rtt(0ms);
  EXPECT_EQ(judge(now + 3s - 1ns), Verdict::suspect);
  EXPECT_EQ(judge(now + 3s), Verdict::dead);
}

TEST_F(PathHealthTest, AStandbyWhoseBytesWaitBehindALoss_IsKeptWhileMoreComes_AndForTwiceAsLong) {
  settle_rtt(0ms);
  const Duration limit = health.dead_after(PeerElsewhere::heard);
  ASSERT_EQ(limit, 3s);
  const MonoTime quiet_since = now;
  health.on_waiting_segments(7, now + 500ms);
  health.on_waiting_segments(8, now + 1s);
  EXPECT_EQ(judge(now + limit), Verdict::silent);
  now += limit;
  EXPECT_LE(next_deadline(), quiet_since + 5s);
  EXPECT_EQ(judge(quiet_since + 5s - 1ns), Verdict::silent);
  EXPECT_EQ(judge(quiet_since + 5s), Verdict::dead) << "no retransmission for four seconds";
  health.on_waiting_segments(9, quiet_since + 5500ms);
  EXPECT_EQ(judge(quiet_since + 2 * limit - 1ns), Verdict::silent);
  EXPECT_EQ(judge(quiet_since + 2 * limit), Verdict::dead);
}

TEST_F(PathHealthTest, WhatCameBehindAnEarlierLossKeepsNoPath) {
  health.on_waiting_segments(7, now);
  settle_rtt(0ms);
  health.on_waiting_segments(7, now + 2500ms);
  EXPECT_EQ(judge(now + 3s), Verdict::dead);
}

TEST_F(PathHealthTest, TheDeadlineIsTheNextVerdictOrPing) {
  settle_rtt(0ms);
  health.set_active(true, now);
  ASSERT_TRUE(health.ping_due(now, random));
  EXPECT_LE(next_deadline(), now + 250ms);
  now += 370ms;
  ASSERT_TRUE(health.ping_due(now, random));
  EXPECT_EQ(next_deadline(), now + 5ms);  // Suspect.
  now += 250ms;
  ASSERT_TRUE(health.ping_due(now, random));
  EXPECT_EQ(next_deadline(), now + 130ms);  // Silent.
  now += 130ms;
  for (int i = 0; i < 12; ++i) {
    ASSERT_LE(next_deadline(), now + 250ms);
    now = next_deadline();
    ASSERT_TRUE(health.ping_due(now, random)) << i;
  }
}

TEST_F(PathHealthTest, BecomingActivePingsAtOnceAndStartsTheSilenceAnew) {
  ASSERT_TRUE(health.ping_due(now, random));
  now += 700ms;
  EXPECT_FALSE(health.ping_due(now, random));
  health.set_active(true, now);
  EXPECT_EQ(judge(now), Verdict::alive) << "700 ms were fine for a standby";
  EXPECT_TRUE(health.ping_due(now, random));
  now += 100ms;
  health.set_active(true, now);
  EXPECT_EQ(judge(now + 275ms), Verdict::suspect) << "no change, no new start";
  health.set_active(false, now);
  EXPECT_EQ(judge(now + 275ms), Verdict::alive);
}

TEST_F(PathHealthTest, MeasuresRoundTripsByNonce_OncePerPing) {
  const auto nonce = health.ping_due(now, random);
  health.on_pong(*nonce + 1, now + 5ms);
  health.on_pong(0, now + 5ms);
  EXPECT_FALSE(health.srtt());
  health.on_pong(*nonce, now + 40ms);
  EXPECT_EQ(health.srtt(), 40ms);
  EXPECT_EQ(health.rttvar(), 20ms);
  health.on_pong(*nonce, now + 400ms);
  EXPECT_EQ(health.srtt(), 40ms);
  const auto second = health.ping_due(now + 1s, random);
  health.on_pong(*second, now + 1s + 80ms);
  EXPECT_EQ(health.srtt(), 45ms);    // 7/8 * 40 + 1/8 * 80
  EXPECT_EQ(health.rttvar(), 25ms);  // 3/4 * 20 + 1/4 * 40
}

TEST_F(PathHealthTest, ForgetsPingsBeyondSixteen) {
  const auto nonce = health.ping_due(now, random);
  for (int i = 0; i < 16; ++i) {
    now += 1s;
    ASSERT_TRUE(health.ping_due(now, random));
  }
  health.on_pong(*nonce, now);
  EXPECT_FALSE(health.srtt());
}

TEST_F(PathHealthTest, AJitteryPathGetsMoreTime_ButAtMostTwice) {
  health.set_active(true, now);
  settle_rtt(20ms);
  EXPECT_LT(health.silent_after(), 752ms);
  const auto nonce = [&] {
    for (;;) {
      now += 10ms;
      if (const auto due = health.ping_due(now, random)) { return *due; }
    }
  }();
  health.on_pong(nonce, now + 420ms);  // Deviation 400 ms: rttvar 100 ms.
  EXPECT_GT(health.silent_after(), 1140ms);
  EXPECT_LT(health.silent_after(), 1160ms);
  EXPECT_GT(health.suspect_after(), 640ms);  // 250 ms + 4 * rttvar
  EXPECT_LT(health.suspect_after(), 660ms);
  const auto later = [&] {
    for (;;) {
      now += 10ms;
      if (const auto due = health.ping_due(now, random)) { return *due; }
    }
  }();
  health.on_pong(later, now + 10s);
  EXPECT_EQ(health.silent_after(), 1500ms);
  EXPECT_LT(health.suspect_after(), health.silent_after());
}

TEST_F(PathHealthTest, OurOwnStallIsForgiven_ButNotMoreThanThat) {
  health.set_active(true, now);
  now += 6s;
  EXPECT_EQ(judge(now), Verdict::dead);
  health.forgive(5900ms, now);
  EXPECT_EQ(health.silence(now), 100ms);
  EXPECT_EQ(judge(now), Verdict::alive);
  health.forgive(10s, now);
  EXPECT_EQ(health.silence(now), 0ms);
}

}  // namespace
}  // namespace edge::tunnel
