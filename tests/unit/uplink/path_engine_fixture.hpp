// What the tests of the path engine share: one engine, its facts, its time.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

using namespace std::chrono_literals;
using Kind = PathAction::Kind;

/// Goal: every reason to dial, to wait and to close. Time is a number the test owns.
class PathEngineTest : public testing::Test {
 protected:
  static PortFacts up(const std::string& port, IpAddress address = IpAddress::v4(10, 0, 0, 2)) {
    return {.port = port, .name = "eth-" + port, .carrier = true, .addresses = {address}};
  }
  static PortFacts dark(const std::string& port) { return {.port = port, .name = "eth-" + port}; }
  std::vector<Kind> kinds() {
    std::vector<Kind> out;
    for (const auto& action : engine.take_actions()) { out.push_back(action.kind); }
    return out;
  }
  PathStatus status(const std::string& port) {
    for (auto& s : engine.status()) {
      if (s.key.port == port) { return s; }
    }
    return {};
  }
  void welcome(const std::string& port) {
    engine.set_port(up(port), now);
    engine.take_actions();
    engine.on_welcome({port, 0}, now);
  }
  /// It fails until it waits for long, at least 20 s. Pre: it is dialled; another path is up, or
  /// the failure is a lasting one.
  void wear_out(const std::string& port, const PathBreak& why) {
    for (int i = 0; i < 200; ++i) {
      engine.on_dial_failed({port, 0}, why, now);
      if (*status(port).next_dial - now >= 20s) { break; }
      now = *status(port).next_dial;
      engine.on_deadline(now);
    }
    ASSERT_GE(*status(port).next_dial - now, 20s);
    engine.take_actions();
  }

  MonoTime now{1h};
  PathEngine engine{1, 42};
};

}  // namespace edge::uplink
