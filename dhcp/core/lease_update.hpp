// What a lease engine says: updates to the owner of addresses and routes, orders to the shell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "dhcp/core/lease.hpp"

namespace edge::dhcp {

enum class LeasePhase : std::uint8_t {
  none,    ///< No lease: remove the address.
  held,    ///< Valid, not proven on the wire as it is plugged now: keep the address, no routes.
  stored,  ///< Valid and the gateway answers ARP, the server is silent: use it.
  bound,   ///< The server confirmed it on this wire: use it.
};
std::string_view to_string(LeasePhase phase);
inline bool usable(LeasePhase phase) {
  return phase == LeasePhase::stored || phase == LeasePhase::bound;
}

enum class LeaseCause : std::uint8_t {
  started,           ///< A stored lease was taken over at start.
  server_answered,   ///< BOUND, REBOOT, RENEW, REBIND.
  gateway_answered,  ///< ARP proved the network (RFC 4436), or told the gateway's MAC.
  gateway_silent,    ///< Neither the server nor the gateway answers.
  carrier_lost,
  expired,
  refused,     ///< NAK.
  conflict,    ///< Another host answers for the address.
  configured,  ///< Not from DHCP: the model gives the port its address, or takes it back.
};
std::string_view to_string(LeaseCause cause);

/// What the owner of addresses and routes acts on. Sent when anything in it changed, also a mere
/// renewal (store it). `lease` is set exactly when phase is not none.
struct LeaseUpdate {
  LeasePhase phase = LeasePhase::none;
  LeaseCause cause = LeaseCause::started;
  std::optional<Lease> lease;
  bool effect_changed = false;  ///< Against the update before: phase or same_effect() differ.
  std::string detail;           ///< For people: "conflict with 02:..:01"; may be empty.
};

/// Orders to the shell.
struct StartChild {
  std::uint64_t generation =
      0;                   ///< Goes into UPLINK_HOOK_CHILD: events of earlier children are ignored.
  bool arp_check = false;  ///< After a conflict: dhcpcd probes and declines by itself.
  bool forget_lease = false;  ///< Remove dhcpcd's own lease file first.
};
struct TerminateChild {};
struct KillChild {
  std::string why;
};
struct SendHup {};
/// ARP for the gateway; answer with on_gateway_answer() or on_gateway_silent(). Replaces a running
/// one.
struct ProbeGateway {
  IpAddress gateway;
  IpAddress source;
  std::optional<MacAddress> known_mac;
  Duration timeout{};
};
struct CancelProbe {};
/// Duplicate address detection; answer with on_conflict() or nothing. Source: RFC 5227
/// section 2.1.1.
struct ProbeConflict {
  IpAddress address;
};
using LeaseAction = std::variant<StartChild, TerminateChild, KillChild, SendHup, ProbeGateway,
                                 CancelProbe, ProbeConflict, LeaseUpdate>;
using LeaseActions = std::vector<LeaseAction>;

}  // namespace edge::dhcp
