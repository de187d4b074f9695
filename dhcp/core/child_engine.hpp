// When to start, stop, kill and start again one supervised child. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "base/ids.hpp"

namespace edge::dhcp {

struct ChildLimits {
  Duration terminate_again =
      std::chrono::milliseconds(300);                      ///< A SIGTERM can be lost (facts 1.4).
  Duration terminate_patience = std::chrono::seconds(2);   ///< Then SIGKILL for all of it.
  Duration restart_first = std::chrono::milliseconds(0);   ///< The first restart is immediate,
  Duration restart_base = std::chrono::milliseconds(250);  ///< ... then this, doubled each time,
  Duration restart_cap = std::chrono::seconds(4);          ///< ... up to this.
  Duration healthy_after = std::chrono::seconds(20);       ///< A run this long forgets the past.
};

enum class ChildAction : std::uint8_t { none, start, terminate, kill };

/// Time: passed in. Threads: none.
class ChildEngine {
 public:
  enum class State : std::uint8_t { idle, running, terminating, killing, waiting };

  explicit ChildEngine(ChildLimits limits = {}) : limits_(limits) {}

  ChildAction want(bool running, MonoTime now);
  /// The spawn failed or the child is gone. Answers `start` when it is to be replaced at once.
  ChildAction on_exited(MonoTime now);
  /// It must go now and, if still wanted, be replaced. Nothing when none runs.
  ChildAction replace(MonoTime now);
  ChildAction on_deadline(MonoTime now);
  std::optional<MonoTime> next_deadline() const;

  State state() const { return state_; }
  /// Running and meant to.
  bool alive() const { return state_ == State::running; }
  std::uint32_t restarts() const { return restarts_; }

 private:
  ChildLimits limits_;
  State state_ = State::idle;
  bool wanted_ = false;
  MonoTime since_{};  ///< Of the run, or of the first SIGTERM.
  std::optional<MonoTime> deadline_;
  Duration delay_{};  ///< The next restart's.
  std::uint32_t restarts_ = 0;
};

}  // namespace edge::dhcp
