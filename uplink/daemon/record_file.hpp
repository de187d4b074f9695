// The text of a small record that an earlier life may have left.
#pragma once

#include <string>

#include "dhcp/io/folder.hpp"

namespace edge::uplink {

/// "" where there is none. Errors: it is there and cannot be read now; nothing may take its place.
inline Result<std::string> read_record(const std::string& path, std::size_t bytes_max) {
  auto text = dhcp::read_file(path, bytes_max);
  if (!text && text.error().code == Errc::not_found) { return std::string(); }
  return text;
}

}  // namespace edge::uplink
