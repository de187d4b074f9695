#include "base/quoted.hpp"

namespace edge {

std::string quoted(std::string_view text) {
  constexpr std::size_t shown_max = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, shown_max)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"' ? '?' : c;
  }
  // A cut inside a UTF-8 sequence would make the whole line invalid.
  if (text.size() > shown_max) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0U) == 0x80U) {
      out.pop_back();
    }
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0U) { out.pop_back(); }
    out += "...";
  }
  return out + "\"";
}

}  // namespace edge
