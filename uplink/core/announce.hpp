// Who has to be announced when a bond carries on another member, and why it does. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/model.hpp"

namespace edge::uplink {

/// A guest as the switches know it. 0: its frames leave untagged.
struct GuestMac {
  MacAddress mac{};
  std::uint16_t vlan = 0;
  auto operator<=>(const GuestMac&) const = default;
};

inline constexpr std::size_t announced_guests_max = 4096;  ///< Of one bond, per round.

/// Guests that the model attaches to the networks of a group's bridge, and the port's own address.
/// Sorted, without repeats.
std::vector<GuestMac> guests_of(const netmodel::Model& model, const MacAddress& leader);

/// Where a guest of the model leaves the host.
struct Seat {
  MacAddress leader{};  ///< Of its port.
  std::uint16_t vlan = 0;
  bool operator==(const Seat&) const = default;
};
/// By the guest's MAC; those of networks that lead over no bridge of a port have none.
std::map<MacAddress, Seat> seats_of(const netmodel::Model& model);

/// Puts what the bridge has learned beside what the model knows. The native VLAN (1) leaves
/// untagged. At most announced_guests_max; the model's come first.
std::vector<GuestMac> with_learned(std::vector<GuestMac> known, std::span<const GuestMac> learned);

/// Why a bond carries on another member, in words for an event.
enum class FailoverCause : std::uint8_t { carrier_lost, adapter_gone, set_down, planned, first };
std::string_view to_string(FailoverCause cause);

}  // namespace edge::uplink
