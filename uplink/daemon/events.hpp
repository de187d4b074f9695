// Durable events: stored first, then told to everyone who listens.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "store/io/store_worker.hpp"

namespace edge::uplink {

/// Role: the one way to say that something happened. Each event is logged, stored with a number and
/// then handed to the listeners (tunnel channel 2, `uplinkctl events --follow`) in order.
/// Time: reads the wall clock. Threads: the io_context's.
class EventLog {
 public:
  using Listener = std::function<void(const store::EventRecord&)>;

  explicit EventLog(store::StoreWorker& store) : store_(store) {}

  void add(std::string_view kind, boost::json::object data);
  void listen(Listener listener) { listeners_.push_back(std::move(listener)); }

 private:
  store::StoreWorker& store_;
  std::vector<Listener> listeners_;
};

boost::json::object to_json(const store::EventRecord& event);

}  // namespace edge::uplink
