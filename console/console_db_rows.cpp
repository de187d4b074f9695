#include "console/console_db_rows.hpp"

#include <boost/json.hpp>

namespace edge::console::db_rows {

bool same_json(std::string_view a, std::string_view b) {
  if (a == b) { return true; }
  boost::system::error_code ec_a;
  boost::system::error_code ec_b;
  const auto parsed_a = boost::json::parse(a, ec_a);
  const auto parsed_b = boost::json::parse(b, ec_b);
  return !ec_a && !ec_b && parsed_a == parsed_b;
}

}  // namespace edge::console::db_rows
