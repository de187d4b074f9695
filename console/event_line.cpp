#include "console/event_line.hpp"

#include <algorithm>
#include <chrono>
#include <ranges>

#include <boost/json.hpp>

namespace edge::console {

namespace json = boost::json;

std::int64_t EventLine::n_of(std::int64_t number) const {
  for (const Branch& one : branches_ | std::views::reverse) {
    if (number >= one.from) { return number + one.shift; }
  }
  return number;
}

std::int64_t EventLine::number_of(std::int64_t n) const {
  return branches_.empty() ? n : n - branches_.back().shift;
}

void EventLine::branch(std::int64_t number, std::int64_t last, WallTime now) {
  std::erase_if(branches_, [number](const Branch& one) { return one.from >= number; });
  if (branches_.size() >= branches_max) { branches_.erase(branches_.begin()); }
  branches_.push_back({.from = number, .shift = last + 1 - number, .time = now});
}

std::string to_text(const EventLine& line) {
  if (line.branches().empty()) { return {}; }
  json::array out;
  for (const EventLine::Branch& one : line.branches()) {
    out.push_back(json::array{one.from, one.shift, one.time.time_since_epoch().count()});
  }
  return json::serialize(out);
}

EventLine parse_event_line(std::string_view text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec, {}, {.max_depth = 2});
  if (ec || !parsed.is_array()) { return {}; }
  EventLine out;
  for (const json::value& item : parsed.get_array()) {
    const json::array* row = item.if_array();
    const bool whole = row != nullptr && row->size() == 3 &&
                       std::ranges::all_of(*row, [](const json::value& v) { return v.is_int64(); });
    if (!whole) { return {}; }
    out.branches_.push_back({.from = (*row)[0].get_int64(),
                             .shift = (*row)[1].get_int64(),
                             .time = WallTime(std::chrono::milliseconds((*row)[2].get_int64()))});
  }
  return out;
}

}  // namespace edge::console
