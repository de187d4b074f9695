// One event of dhcpcd, parsed from the environment that its hook sends. The bytes are hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "dhcp/core/lease.hpp"

namespace edge::dhcp {

/// Source: facts/dhcpcd.md 1.6, dhcpcd-run-hooks(8).
enum class HookReason : std::uint8_t {
  preinit,
  carrier,
  no_carrier,
  bound,
  reboot,
  renew,
  rebind,
  inform,
  timeout,
  reconfigure,
  expire,
  nak,
  stop,
  stopped,
  departed,
  router_advert,
  bound6,
  renew6,
  rebind6,
  reboot6,
  inform6,
  expire6,
  stop6,
  other,  ///< other: known to nobody here, carries nothing.
};
std::string_view to_string(HookReason reason);

/// One hook call. A value that is wrong costs only itself, with a note; a wrong address, prefix or
/// lease time costs the lease, also with a note: nothing is taken in part.
struct HookEvent {
  HookReason reason = HookReason::other;
  std::string interface;
  std::uint64_t generation = 0;  ///< UPLINK_HOOK_CHILD: which child of ours sent it; 0: not given.
  std::optional<Lease> lease;    ///< bound reboot renew rebind timeout reconfigure; not yet dated.
  std::optional<Lease6> lease6;  ///< bound6 renew6 rebind6 reboot6 inform6; not yet dated.
  std::vector<std::string>
      notes;  ///< One line per dropped value: variable, value, what is allowed.
};

inline constexpr std::size_t hook_datagram_bytes_max = 16UL * 1024;
inline constexpr std::size_t hook_notes_max = 32;

/// `datagram`: NUL-separated NAME=VALUE entries, as in environ(7).
/// Errors: invalid_input when it is empty, longer than hook_datagram_bytes_max, not a list of
/// variables, names the same variable twice, or lacks `reason` or `interface`.
Result<HookEvent> parse_hook_event(std::string_view datagram);

}  // namespace edge::dhcp
