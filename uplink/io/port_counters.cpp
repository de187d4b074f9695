#include "uplink/io/port_counters.hpp"

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>

namespace edge::uplink {
namespace {

constexpr std::string_view blanks = " \t";

std::string_view without_blanks(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

/// rx: bytes packets errs drop fifo frame compressed multicast; tx: bytes packets errs drop ...
std::optional<PortCounters> counters_of(std::string_view fields) {
  std::array<std::uint64_t, 12> numbers{};
  for (std::uint64_t& number : numbers) {
    fields = without_blanks(fields);
    const auto [end, ec] = std::from_chars(fields.data(), fields.data() + fields.size(), number);
    if (ec != std::errc{}) { return std::nullopt; }
    fields.remove_prefix(static_cast<std::size_t>(end - fields.data()));
  }
  return PortCounters{.rx_bytes = numbers[0],
                      .rx_packets = numbers[1],
                      .rx_errors = numbers[2],
                      .rx_dropped = numbers[3],
                      .tx_bytes = numbers[8],
                      .tx_packets = numbers[9],
                      .tx_errors = numbers[10],
                      .tx_dropped = numbers[11]};
}

}  // namespace

AllCounters parse_counters(std::string_view text) {
  AllCounters out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = without_blanks(text.substr(0, end));
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) {
      if (const auto counters = counters_of(line.substr(colon + 1))) {
        out.emplace(line.substr(0, colon), *counters);
      }
    }
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return out;
}

AllCounters read_counters() {
  std::ifstream file("/proc/self/net/dev");
  return parse_counters(std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace edge::uplink
