#include "console/clock.hpp"

#include <fmt/format.h>

#include "netmodel/core/command.hpp"

namespace edge::console {
std::string to_iso8601(WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<WallTime> parse_iso8601(std::string_view text) {
  const auto time = netmodel::parse_time(text);  // As the host reads it.
  return time ? std::optional(*time) : std::nullopt;
}

}  // namespace edge::console
