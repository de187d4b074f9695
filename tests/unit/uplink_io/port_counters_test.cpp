// /proc/net/dev as the kernel writes it.
#include "uplink/io/port_counters.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

constexpr std::string_view kText =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n"
    "    lo:    1420      18    0    0    0     0          0         0     1420      18    0    0  "
    " "
    " 0     0       0          0\n"
    "  eth0:18446744073709551615 2 3 4 0 0 0 9 5 6 7 8 0 0 0 0\n"
    "  eth1: 1 2 garbage\n";

TEST(PortCountersTest, EachNetdevHasItsOwn) {
  const auto all = parse_counters(kText);
  EXPECT_EQ(all.size(), 2U);
  EXPECT_EQ(all.at("lo").rx_bytes, 1420U);
  EXPECT_EQ(all.at("eth0"), (PortCounters{.rx_bytes = 18446744073709551615U,
                                          .rx_packets = 2,
                                          .rx_errors = 3,
                                          .rx_dropped = 4,
                                          .tx_bytes = 5,
                                          .tx_packets = 6,
                                          .tx_errors = 7,
                                          .tx_dropped = 8}));
  EXPECT_TRUE(parse_counters("").empty());
  EXPECT_TRUE(read_counters().contains("lo"));
}

}  // namespace
}  // namespace edge::uplink
