// A host that has commands and says nothing of them but what a test has it say.
#pragma once

#include <string>

#include <fmt/format.h>

#include "hostile_fixture.hpp"
#include "store/io/sqlite.hpp"

namespace edge::console {

inline const std::string kQueue = "/api/v1/hosts/hv-01/commands";
inline constexpr std::uint64_t kOtherInstance = 4712;

inline std::string nth_id(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }
inline json::object nth_command(int n, const std::string& network = "n") {
  return {
      {"id", nth_id(n)},
      {"operations", json::array{json::object{{"op", "network.delete"}, {"network", network}}}}};
}
inline json::object nth_manual(int n) {
  json::object out = nth_command(n);
  out["confirm"] = "manual";
  return out;
}

inline void say_stored(FakeHost& host, int n) {
  host.say(tunnel::Channel::commands, {{"type", "stored"}, {"id", nth_id(n)}});
}
inline void say_confirming(FakeHost& host, int n) {
  host.say(tunnel::Channel::commands,
           {{"type", "state"}, {"id", nth_id(n)}, {"state", "confirming"}});
}

class HostCommandsTest : public ConsoleTest {
 protected:
  bool shown_as(int n, const char* state) {
    return run_until(
        [&] { return get(kQueue + "/" + nth_id(n)).at("state") == json::value(state); });
  }
  /// It has the command and does not answer.
  bool has_silently(FakeHost& host, const json::object& asked) {
    host.mute = true;
    host.connect(console->port(), "eth0");
    if (!joined(host) || call("POST", kQueue, json::serialize(asked)).status != 202U) {
      return false;
    }
    return run_until([&] { return host.executed() == 1; });
  }
  /// The same, up to where it waits for a word.
  bool tries_out(FakeHost& host, const json::object& asked) {
    if (!has_silently(host, asked)) { return false; }
    say_confirming(host, 1);
    return shown_as(1, "confirming");
  }
  bool gone(FakeHost& host) {
    host.pull("eth0");
    return run_until([&] { return !online(); });
  }
  bool back(FakeHost& host) {
    host.mute = true;
    host.connect(console->port(), "eth0");
    return joined(host);
  }
  unsigned ask(int n, const std::string& what) {
    return call("POST", kQueue + "/" + nth_id(n) + "/" + what).status;
  }
  /// All that the Console said before this was heard: a command comes behind it.
  bool all_is_heard(FakeHost& host, int n) {
    return call("POST", kQueue, json::serialize(nth_manual(n))).status == 202U &&
           run_until([&] { return host.received.contains(nth_id(n)); });
  }
};

}  // namespace edge::console
