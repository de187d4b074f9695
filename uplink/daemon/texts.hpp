// Lines of text as JSON.
#pragma once

#include <boost/json/array.hpp>

namespace edge::uplink {

/// An array of strings from a range of them.
template <class Range>
boost::json::array texts(const Range& lines) {
  boost::json::array out;
  for (const auto& line : lines) { out.emplace_back(line); }
  return out;
}

}  // namespace edge::uplink
