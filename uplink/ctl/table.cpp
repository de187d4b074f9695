// Column widths and colour codes.
#include "uplink/ctl/table.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace edge::uplink::ctl {
namespace {

std::string_view code_of(Tone tone) {
  switch (tone) {
    case Tone::plain: return "";
    case Tone::good: return "\x1b[32m";
    case Tone::warn: return "\x1b[33m";
    case Tone::bad: return "\x1b[31m";
    case Tone::faint: return "\x1b[2m";
    case Tone::strong: return "\x1b[1m";
  }
  return "";
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

}  // namespace

std::string paint(std::string_view text, Tone tone, const Style& style) {
  const std::string_view code = code_of(tone);
  if (!style.colour || code.empty()) { return std::string(text); }
  return std::string(code).append(text).append("\x1b[0m");
}

std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20U || c == '\x7f'; }, '?');
  return out;
}

Table::Table(std::vector<std::string> titles) : titles_(std::move(titles)) {}

void Table::add(std::vector<Cell> row) {
  EDGE_ASSERT(row.size() == titles_.size());
  for (Cell& cell : row) { cell.text = cell.text.empty() ? "-" : printable(cell.text); }
  rows_.push_back(std::move(row));
}

std::string Table::text(const Style& style) const {
  if (rows_.empty()) { return {}; }
  std::vector<std::size_t> shown;
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < titles_.size(); ++column) {
    if (std::ranges::all_of(rows_, [column](const auto& row) { return row[column].text == "-"; })) {
      continue;
    }
    std::size_t width = width_of(titles_[column]);
    for (const auto& row : rows_) { width = std::max(width, width_of(row[column].text)); }
    shown.push_back(column);
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const auto& cell_of) {
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const Cell cell = cell_of(shown[i]);
      out += paint(cell.text, cell.tone, style);
      if (i + 1 < shown.size()) { out.append(widths[i] - width_of(cell.text) + 2, ' '); }
    }
    out += '\n';
  };
  line([this](std::size_t column) { return Cell{titles_[column], Tone::faint}; });
  for (const auto& row : rows_) {
    line([&row](std::size_t column) { return row[column]; });
  }
  return out;
}

}  // namespace edge::uplink::ctl
