#include "uplink/daemon/events.hpp"

#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

void EventLog::add(std::string_view kind, boost::json::object data) {
  store::EventRecord event{0, wall_now(), std::string(kind), boost::json::serialize(data)};
  spdlog::info("event {} {}", event.kind, event.json);
  store_.run([event](store::Store& s) { return s.add_event(event.time, event.kind, event.json); },
             [this, event](Result<std::int64_t> number) mutable {
               if (!number) {
                 spdlog::error("event.lost kind={} reason={}", event.kind, number.error().what);
                 return;
               }
               event.number = *number;
               for (const Listener& listener : listeners_) { listener(event); }
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
