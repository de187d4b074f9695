// Fields of what the daemon answered, which may be of another version: read leniently, said as
// text.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace edge::uplink::ctl {

/// "-" for null and an empty array, "yes" and "no", items separated by ", ".
std::string text_of(const boost::json::value& value);

/// nullptr: there is no such field; of array_at and object_at also: it is something else.
const boost::json::value* find(const boost::json::object& row, std::string_view key);
const boost::json::array* array_at(const boost::json::object& row, std::string_view key);
const boost::json::object* object_at(const boost::json::object& row, std::string_view key);

/// Its text; "-": there is none.
std::string field(const boost::json::object& row, std::string_view key);
bool is_true(const boost::json::object& row, std::string_view key);
/// Not empty, "-" or "none".
bool says_something(const std::string& text);

/// "2026-01-02T03:04:05.678Z" as people read it in a table.
std::string short_time(std::string text);
/// "90 s", "30 min", "5 h 10 min", "3 days".
std::string duration_text(std::int64_t seconds);

}  // namespace edge::uplink::ctl
