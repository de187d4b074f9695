// What one dnsmasq of ours is told: DHCP and DNS for one VM network. Pure text in and out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::dhcp {

struct Reservation {
  MacAddress mac;
  IpAddress address;
  std::string name;  ///< Empty: none; else a host name label.
  auto operator<=>(const Reservation&) const = default;
};

/// A resolver of an uplink; `link` binds the query to that interface, so each uplink's own is asked
/// through it.
struct UpstreamResolver {
  IpAddress address;
  std::string link;  ///< Empty: by the routing table.
  auto operator<=>(const UpstreamResolver&) const = default;
};

struct DnsmasqSettings {
  std::string network;  ///< Network id; names files.
  std::string bridge;   ///< The only interface it listens on.
  IpPrefix gateway;     ///< Our address on the bridge with the subnet's length: 10.200.0.1/24.
  /// The same for IPv6, with length 64: fd00::1/64. A guest's host number is that of IPv4:
  /// 10.200.0.16 and fd00::10. nullopt: nothing is advertised.
  std::optional<IpPrefix> gateway6;
  bool router = true;  ///< false: guests are told of no way out.
  bool dhcp = true;
  IpAddress range_from;
  IpAddress range_to;
  std::chrono::seconds lease_time{3600};
  std::optional<std::uint32_t> mtu;  ///< Told to guests; nullopt: nothing is told.
  std::string domain;                ///< Of guest names; empty: none.
  std::vector<Reservation> reservations;
  std::vector<UpstreamResolver> upstreams;
  bool operator==(const DnsmasqSettings&) const = default;
};

inline constexpr std::size_t reservations_max = 4096;
inline constexpr std::size_t upstreams_max = 64;

/// Every problem, one line each: thing, value, what is allowed. Empty: good.
std::vector<std::string> problems_of(const DnsmasqSettings& settings);

/// Its files, as paths that dnsmasq sees.
struct DnsmasqFiles {
  std::string pid;
  std::string leases;
  std::string hosts;
  std::string servers;
};

/// Pre (all three): problems_of(settings) is empty.
std::string render_config(const DnsmasqSettings& settings, const DnsmasqFiles& files);
std::string render_hosts(const DnsmasqSettings& settings);
std::string render_servers(const DnsmasqSettings& settings);

enum class DnsmasqChange : std::uint8_t { none, reload, restart };
/// reload: SIGHUP after writing hosts and servers is enough.
DnsmasqChange change_between(const DnsmasqSettings& from, const DnsmasqSettings& to);

struct GuestLease {
  MacAddress mac;
  IpAddress address;
  std::string name;                 ///< Empty: the guest told none.
  std::optional<WallTime> expires;  ///< nullopt: never.
  bool operator==(const GuestLease&) const = default;
};
/// The text of dnsmasq's lease file. Lines that are not an IPv4 lease are skipped.
std::vector<GuestLease> parse_lease_file(std::string_view text);

}  // namespace edge::dhcp
