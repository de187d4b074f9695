// Every reason to switch the active path, and every reason not to.
#include "tunnel/core/path_choice.hpp"
#include "start_time.hpp"

#include <gtest/gtest.h>

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;

constexpr PathId kA{1}, kB{2}, kC{3};

PathCandidate path(PathId id, std::string_view adapter, std::optional<Duration> srtt = 20ms) {
  return {.path = id, .adapter = adapter, .srtt = srtt, .steady_since = t0};
}

TEST(BetterPathTest, SilentDrainingSuspectUnprovenMeteredThenClassRankRttAge) {
  // Each line differs from the one below only in its own criterion, and is worse in all later ones.
  PathCandidate silent = path(PathId{10}, "z", 0ms);
  silent.silent = true;
  PathCandidate draining = path(kA, "a", 1ms);
  draining.draining = true;
  PathCandidate suspect = path(kB, "b", 2ms);
  suspect.suspect = true;
  PathCandidate unproven = path(PathId{11}, "u", 2ms);
  unproven.unproven = true;
  PathCandidate metered = path(PathId{12}, "m", 2ms);
  metered.metered = true;
  PathCandidate wifi = path(kC, "c", 3ms);
  wifi.path_class = PathClass::wifi;
  PathCandidate second_rank = path(PathId{4}, "d", 4ms);
  second_rank.rank = 1;
  const PathCandidate unmeasured = path(PathId{5}, "e", std::nullopt);
  const PathCandidate slow = path(PathId{6}, "f", 30ms);
  PathCandidate young = path(PathId{7}, "g", 20ms);
  young.steady_since = t0 + 1s;
  const PathCandidate best = path(PathId{9}, "h", 20ms);
  const std::vector<PathCandidate> worst_first = {silent,  draining, suspect,     unproven,
                                                  metered, wifi,     second_rank, unmeasured,
                                                  slow,    young,    best};
  for (std::size_t i = 0; i < worst_first.size(); ++i) {
    for (std::size_t j = 0; j < worst_first.size(); ++j) {
      EXPECT_EQ(better(worst_first[i], worst_first[j]), i > j) << i << " against " << j;
    }
  }
  EXPECT_EQ(best_path(worst_first), PathId{9});
  EXPECT_EQ(best_path({}), std::nullopt);
}

TEST(SpreadTest, OfAFewAllAreTaken) {
  const std::vector<PathCandidate> few = {path(kA, "a"), path(kB, "b"), path(kC, "c")};
  EXPECT_EQ(spread_over(few, kB, 3, 5), (std::vector<PathId>{kB, kA, kC}));
  EXPECT_TRUE(spread_over({}, kB, 3, 0).empty());
}

TEST(SpreadTest, TheActiveOneThenOtherAdaptersThenTheRestInTurn) {
  const std::vector<PathCandidate> many = {path(PathId{1}, "a"), path(PathId{2}, "a", 1ms),
                                           path(PathId{3}, "b"), path(PathId{4}, "b", 5ms),
                                           path(PathId{5}, "c"), path(PathId{6}, "d", 90ms)};
  const auto at = [&many](std::size_t turn) { return spread_over(many, PathId{1}, 4, turn); };
  EXPECT_EQ(at(0), (std::vector<PathId>{{1}, {4}, {5}, {2}}));
  EXPECT_EQ(at(1), (std::vector<PathId>{{1}, {4}, {5}, {3}}));
  EXPECT_EQ(at(2), (std::vector<PathId>{{1}, {4}, {5}, {6}}));
  EXPECT_EQ(at(3), at(0));
}

TEST(SpreadTest, AQuietPathOfAnotherAdapterComesBehindASoundOneOfTheSame) {
  std::vector<PathCandidate> paths = {path(kA, "a"), path(kB, "b"), path(kC, "a"),
                                      path(PathId{4}, "a")};
  paths[1].suspect = true;
  EXPECT_EQ(spread_over(paths, kA, 3, 0), (std::vector<PathId>{kA, kC, kB}));
  EXPECT_EQ(spread_over(paths, kA, 3, 1), (std::vector<PathId>{kA, kC, PathId{4}}));
}

TEST(SuccessionTest, IsWhatTheChooserPicksAsOneAfterTheOtherIsLost) {
  PathCandidate ranked = path(kB, "b", 90ms);
  PathCandidate fast = path(kC, "c", 5ms);
  fast.rank = 1;
  PathCandidate slow = path(kA, "a", 50ms);
  slow.rank = 1;
  std::vector<PathCandidate> left = {slow, ranked, fast};
  PathChooser chooser;
  chooser.choose(std::vector{slow}, t0);
  chooser.choose(left, t0);
  ASSERT_EQ(chooser.active(), kA) << "a rival has to be steady first";
  const auto order = succession(left, chooser.active());
  EXPECT_EQ(order, (std::vector{kA, kB, kC}));
  for (const PathId expected : order) {
    EXPECT_EQ(chooser.choose(left, t0).active.value_or(expected), expected);
    EXPECT_EQ(chooser.active(), expected);
    std::erase_if(left, [expected](const PathCandidate& one) { return one.path == expected; });
  }
  EXPECT_TRUE(succession({}, std::nullopt).empty());
}

TEST(SecondPathTest, PrefersAnotherAdapter_ButTakesWhatThereIs) {
  const std::vector<PathCandidate> two = {path(kA, "eth0", 1ms), path(kB, "eth0", 2ms),
                                          path(kC, "eth1", 90ms)};
  EXPECT_EQ(second_path(two, kA), kC);
  EXPECT_EQ(second_path(two, kC), kA);
  EXPECT_EQ(second_path(std::span(two).first(2), kA), kB);
  EXPECT_EQ(second_path(std::span(two).first(1), kA), std::nullopt);
}

TEST(SecondPathTest, HealthGoesBeforeDisjointness) {
  std::vector<PathCandidate> paths = {path(kA, "eth0"), path(kB, "eth0"), path(kC, "eth1")};
  paths[2].suspect = true;
  EXPECT_EQ(second_path(paths, kA), kB);
  paths[2].suspect = false;
  paths[2].draining = true;
  EXPECT_EQ(second_path(paths, kA), kB);
}

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
