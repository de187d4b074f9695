// Lines of text as JSON.
#pragma once

#include <string>
#include <vector>

#include <boost/json/array.hpp>

namespace edge::uplink {

/// What one list of a result may hold: with all of its lists at their bounds, and each second
/// character escaped, a result stays below what the store takes (1 MiB).
inline constexpr std::size_t told_lines_max = 400;
inline constexpr std::size_t told_bytes_max = 64U << 10;
/// A step of a plan may be a batch of thousands of commands.
inline constexpr std::size_t told_line_bytes_max = 16U << 10;

/// An array of strings from a range of them.
template <class Range>
boost::json::array texts(const Range& lines) {
  boost::json::array out;
  for (const auto& line : lines) { out.emplace_back(line); }
  return out;
}

/// The first of `lines` that there is room for; how many more there are is its last line.
std::vector<std::string> bounded(const std::vector<std::string>& lines);

}  // namespace edge::uplink
