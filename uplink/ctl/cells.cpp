#include "uplink/ctl/cells.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "uplink/ctl/fields.hpp"

namespace edge::uplink::ctl {

namespace json = boost::json;

Tone tone_of(std::string_view state) {
  struct Judged {
    std::string_view word;
    Tone tone;
  };
  static constexpr std::array<Judged, 27> table{{
      {"active", Tone::good},
      {"online", Tone::good},
      {"leased", Tone::good},
      {"bound", Tone::good},
      {"up", Tone::good},
      {"connected", Tone::good},
      {"done", Tone::good},
      {"published", Tone::good},
      {"standby", Tone::plain},
      {"dialing", Tone::warn},
      {"suspect", Tone::warn},
      {"stored", Tone::warn},
      {"pending", Tone::warn},
      {"drained", Tone::warn},
      {"applying", Tone::warn},
      {"expired", Tone::bad},
      {"down", Tone::bad},
      {"offline", Tone::bad},
      {"no carrier", Tone::bad},
      {"carrier, no lease", Tone::bad},
      {"absent", Tone::bad},
      {"missing", Tone::bad},
      {"refused", Tone::bad},
      {"rolled_back", Tone::bad},
      {"indeterminate", Tone::bad},
      {"no DHCP", Tone::bad},
      {"disabled locally", Tone::warn},
  }};
  for (const Judged& judged : table) {
    if (judged.word == state) { return judged.tone; }
  }
  return Tone::plain;
}

Cell state_cell(const json::object& row, std::string_view key) {
  std::string text = field(row, key);
  const Tone tone = tone_of(text);
  return {std::move(text), tone};
}

Cell with_unit(const json::object& row, std::string_view key, std::string_view unit) {
  const std::string text = field(row, key);
  return {says_something(text) ? text + std::string(unit) : "-"};
}

std::string rows_text(const json::array& rows, Table table,
                      const std::function<std::vector<Cell>(const json::object&)>& cells,
                      std::string_view none, const Style& style) {
  for (const auto& row : rows) {
    if (row.is_object()) { table.add(cells(row.get_object())); }
  }
  return table.empty() ? fmt::format("{}\n", none) : table.text(style);
}

std::string bullet_lines(const json::object& data, std::string_view key) {
  std::string out;
  const auto* list = array_at(data, key);
  if (list == nullptr) { return out; }
  for (const auto& item : *list) { out += fmt::format("  - {}\n", printable(text_of(item))); }
  return out;
}

}  // namespace edge::uplink::ctl
