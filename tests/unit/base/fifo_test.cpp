// A queue keeps its order whatever comes and goes, and frees what it gives away.
#include "base/fifo.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "base/random.hpp"

namespace edge {
namespace {

TEST(Fifo, IsAStdDequeWhateverComesAndGoes) {
  Fifo<int> fifo;
  std::deque<int> model;
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto step = random.below(10);
    if (step < 4 || model.empty()) {
      fifo.push_back(i);
      model.push_back(i);
    } else if (step < 8) {
      fifo.pop_front();
      model.pop_front();
    } else if (step == 8) {
      const auto at = static_cast<std::ptrdiff_t>(random.below(model.size() + 1));
      fifo.insert(fifo.begin() + at, -i);
      model.insert(model.begin() + at, -i);
    } else {
      const auto count = random.below(model.size() + 1);
      fifo.pop_front(count);
      model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(count));
    }
    ASSERT_EQ(fifo.size(), model.size()) << i;
    ASSERT_TRUE(std::equal(fifo.begin(), fifo.end(), model.begin(), model.end())) << i;
    if (model.empty()) { continue; }
    ASSERT_EQ(fifo.front(), model.front());
    ASSERT_EQ(fifo.back(), model.back());
    ASSERT_EQ(fifo[model.size() / 2], model[model.size() / 2]);
  }
}

TEST(Fifo, WhatLeavesIsFreedAtOnce) {
  Fifo<std::shared_ptr<int>> fifo;
  const auto one = std::make_shared<int>(1);
  const auto two = std::make_shared<int>(2);
  fifo.push_back(one);
  fifo.push_back(two);
  fifo.pop_front();
  EXPECT_EQ(one.use_count(), 1);
  EXPECT_EQ(two.use_count(), 2);
  fifo.clear();
  EXPECT_EQ(two.use_count(), 1);
  EXPECT_TRUE(fifo.empty());
}

}  // namespace
}  // namespace edge
