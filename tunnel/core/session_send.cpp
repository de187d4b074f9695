// The session's frames to the peer: transmission, mirroring, copies, resends, acknowledgements.
#include <algorithm>

#include "base/assert.hpp"
#include "tunnel/core/session.hpp"

namespace edge::tunnel {
namespace {

constexpr Duration srtt_unknown = std::chrono::milliseconds(50);
constexpr int copy_doublings_max = 6;

bool is_copied(std::size_t channel) { return channel <= index_of(Channel::events); }
bool is_mirrored(std::size_t channel) { return channel <= index_of(Channel::commands); }
bool is_stream(std::size_t channel) { return channel == index_of(Channel::streams); }
SendKind kind_of(std::size_t channel) {
  return is_copied(channel) ? SendKind::data : SendKind::bulk;
}

const PathCandidate* candidate_of(std::span<const PathCandidate> paths, std::optional<PathId> id) {
  const auto it = std::ranges::find_if(paths, [id](const auto& path) { return path.path == id; });
  return it == paths.end() ? nullptr : &*it;
}

}  // namespace

void Session::write(PathId path, SendKind kind, SharedBytes bytes) {
  Path* found = find(path);
  if (found == nullptr) { return; }
  ++found->tx_frames;
  emit(SendBytes{path, kind, std::move(bytes)});
}

/// A path is a reliable pipe while it lives: the same frame never goes into it twice.
void Session::write_entry(std::size_t channel, InFlight& entry, PathId path) {
  const std::uint32_t bit = bit_of(path);
  EDGE_ASSERT(bit != 0 && (entry.carriers & bit) == 0 && !entry.sacked());
  entry.carriers |= bit;
  write(path, kind_of(channel), entry.bytes);
}

Duration Session::tail_copy_after() const {
  const Path* path = active_ ? find(*active_) : nullptr;
  const Duration srtt = path == nullptr ? srtt_unknown : path->health.srtt().value_or(srtt_unknown);
  return std::max(2 * srtt, options_.tail_copy_min);
}

void Session::plan_copy(std::size_t channel, InFlight& entry, MonoTime now) {
  const int doublings = std::min<int>(entry.copies, copy_doublings_max);
  entry.copy_at = now + tail_copy_after() * (1 << doublings);
  auto& due = copy_due_[channel];
  if (!due || *entry.copy_at < *due) { due = entry.copy_at; }
}

void Session::transmit(MonoTime now) {
  if (!active_) { return; }
  if (resend_pending_) { resend_orphans(now); }
  const bool anything =
      std::ranges::any_of(send_, [](const SendChannel& channel) { return channel.can_launch(); });
  if (!anything) { return; }
  if (ack_pending_frames_ > 0) { flush_acks(); }
  const auto paths = candidates();
  const PathCandidate* first = candidate_of(paths, active_);
  const PathCandidate* second = candidate_of(paths, second_path(paths, *active_));
  for (std::size_t i = 0; i < channel_count; ++i) {
    while (InFlight* entry = send_[i].launch(now)) {
      ++stats_.sent;
      write_entry(i, *entry, lead_of(i, first, second));
      if (second != nullptr && doubles_at_once(i, *entry, *first, *second, now)) {
        write_entry(i, *entry, second->path);
        ++entry->copies;
        ++stats_.mirrored;
      }
      if (is_copied(i)) { plan_copy(i, *entry, now); }
    }
  }
}

/// Streams leave a suspect path for a better one: the bytes that it holds are being copied there.
PathId Session::lead_of(std::size_t channel, const PathCandidate* first,
                        const PathCandidate* second) const {
  const bool leaves = is_stream(channel) && first->suspect && second != nullptr && !second->suspect;
  return leaves ? second->path : *active_;
}

/// Small urgent frames are mirrored on disjoint paths, except on a metered one, which gets late
/// copies only; a suspect active path gets company for all that is not droppable. One that drains
/// is as good as any while it lasts, and the second only where there is no other.
bool Session::doubles_at_once(std::size_t channel, const InFlight& entry,
                              const PathCandidate& first, const PathCandidate& second,
                              MonoTime now) {
  if (first.suspect && is_copied(channel)) { return true; }
  const MirrorLimits& mirror = options_.mirror;
  return mirror.enabled && is_mirrored(channel) && disjoint(first, second) && !second.metered &&
         entry.payload_bytes <= mirror.payload_bytes_max && mirror_budget_.take(now);
}

/// A mirrored frame that loses one of its two carriers gets another one at once: the one left may
/// be dying as well.
void Session::copy_widowed(std::uint32_t leaving, MonoTime now) {
  for (std::size_t i = 0; i < channel_count; ++i) {
    if (!is_mirrored(i)) { continue; }
    for (InFlight& entry : send_[i].in_flight()) {
      const bool widowed = (entry.carriers & leaving) != 0 && (entry.carriers & ~leaving) != 0;
      if (!widowed || entry.sacked()) { continue; }
      entry.copy_at = now;
      copy_due_[i] = now;
    }
  }
}

/// Frames whose every carrier died, in order, over the active path.
void Session::resend_orphans(MonoTime now) {
  resend_pending_ = false;
  for (std::size_t i = 0; i < channel_count; ++i) {
    for (InFlight& entry : send_[i].in_flight()) {
      if (entry.sacked() || entry.carriers != 0) { continue; }
      ++stats_.resent;
      entry.repeated = true;
      write_entry(i, entry, *active_);
      if (is_copied(i)) { plan_copy(i, entry, now); }
    }
  }
}

/// A frame without an ack for too long goes over one more path, then waits twice as long.
void Session::copy_late_frames(MonoTime now) {
  for (std::size_t i = 0; i < channel_count; ++i) {
    if (!copy_due_[i] || *copy_due_[i] > now) { continue; }
    copy_due_[i].reset();
    for (InFlight& entry : send_[i].in_flight()) {
      if (!entry.copy_at) { continue; }
      if (*entry.copy_at <= now) { copy_once_more(i, entry, now); }
      if (entry.copy_at && (!copy_due_[i] || *entry.copy_at < *copy_due_[i])) {
        copy_due_[i] = entry.copy_at;
      }
    }
  }
}

void Session::copy_once_more(std::size_t channel, InFlight& entry, MonoTime now) {
  entry.copy_at.reset();
  if (!active_ || entry.carriers == 0) { return; }  // Resent as soon as there is an active path.
  auto unused = candidates();
  std::erase_if(unused, [&](const PathCandidate& path) {
    return path.path != active_ && (entry.carriers & bit_of(path.path)) != 0;
  });
  const bool on_active = (entry.carriers & bit_of(*active_)) != 0;
  const auto target = on_active ? second_path(unused, *active_) : active_;
  if (!target) { return; }  // Planned again when a path comes.
  ++stats_.copied;
  ++entry.copies;
  entry.repeated = true;
  write_entry(channel, entry, *target);
  if (is_copied(channel)) { plan_copy(channel, entry, now); }
}

/// What only suspect paths carry is due for a copy now; telemetry and bulk when they are silent.
void Session::copy_off_suspects(MonoTime now) {
  std::uint32_t trusted = 0;
  std::uint32_t heard = 0;
  for (const Path& path : paths_) {
    if (!path.suspect) { trusted |= path.bit; }
    if (!path.silent) { heard |= path.bit; }
  }
  for (std::size_t i = 0; i < channel_count; ++i) {
    const std::uint32_t healthy = is_copied(i) || is_stream(i) ? trusted : heard;
    for (InFlight& entry : send_[i].in_flight()) {
      if (entry.sacked() || entry.carriers == 0 || (entry.carriers & healthy) != 0) { continue; }
      entry.copy_at = now;
      copy_due_[i] = now;
    }
  }
}

/// One frame with all that was received, over several paths: any one of them may be dying. Over a
/// metered one only while no other is trusted.
void Session::flush_acks() {
  ack_pending_frames_ = 0;
  stream_bytes_unacked_ = 0;
  ack_due_.reset();
  Ack ack;
  for (std::size_t i = 0; i < channel_count; ++i) {
    const ReceiveChannel& channel = receive_[i];
    if (channel.next_expected() == 1 && channel.held_frames() == 0) { continue; }
    ack.channels.push_back({static_cast<Channel>(i), channel.next_expected(), channel.sacks()});
  }
  const auto bytes = std::make_shared<const Bytes>(encode(ack));
  const bool spare = std::ranges::any_of(
      paths_, [](const Path& path) { return !path.facts.metered && !path.suspect; });
  if (paths_.size() <= ack_paths_max) {
    for (const Path& path : paths_) {
      if (!spare || !path.facts.metered) { write(path.id, SendKind::ack, bytes); }
    }
    return;
  }
  auto paths = candidates();
  std::erase_if(paths, [spare](const PathCandidate& path) { return spare && path.metered; });
  for (const PathId path : spread_over(std::move(paths), active_, ack_paths_max, ack_turn_++)) {
    write(path, SendKind::ack, bytes);
  }
}

}  // namespace edge::tunnel
