// Bytes as text, for golden tests of the wire.
#pragma once

#include <fmt/format.h>

#include <string>

#include "tunnel/core/bytes.hpp"

namespace edge::tunnel {

/// Groups of four bytes.
inline std::string to_hex_text(ByteSpan bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0 && i % 4 == 0) { out += ' '; }
    out += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return out;
}

}  // namespace edge::tunnel
