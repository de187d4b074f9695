#include "console/clock.hpp"

#include <fmt/format.h>

namespace edge::console {
namespace {

/// The decimal digits at [at, at + count); nullopt when one is none.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') { return std::nullopt; }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

/// ".089" → 89. Pre: at points at the dot. Digits after the third are ignored.
std::optional<int> milliseconds_of(std::string_view text, std::size_t& at) {
  int value = 0;
  int scale = 100;
  const std::size_t first = ++at;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value += (text[at] - '0') * scale;
    scale /= 10;
    ++at;
  }
  return at == first || at > first + 9 ? std::nullopt : std::optional(value);
}

}  // namespace

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
  using namespace std::chrono;
  if (text.size() < 20 || text.size() > 30 || text.back() != 'Z') { return std::nullopt; }
  if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  const auto y = digits(text, 0, 4), mo = digits(text, 5, 2), d = digits(text, 8, 2);
  const auto h = digits(text, 11, 2), mi = digits(text, 14, 2), s = digits(text, 17, 2);
  if (!y || !mo || !d || !h || !mi || !s || *h > 23 || *mi > 59 || *s > 60) { return std::nullopt; }
  const year_month_day date{year(*y), month(static_cast<unsigned>(*mo)),
                            day(static_cast<unsigned>(*d))};
  if (!date.ok()) { return std::nullopt; }
  std::size_t at = 19;
  int ms = 0;
  if (text[at] == '.') {
    const auto fraction = milliseconds_of(text, at);
    if (!fraction) { return std::nullopt; }
    ms = *fraction;
  }
  if (at + 1 != text.size()) { return std::nullopt; }
  return time_point_cast<milliseconds>(sys_days(date)) + hours(*h) + minutes(*mi) + seconds(*s) +
         milliseconds(ms);
}

}  // namespace edge::console
