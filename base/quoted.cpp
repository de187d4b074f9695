#include "base/quoted.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>

namespace edge {

namespace {

bool is_control(std::string_view text, std::size_t at) {
  const auto c = static_cast<unsigned char>(text[at]);
  if (c < 0x20 || c == 0x7f) { return true; }
  // U+0080..U+009F: what follows 0xc2 in UTF-8.
  const bool second = at > 0 && static_cast<unsigned char>(text[at - 1]) == 0xc2;
  return second && c >= 0x80 && c < 0xa0;
}

}  // namespace

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

std::string one_line(std::string_view text) {
  constexpr std::size_t shown_max = 16384;
  const std::string_view shown = text.substr(0, shown_max);
  std::string out;
  out.reserve(shown.size());
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (!is_control(shown, i)) {
      out += shown[i];
    } else if (shown[i] == '\n') {
      out += "\\n";
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(shown[i]));
    }
  }
  if (text.size() > shown_max) { out += fmt::format("... ({} bytes)", text.size()); }
  return out;
}

}  // namespace edge
