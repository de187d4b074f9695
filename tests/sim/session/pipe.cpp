// One direction of a simulated TCP connection.
#include "tests/sim/session/pipe.hpp"

#include <algorithm>

namespace edge::sim {
namespace {

/// Unsent bytes that the socket buffer takes, as time on the line (TCP_NOTSENT_LOWAT).
constexpr Duration socket_buffer = std::chrono::milliseconds(5);

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
    if (link.cut) { broken_ = true; }
    if (broken_) { continue; }
    const auto jitter = link.jitter.count() == 0
                            ? Duration{}
                            : Duration(static_cast<Duration::rep>(
                                  random.below(static_cast<std::uint64_t>(link.jitter.count()))));
    last_arrival_ =
        std::max({last_arrival_, line_free_at_ + link.delay + jitter, link.stalled_until});
    arrivals.push_back({last_arrival_, std::move(bytes)});
  }
  return arrivals;
}

std::optional<MonoTime> Pipe::pump_at() const {
  if (queue_.empty()) { return std::nullopt; }
  return line_free_at_ - socket_buffer;
}

}  // namespace edge::sim
