// The receiving half of one channel.
#include "tunnel/core/receive_channel.hpp"

#include <fmt/format.h>

namespace edge::tunnel {

Result<ReceiveChannel::Outcome> ReceiveChannel::accept(Frame frame, std::vector<Frame>& ready) {
  const std::uint64_t seq = frame.header.seq;
  if (seq == 0) { return fail(Errc::corrupt, "sequence number 0"); }
  if (seq < next_expected_ || held_.contains(seq)) { return Outcome::duplicate; }
  if (seq - next_expected_ >= window_frames) {
    return fail(Errc::corrupt,
                fmt::format("channel {}: seq {} is beyond the window {}..{}", frame.header.channel,
                            seq, next_expected_, next_expected_ + window_frames - 1));
  }
  if (seq != next_expected_) {
    if (held_bytes_ + frame.payload.size() > held_bytes_max_) {
      return fail(Errc::corrupt, fmt::format("channel {}: more than {} bytes out of order",
                                             frame.header.channel, held_bytes_max_));
    }
    held_bytes_ += frame.payload.size();
    held_.emplace(seq, std::move(frame));
    return Outcome::held;
  }
  ready.push_back(std::move(frame));
  ++next_expected_;
  for (auto it = held_.begin(); it != held_.end() && it->first == next_expected_;) {
    held_bytes_ -= it->second.payload.size();
    ready.push_back(std::move(it->second));
    it = held_.erase(it);
    ++next_expected_;
  }
  return Outcome::released;
}

std::vector<SackRange> ReceiveChannel::sacks() const {
  std::vector<SackRange> ranges;
  for (const auto& [seq, frame] : held_) {
    if (!ranges.empty() && ranges.back().last + 1 == seq) {
      ranges.back().last = seq;
    } else if (ranges.size() < sack_ranges_max) {
      ranges.push_back({seq, seq});
    } else {
      break;
    }
  }
  return ranges;
}

}  // namespace edge::tunnel
