// Reads netlink messages and attributes out of bytes that may be anything.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "base/net.hpp"

namespace edge::netmodel {

using Bytes = std::span<const std::byte>;

/// A copy of the T at the front; nullopt when the bytes are too few. Copies, so alignment is free.
template <class T>
  requires std::is_trivially_copyable_v<T>
std::optional<T> read_as(Bytes bytes) {
  if (bytes.size() < sizeof(T)) { return std::nullopt; }
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

/// As read_as, 0 when too short: for attributes whose absence means 0 as well.
template <class T>
T read_or_zero(Bytes bytes) {
  return read_as<T>(bytes).value_or(T{});
}

/// The errno of a netlink answer, which says it negated; 0 for anything that is no failure.
inline int errno_of_answer(int error) {
  return error < 0 ? -std::max(error, -std::numeric_limits<int>::max()) : 0;
}

/// Text of an attribute: up to the first NUL or its end.
std::string read_text(Bytes bytes);
/// Pre: none. nullopt unless exactly 6 bytes.
std::optional<MacAddress> read_mac(Bytes bytes);
/// 4 bytes are IPv4, 16 are IPv6, else nullopt.
std::optional<IpAddress> read_ip(Bytes bytes);

inline constexpr std::size_t netlink_align(std::size_t bytes) {
  return (bytes + 3U) & ~std::size_t{3};
}

/// One netlink message: `whole` begins with the header, `payload` follows it.
struct MessageView {
  nlmsghdr header;
  Bytes payload;
  Bytes whole;
};

/// Calls fn(MessageView) for each message. False: the rest is shorter than it claims (struct
/// nlmsghdr).
template <class Fn>
bool for_each_message(Bytes bytes, Fn&& fn) {
  while (!bytes.empty()) {
    const auto header = read_as<nlmsghdr>(bytes);
    if (!header || header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > bytes.size()) {
      return false;
    }
    fn(MessageView{*header, bytes.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr)),
                   bytes.first(header->nlmsg_len)});
    bytes = bytes.subspan(std::min(netlink_align(header->nlmsg_len), bytes.size()));
  }
  return true;
}

/// Calls fn(type, payload) for each attribute; the nested and byte-order bits are masked off. Stops
/// at the first one that is shorter than it claims (struct nlattr).
template <class Fn>
void for_each_attribute(Bytes bytes, Fn&& fn) {
  while (true) {
    const auto header = read_as<nlattr>(bytes);
    if (!header || header->nla_len < sizeof(nlattr) || header->nla_len > bytes.size()) { return; }
    fn(static_cast<std::uint16_t>(header->nla_type & NLA_TYPE_MASK),
       bytes.subspan(sizeof(nlattr), header->nla_len - sizeof(nlattr)));
    bytes = bytes.subspan(std::min(netlink_align(header->nla_len), bytes.size()));
  }
}

/// The attributes behind a fixed struct of `fixed_bytes`; empty when there are none.
inline Bytes attributes_after(Bytes payload, std::size_t fixed_bytes) {
  return payload.subspan(std::min(netlink_align(fixed_bytes), payload.size()));
}

}  // namespace edge::netmodel
