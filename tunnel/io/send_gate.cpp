#include "tunnel/io/send_gate.hpp"

#include <linux/sockios.h>
#include <linux/tcp.h>  // glibc's netinet/tcp.h ends before tcpi_delivery_rate.
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace edge::tunnel {

std::size_t SendGate::room(int fd, Clock::time_point now) {
  if (now - refreshed_at_ >= refresh_period) {
    refreshed_at_ = now;
    refresh(fd);
  }
  int unacked = 0;
  if (::ioctl(fd, SIOCOUTQ, &unacked) != 0 || unacked < 0) { return limit_; }
  unacked_ = static_cast<std::size_t>(unacked);
  return limit_ - std::min(limit_, unacked_);
}

void SendGate::refresh(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  const bool told = ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                    size >= offsetof(tcp_info, tcpi_delivery_rate) + sizeof info.tcpi_delivery_rate;
  if (!told) { return; }
  bytes_per_s_ = info.tcpi_delivery_rate;
  const std::uint64_t round_trip_us =
      info.tcpi_min_rtt + std::chrono::microseconds(queue_max).count();
  const std::uint64_t under_way = bytes_per_s_ / 1000 * round_trip_us / 1000;
  limit_ = std::max(bytes_min, static_cast<std::size_t>(under_way));
}

std::chrono::microseconds SendGate::wait() const {
  constexpr std::chrono::microseconds shortest{1000};
  constexpr std::chrono::microseconds longest{10'000};
  if (bytes_per_s_ == 0) { return shortest; }
  const std::size_t excess = unacked_ - std::min(unacked_, limit_ / 4 * 3);
  const std::uint64_t us = excess * 1'000'000 / bytes_per_s_;
  return std::clamp(std::chrono::microseconds(us), shortest, longest);
}

}  // namespace edge::tunnel
