#include "dhcp/io/slow_close.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace edge::dhcp {
namespace {

TEST(SlowCloseTest, WhatIsGivenIsClosed) {
  std::vector<UniqueFd> readers;
  for (int i = 0; i < 100; ++i) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    readers.emplace_back(ends[0]);
    close_apart(UniqueFd(ends[1]));
  }
  for (const UniqueFd& reader : readers) {  // A pipe without a writer is at its end.
    pollfd wait{.fd = reader.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&wait, 1, 10000), 1);
    EXPECT_NE(wait.revents & POLLHUP, 0);
  }
}

TEST(SlowCloseTest, NothingIsNothing) { close_apart(UniqueFd()); }

}  // namespace
}  // namespace edge::dhcp
