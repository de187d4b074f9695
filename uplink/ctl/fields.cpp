#include "uplink/ctl/fields.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace edge::uplink::ctl {

namespace json = boost::json;

std::string text_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "-";
    case json::kind::bool_: return value.get_bool() ? "yes" : "no";
    case json::kind::int64: return fmt::format("{}", value.get_int64());
    case json::kind::uint64: return fmt::format("{}", value.get_uint64());
    case json::kind::double_: return fmt::format("{:.2f}", value.get_double());
    case json::kind::string: return std::string(value.get_string());
    case json::kind::array: {
      std::string out;
      for (const auto& item : value.get_array()) {
        out += (out.empty() ? "" : ", ") + text_of(item);
      }
      return out.empty() ? "-" : out;
    }
    case json::kind::object: return json::serialize(value);
  }
  return "-";
}

const json::value* find(const json::object& row, std::string_view key) {
  return row.if_contains(key);
}

std::string field(const json::object& row, std::string_view key) {
  const auto* value = find(row, key);
  return value == nullptr ? "-" : text_of(*value);
}

bool is_true(const json::object& row, std::string_view key) {
  const auto* value = find(row, key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::array* array_at(const json::object& row, std::string_view key) {
  const auto* value = find(row, key);
  return value == nullptr ? nullptr : value->if_array();
}

const json::object* object_at(const json::object& row, std::string_view key) {
  const auto* value = find(row, key);
  return value == nullptr ? nullptr : value->if_object();
}

bool says_something(const std::string& text) {
  return !text.empty() && text != "-" && text != "none";
}

std::string short_time(std::string text) {
  if (text.size() < 19 || text[10] != 'T') { return text; }
  text.resize(19);
  text[10] = ' ';
  return text;
}

std::string duration_text(std::int64_t seconds) {
  if (seconds < 120) { return fmt::format("{} s", seconds); }
  if (seconds < 7200) { return fmt::format("{} min", seconds / 60); }
  if (seconds < 172'800) { return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60); }
  return fmt::format("{} days", seconds / 86'400);
}

}  // namespace edge::uplink::ctl
