// ISO 8601 times of commands. Source: RFC 3339 section 5.6.
#include <array>
#include <cstddef>

#include <fmt/format.h>

#include "netmodel/core/command.hpp"
#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {
namespace {

/// Takes decimal numbers of fixed width and single characters off the front; once wrong, always
/// wrong.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
        ok_ = false;
        return 0;
      }
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) { return false; }
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { ok_ = take(c) && ok_; }
  bool at_digit() const { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; }
  bool done() const { return ok_ && rest_.empty(); }
  void spoil() { ok_ = false; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

int milliseconds(Scanner& scan) {
  if (!scan.take('.')) { return 0; }
  if (!scan.at_digit()) { scan.spoil(); }
  int value = 0;
  for (int weight = 100; scan.at_digit(); weight /= 10) { value += weight * scan.digits(1); }
  return value;
}

std::chrono::minutes offset(Scanner& scan) {
  if (scan.take('Z')) { return {}; }
  const int sign = scan.take('-') ? -1 : 1;
  if (sign == 1) { scan.expect('+'); }
  const int hours = scan.digits(2);
  scan.expect(':');
  const int minutes = scan.digits(2);
  if (hours > 23 || minutes > 59) { scan.spoil(); }
  return std::chrono::minutes(sign * (hours * 60 + minutes));
}

}  // namespace

Result<WallTime> parse_time(std::string_view text) {
  using namespace std::chrono;
  Scanner scan(text);
  const int y = scan.digits(4);
  scan.expect('-');
  const int m = scan.digits(2);
  scan.expect('-');
  const int d = scan.digits(2);
  scan.expect('T');
  const int hour = scan.digits(2);
  scan.expect(':');
  const int minute = scan.digits(2);
  scan.expect(':');
  const int second = scan.digits(2);
  const int milli = milliseconds(scan);
  const auto zone = offset(scan);
  const year_month_day date{year(y), month(static_cast<unsigned>(m)),
                            day(static_cast<unsigned>(d))};
  if (!scan.done() || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return fail(Errc::invalid_input,
                fmt::format("{} is not a time; allowed: 2026-03-04T05:06:07Z", quoted(text)));
  }
  return WallTime(sys_days(date).time_since_epoch() + hours(hour) + minutes(minute) +
                  seconds(second) + std::chrono::milliseconds(milli) - zone);
}

}  // namespace edge::netmodel
