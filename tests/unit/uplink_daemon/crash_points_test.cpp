// Every request to the kernel and every write of the store on the way of a command is a moment at
// which the daemon dies. After each: restart, and kernel, store and answer agree on one of the two
// revisions.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using store::FaultVfs;
using test::Death;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;

struct Way {
  std::string operation;
  std::string more;
  bool confirmed;            ///< The Console answers a new dial and confirms what it hears of.
  std::string expected;      ///< State of a life that nobody kills.
  bool interrupted = false;  ///< A life before it was killed in the trial: this one undoes it.
};

/// Ends in the middle of the trial.
void interrupt(Machine& machine, const Way& way) {
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.start());
  ASSERT_TRUE(life.try_out(1, way.operation, way.more));
}

/// Lives until the command has its end, or death came.
std::string live(Life& life, const Way& way, Death* death) {
  life.path_up();
  life.answers = way.confirmed;
  life.confirms = way.confirmed;
  if (!life.start()) { return "no start"; }
  if (!way.interrupted) { life.send(Life::command(1, way.operation, way.more)); }
  const bool ended = life.until(
      [&] { return (death != nullptr && death->come()) || life.heard("result", 1).has_value(); });
  if (!ended) { return "no end"; }
  const auto result = life.heard("result", 1);
  return result ? std::string(result->at("state").as_string()) : "died";
}

/// The next life after a death: what it ended in.
void expect_one_of_two(Machine& machine, const netmodel::Model& before, bool confirmed,
                       const std::string& where) {
  SCOPED_TRACE(where);
  Life life(machine);
  life.path_up();
  life.confirms = confirmed;
  const bool interrupted = life.has_unfinished();
  ASSERT_TRUE(life.start());
  if (interrupted) { ASSERT_NE(life.result_of(1), "none"); }
  const bool changed = life.model() != before;
  const auto result = life.heard("result", 1);
  if (result) { EXPECT_EQ(result->at("state").as_string() == "done", changed); }
  EXPECT_THAT(life.lacking(), testing::IsEmpty());
  EXPECT_EQ(life.commands().revision() > 0, changed);
}

/// Kills one life at each point; returns how many there were.
int all_points(const Way& way, bool of_the_kernel) {
  for (int n = 1; n < 1000; ++n) {
    FaultVfs disk;
    Machine machine;
    Death death;
    death.disk = &disk;
    netmodel::Model before;
    std::string ended;
    if (way.interrupted) { interrupt(machine, way); }
    {
      Life life(machine, &death);
      if (of_the_kernel) {
        death.kernel_point = n;
      } else {
        disk.arm(static_cast<std::uint64_t>(n), FaultVfs::Fault::io_error,
                 FaultVfs::Lasting::from_then_on);
      }
      before = life.model();
      ended = live(life, way, &death);
    }
    disk.disarm();
    if (!death.come()) {
      EXPECT_EQ(ended, way.expected);
      return n - 1;
    }
    expect_one_of_two(machine, before, way.confirmed,
                      fmt::format("{} point {}", of_the_kernel ? "kernel" : "store", n));
    if (testing::Test::HasFailure()) { return n; }
  }
  return 0;
}

void die_everywhere(const Way& way) {
  const int kernel = all_points(way, true);
  const int store = all_points(way, false);
  EXPECT_GT(kernel, 0);
  EXPECT_GT(store, 0);
  fmt::print("{} {}{}: {} points of the kernel, {} of the store\n", way.operation, way.more,
             way.interrupted ? ", its undo at the next start" : "", kernel, store);
}

TEST(CrashPointsTest, OfANetwork) { die_everywhere({make_blue, "", false, "done"}); }

TEST(CrashPointsTest, OfATrialThatIsKept) { die_everywhere({jumbo, "", true, "done"}); }

TEST(CrashPointsTest, OfATrialThatIsTakenBack) {
  die_everywhere({jumbo, R"(,"confirm_within_s":1)", false, "rolled_back"});
}

TEST(CrashPointsTest, OfTheUndoOfATrialInWhichTheDaemonWasKilled) {
  die_everywhere({jumbo, "", false, "rolled_back", true});
}

}  // namespace
}  // namespace edge::uplink
