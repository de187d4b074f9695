#include "uplink/daemon/texts.hpp"

#include <fmt/format.h>

namespace edge::uplink {

namespace {

/// Cut where a command of it ends, if one does.
std::string cut(const std::string& line) {
  if (line.size() <= told_line_bytes_max) { return line; }
  const std::size_t end = line.rfind('\n', told_line_bytes_max);
  const std::size_t kept = end == std::string::npos ? told_line_bytes_max : end;
  return fmt::format("{}\n... and {} more bytes", line.substr(0, kept), line.size() - kept);
}

}  // namespace

std::vector<std::string> bounded(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  std::size_t bytes = 0;
  for (const std::string& line : lines) {
    std::string text = cut(line);
    bytes += text.size();
    if (out.size() == told_lines_max || bytes > told_bytes_max) {
      out.push_back(fmt::format("... and {} more lines", lines.size() - out.size()));
      break;
    }
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace edge::uplink
