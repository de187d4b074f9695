#include "uplink/core/trial.hpp"

#include <gmock/gmock.h>

namespace edge::uplink {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr MonoTime t0{};

PathSight path(const std::string& port, std::uint64_t welcomes = 1) {
  return {.key = {port, 0}, .name = port + "/console:8443", .welcomes = welcomes};
}

PathSight broken(const std::string& port, Step step, bool answered = false) {
  PathSight out = path(port);
  out.broken = step;
  out.cause = "as tested";
  out.answered = answered;
  return out;
}

/// Both up before; eth0 is changed.
TrialTerms terms() {
  TrialTerms out;
  out.before = {path("eth0"), path("eth1")};
  out.affected = {"eth0"};
  return out;
}

Verdict verdict(Trial& trial, const std::vector<PathSight>& sights, MonoTime now) {
  return trial.judge(sights, now).verdict;
}

TEST(TrialTest, ItIsKeptWhenAnAffectedPathWasWelcomedAnewAndTheConsoleConfirmed) {
  Trial trial(terms(), t0);
  const std::vector<PathSight> old = {path("eth0"), path("eth1")};
  const std::vector<PathSight> fresh = {path("eth0", 2), path("eth1")};
  EXPECT_EQ(verdict(trial, old, t0), Verdict::wait);
  EXPECT_EQ(trial.to_redial(old), std::vector<PathKey>({{"eth0", 0}}));
  EXPECT_EQ(verdict(trial, fresh, t0), Verdict::wait);
  EXPECT_THAT(trial.to_redial(fresh), IsEmpty());
  trial.on_confirm();
  EXPECT_EQ(verdict(trial, old, t0), Verdict::wait);  // A confirm alone proves nothing.
  EXPECT_EQ(verdict(trial, fresh, t0), Verdict::keep);
}

TEST(TrialTest, WithoutAConfirmationItIsTakenBackAtTheDeadlineAndNotBefore) {
  Trial trial(terms(), t0);
  const std::vector<PathSight> fresh = {path("eth0", 2), path("eth1")};
  EXPECT_EQ(verdict(trial, fresh, t0 + 119s), Verdict::wait);
  const Judgement judged = trial.judge(fresh, t0 + 120s);
  EXPECT_EQ(judged.verdict, Verdict::take_back);
  EXPECT_THAT(judged.reasons,
              ElementsAre("not confirmed within 120 s", "the Console has not confirmed"));
}

TEST(TrialTest, APathThatWorkedAndNoLongerDoesIsARegressionThoughTheOtherReachesTheConsole) {
  Trial trial(terms(), t0);
  trial.on_confirm();
  const std::vector<PathSight> cut = {broken("eth0", Step::lease), path("eth1")};
  EXPECT_EQ(verdict(trial, cut, t0 + 29s), Verdict::wait);  // It may need a new lease.
  const Judgement judged = trial.judge(cut, t0 + 30s);
  EXPECT_EQ(judged.verdict, Verdict::take_back);
  EXPECT_THAT(judged.reasons, ElementsAre("path eth0/console:8443: lease: as tested"));
}

TEST(TrialTest, ARegressionIsKeptByConsentIfAnotherPathProvesTheWay) {
  TrialTerms wanted = terms();
  wanted.accept_regression = true;
  Trial trial(wanted, t0);
  trial.on_confirm();
  const std::vector<PathSight> cut = {broken("eth0", Step::lease), path("eth1")};
  const Judgement judged = trial.judge(cut, t0 + 30s);
  EXPECT_EQ(judged.verdict, Verdict::keep);
  EXPECT_THAT(judged.reasons, ElementsAre(HasSubstr("eth0")));
}

TEST(TrialTest, ConsentDoesNotReachTheLastPath) {
  TrialTerms wanted = terms();
  wanted.accept_regression = true;
  wanted.affected = {"eth0", "eth1"};
  Trial trial(wanted, t0);
  trial.on_confirm();
  const std::vector<PathSight> cut = {broken("eth0", Step::lease), broken("eth1", Step::lease)};
  EXPECT_EQ(verdict(trial, cut, t0 + 30s), Verdict::wait);
  EXPECT_EQ(verdict(trial, cut, t0 + 120s), Verdict::take_back);
}

TEST(TrialTest, APathThatWasBrokenBeforeMayStayBrokenButNotGetLessFar) {
  TrialTerms wanted = terms();
  wanted.before = {path("eth0"), broken("eth1", Step::tcp)};
  wanted.affected = {"eth0", "eth1"};
  Trial same(wanted, t0);
  same.on_confirm();
  EXPECT_EQ(verdict(same, {path("eth0", 2), broken("eth1", Step::tcp)}, t0), Verdict::keep);
  Trial worse(wanted, t0);
  worse.on_confirm();
  EXPECT_EQ(verdict(worse, {path("eth0", 2), broken("eth1", Step::lease)}, t0 + 30s),
            Verdict::take_back);
}

TEST(TrialTest, AConsoleThatIsAwayTakesNothingBackAndTheClockRunsFromItsReturn) {
  Trial trial(terms(), t0);
  // Its own address refuses, and the path that was not touched lost it as well.
  const std::vector<PathSight> away = {broken("eth0", Step::tcp, true), broken("eth1", Step::tcp)};
  EXPECT_EQ(verdict(trial, away, t0 + 10s), Verdict::wait);
  EXPECT_TRUE(trial.console_away());
  EXPECT_EQ(verdict(trial, away, t0 + 600s), Verdict::wait);
  const std::vector<PathSight> back = {path("eth0", 2), path("eth1", 2)};
  EXPECT_EQ(verdict(trial, back, t0 + 700s), Verdict::wait);
  EXPECT_EQ(trial.deadline(), t0 + 820s);
  trial.on_confirm();
  EXPECT_EQ(verdict(trial, back, t0 + 701s), Verdict::keep);
}

/// Why: a path's back-off may be longer than what the trial gives it after the return (u47_trial).
TEST(TrialTest, WhenTheConsoleReturnsWhatWaitsForItIsDialledOnce) {
  Trial trial(terms(), t0);
  const std::vector<PathSight> away = {broken("eth0", Step::tcp, true), broken("eth1", Step::tcp)};
  ASSERT_EQ(verdict(trial, away, t0 + 10s), Verdict::wait);
  EXPECT_THAT(trial.take_awaited(away), IsEmpty());
  const std::vector<PathSight> half = {path("eth0", 2), broken("eth1", Step::tcp)};
  ASSERT_EQ(verdict(trial, half, t0 + 20s), Verdict::wait);
  EXPECT_EQ(trial.take_awaited(half), std::vector<PathKey>({{"eth1", 0}}));
  EXPECT_THAT(trial.take_awaited(half), IsEmpty()) << "once";
}

TEST(TrialTest, AConsoleThatWasAwayBeforeItAndIsAfterItTakesNothingBack) {
  TrialTerms wanted = terms();
  wanted.before = {broken("eth0", Step::tcp), broken("eth1", Step::tcp)};
  Trial trial(wanted, t0);
  // The path that the change does not touch shows that it is the Console.
  EXPECT_EQ(verdict(trial, wanted.before, t0 + 120s), Verdict::wait);
  EXPECT_TRUE(trial.console_away());
  EXPECT_EQ(verdict(trial, wanted.before, t0 + 59min), Verdict::wait);
  const std::vector<PathSight> back = {path("eth0", 2), path("eth1", 2)};
  EXPECT_EQ(verdict(trial, back, t0 + 59min), Verdict::wait);
  EXPECT_EQ(trial.deadline(), t0 + 59min + 120s);
  trial.on_confirm();
  EXPECT_EQ(verdict(trial, back, t0 + 59min), Verdict::keep);

  Trial worse(wanted, t0);
  EXPECT_EQ(verdict(worse, {broken("eth0", Step::lease), broken("eth1", Step::tcp)}, t0 + 30s),
            Verdict::take_back)
      << "that the Console is away does not excuse a cut below it";
}

/// Why: the change may have cut eth0 while the provider of eth1 failed, for good.
TEST(TrialTest, WhereOnlySilenceSaysThatTheConsoleIsAwayItIsWaitedForAnHour) {
  Trial trial(terms(), t0);
  const std::vector<PathSight> silent = {broken("eth0", Step::tcp), broken("eth1", Step::tcp)};
  EXPECT_EQ(verdict(trial, silent, t0 + 120s), Verdict::wait);
  EXPECT_TRUE(trial.console_away());
  EXPECT_EQ(verdict(trial, silent, t0 + 59min), Verdict::wait);
  EXPECT_EQ(verdict(trial, silent, t0 + 60min), Verdict::wait);
  EXPECT_FALSE(trial.console_away());
  EXPECT_EQ(verdict(trial, silent, t0 + 62min), Verdict::take_back);
}

TEST(TrialTest, WhereTheOnlyPathIsTouchedNobodyWouldSeeItReturnSoThatIsWaitedForAnHour) {
  TrialTerms wanted;
  wanted.before = {broken("eth0", Step::tcp)};
  wanted.affected = {"eth0"};
  Trial trial(wanted, t0);
  EXPECT_EQ(verdict(trial, wanted.before, t0 + 120s), Verdict::wait);
  EXPECT_TRUE(trial.console_away());
  EXPECT_EQ(verdict(trial, wanted.before, t0 + 59min), Verdict::wait);
  EXPECT_EQ(trial.next_deadline(t0 + 59min), t0 + 60min);
  EXPECT_EQ(verdict(trial, wanted.before, t0 + 60min), Verdict::wait);
  EXPECT_FALSE(trial.console_away());
  EXPECT_EQ(verdict(trial, wanted.before, t0 + 62min), Verdict::take_back);

  wanted.before = {broken("eth0", Step::tcp), broken("eth1", Step::tcp)};
  wanted.before.back().welcomes = 0;  // A way that never led to the Console says nothing of it.
  Trial closed(wanted, t0);
  EXPECT_EQ(verdict(closed, wanted.before, t0 + 59min), Verdict::wait);
  EXPECT_EQ(verdict(closed, wanted.before, t0 + 60min), Verdict::wait);
  EXPECT_FALSE(closed.console_away());

  Trial answered(wanted, t0);
  const std::vector<PathSight> busy = {broken("eth0", Step::console, true), wanted.before.back()};
  EXPECT_EQ(verdict(answered, busy, t0 + 5h), Verdict::wait) << "the Console itself says no";
  EXPECT_TRUE(answered.console_away());
}

TEST(TrialTest, WhoEndsItGetsItBackWhateverThePathsSay) {
  Trial trial(terms(), t0);
  trial.on_confirm();
  trial.on_abort("ended by a person at the machine");
  const Judgement judged = trial.judge({path("eth0", 2), path("eth1")}, t0 + 1s);
  EXPECT_EQ(judged.verdict, Verdict::take_back);
  EXPECT_THAT(judged.reasons, ElementsAre("ended by a person at the machine"));

  Trial away(terms(), t0);
  away.on_abort("ended by a person at the machine");
  EXPECT_EQ(verdict(away, {broken("eth0", Step::tcp), broken("eth1", Step::tcp)}, t0 + 1s),
            Verdict::take_back);
}

TEST(TrialTest, ARefusalMayBeAFirewallsAndPutsTheVerdictOffOnlyToTheDeadline) {
  TrialTerms wanted = terms();
  wanted.before = {path("eth0")};
  Trial trial(wanted, t0);
  PathSight refused = broken("eth0", Step::tcp);
  refused.refused = true;
  EXPECT_EQ(verdict(trial, {refused}, t0 + 60s), Verdict::wait);
  EXPECT_FALSE(trial.console_away());
  EXPECT_EQ(verdict(trial, {refused}, t0 + 120s), Verdict::take_back);
}

TEST(TrialTest, TheConsoleIsAskedAlsoWhereNoPathWasUpBefore) {
  TrialTerms wanted;
  wanted.before = {broken("eth0", Step::lease)};
  wanted.affected = {"eth0"};
  Trial trial(wanted, t0);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::lease)}, t0 + 60s), Verdict::wait);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::lease)}, t0 + 120s), Verdict::take_back);
}

TEST(TrialTest, AnUntouchedPathThatWasBrokenMayBreakElsewhere) {
  TrialTerms wanted = terms();
  wanted.before = {path("eth0"), broken("eth1", Step::tcp)};
  Trial trial(wanted, t0);
  trial.on_confirm();
  EXPECT_EQ(verdict(trial, {path("eth0", 2), broken("eth1", Step::lease)}, t0 + 30s),
            Verdict::keep);
}

/// Why: it shows that the change cut nothing that worked; of what it changes nothing did.
TEST(TrialTest, WhereNoChangedPathWasUpOneThatItLeavesAloneIsTheProofByStayingUp) {
  TrialTerms wanted;
  wanted.before = {broken("eth0", Step::lease), path("eth1")};
  wanted.affected = {"eth0"};
  Trial trial(wanted, t0);
  const std::vector<PathSight> same = {broken("eth0", Step::lease), path("eth1")};
  EXPECT_EQ(verdict(trial, same, t0), Verdict::wait) << "the Console has not confirmed";
  trial.on_confirm();
  EXPECT_EQ(verdict(trial, same, t0), Verdict::keep);
  Trial other(wanted, t0);
  other.on_confirm();
  EXPECT_EQ(verdict(other, {broken("eth0", Step::lease), broken("eth1", Step::carrier)}, t0 + 30s),
            Verdict::take_back);
}

TEST(TrialTest, SilenceOverTheOnlyChangedPathIsNotTakenForAConsoleThatIsAway) {
  TrialTerms wanted = terms();
  wanted.before = {path("eth0")};
  Trial trial(wanted, t0);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::tcp)}, t0 + 29s), Verdict::wait);
  EXPECT_FALSE(trial.console_away());
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::tcp)}, t0 + 30s), Verdict::take_back);
}

TEST(TrialTest, WhatTheConsoleItselfSaysOverTheOnlyPathProvesTheWay) {
  TrialTerms wanted = terms();
  wanted.before = {path("eth0")};
  Trial trial(wanted, t0);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::console, true)}, t0 + 30s), Verdict::wait);
  EXPECT_TRUE(trial.console_away());
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::console, true)}, t0 + 600s), Verdict::wait);
}

TEST(TrialTest, APortThatEndsOnPurposeIsNoRegressionButItsPathNeedsAProofElsewhere) {
  TrialTerms wanted = terms();
  wanted.leaving = {"eth1"};
  Trial trial(wanted, t0);
  trial.on_confirm();
  EXPECT_EQ(verdict(trial, {path("eth0")}, t0), Verdict::wait);
  EXPECT_EQ(verdict(trial, {path("eth0", 2)}, t0), Verdict::keep);
}

TEST(TrialTest, APortThatVanishesUnaskedIsARegression) {
  Trial trial(terms(), t0);
  trial.on_confirm();
  const Judgement judged = trial.judge({path("eth0", 2)}, t0 + 30s);
  EXPECT_EQ(judged.verdict, Verdict::take_back);
  EXPECT_THAT(judged.reasons, ElementsAre(HasSubstr("eth1/console:8443: its port is gone")));
}

TEST(TrialTest, APersonAtAMachineWithoutConsoleIsNotAskedForAProofThatCannotBe) {
  TrialTerms wanted;
  wanted.before = {broken("eth0", Step::tcp)};
  wanted.affected = {"eth0"};
  wanted.needs_confirm = false;
  Trial trial(wanted, t0);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::tcp)}, t0), Verdict::wait);
  EXPECT_EQ(trial.next_deadline(t0), t0 + 5s);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::tcp)}, t0 + 5s), Verdict::keep);

  wanted.before = {broken("eth0", Step::carrier)};
  Trial unplugged(wanted, t0);
  EXPECT_EQ(verdict(unplugged, {broken("eth0", Step::carrier)}, t0), Verdict::keep);
}

TEST(TrialTest, WhatBeginsLaterIsNotProvenByWhatCameBeforeIt) {
  TrialTerms wanted = terms();
  wanted.begins_within = 6s;
  Trial trial(wanted, t0);
  trial.on_confirm();
  const std::vector<PathSight> old = {path("eth0"), path("eth1")};
  EXPECT_EQ(verdict(trial, old, t0), Verdict::wait);
  EXPECT_THAT(trial.to_redial(old), IsEmpty()) << "it would meet the network from before";
  EXPECT_EQ(trial.next_deadline(t0), t0 + 5s);
  EXPECT_EQ(trial.next_deadline(t0 + 5s), t0 + 6s);
  EXPECT_EQ(verdict(trial, {path("eth0", 2), path("eth1")}, t0 + 5s), Verdict::wait);
  EXPECT_EQ(verdict(trial, old, t0 + 6s), Verdict::wait);
  EXPECT_EQ(trial.to_redial(old), std::vector<PathKey>({{"eth0", 0}}));
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::tcp), path("eth1")}, t0 + 35s), Verdict::wait)
      << "30 s to come back, from its begin";
  EXPECT_EQ(verdict(trial, {path("eth0", 2), path("eth1")}, t0 + 7s), Verdict::keep);

  wanted.confirm_within = 8s;
  Trial brief(wanted, t0);
  EXPECT_EQ(brief.next_deadline(t0), t0 + 2s) << "a quarter of the time";
}

TEST(TrialTest, AShortDeadlineLeavesHalfOfItForPathsToComeBack) {
  TrialTerms wanted = terms();
  wanted.confirm_within = 10s;
  Trial trial(wanted, t0);
  EXPECT_EQ(trial.next_deadline(t0), t0 + 5s);
  EXPECT_EQ(verdict(trial, {broken("eth0", Step::gateway), path("eth1")}, t0 + 5s),
            Verdict::take_back);
}

/// eth0 and eth1 to the Console's first address, which is replaced by a second one.
std::vector<PathSight> other_address(const std::vector<std::pair<std::string, Step>>& second) {
  std::vector<PathSight> out;
  for (const auto& [port, broken_at] : second) {
    PathSight old = path(port);
    old.replaced = true;
    out.push_back(old);
    PathSight now = broken(port, broken_at);
    now.key.endpoint = 1;
    now.name = port + "/other:8443";
    out.push_back(now);
  }
  return out;
}

TrialTerms all_ports() {
  TrialTerms out = terms();
  out.affected = {"eth0", "eth1"};
  out.readdressed = out.affected;
  return out;
}

TEST(TrialTest, AnotherListOfAddressesIsKeptWhenEachPortReachesTheConsoleByIt) {
  Trial trial(all_ports(), t0);
  trial.on_confirm();
  const auto one = other_address({{"eth0", Step::none}, {"eth1", Step::tcp}});
  EXPECT_EQ(verdict(trial, one, t0 + 1s), Verdict::wait);
  EXPECT_THAT(trial.to_redial(one), IsEmpty()) << "replaced paths only wait for the end";
  EXPECT_EQ(verdict(trial, other_address({{"eth0", Step::none}, {"eth1", Step::none}}), t0 + 2s),
            Verdict::keep);
}

TEST(TrialTest, AListByWhichAPortReachesNobodyIsTakenBackThoughItsReplacedPathsStillStand) {
  Trial none(all_ports(), t0);
  none.on_confirm();  // Over a replaced path: it says nothing about the new list.
  const auto bad = other_address({{"eth0", Step::tcp}, {"eth1", Step::tls}});
  EXPECT_EQ(verdict(none, bad, t0 + 29s), Verdict::wait);
  const Judgement judged = none.judge(bad, t0 + 30s);
  EXPECT_EQ(judged.verdict, Verdict::take_back);
  EXPECT_THAT(judged.reasons, ElementsAre("path eth0/other:8443: tcp: as tested",
                                          "path eth1/other:8443: tls: as tested"));

  Trial half(all_ports(), t0);
  half.on_confirm();
  const auto one = other_address({{"eth0", Step::none}, {"eth1", Step::tcp}});
  EXPECT_EQ(verdict(half, one, t0 + 30s), Verdict::take_back);
  TrialTerms wanted = all_ports();
  wanted.accept_regression = true;
  Trial by_consent(wanted, t0);
  by_consent.on_confirm();
  EXPECT_EQ(verdict(by_consent, bad, t0 + 30s), Verdict::wait) << "not even one reaches it";
  EXPECT_EQ(verdict(by_consent, one, t0 + 31s), Verdict::keep);
}

TEST(TrialTest, AListOfAddressesDoesNotExcuseAPortThatTheSameChangeCuts) {
  TrialTerms wanted = all_ports();
  wanted.readdressed.clear();  // The command changes the ports themselves, too.
  Trial trial(wanted, t0);
  auto cut = other_address({{"eth0", Step::tcp}, {"eth1", Step::tcp}});
  for (PathSight& sight : cut) { sight.broken = Step::tcp; }
  EXPECT_EQ(verdict(trial, cut, t0 + 125s), Verdict::take_back);
  EXPECT_FALSE(trial.console_away());
}

TEST(TrialTest, AConsoleThatIsAwayAtItsOldAddressTooTakesNoListBack) {
  Trial trial(all_ports(), t0);
  auto away = other_address({{"eth0", Step::tcp}, {"eth1", Step::tcp}});
  for (PathSight& sight : away) { sight.broken = Step::tcp; }
  EXPECT_EQ(verdict(trial, away, t0 + 60s), Verdict::wait);
  EXPECT_TRUE(trial.console_away());
}

}  // namespace
}  // namespace edge::uplink
