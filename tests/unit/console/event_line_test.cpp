// The numbers of a host's events, also when its store was put back to an older state.
#include "console/event_line.hpp"

#include <gtest/gtest.h>

namespace edge::console {
namespace {

constexpr WallTime kNoticed{std::chrono::milliseconds(1'700'000'000'123)};

TEST(EventLineTest, WithoutABranchNumbersStayAsTheyAre) {
  const EventLine line;
  EXPECT_EQ(line.n_of(7), 7);
  EXPECT_EQ(line.number_of(7), 7);
  EXPECT_EQ(to_text(line), "");
  EXPECT_EQ(parse_event_line(""), line);
}

TEST(EventLineTest, FromANumberThatWasGivenAgainAllFollowTheHighest) {
  EventLine line;
  line.branch(40, 100, kNoticed);
  EXPECT_EQ(line.n_of(39), 39) << "what both states have in common";
  EXPECT_EQ(line.n_of(40), 101);
  EXPECT_EQ(line.n_of(45), 106);
  EXPECT_EQ(line.number_of(106), 45);
}

TEST(EventLineTest, TheSameStateMayBePutBackAgainOrAnOlderOne) {
  EventLine line;
  line.branch(40, 100, kNoticed);
  line.branch(60, 140, kNoticed);
  EXPECT_EQ(line.n_of(59), 120);
  EXPECT_EQ(line.n_of(60), 141);
  line.branch(60, 150, kNoticed);
  EXPECT_EQ(line.n_of(59), 120);
  EXPECT_EQ(line.n_of(60), 151);
  line.branch(10, 160, kNoticed);
  EXPECT_EQ(line.n_of(9), 9);
  EXPECT_EQ(line.n_of(10), 161);
  EXPECT_EQ(line.n_of(60), 211);
  EXPECT_EQ(line.branches().size(), 1U) << "the others are of a state that is gone";
}

TEST(EventLineTest, ItIsTheSameAfterADisk) {
  EventLine line;
  line.branch(40, 100, kNoticed);
  line.branch(60, 140, kNoticed);
  EXPECT_EQ(parse_event_line(to_text(line)), line);
  for (const char* damaged : {"[", "{}", "[[1,2]]", "[[1,2,\"x\"]]", "[7]", "[[1,[2],3]]"}) {
    EXPECT_EQ(parse_event_line(damaged), EventLine{}) << damaged;
  }
}

TEST(EventLineTest, OldBranchesGoWhenThereAreMany) {
  EventLine line;
  std::int64_t last = 100;
  for (std::int64_t number = 1; number <= 100; ++number) {
    line.branch(number, last, kNoticed);
    last = line.n_of(number);
  }
  EXPECT_EQ(line.branches().size(), EventLine::branches_max);
  EXPECT_EQ(line.n_of(100), last);
}

}  // namespace
}  // namespace edge::console
