#include "console/feed.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace edge::console {

template <class Do>
void Feed::each(Do act) {
  std::erase_if(subscribers_, [](const auto& one) { return one.expired(); });
  for (const auto& one : subscribers_) {
    if (const auto subscriber = one.lock()) {
      act(*subscriber);
      subscriber->wake.cancel();
    }
  }
}

std::shared_ptr<Subscriber> Feed::subscribe() {
  auto subscriber = std::make_shared<Subscriber>(io_);
  subscribers_.push_back(subscriber);
  return subscriber;
}

std::string Subscriber::take() {
  std::string out;
  for (const std::string& update : updates) { out += update; }
  updates.clear();
  updates_bytes = 0;
  return out;
}

bool Feed::heard() const {
  for (const auto& one : subscribers_) {
    if (!one.expired()) { return true; }
  }
  return false;
}

void Feed::events_stored(std::int64_t seq) {
  last_seq_ = std::max(last_seq_, seq);
  each([](Subscriber&) {});
}

void Feed::update(std::string_view event, std::string_view json) {
  const std::string block = fmt::format("event: {}\ndata: {}\n\n", event, json);
  each([&](Subscriber& one) {
    one.updates_bytes += block.size();
    one.updates.push_back(block);
    while (one.updates.size() > Subscriber::updates_max ||
           (one.updates.size() > 1 && one.updates_bytes > Subscriber::updates_bytes_max)) {
      one.updates_bytes -= one.updates.front().size();
      one.updates.pop_front();
    }
  });
}

void Feed::end() {
  each([](Subscriber& one) { one.ended = true; });
}

}  // namespace edge::console
