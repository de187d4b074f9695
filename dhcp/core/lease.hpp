// DHCP leases as values: what a server granted, until when, and their text in the store.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::dhcp {

/// The time of an input: monotonic for deadlines, wall for what is stored and shown.
struct Now {
  MonoTime mono{};
  WallTime wall{};
};

/// One route of option 121. Source: RFC 3442.
struct StaticRoute {
  IpPrefix destination;              ///< Network form; 0.0.0.0/0 is the default route.
  std::optional<IpAddress> gateway;  ///< nullopt: on link (0.0.0.0 on the wire).
  auto operator<=>(const StaticRoute&) const = default;
};

/// An IPv4 lease, complete: it is made only when address, prefix and lease time are valid.
struct Lease {
  /// 0xffffffff seconds on the wire. Source: RFC 2131 section 3.3.
  static constexpr std::chrono::seconds forever{0xffffffffLL};

  IpPrefix address;                        ///< Interface address with its prefix length, 1..32.
  std::vector<IpAddress> routers;          ///< Option 3, in order. See default_gateway().
  bool classless_routes_present = false;   ///< Option 121 was there: option 3 does not count.
  std::vector<StaticRoute> routes;         ///< Option 121, in order.
  std::vector<IpAddress> dns;              ///< Option 6, in order.
  std::string domain;                      ///< Option 15; empty: none.
  std::vector<std::string> search;         ///< Option 119.
  std::optional<std::uint32_t> mtu;        ///< Option 26, 576..65535 bytes.
  std::vector<IpAddress> ntp;              ///< Option 42.
  std::optional<IpAddress> server;         ///< Option 54.
  std::chrono::seconds lease_time{0};      ///< Above 0; `forever`: never ends.
  std::chrono::seconds renewal_time{0};    ///< T1: above 0, not above rebinding_time.
  std::chrono::seconds rebinding_time{0};  ///< T2: not above lease_time.
  WallTime acquired{};                     ///< When the server last confirmed it.
  std::optional<MacAddress>
      gateway_mac;  ///< Seen by ARP on this lease: tells the network again later.
  bool operator==(const Lease&) const = default;

  /// nullopt: never.
  std::optional<WallTime> expires() const;
  /// The first router that counts: option 121's default route if 121 is there, else option 3.
  /// Source: RFC 3442 "DHCP Client Behavior".
  std::optional<IpAddress> default_gateway() const;
  /// All routes the server asked for beside the connected one, the default route included.
  std::vector<StaticRoute> effective_routes() const;
  /// Address, prefix, gateways, routes, resolvers, MTU, domain: what the kernel and resolvers see.
  /// Times, server and gateway MAC do not count.
  bool same_effect(const Lease& other) const;
};

/// Remaining life at `wall`; nullopt: not valid now (expired, or issued later than the clock says,
/// by more than a minute: then the clock cannot be trusted).
std::optional<std::chrono::milliseconds> remaining(const Lease& lease, WallTime wall);

/// The rules that every lease obeys, whatever its source.
/// Errors: invalid_input naming the field, its value and what is allowed.
Result<void> validate(const Lease& lease);

struct Lease6Address {
  IpAddress address;
  std::chrono::seconds preferred{0};
  std::chrono::seconds valid{0};
  auto operator<=>(const Lease6Address&) const = default;
};

/// What DHCPv6 gave. Without addresses it is an answer to an information request (RA flag O).
struct Lease6 {
  std::vector<Lease6Address> addresses;  ///< IA_NA, used as /128.
  std::vector<IpAddress> dns;
  std::vector<std::string> search;
  std::string server_id;  ///< DUID, hexadecimal.
  WallTime acquired{};
  bool operator==(const Lease6&) const = default;

  /// When the first of its addresses ends, counted from `acquired`; nullopt: none ever does.
  std::optional<std::chrono::seconds> first_end() const;
  /// Without the addresses that have ended `elapsed` after `acquired`.
  Lease6 after(std::chrono::milliseconds elapsed) const;
};

/// How old it is at `wall`; nullopt: it was issued later than the clock says, by more than a
/// minute, and its age cannot be told.
std::optional<std::chrono::milliseconds> age(const Lease6& lease, WallTime wall);

/// One line of JSON for the store and back.
std::string to_json(const Lease& lease);
std::string to_json(const Lease6& lease);
/// Errors: corrupt, naming the key, its value and what is allowed. Text above 16 KiB is refused.
Result<Lease> lease_from_json(std::string_view text);
Result<Lease6> lease6_from_json(std::string_view text);

}  // namespace edge::dhcp
