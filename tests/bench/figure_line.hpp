// A line of bench.json (interfaces.md, Figures) for programs whose target is a ratio to a
// reference of the same run: the target is printed in the unit of the figure.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace edge {

enum class Better : std::uint8_t { less, more };
/// Whether `lab bench` fails when the target is missed, or only says so.
enum class TargetKind : std::uint8_t { wished, must };

/// A figure beside its reference, both medians.
struct FigureLine {
  std::string figure{};
  std::string unit{};  ///< Of value, worst, reference and the target that is printed.
  double value = 0;
  double worst = 0;
  std::size_t runs = 0;
  std::string reference_name{};
  double reference = 0;
  double target_ratio = 0;  ///< value / reference that is to be reached.
  TargetKind kind = TargetKind::wished;
  Better better = Better::less;
  int decimals = 3;
};

/// Prints the line to stdout.
inline void print_line(const FigureLine& line) {
  const double target = line.target_ratio * line.reference;
  const bool missed = line.better == Better::less ? line.value > target : line.value < target;
  const auto number = [&line](double value) {
    return fmt::format("{:.{}f}", value, line.decimals);
  };
  fmt::print(
      "{{\"figure\": \"{}\", \"unit\": \"{}\", \"value\": {}, \"worst\": {}, \"runs\": {}, "
      "\"reference\": {{\"name\": \"{}\", \"value\": {}}}, \"ratio\": {:.3f}, \"target\": {}, "
      "\"target_ratio\": {}, \"missed\": {}{}}}\n",
      line.figure, line.unit, number(line.value), number(line.worst), line.runs,
      line.reference_name, number(line.reference), line.value / line.reference, number(target),
      line.target_ratio, missed,
      line.kind == TargetKind::must
          ? fmt::format(", \"must\": {}, \"failed\": {}", number(target), missed)
          : "");
  std::fflush(stdout);
}

}  // namespace edge
