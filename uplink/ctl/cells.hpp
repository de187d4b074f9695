// From fields to cells and lines: one judgement of states, one way to write rows and lists.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "uplink/ctl/table.hpp"

namespace edge::uplink::ctl {

/// One word of state, judged the same wherever it stands.
Tone tone_of(std::string_view state);

Cell state_cell(const boost::json::object& row, std::string_view key = "state");
/// "1000 Mbit/s"; "-" without a value.
Cell with_unit(const boost::json::object& row, std::string_view key, std::string_view unit);

/// `table` with the cells of each row; no row: `none` and a line break.
std::string rows_text(const boost::json::array& rows, Table table,
                      const std::function<std::vector<Cell>(const boost::json::object&)>& cells,
                      std::string_view none, const Style& style);

/// "  - item" for each item of an array; there is none: no text.
std::string bullet_lines(const boost::json::object& data, std::string_view key);

}  // namespace edge::uplink::ctl
