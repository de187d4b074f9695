// Rows of the Console's database as values, for the parts of ConsoleDb.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "console/records.hpp"
#include "store/io/sqlite.hpp"

namespace edge::console::db_rows {

inline std::int64_t to_ms(WallTime time) { return time.time_since_epoch().count(); }
inline WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

template <class Row>
auto all_rows(store::Query rows, Row&& row)
    -> Result<std::vector<std::invoke_result_t<Row&, store::Query&>>> {
  std::vector<std::invoke_result_t<Row&, store::Query&>> out;
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return out; }
    out.push_back(row(rows));
  }
}

/// Equal as JSON: the order of keys and the spacing do not matter.
bool same_json(std::string_view a, std::string_view b);

}  // namespace edge::console::db_rows
