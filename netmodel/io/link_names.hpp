// Names of links by ifindex, for whoever reads messages that carry indexes only.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace edge::netmodel {

/// Kept by whoever decodes a dump or a stream of events.
using LinkNames = std::map<std::uint32_t, std::string>;

/// "#<index>" when the name is not known; empty for index 0, which is no link.
inline std::string name_of(const LinkNames& names, std::uint32_t index) {
  if (index == 0) { return {}; }
  const auto found = names.find(index);
  return found == names.end() ? "#" + std::to_string(index) : found->second;
}

}  // namespace edge::netmodel
