// The connections of a world by their numbers; those that are long over are let go, so that a world
// may last for days.
#pragma once

#include <cstddef>
#include <deque>

#include "base/assert.hpp"

namespace edge::sim {

/// Invariant: numbers begin with 0 and are never used again; references hold until retire().
template <typename Connection>
class Connections {
 public:
  Connection& emplace_back() { return kept_.emplace_back(); }
  /// One above the highest number.
  std::size_t end_number() const { return first_ + kept_.size(); }
  /// The lowest number that is kept.
  std::size_t first_number() const { return first_; }
  Connection& operator[](std::size_t number) {
    EDGE_ASSERT(number >= first_ && number < end_number());
    return kept_[number - first_];
  }
  const Connection& operator[](std::size_t number) const {
    EDGE_ASSERT(number >= first_ && number < end_number());
    return kept_[number - first_];
  }
  /// From the oldest one on, until one is not `over`.
  template <typename Over>
  void retire(const Over& over) {
    while (!kept_.empty() && over(kept_.front())) {
      kept_.pop_front();
      ++first_;
    }
  }
  auto begin() { return kept_.begin(); }
  auto end() { return kept_.end(); }
  auto begin() const { return kept_.begin(); }
  auto end() const { return kept_.end(); }

 private:
  std::deque<Connection> kept_;
  std::size_t first_ = 0;
};

}  // namespace edge::sim
