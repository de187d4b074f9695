// A lease engine under a clock of its own, its orders as words.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "dhcp/core/lease_engine.hpp"

namespace edge::dhcp {

using namespace std::chrono_literals;

inline constexpr MacAddress router_a{{0x02, 0, 0, 0, 0, 0x0a}};
inline constexpr MacAddress router_b{{0x02, 0, 0, 0, 0, 0x0b}};

struct Shown {
  std::string operator()(const StartChild& order) const {
    return order.arp_check ? "start(arp)" : "start";
  }
  std::string operator()(const TerminateChild&) const { return "term"; }
  std::string operator()(const KillChild&) const { return "kill"; }
  std::string operator()(const SendHup&) const { return "hup"; }
  std::string operator()(const ProbeGateway&) const { return "gateway?"; }
  std::string operator()(const CancelProbe&) const { return "quiet"; }
  std::string operator()(const ProbeConflict&) const { return "conflict?"; }
  std::string operator()(const LeaseUpdate& update) const {
    return std::string(to_string(update.phase)) + ":" + std::string(to_string(update.cause));
  }
};

inline std::string shown(const LeaseActions& actions) {
  std::string out;
  for (const LeaseAction& action : actions) {
    out += (out.empty() ? "" : " ") + std::visit(Shown{}, action);
  }
  return out;
}

/// Goal: each rule of the lease's life. Method: inputs in, orders out as words; time is the test's
/// own.
class LeaseEngineTest : public testing::Test {
 protected:
  Now now() const { return {.mono = mono, .wall = wall}; }
  void pass(Duration duration) {
    mono += duration;
    wall += std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  }
  /// Up to `duration`, each deadline met in turn; all orders.
  std::string run_for(Duration duration) {
    const MonoTime end = mono + duration;
    std::string out;
    for (int turns = 0; turns < 10000; ++turns) {
      const auto next = engine.next_deadline();
      if (!next || *next > end) { break; }
      if (*next > mono) { pass(*next - mono); }
      const std::string orders = shown(engine.on_deadline(now()));
      if (!orders.empty()) { out += (out.empty() ? "" : " ") + orders; }
    }
    pass(end - mono);
    return out;
  }
  Lease lease() const {
    return {.address = parse_prefix("192.168.1.50/24").value(),
            .routers = {IpAddress::v4(192, 168, 1, 1)},
            .lease_time = 600s,
            .renewal_time = 300s,
            .rebinding_time = 525s};
  }
  Lease stored_lease() const {
    Lease stored = lease();
    stored.acquired = wall - 60s;
    stored.gateway_mac = router_a;
    return stored;
  }
  std::string hear(HookReason reason, std::optional<Lease> given = std::nullopt) {
    return shown(engine.on_hook(
        {.reason = reason, .interface = "br0", .generation = generation, .lease = std::move(given)},
        now()));
  }
  std::string start(std::optional<Lease> stored = std::nullopt, bool carrier = true) {
    return shown(engine.start(std::move(stored), carrier, now()));
  }
  /// Bound, gateway known, the child quiet.
  void bind() {
    start();
    hear(HookReason::preinit);
    hear(HookReason::bound, lease());
    engine.on_gateway_answer(router_a, now());
  }
  static int count(const std::string& text, const std::string& word) {
    int found = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      ++found;
    }
    return found;
  }

  MonoTime mono{1h};
  WallTime wall{std::chrono::hours(24 * 365 * 55)};
  std::uint64_t generation = 1;
  LeaseEngine engine;
};

}  // namespace edge::dhcp
