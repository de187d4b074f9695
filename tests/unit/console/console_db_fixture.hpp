// What the tests of the Console's database share: one in memory with small limits, an event.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include <fmt/format.h>

#include "console/clock.hpp"
#include "console/console_db.hpp"
#include "tests/unit/store/temp_folder.hpp"

namespace edge::console {

using namespace std::chrono_literals;

inline constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};
inline constexpr std::string_view kCommand = "0192f0c1-2345-4678-89ab-cdef01234567";

inline EventRow event(std::int64_t n, std::string host = "hv-01") {
  return {.seq = 0,
          .host = std::move(host),
          .n = n,
          .time = kNow,
          .time_text = "2026-01-01T00:00:00Z",
          .kind = "k",
          .data = "{}"};
}

class ConsoleDbTest : public testing::Test {
 protected:
  ConsoleDb db = ConsoleDb::open(":memory:", {.events_per_host_max = 5, .commands_max = 3}).value();
};

}  // namespace edge::console
