// What differs between two models, as lines for a person. Pure.
#pragma once

#include <string>
#include <vector>

#include "netmodel/core/model.hpp"

namespace edge::netmodel {

inline constexpr std::size_t difference_lines_max = 100;

/// `+ networks web: {...}`, `- groups lan`, `networks web.subnet: "10.5.0.0/24" -> "10.6.0.0/24"`;
/// empty: they are equal. At most difference_lines_max lines, the last one says how many more.
std::vector<std::string> difference(const Model& from, const Model& to);

}  // namespace edge::netmodel
