// What went through the machine's netdevs, as the kernel counts it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace edge::uplink {

/// Of one netdev since it was made.
struct PortCounters {
  std::uint64_t rx_bytes = 0;
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t rx_dropped = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_errors = 0;
  std::uint64_t tx_dropped = 0;
  bool operator==(const PortCounters&) const = default;
};

using AllCounters = std::map<std::string, PortCounters, std::less<>>;

/// Of the text of /proc/net/dev, by name; lines that are no netdev's are passed over.
/// Source: linux/net/core/net-procfs.c: the same 64-bit counters as IFLA_STATS64.
AllCounters parse_counters(std::string_view text);
/// One read for all netdevs of this network namespace.
AllCounters read_counters();

}  // namespace edge::uplink
