#include "uplink/daemon/events.hpp"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

/// An event that its bearer does not take would hold up all that come behind it.
std::string event_text(const boost::json::object& data) {
  std::string text = boost::json::serialize(data);
  if (text.size() <= EventLog::data_bytes_max) { return text; }
  constexpr std::size_t frame_bytes = 256;        // Of the two members that are added.
  constexpr std::size_t member_frame_bytes = 16;  // Quotes, colon and comma.
  std::size_t room = EventLog::data_bytes_max - frame_bytes;
  boost::json::object out{{"dropped_bytes", text.size()}};
  boost::json::array left_out;
  for (const auto& [name, value] : data) {
    const std::size_t name_bytes =
        boost::json::serialize(boost::json::value(name)).size() + member_frame_bytes;
    const std::size_t bytes = boost::json::serialize(value).size();
    if (name_bytes > room) { continue; }
    if (bytes <= EventLog::member_bytes_max && name_bytes + bytes <= room) {
      out[name] = value;
      room -= name_bytes + bytes;
    } else {
      left_out.emplace_back(name);
      room -= name_bytes;
    }
  }
  if (!left_out.empty()) { out["left_out"] = std::move(left_out); }
  return boost::json::serialize(out);
}

void EventLog::add(std::string_view kind, boost::json::object data) {
  store::EventRecord event{0, wall_now(), std::string(kind), event_text(data)};
  spdlog::info("event {} {}", event.kind, event.json);
  hold(std::move(event));
  if (!stuck_) { flush(); }
}

void EventLog::hold(store::EventRecord event) {
  held_.push_back(std::move(event));
  if (held_.size() <= held_max) { return; }
  held_.pop_front();
  ++dropped_;
}

void EventLog::retry() {
  stuck_ = false;
  flush();
}

void EventLog::when_stored(std::function<void()> done) {
  if (!stuck_ && (storing_ || !held_.empty())) {
    waiting_.push_back(std::move(done));
  } else {
    done();
  }
}

void EventLog::flush() {
  if (held_.empty() || stuck_) {
    for (const auto& done : std::exchange(waiting_, {})) { done(); }
    return;
  }
  if (std::exchange(storing_, true)) { return; }
  if (dropped_ > 0) {
    const boost::json::object gap{{"count", dropped_},
                                  {"why", "the store took nothing and memory is bounded"}};
    held_.push_front({0, held_.front().time, "events.not_stored", boost::json::serialize(gap)});
    dropped_ = 0;
  }
  constexpr std::size_t batch = 64;
  std::vector<store::EventRecord> events(
      held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(std::min(batch, held_.size())));
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(events.size()));
  store_.run(
      [events](store::Store& s) -> Result<std::int64_t> {
        std::int64_t last = 0;
        for (const auto& event : events) {
          EDGE_ASSIGN(last, s.add_event(event.time, event.kind, event.json));
        }
        return last;
      },
      [this, events](const Result<std::int64_t>& last) mutable {
        storing_ = false;
        if (!last) {
          stuck_ = true;
          spdlog::error("event.held kind={} reason={}", events.front().kind, last.error().what);
          held_.insert(held_.begin(), events.begin(), events.end());
          flush();  // Who waits hears it.
          return;
        }
        std::int64_t number = *last - static_cast<std::int64_t>(events.size());
        for (auto& event : events) {
          event.number = ++number;
          tell(event);
        }
        flush();
      });
}

boost::json::object to_json(const store::EventRecord& event) {
  boost::system::error_code ec;
  boost::json::value data = boost::json::parse(event.json, ec);
  return {{"n", event.number},
          {"time", to_iso8601(event.time)},
          {"kind", event.kind},
          {"data", ec ? boost::json::value(event.json) : std::move(data)}};
}

}  // namespace edge::uplink
