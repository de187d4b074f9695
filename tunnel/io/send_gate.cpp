#include "tunnel/io/send_gate.hpp"

#include <linux/sockios.h>
#include <linux/tcp.h>  // glibc's netinet/tcp.h ends before tcpi_min_rtt.
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace edge::tunnel {
namespace {

/// 0 when the kernel does not say.
std::chrono::microseconds min_round_trip(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  const bool told = ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                    size >= offsetof(tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt;
  constexpr std::uint32_t unknown = ~0U;
  if (!told || info.tcpi_min_rtt == unknown) { return {}; }
  return std::chrono::microseconds(info.tcpi_min_rtt);
}

}  // namespace

std::size_t SendGate::room(int fd, std::uint64_t sent, Clock::time_point now) {
  int unacked = 0;
  if (::ioctl(fd, SIOCOUTQ, &unacked) != 0 || unacked < 0) { return limit_; }
  unacked_ = static_cast<std::size_t>(unacked);
  acked_ = sent - std::min<std::uint64_t>(sent, unacked_);
  const auto since_asked = now - std::exchange(asked_at_, now);
  if (since_asked >= forget_after) {
    samples_.fill(0);
    limit_ = bytes_first;
  }
  if (since_asked >= sample_period) {
    begin_sample(now);  // Nothing was waiting meanwhile: that says nothing of the path.
  } else if (now - sample_at_ >= sample_period) {
    end_sample(fd, now);
    begin_sample(now);
  }
  return limit_ - std::min(limit_, unacked_);
}

void SendGate::begin_sample(Clock::time_point now) {
  sample_at_ = now;
  sample_acked_ = acked_;
}

void SendGate::end_sample(int fd, Clock::time_point now) {
  using std::chrono::microseconds;
  const auto took = std::chrono::duration_cast<microseconds>(now - sample_at_);
  const auto took_us = static_cast<std::uint64_t>(took.count());
  samples_[next_sample_] = (acked_ - sample_acked_) * 1'000'000 / took_us;
  next_sample_ = (next_sample_ + 1) % samples_.size();
  bytes_per_s_ = std::ranges::max(samples_);
  const microseconds pipe = min_round_trip(fd) + queue_max;
  const std::uint64_t under_way =
      bytes_per_s_ / 1000 * static_cast<std::uint64_t>(pipe.count()) / 1000;
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
