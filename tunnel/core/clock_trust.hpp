// What certificates are judged by when this machine's clock is certainly wrong. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ids.hpp"

namespace edge::tunnel {

/// Wall time from..to, both included. Never empty.
struct TimeBounds {
  WallTime from{};
  WallTime to{};
  bool contains(WallTime time) const { return from <= time && time <= to; }
  bool operator==(const TimeBounds&) const = default;
};
/// What both share; nullopt: nothing.
std::optional<TimeBounds> overlap(const TimeBounds& a, const TimeBounds& b);

/// What shows that a clock is wrong.
enum class ClockDoubt : std::uint8_t {
  none,
  before_floor,        ///< It was later before.
  before_certificate,  ///< Our own certificate was made later.
  after_certificate,   ///< Our own certificate ended: this, or it has really expired.
};
std::string_view to_string(ClockDoubt doubt);

enum class ClockPolicy : std::uint8_t {
  bounded,  ///< A clock that is certainly wrong judges nothing: the bounds do.
  strict,   ///< Certificates are judged by the clock, whatever it says.
};

struct ClockReading {
  WallTime wall{};
  MonoTime mono{};
  /// The kernel says that somebody keeps it right (adjtimex(2) without STA_UNSYNC).
  bool synchronised = false;
};

/// What to do with a time that the Console said over a connection judged within bounds.
enum class TimeOffer : std::uint8_t {
  take,        ///< It is the time, as far as can be known.
  contradict,  ///< Before the floor: one of both is wrong. Nothing is set by it.
  refuse,      ///< The Console's certificate is not valid then, by its own word.
};

/// Engine. While the clock is certainly wrong, all that is known of the time is that it lies
/// between the floor (it was that late before) or the beginning of our own certificate, and the end
/// of that. A peer's chain then has to be valid at some moment in there; nothing else of its
/// verification changes. The Console's word, over such a connection, is the time from then on.
///
/// A synchronised clock is never in doubt: who keeps it right knows better than a file.
///
/// Time: passed in. Threads: none.
class ClockTrust {
 public:
  /// A clock that is earlier than the floor by no more is not called wrong: two machines differ.
  static constexpr std::chrono::minutes floor_slack{10};

  /// `floor`: wall time is certainly later; what add_certain_time() had to keep.
  ClockTrust(ClockPolicy policy, WallTime floor) : policy_(policy), floor_(floor) {}

  /// The term of our own certificate. Unknown until then: only the floor shows a wrong clock.
  void set_certificate(const TimeBounds& term) { own_ = term; }

  ClockDoubt doubt(const ClockReading& reading) const;
  /// Within which a peer's certificates are judged now; nullopt: at now(). That is so without
  /// doubt, by policy, once the Console's time is known, and when the bounds are empty: then our
  /// own certificate ended before the floor.
  std::optional<TimeBounds> bounds(const ClockReading& reading) const;
  /// The clock's time, or the Console's if that is in use.
  WallTime now(const ClockReading& reading) const;
  /// The clock is certainly wrong, and the Console's time stands in for it.
  bool uses_console_time(const ClockReading& reading) const;
  /// The Console's time as wall time minus `mono`, if it is in use.
  std::optional<std::chrono::milliseconds> correction(const ClockReading& reading) const;

  /// `within`: where the bounds and the terms of the Console's whole chain overlap; `peer`: the
  /// term of its own certificate.
  TimeOffer weigh(WallTime said, const TimeBounds& within, const TimeBounds& peer) const;
  /// Goes on from `said`, for as long as the clock is certainly wrong.
  void use_console_time(WallTime said, MonoTime now);

  /// It is certainly later than `known`. True: the floor is a new one, to be kept.
  bool raise_floor(WallTime known);
  WallTime floor() const { return floor_; }
  ClockPolicy policy() const { return policy_; }

 private:
  ClockPolicy policy_;
  WallTime floor_;
  std::optional<TimeBounds> own_;
  std::optional<std::chrono::milliseconds> console_minus_mono_;
};

}  // namespace edge::tunnel
