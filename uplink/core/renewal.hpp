// When this host's certificate is renewed, and the order of the steps. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/random.hpp"

namespace edge::uplink {

/// What is under way. At each of them the identity in use stays as it is, and may be cut off.
enum class RenewalStep : std::uint8_t {
  rest,
  asking,    ///< A key is made, the Console was asked to sign it.
  keeping,   ///< What came is judged and written into the spare slot.
  proving,   ///< A connection is made with it, beside those that stand.
  adopting,  ///< It becomes the one that is shown.
};
std::string_view to_string(RenewalStep step);

/// The identity in use, as far as renewing it goes.
struct RenewalFacts {
  WallTime not_before{};
  WallTime not_after{};
  std::string generation;  ///< As the Console said with it; empty: it is not from a Console.
  bool operator==(const RenewalFacts&) const = default;
};

/// How the last renewal of this life ended.
struct RenewalEnd {
  WallTime at{};
  bool good = false;
  std::string what;  ///< Why not; with the step.
};

/// Engine: feed events and the outcome of each action, take actions, call on_deadline when due.
/// Due: after 2/3 of the lifetime, earlier or later by a random tenth of that; or when the Console
/// offers another generation than the identity has; or when ordered.
///
/// Time:    passed in, the wall clock too: certificates are dated by it. Threads: none.
/// Invariant: one step at a time; without a Console that signs nothing is begun.
class Renewal {
 public:
  enum class Action : std::uint8_t { ask, keep, prove, adopt };

  static constexpr Duration answer_within = std::chrono::seconds(30);
  static constexpr Duration look_again = std::chrono::hours(1);  ///< The wall clock may be set.
  static constexpr Duration prove_again = std::chrono::seconds(5);
  static constexpr unsigned proofs_max = 20;  ///< That the network spoiled.
  static constexpr Duration retry_min = std::chrono::seconds(10);
  static constexpr Duration retry_first = std::chrono::minutes(1);
  static constexpr Duration retry_max = std::chrono::hours(6);

  explicit Renewal(std::uint64_t seed) : random_(seed) {}

  /// The identity in use is this one from now on; nullopt: there is none.
  void set_identity(std::optional<RenewalFacts> facts, MonoTime now, WallTime wall);
  /// A new session: whether this Console signs is not known yet, and what was asked is lost.
  void on_session(MonoTime now, WallTime wall);
  void on_online(bool online, MonoTime now, WallTime wall);
  /// The Console signs. `now_please`: it orders a renewal.
  void on_offer(std::string generation, Duration spread, bool now_please, MonoTime now,
                WallTime wall);
  /// A person wants it now. Errors: transient (offline), unsupported (this Console does not sign),
  /// conflict (one is under way).
  Result<void> order(MonoTime now, WallTime wall);

  /// The Console signed. False: nothing was asked, or not any more.
  bool on_answer();
  void on_kept();
  void on_proved();
  /// Call set_identity() too.
  void on_adopted(WallTime wall);
  /// The step under way failed for good: the next attempt begins from the start.
  void on_failed(std::string_view what, MonoTime now, WallTime wall);
  /// The proof did not get as far as to judge the identity.
  void on_unproved(std::string_view what, MonoTime now, WallTime wall);

  std::vector<Action> take_actions();
  std::optional<MonoTime> next_deadline() const;
  void on_deadline(MonoTime now, WallTime wall);

  RenewalStep step() const { return step_; }
  /// When 2/3 are over; nullopt: there is no identity.
  std::optional<WallTime> due() const { return due_; }
  const std::optional<RenewalEnd>& last() const { return last_; }
  bool offered() const { return offer_.has_value(); }

 private:
  struct Offer {
    std::string generation;
    Duration spread{};
  };
  void look(MonoTime now, WallTime wall);
  bool wanted(WallTime wall) const;
  Duration spread_left(WallTime wall) const;
  void begin(MonoTime now);
  Duration back_off();

  Random random_;
  std::optional<RenewalFacts> facts_;
  std::optional<WallTime> due_;
  std::optional<Offer> offer_;
  bool online_ = false;
  bool ordered_ = false;   ///< By a person, the Console, or because a session took it away.
  std::string asked_for_;  ///< Generation for which it was renewed in this life.
  std::optional<MonoTime> moment_;  ///< Drawn from the spread, once per wish.
  std::optional<MonoTime> retry_at_;
  std::optional<MonoTime> deadline_;  ///< Of the step, or the next look.
  unsigned failures_ = 0;
  unsigned proofs_ = 0;
  RenewalStep step_ = RenewalStep::rest;
  std::optional<RenewalEnd> last_;
  std::vector<Action> actions_;
};

}  // namespace edge::uplink
