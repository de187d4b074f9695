// Every reason to switch the active path, and every reason not to.
#include <gtest/gtest.h>

#include "path_candidates.hpp"

namespace edge::tunnel {
namespace {

class PathChooserTest : public testing::Test {
 protected:
  Choice choose() { return chooser.choose(paths, now); }
  Choice after(Duration wait) {
    now += wait;
    return choose();
  }
  PathCandidate& a() { return paths[0]; }
  PathCandidate& b() { return paths[1]; }
  /// A was active and died; B took over; A is back since `now`.
  void fail_a_and_return() {
    chooser.on_active_failed("eth0", now);
    const PathCandidate back = a();
    paths.erase(paths.begin());
    ASSERT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
    paths.insert(paths.begin(), back);
    a().steady_since = now;
    ASSERT_EQ(choose(), (Choice{kB, SwitchReason::none}));
  }

  MonoTime now = t0;
  std::vector<PathCandidate> paths = {path(kA, "eth0"), path(kB, "eth1")};
  PathChooser chooser;
};

TEST_F(PathChooserTest, FirstThenLost_EachReportedOnce) {
  b().srtt = 10ms;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::first}));
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::none}));
  paths.pop_back();
  EXPECT_EQ(choose(), (Choice{kA, SwitchReason::lost}));
  paths.clear();
  EXPECT_EQ(choose(), (Choice{std::nullopt, SwitchReason::lost}));
  EXPECT_EQ(choose(), (Choice{std::nullopt, SwitchReason::none}));
  paths = {path(kC, "eth2")};
  EXPECT_EQ(choose(), (Choice{kC, SwitchReason::first}));
}

TEST_F(PathChooserTest, ASuspectActivePathIsKept) {
  choose();
  a().suspect = true;
  EXPECT_EQ(after(1h), (Choice{kA, SwitchReason::none}));
}

TEST_F(PathChooserTest, ASilentActivePathIsLeftAtOnce_ForOneThatIsHeard) {
  choose();
  a().suspect = a().silent = true;
  b().suspect = true;
  EXPECT_EQ(after(1s), (Choice{kA, SwitchReason::none})) << "nothing is known to be better";
  b().suspect = false;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
  a().suspect = a().silent = false;
  a().rank = 0;
  b().rank = 1;
  a().steady_since = now;
  EXPECT_EQ(after(60s - 1ns), (Choice{kB, SwitchReason::none})) << "silence is a failure";
  EXPECT_EQ(after(1ns), (Choice{kA, SwitchReason::preferred}));
  a().suspect = a().silent = true;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
  EXPECT_EQ(chooser.failback_hold("eth0", now), 120s);
}

TEST_F(PathChooserTest, ASilentPathIsLeftForAnotherAdapterBeforeAnotherEndpoint) {
  paths.push_back(path(kC, "eth0"));
  b().rank = 1;
  ASSERT_EQ(choose().active, kA);
  a().suspect = a().silent = true;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
  EXPECT_EQ(chooser.failback_hold("eth0", now), 60s) << "it failed once";
}

/// Why: of two endpoints over a cut port the standby one is not suspect yet, and as preferred as
/// the one that was just left (sim_tunnel --seed 3 --hours 168).
TEST_F(PathChooserTest, AnotherEndpointOverTheAdapterThatFailedIsNotWhatItFailsBackTo) {
  paths.push_back(path(kC, "eth0"));
  b().rank = 1;
  ASSERT_EQ(choose().active, kA);
  now += 1h;
  a().suspect = a().silent = true;
  ASSERT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
  now += 100ms;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::none}));
  std::erase_if(paths, [](const PathCandidate& one) { return one.path == kA; });
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::none}));
  now += 60s;
  EXPECT_EQ(choose(), (Choice{kC, SwitchReason::preferred})) << "it was steady since";
}

/// Why: a balancer before one address that resets would move every host to its metered adapter.
TEST_F(PathChooserTest, AfterAResetTheOtherEndpointOfTheAdapterComesBeforeAMeteredAdapter) {
  paths.push_back(path(kC, "eth0"));
  b().metered = true;
  ASSERT_EQ(choose().active, kA);
  now += 1h;
  chooser.on_active_failed("eth0", now);
  std::erase_if(paths, [](const PathCandidate& one) { return one.path == kA; });
  for (PathCandidate& one : paths) {
    one.unproven = chooser.unproven(one.adapter, one.steady_since, now);
  }
  EXPECT_EQ(choose(), (Choice{kC, SwitchReason::lost}));
}

/// Why: one node of the Console that hangs would move every host to its metered adapter.
TEST_F(PathChooserTest, ASilentPathIsLeftForAnotherEndpointBeforeAMeteredAdapter) {
  paths.push_back(path(kC, "eth0"));
  b().metered = true;
  ASSERT_EQ(choose().active, kA);
  a().suspect = a().silent = true;
  EXPECT_EQ(choose(), (Choice{kC, SwitchReason::lost}));
  paths[2].suspect = paths[2].silent = true;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::lost})) << "but it is better than none";
}

TEST_F(PathChooserTest, ASilentPathIsLeftForAnotherEndpointWhereThereIsNoOtherAdapter) {
  paths = {path(kA, "eth0"), path(kC, "eth0")};
  ASSERT_EQ(choose().active, kA);
  a().suspect = a().silent = true;
  EXPECT_EQ(choose(), (Choice{kC, SwitchReason::lost}));
}

TEST_F(PathChooserTest, ALeadThatAFailedPathLosesIsCalledFaster) {
  b().srtt = 10ms;
  a().srtt = 100ms;
  a().rank = b().rank;
  choose();
  paths.erase(paths.begin() + 1);
  ASSERT_EQ(choose().active, kA);
  a().unproven = true;
  paths.push_back(path(kC, "eth2"));
  paths[1].srtt = 10ms;
  choose();
  EXPECT_EQ(after(30s), (Choice{kC, SwitchReason::faster})) << "nobody took it for want of another";
}

TEST_F(PathChooserTest, ADrainingPathIsBetterThanASilentOne) {
  choose();
  a().suspect = a().silent = true;
  b().draining = true;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
}

TEST_F(PathChooserTest, ADrainingActivePathGivesWayAtOnce_UnlessAllDrain) {
  choose();
  a().draining = b().draining = true;
  EXPECT_EQ(choose(), (Choice{kA, SwitchReason::none}));
  b().draining = false;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
}

TEST_F(PathChooserTest, AFasterPathWinsAfterAnUnbrokenLeadOf30s) {
  a().srtt = 100ms;
  b().srtt = std::nullopt;
  choose();
  b().srtt = 40ms;
  EXPECT_EQ(choose(), (Choice{kA, SwitchReason::none}));
  EXPECT_EQ(chooser.next_deadline(), now + 30s);
  EXPECT_EQ(after(29s).reason, SwitchReason::none);
  b().srtt = 95ms;  // The lead breaks,
  EXPECT_EQ(choose().reason, SwitchReason::none);
  EXPECT_EQ(chooser.next_deadline(), std::nullopt);
  b().srtt = 40ms;  // ... and starts again.
  choose();
  EXPECT_EQ(after(30s - 1ns).reason, SwitchReason::none);
  EXPECT_EQ(after(1ns), (Choice{kB, SwitchReason::faster}));
  EXPECT_EQ(chooser.next_deadline(), std::nullopt);
}

TEST_F(PathChooserTest, FasterMeansBothTwentyPercentAndTenMilliseconds) {
  const auto leads = [this](Duration active, Duration rival) {
    chooser = PathChooser();
    a().srtt = active;
    b().srtt = std::nullopt;
    choose();
    b().srtt = rival;
    choose();
    return chooser.next_deadline().has_value();
  };
  EXPECT_TRUE(leads(100ms, 80ms));
  EXPECT_FALSE(leads(100ms, 80ms + 1ns));
  EXPECT_TRUE(leads(20ms, 10ms));
  EXPECT_FALSE(leads(20ms, 10ms + 1ns));
}

TEST_F(PathChooserTest, SpeedNeverBeatsPreference) {
  a().srtt = 500ms;
  b().srtt = 1ms;
  b().rank = 1;
  EXPECT_EQ(choose().active, kA);
  EXPECT_EQ(after(24h), (Choice{kA, SwitchReason::none}));
  b().rank = 0;
  b().path_class = PathClass::mobile;
  EXPECT_EQ(after(24h), (Choice{kA, SwitchReason::none}));
}

TEST_F(PathChooserTest, APreferredPathThatNeverFailedTakesOverSoon) {
  b().rank = 1;
  const PathCandidate preferred = a();
  paths.erase(paths.begin());
  ASSERT_EQ(choose(), (Choice{kB, SwitchReason::first}));
  paths.push_back(preferred);
  paths.back().steady_since = now;
  EXPECT_EQ(choose().reason, SwitchReason::none);
  EXPECT_EQ(chooser.next_deadline(), now + 3s);
  EXPECT_EQ(after(3s - 1ns).reason, SwitchReason::none);
  EXPECT_EQ(after(1ns), (Choice{kA, SwitchReason::preferred}));
}

TEST_F(PathChooserTest, AFailedPathReturnsAfter60s_AndASuspicionStartsThemAnew) {
  b().rank = 1;
  choose();
  fail_a_and_return();
  EXPECT_EQ(chooser.next_deadline(), now + 60s);
  EXPECT_EQ(after(59s).reason, SwitchReason::none);
  a().suspect = true;
  EXPECT_EQ(after(1s).reason, SwitchReason::none);
  a().suspect = false;
  a().steady_since = now;
  EXPECT_EQ(after(60s - 1ns).reason, SwitchReason::none);
  EXPECT_EQ(after(1ns), (Choice{kA, SwitchReason::preferred}));
}

TEST_F(PathChooserTest, EachFailureDoublesTheWaitUpTo15Minutes_AndCalmForgives) {
  b().rank = 1;
  const Duration holds[] = {60s, 120s, 240s, 480s, 900s, 900s};
  for (const Duration hold : holds) {
    chooser.on_active_failed("eth0", now);
    EXPECT_EQ(chooser.failback_hold("eth0", now), hold);
  }
  EXPECT_EQ(chooser.failback_hold("eth1", now), 3s) << "another adapter is not to blame";
  EXPECT_EQ(chooser.failback_hold("eth0", now + 15min), 900s);
  EXPECT_EQ(chooser.failback_hold("eth0", now + 15min + 1ns), 60s);
  chooser.on_active_failed("eth0", now + 15min + 1ns);
  EXPECT_EQ(chooser.failback_hold("eth0", now + 15min + 1ns), 60s);
}

TEST_F(PathChooserTest, AFailureIsRememberedOverARestart) {
  chooser.on_active_failed("eth0", now - 1min);
  chooser.on_active_failed("eth0", now);
  const auto changed = chooser.take_changed(now + 5s);
  ASSERT_EQ(changed, (std::vector<Reputation>{{"eth0", 2, 5s}}));
  EXPECT_TRUE(chooser.take_changed(now).empty()) << "told once";
  PathChooser after;
  after.restore(changed[0], now);
  EXPECT_EQ(after.failback_hold("eth0", now), 120s);
  EXPECT_TRUE(after.take_changed(now).empty()) << "nothing new";
  EXPECT_EQ(after.failback_hold("eth0", now + 15min - 5s), 120s) << "the age counts";
  EXPECT_EQ(after.failback_hold("eth0", now + 15min), 60s);
}

TEST_F(PathChooserTest, OldOrImpossibleReputationsAreNotRestored) {
  chooser.restore({"eth0", 3, 16min}, now);
  chooser.restore({"eth1", 0, 1s}, now);
  chooser.restore({"eth2", 2, -1h}, now);  // The wall clock was set back.
  EXPECT_EQ(chooser.failback_hold("eth0", now), 3s);
  EXPECT_EQ(chooser.failback_hold("eth1", now), 3s);
  EXPECT_EQ(chooser.failback_hold("eth2", now), 120s);
  chooser.on_active_failed("eth2", now);
  chooser.restore({"eth2", 1, 1min}, now);
  EXPECT_EQ(chooser.failback_hold("eth2", now), 240s) << "what happened since is more";
}

TEST_F(PathChooserTest, AFailedAdapterIsUnprovenUntilItWasSteadyForItsHoldOrIsForgiven) {
  EXPECT_FALSE(chooser.unproven("eth0", now, now));
  chooser.on_active_failed("eth0", now);
  EXPECT_TRUE(chooser.unproven("eth0", now + 10s, now + 69s));
  EXPECT_FALSE(chooser.unproven("eth0", now + 10s, now + 70s)) << "60 s steady";
  EXPECT_FALSE(chooser.unproven("eth0", now + 15min, now + 15min + 1ns)) << "forgiven";
  EXPECT_FALSE(chooser.unproven("eth1", now, now));
}

TEST_F(PathChooserTest, AnUnprovenPathIsTakenOnlyForWantOfAnother) {
  b().rank = 1;
  a().unproven = true;
  EXPECT_EQ(choose(), (Choice{kB, SwitchReason::first})) << "though A is preferred";
}

TEST_F(PathChooserTest, AFirstPathThatHadFailedGivesWayToAProvenOneSoon) {
  b().rank = 1;
  const PathCandidate proven = b();
  chooser.restore({"eth0", 3, 1min}, now);
  a().unproven = true;
  paths.pop_back();
  EXPECT_EQ(choose(), (Choice{kA, SwitchReason::first})) << "nobody waits without a path";
  now += 10ms;
  paths.push_back(proven);
  b().steady_since = now;
  EXPECT_EQ(choose(), (Choice{kA, SwitchReason::none}));
  EXPECT_EQ(chooser.next_deadline(), now + 3s);
  EXPECT_EQ(after(3s), (Choice{kB, SwitchReason::proven}));
  EXPECT_EQ(after(1s), (Choice{kB, SwitchReason::none})) << "back only after A's hold";
}

TEST_F(PathChooserTest, APathTakenInNeedIsKeptWhenAProvenOneComesLater) {
  choose();
  paths.erase(paths.begin());
  ASSERT_EQ(choose(), (Choice{kB, SwitchReason::lost}));
  paths[0].unproven = true;
  paths.push_back(path(kC, "eth2"));
  paths[1].rank = 2;
  EXPECT_EQ(after(1h), (Choice{kB, SwitchReason::none})) << "no oscillation while it works";
}

TEST_F(PathChooserTest, TheDeadlineIsTheEarliestRival) {
  paths.push_back(path(kC, "eth2"));
  a().rank = 2;
  b().rank = 5;
  paths[2].rank = 5;
  choose();
  ASSERT_EQ(chooser.active(), kA);
  b().rank = 1;
  b().steady_since = now + 2s;
  paths[2].rank = 0;
  paths[2].steady_since = now + 5s;
  choose();
  EXPECT_EQ(chooser.next_deadline(), now + 5s);
  EXPECT_EQ(after(5s), (Choice{kB, SwitchReason::preferred}));
  EXPECT_EQ(after(3s), (Choice{kC, SwitchReason::preferred}));
}

TEST_F(PathChooserTest, RemembersOnlySoManyAdapters) {
  for (int i = 0; i < 65; ++i) {
    chooser.on_active_failed("eth" + std::to_string(i), now + i * 1s);
  }
  EXPECT_EQ(chooser.failback_hold("eth0", now + 65s), 3s) << "the oldest was forgotten";
  EXPECT_EQ(chooser.failback_hold("eth1", now + 65s), 60s);
}

}  // namespace
}  // namespace edge::tunnel
