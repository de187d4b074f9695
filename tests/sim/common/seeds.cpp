#include "tests/sim/common/seeds.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>

namespace edge::sim {

std::optional<Seeds> parse_seeds(int argc, char** argv, std::string_view program) {
  Seeds out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    std::uint64_t value = 0;
    const char* text = i + 1 < argc ? argv[i + 1] : "";
    const auto [stop, ec] = std::from_chars(text, text + std::strlen(text), value);
    if (name == "--trace") {
      out.trace = true;
    } else if (ec == std::errc() && *stop == '\0' &&
               (name == "--seeds" || name == "--first" || name == "--seed" || name == "--hours")) {
      (name == "--seeds" ? out.count : name == "--hours" ? out.hours : out.first) = value;
      if (name == "--seed") { out.count = 1; }
      ++i;
    } else {
      fmt::print(stderr, "usage: {} [--seeds N] [--first N] [--seed N] [--hours N] [--trace]\n",
                 program);
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace edge::sim
