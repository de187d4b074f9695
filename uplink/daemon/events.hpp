// Durable events: stored first, then told to everyone who listens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "store/io/store_worker.hpp"

namespace edge::uplink {

/// Role: the one way to say that something happened. Each event is logged, stored with a number and
/// then handed to the listeners (tunnel channel 2, `uplinkctl events --follow`) in order. What a
/// full disk does not take is held, the newest `held_max`, and stored when it has room again. Time:
/// reads the wall clock. Threads: the io_context's.
class EventLog {
 public:
  using Listener = std::function<void(const store::EventRecord&)>;

  explicit EventLog(store::StoreWorker& store) : store_(store) {}

  /// Data above `data_bytes_max` becomes `{"dropped_bytes":N}`, N its size, with those of its
  /// members that are small; the names of the others are in `"left_out"`.
  void add(std::string_view kind, boost::json::object data);
  void listen(Listener listener) { listeners_.push_back(std::move(listener)); }

  /// JSON of an event's data: the Console keeps no more of it.
  static constexpr std::size_t data_bytes_max = 16U << 10;
  /// Of data above `data_bytes_max`: members up to this size are kept.
  static constexpr std::size_t member_bytes_max = 1U << 10;

  static constexpr std::size_t held_max = 1000;
  /// Events that the store did not take.
  std::size_t held() const { return stuck_ ? held_.size() : 0; }
  /// The store may take events again: those held go first, in their order.
  void retry();
  /// Calls back, perhaps at once, when all that was added so far is stored, or cannot be for now.
  void when_stored(std::function<void()> done);

 private:
  void hold(store::EventRecord event);
  /// One batch is on its way at a time: with two, a disk that heals between them would take the
  /// second and not the first.
  void flush();
  void tell(const store::EventRecord& event) {
    for (const Listener& listener : listeners_) { listener(event); }
  }

  store::StoreWorker& store_;
  std::vector<Listener> listeners_;
  std::deque<store::EventRecord> held_;
  std::uint64_t dropped_ = 0;  ///< Since something was held: the oldest had to go.
  std::vector<std::function<void()>> waiting_;
  bool storing_ = false;
  bool stuck_ = false;  ///< The last batch was not taken: retry() says when to try again.
};

/// An event's data as it is stored, cut as EventLog::add says.
std::string event_text(const boost::json::object& data);

boost::json::object to_json(const store::EventRecord& event);

}  // namespace edge::uplink
