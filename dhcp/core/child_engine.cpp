// When to start, stop, kill and start again one supervised child.
#include "dhcp/core/child_engine.hpp"

#include <algorithm>

namespace edge::dhcp {

ChildAction ChildEngine::want(bool running, MonoTime now) {
  wanted_ = running;
  switch (state_) {
    case State::idle:
      if (!running) { return ChildAction::none; }
      delay_ = limits_.restart_first;
      state_ = State::running;
      since_ = now;
      return ChildAction::start;
    case State::running:
      if (running) { return ChildAction::none; }
      state_ = State::terminating;
      since_ = now;
      deadline_ = now + limits_.terminate_again;
      return ChildAction::terminate;
    case State::terminating:
    case State::killing: return ChildAction::none;  // on_exited() decides by wanted_.
    case State::waiting:
      if (!running) {
        state_ = State::idle;
        deadline_.reset();
      }
      return ChildAction::none;
  }
  return ChildAction::none;
}

ChildAction ChildEngine::on_exited(MonoTime now) {
  const bool healthy = state_ != State::running || now - since_ >= limits_.healthy_after;
  deadline_.reset();
  if (!wanted_) {
    state_ = State::idle;
    return ChildAction::none;
  }
  if (healthy) { delay_ = limits_.restart_first; }
  ++restarts_;
  const Duration delay = delay_;
  delay_ = std::min(std::max(delay_ * 2, limits_.restart_base), limits_.restart_cap);
  if (delay <= Duration::zero()) {
    state_ = State::running;
    since_ = now;
    return ChildAction::start;
  }
  state_ = State::waiting;
  deadline_ = now + delay;
  return ChildAction::none;
}

ChildAction ChildEngine::replace(MonoTime now) {
  if (state_ != State::running) { return ChildAction::none; }
  state_ = State::killing;
  deadline_ = now + limits_.terminate_patience;
  return ChildAction::kill;
}

ChildAction ChildEngine::on_deadline(MonoTime now) {
  if (!deadline_ || now < *deadline_) { return ChildAction::none; }
  deadline_.reset();
  switch (state_) {
    case State::idle:
    case State::running: return ChildAction::none;
    case State::terminating:
      if (now - since_ < limits_.terminate_patience) {
        deadline_ = now + limits_.terminate_again;
        return ChildAction::terminate;
      }
      state_ = State::killing;
      deadline_ = now + limits_.terminate_patience;
      return ChildAction::kill;
    case State::killing: deadline_ = now + limits_.terminate_patience; return ChildAction::kill;
    case State::waiting:
      state_ = State::running;
      since_ = now;
      return ChildAction::start;
  }
  return ChildAction::none;
}

std::optional<MonoTime> ChildEngine::next_deadline() const { return deadline_; }

}  // namespace edge::dhcp
