#include "base/net.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/quoted.hpp"

namespace edge {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') { return c - '0'; }
  if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
  if (c >= 'A' && c <= 'F') { return c - 'A' + 10; }
  return -1;
}

/// Whole text as a decimal number within [low, high].
std::optional<unsigned> parse_number(std::string_view text, unsigned low, unsigned high) {
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) { return std::nullopt; }
  if (value < low || value > high) { return std::nullopt; }
  return value;
}

}  // namespace

Result<MacAddress> parse_mac(std::string_view text) {
  const auto bad = [&] {
    return fail(Errc::invalid_input,
                fmt::format("{} is not a MAC address; expected aa:bb:cc:dd:ee:ff", quoted(text)));
  };
  if (text.size() != 17) { return bad(); }
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const int high = hex_digit(text[i * 3]);
    const int low = hex_digit(text[i * 3 + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[i * 3 + 2] != ':')) { return bad(); }
    mac.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return mac;
}

std::string to_string(const MacAddress& mac) {
  return fmt::format("{:02x}", fmt::join(mac.bytes, ":"));
}

std::string to_hex(const MacAddress& mac) {
  return fmt::format("{:02x}", fmt::join(mac.bytes, ""));
}

IpAddress IpAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  IpAddress out;
  out.bytes[0] = a;
  out.bytes[1] = b;
  out.bytes[2] = c;
  out.bytes[3] = d;
  return out;
}

IpAddress IpAddress::v4_from_u32(std::uint32_t host_order) {
  return v4(static_cast<std::uint8_t>(host_order >> 24),
            static_cast<std::uint8_t>(host_order >> 16), static_cast<std::uint8_t>(host_order >> 8),
            static_cast<std::uint8_t>(host_order));
}

std::uint32_t IpAddress::v4_u32() const {
  return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) |
         (std::uint32_t{bytes[2]} << 8) | std::uint32_t{bytes[3]};
}

bool IpAddress::is_unspecified() const { return bytes == std::array<std::uint8_t, 16>{}; }

bool IpAddress::is_loopback() const {
  if (family == Family::v4) { return bytes[0] == 127; }
  std::array<std::uint8_t, 16> one{};
  one[15] = 1;
  return bytes == one;
}

bool IpAddress::is_multicast() const {
  return family == Family::v4 ? (bytes[0] & 0xf0U) == 0xe0U : bytes[0] == 0xff;
}

bool IpAddress::is_link_local() const {
  return family == Family::v4 ? bytes[0] == 169 && bytes[1] == 254
                              : bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80U;
}

Result<IpAddress> parse_ip(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {
    return fail(Errc::invalid_input, "an address with a NUL in it is not an address");
  }
  const std::string copy(text);  // inet_pton wants a terminator.
  IpAddress out;
  if (copy.size() == text.size() && inet_pton(AF_INET, copy.c_str(), out.bytes.data()) == 1) {
    return out;
  }
  out = {};
  out.family = Family::v6;
  if (inet_pton(AF_INET6, copy.c_str(), out.bytes.data()) == 1) { return out; }
  return fail(Errc::invalid_input, fmt::format("{} is not an IPv4 or IPv6 address", quoted(text)));
}

std::string to_string(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  const int family = address.family == Family::v4 ? AF_INET : AF_INET6;
  inet_ntop(family, address.bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

IpPrefix IpPrefix::network() const {
  IpPrefix out = *this;
  for (unsigned bit = length; bit < address.bits(); ++bit) {
    out.address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
  }
  return out;
}

bool IpPrefix::contains(const IpAddress& other) const {
  if (other.family != address.family) { return false; }
  return IpPrefix{other, length}.network() == network();
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
  return length <= other.length ? contains(other.address) : other.contains(address);
}

IpAddress IpPrefix::broadcast() const {
  const std::uint32_t host = length >= 32 ? 0 : (0xffffffffU >> length);
  return IpAddress::v4_from_u32(network().address.v4_u32() | host);
}

Result<IpPrefix> parse_prefix(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) {
    return fail(Errc::invalid_input,
                fmt::format("{} is not a prefix; expected ADDRESS/LENGTH", quoted(text)));
  }
  EDGE_ASSIGN(const IpAddress address, parse_ip(text.substr(0, slash)));
  const auto length = parse_number(text.substr(slash + 1), 0, address.bits());
  if (!length) {
    return fail(Errc::invalid_input, fmt::format("{}: prefix length is out of range 0..{}",
                                                 quoted(text), address.bits()));
  }
  return IpPrefix{address, static_cast<std::uint8_t>(*length)};
}

std::string to_string(const IpPrefix& prefix) {
  return fmt::format("{}/{}", to_string(prefix.address), prefix.length);
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::invalid_input, fmt::format("{}: {}; expected HOST:PORT or [IPV6]:PORT with "
                                                 "port 1..65535",
                                                 quoted(text), why));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) { return bad("no host or no port"); }
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 4) { return bad("unclosed bracket"); }
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address needs brackets");
  }
  const auto port = parse_number(text.substr(colon + 1), 1, 65535);
  if (!port) { return bad("port out of range"); }
  if (host.size() > 253) { return bad("host longer than 253 characters"); }
  return HostPort{std::string(host), static_cast<std::uint16_t>(*port)};
}

std::string to_string(const HostPort& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", endpoint.host, endpoint.port)
            : fmt::format("{}:{}", endpoint.host, endpoint.port);
}

}  // namespace edge
