// TCP options of a path's socket.
#include "tunnel/io/socket_options.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/unique_fd.hpp"

namespace edge::tunnel {
namespace {

int segment_bytes(int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &size), 0);
  return value;
}

TEST(TuneTcpTest, SegmentsAreSmallOnlyWhereThatIsAskedFor) {
  const UniqueFd usual(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int before = segment_bytes(usual.get());
  ASSERT_TRUE(tune_tcp(usual.get(), Family::v4));
  EXPECT_EQ(segment_bytes(usual.get()), before);
  const UniqueFd small(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(tune_tcp(small.get(), Family::v4, {.segment_bytes_max = 1200}));
  EXPECT_EQ(segment_bytes(small.get()), 1200);
}

}  // namespace
}  // namespace edge::tunnel
