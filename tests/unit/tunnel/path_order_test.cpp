// Which of several paths is better, which is the second, and which are taken together.
#include <gtest/gtest.h>

#include "path_candidates.hpp"

namespace edge::tunnel {
namespace {

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

}  // namespace
}  // namespace edge::tunnel
