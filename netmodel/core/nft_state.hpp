// The content of our nftables tables as a value: maps and sets, not a rule per port or network.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/net.hpp"

namespace edge::netmodel {

enum class Transport : std::uint8_t { tcp, udp };

/// One published port of a NAT network: arrives on `in_link`, goes to `target`:`target_port`.
struct Publication {
  std::string in_link{};  ///< Bridge of the adapter; must be one of NftState::uplinks.
  Transport transport = Transport::tcp;
  std::uint16_t port = 0;
  IpAddress target{};
  std::uint16_t target_port = 0;
  std::vector<IpPrefix> sources{};  ///< Empty: anyone. Else network form, sorted, none inside
                                    ///< another, family of target.
  auto operator<=>(const Publication&) const = default;
};

/// A subnet of a network with a bridge of its own. Of a nat network it is masqueraded where it
/// leaves; of a routed one it is not.
struct GuestNetwork {
  std::string bridge{};
  IpPrefix subnet{};  ///< Network form.
  auto operator<=>(const GuestNetwork&) const = default;
};

/// A tap whose guest may speak for itself only.
struct GuestPort {
  std::string tap{};
  MacAddress mac{};                    ///< The guest's: sender of frames and of ARP.
  std::vector<IpAddress> addresses{};  ///< IPv4; empty: unknown, any source passes.
  auto operator<=>(const GuestPort&) const = default;
};

/// An uplink bridge, its routing table (also its firewall mark) and the addresses a hairpin may
/// name.
struct UplinkPort {
  std::string bridge{};
  std::uint32_t mark =
      0;  ///< Unique, not 0. Equals the table id, so replies leave where the request came.
  std::vector<IpAddress> addresses{};  ///< Own addresses on it: hairpin from guests and host.
  auto operator<=>(const UplinkPort&) const = default;
};

/// What our tables must contain. Rendered by netmodel/core/render, committed as one batch. A
/// network of kind open is in none of it.
struct NftState {
  std::vector<UplinkPort> uplinks{};            ///< Sorted by bridge.
  std::vector<GuestNetwork> nat_networks{};     ///< Sorted by bridge.
  std::vector<GuestNetwork> routed_networks{};  ///< Sorted by bridge.
  std::vector<std::string> isolated_bridges{};  ///< Sorted.
  std::vector<Publication> publications{};  ///< Sorted; unique (in_link, transport, port, family).
  std::vector<GuestPort> guest_ports{};     ///< Sorted by tap, unique.
  bool drop_dhcp_unicast_renewals = true;   ///< facts/dhcpcd.md 5.2.
  /// Observed only, one line per difference between our table and what these values say: a rule
  /// that someone deleted or edited, an element of theirs. Always empty in a desired state, so an
  /// edit is never equal.
  std::vector<std::string> foreign_edits{};
  bool operator==(const NftState&) const = default;
};

}  // namespace edge::netmodel
