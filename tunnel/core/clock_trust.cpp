#include "tunnel/core/clock_trust.hpp"

#include <algorithm>

namespace edge::tunnel {

namespace {

std::chrono::milliseconds since_start(MonoTime mono) {
  return std::chrono::floor<std::chrono::milliseconds>(mono.time_since_epoch());
}

}  // namespace

std::optional<TimeBounds> overlap(const TimeBounds& a, const TimeBounds& b) {
  const TimeBounds both{std::max(a.from, b.from), std::min(a.to, b.to)};
  return both.from <= both.to ? std::optional(both) : std::nullopt;
}

std::string_view to_string(ClockDoubt doubt) {
  switch (doubt) {
    case ClockDoubt::none: return "none";
    case ClockDoubt::before_floor: return "before_floor";
    case ClockDoubt::before_certificate: return "before_certificate";
    case ClockDoubt::after_certificate: return "after_certificate";
  }
  return "unknown";
}

ClockDoubt ClockTrust::doubt(const ClockReading& reading) const {
  if (reading.synchronised) { return ClockDoubt::none; }
  if (reading.wall < floor_ - floor_slack) { return ClockDoubt::before_floor; }
  if (own_ && reading.wall < own_->from) { return ClockDoubt::before_certificate; }
  if (own_ && reading.wall > own_->to) { return ClockDoubt::after_certificate; }
  return ClockDoubt::none;
}

std::optional<TimeBounds> ClockTrust::bounds(const ClockReading& reading) const {
  if (policy_ == ClockPolicy::strict || !own_ || console_minus_mono_) { return std::nullopt; }
  if (doubt(reading) == ClockDoubt::none || floor_ > own_->to) { return std::nullopt; }
  return TimeBounds{std::max(floor_, own_->from), own_->to};
}

bool ClockTrust::uses_console_time(const ClockReading& reading) const {
  return console_minus_mono_ && doubt(reading) != ClockDoubt::none;
}

std::optional<std::chrono::milliseconds> ClockTrust::correction(const ClockReading& reading) const {
  return uses_console_time(reading) ? console_minus_mono_ : std::nullopt;
}

WallTime ClockTrust::now(const ClockReading& reading) const {
  const auto correction = this->correction(reading);
  return correction ? WallTime(since_start(reading.mono) + *correction) : reading.wall;
}

TimeOffer ClockTrust::weigh(WallTime said, const TimeBounds& within, const TimeBounds& peer) const {
  if (within.contains(said)) { return TimeOffer::take; }
  return said < floor_ && peer.contains(said) ? TimeOffer::contradict : TimeOffer::refuse;
}

void ClockTrust::use_console_time(WallTime said, MonoTime now) {
  console_minus_mono_ = said.time_since_epoch() - since_start(now);
}

bool ClockTrust::raise_floor(WallTime known) {
  if (known <= floor_) { return false; }
  floor_ = known;
  return true;
}

}  // namespace edge::tunnel
