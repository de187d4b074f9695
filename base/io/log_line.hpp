// The form of a line in the log of both daemons.
#pragma once

#include <spdlog/pattern_formatter.h>

#include <memory>

#include "base/quoted.hpp"

namespace edge {

/// The message as one line, whatever foreign text it quotes: who sends "\n2026-..." or a terminal's
/// escape sequences writes no line of its own.
class OneLineFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string line = one_line({message.payload.data(), message.payload.size()});
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return spdlog::details::make_unique<OneLineFlag>();
  }
};

/// "2026-11-23T09:36:35.646 warning command.unknown_type type=\x00", in local time.
inline std::unique_ptr<spdlog::formatter> log_line() {
  auto out = std::make_unique<spdlog::pattern_formatter>();
  out->add_flag<OneLineFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %*");
  return out;
}

}  // namespace edge
