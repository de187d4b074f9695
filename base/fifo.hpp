// A queue that holds no memory while it is empty.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace edge {

/// What std::deque is, for queues that are empty nearly always: an empty std::deque takes 0.6 KiB,
/// and a Console has twenty queues for each of ten thousand hosts. Any insertion invalidates
/// references.
///
/// Time: none. Threads: none.
template <class T>
class Fifo {
 public:
  using iterator = typename std::vector<T>::iterator;
  using const_iterator = typename std::vector<T>::const_iterator;

  bool empty() const { return first_ == items_.size(); }
  std::size_t size() const { return items_.size() - first_; }
  iterator begin() { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  iterator end() { return items_.end(); }
  const_iterator begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  const_iterator end() const { return items_.end(); }
  /// Pre: not empty, for the four below.
  T& front() { return items_[first_]; }
  const T& front() const { return items_[first_]; }
  T& back() { return items_.back(); }
  const T& back() const { return items_.back(); }
  T& operator[](std::size_t i) { return items_[first_ + i]; }
  const T& operator[](std::size_t i) const { return items_[first_ + i]; }

  void push_back(T item) { items_.push_back(std::move(item)); }
  T& emplace_back(T item) { return items_.emplace_back(std::move(item)); }
  iterator insert(const_iterator place, T item) { return items_.insert(place, std::move(item)); }
  /// Pre: not empty. What it owned is freed at once.
  void pop_front() { pop_front(1); }
  /// Pre: count <= size().
  void pop_front(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      [[maybe_unused]] const T gone = std::move(items_[first_++]);
    }
    if (empty()) {
      clear();
    } else if (first_ >= slack_max && first_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), begin());
      first_ = 0;
    }
  }
  void clear() {
    std::vector<T>().swap(items_);
    first_ = 0;
  }

 private:
  static constexpr std::size_t slack_max = 32;
  std::vector<T> items_;
  std::size_t first_ = 0;  ///< Those before it are gone.
};

}  // namespace edge
