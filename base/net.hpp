// Network vocabulary: MAC and IP addresses, prefixes. Values that parse, print and compare.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace edge {

/// EUI-48. Text form aa:bb:cc:dd:ee:ff; hex form aabbccddeeff (for device names).
struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  auto operator<=>(const MacAddress&) const = default;

  bool is_zero() const { return *this == MacAddress{}; }
  bool is_multicast() const { return (bytes[0] & 1U) != 0; }
  bool is_local() const { return (bytes[0] & 2U) != 0; }
};
/// Accepts aa:bb:cc:dd:ee:ff, either case. Errors: invalid_input with the value and the form.
Result<MacAddress> parse_mac(std::string_view text);
std::string to_string(const MacAddress& mac);
/// Twelve hex digits, lower case, no separators.
std::string to_hex(const MacAddress& mac);

enum class Family : std::uint8_t { v4, v6 };

/// IPv4 or IPv6, network byte order; an IPv4 address uses the first four bytes, the rest is 0.
struct IpAddress {
  Family family = Family::v4;
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const IpAddress&) const = default;

  static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
  /// Host byte order.
  static IpAddress v4_from_u32(std::uint32_t host_order);
  /// Pre: family == v4. Host byte order.
  std::uint32_t v4_u32() const;
  std::size_t size_bytes() const { return family == Family::v4 ? 4 : 16; }
  unsigned bits() const { return family == Family::v4 ? 32 : 128; }
  bool is_unspecified() const;
  bool is_loopback() const;
  bool is_multicast() const;
  bool is_link_local() const;
};
Result<IpAddress> parse_ip(std::string_view text);
std::string to_string(const IpAddress& address);

/// An address with a prefix length; the host bits are kept (10.0.0.5/24 is an interface address).
struct IpPrefix {
  IpAddress address;
  std::uint8_t length = 0;
  auto operator<=>(const IpPrefix&) const = default;

  /// The same with host bits cleared.
  IpPrefix network() const;
  bool contains(const IpAddress& other) const;
  bool overlaps(const IpPrefix& other) const;
  /// IPv4: the last address of the prefix. Pre: address.family == v4.
  IpAddress broadcast() const;
};
/// "10.0.0.0/8", "fd00::1/64". Errors: invalid_input with the value and what is allowed.
Result<IpPrefix> parse_prefix(std::string_view text);
std::string to_string(const IpPrefix& prefix);

/// "host:port", "1.2.3.4:port", "[v6]:port". Port 1..65535.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  auto operator<=>(const HostPort&) const = default;
};
Result<HostPort> parse_host_port(std::string_view text);
std::string to_string(const HostPort& endpoint);

}  // namespace edge
