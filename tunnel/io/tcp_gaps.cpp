#include "tunnel/io/tcp_gaps.hpp"

#include <linux/tcp.h>  // glibc's netinet/tcp.h ends before tcpi_rcv_ooopack.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace edge::tunnel {

std::uint32_t waiting_segments(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  const bool told = ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                    size >= offsetof(tcp_info, tcpi_rcv_ooopack) + sizeof info.tcpi_rcv_ooopack;
  return told ? info.tcpi_rcv_ooopack : 0;
}

SegmentsSent segments_sent(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  const bool told = ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                    size >= offsetof(tcp_info, tcpi_data_segs_out) + sizeof info.tcpi_data_segs_out;
  if (!told) { return {}; }
  return {.data = info.tcpi_data_segs_out, .again = info.tcpi_total_retrans};
}

}  // namespace edge::tunnel
