// Aligned columns for people, colour where a terminal shows it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace edge::uplink::ctl {

enum class Tone : std::uint8_t { plain, good, warn, bad, faint, strong };

/// How the output may look.
struct Style {
  bool colour = false;
};

/// `text` in its colour; unchanged without colour or for Tone::plain.
std::string paint(std::string_view text, Tone tone, const Style& style);

/// What a terminal can be given: control characters (a guest chooses its own host name) become '?'.
std::string printable(std::string_view text);

struct Cell {
  std::string text;
  Tone tone = Tone::plain;
};

/// Columns are as wide as their widest cell, two spaces apart; a column in which every cell is "-"
/// is left out. Widths count UTF-8 characters, not bytes.
class Table {
 public:
  explicit Table(std::vector<std::string> titles);
  /// Pre: as many cells as titles.
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  /// Ends with a line break; no row: no text.
  std::string text(const Style& style) const;

 private:
  std::vector<std::string> titles_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace edge::uplink::ctl
