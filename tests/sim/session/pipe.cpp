// One direction of a simulated TCP connection.
#include "tests/sim/session/pipe.hpp"

#include <algorithm>

namespace edge::sim {
namespace {

/// Unsent bytes that the socket buffer takes, as time on the line (TCP_NOTSENT_LOWAT).
constexpr Duration socket_buffer = std::chrono::milliseconds(5);

constexpr std::size_t large_packet_bytes = 1200;
/// A frame that takes longer than this is seen to arrive in parts.
constexpr Duration part_on_line = std::chrono::milliseconds(50);

Duration lateness(const LinkDirection& link, Random& random) {
  Duration late{};
  if (link.jitter.count() > 0) {
    late = Duration(
        static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(link.jitter.count()))));
  }
  Duration lost{};
  while (link.loss_percent > 0 && lost < link.loss_delay_max && random.chance(link.loss_percent)) {
    lost = lost * 2 + retransmit_first;
  }
  return late + std::min(lost, link.loss_delay_max);
}

}  // namespace

void Pipe::write(tunnel::SendKind kind, tunnel::SharedBytes bytes) {
  using tunnel::SendKind;
  const auto urgency = [](SendKind what) {
    return what == SendKind::bulk ? 2 : what == SendKind::data ? 1 : 0;
  };
  if (kind == SendKind::ack) {
    std::erase_if(queue_, [](const Queued& item) { return item.kind == SendKind::ack; });
  }
  const auto place = std::ranges::find_if(
      queue_, [&](const Queued& item) { return urgency(item.kind) > urgency(kind); });
  queue_.insert(place, {kind, std::move(bytes)});
}

std::vector<Arrival> Pipe::pump(const LinkDirection& link, MonoTime now, Random& random) {
  std::vector<Arrival> arrivals;
  while (!queue_.empty() && line_free_at_ <= now + socket_buffer) {
    tunnel::SharedBytes bytes = std::move(queue_.front().bytes);
    queue_.pop_front();
    const auto on_line = Duration(bytes->size() * 1'000'000'000 / link.bytes_per_s);
    line_free_at_ = std::max(line_free_at_, now) + on_line;
    const bool large = bytes->size() > large_packet_bytes;
    if (link.cut || (link.large_cut && large) || (link.unacked_from && now >= *link.unacked_from)) {
      broken_ = true;  // TCP waits for it for ever.
    }
    if (broken_) { continue; }
    const MonoTime whole = line_free_at_ + link.delay + link.step + lateness(link, random);
    for (Duration ahead = on_line - part_on_line; ahead.count() > 0; ahead -= part_on_line) {
      last_arrival_ = std::max({last_arrival_, whole - ahead, link.stalled_until});
      arrivals.push_back({last_arrival_, nullptr});
    }
    last_arrival_ = std::max({last_arrival_, whole, link.stalled_until});
    arrivals.push_back({last_arrival_, std::move(bytes)});
  }
  return arrivals;
}

std::optional<MonoTime> Pipe::pump_at() const {
  if (queue_.empty()) { return std::nullopt; }
  return line_free_at_ - socket_buffer;
}

}  // namespace edge::sim
