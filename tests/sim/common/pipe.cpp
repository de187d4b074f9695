// One direction of a simulated TCP connection.
#include "tests/sim/common/pipe.hpp"

#include <algorithm>

namespace edge::sim {
namespace {

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

bool Pipe::write(tunnel::SendKind kind, tunnel::SharedBytes bytes) {
  using tunnel::SendKind;
  if (queued_bytes_ + bytes->size() > write_queue_bytes_max) { return false; }
  queued_bytes_ += bytes->size();
  Fifo<Queued>& queue = queues_[kind == SendKind::bulk ? 2 : kind == SendKind::data ? 1 : 0];
  if (kind == SendKind::ack) {
    for (Queued& older : queue) {
      if (older.kind != SendKind::ack || older.bytes == nullptr) { continue; }
      queued_bytes_ -= older.bytes->size();
      older.bytes.reset();
    }
  }
  queue.push_back({kind, std::move(bytes)});
  return true;
}

void Pipe::clear() {
  for (Fifo<Queued>& queue : queues_) { queue.clear(); }
  queued_bytes_ = 0;
}

void Pipe::pump(const LinkDirection& link, MonoTime now, Random& random,
                std::vector<Arrival>& out) {
  while (queued_bytes_ > 0 && line_free_at_ <= now + socket_buffer) {
    Fifo<Queued>& queue = *std::ranges::find_if_not(queues_, &Fifo<Queued>::empty);
    const tunnel::SharedBytes bytes = std::move(queue.front().bytes);
    queue.pop_front();
    if (bytes == nullptr) { continue; }
    queued_bytes_ -= bytes->size();
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
      out.push_back({last_arrival_, nullptr});
    }
    last_arrival_ = std::max({last_arrival_, whole, link.stalled_until});
    out.push_back({last_arrival_, bytes});
  }
}

std::optional<MonoTime> Pipe::pump_at() const {
  if (queued_bytes_ == 0) { return std::nullopt; }
  return line_free_at_ - socket_buffer;
}

}  // namespace edge::sim
