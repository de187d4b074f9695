// Walking netlink attributes with bounds, without macros that -Wconversion refuses.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace edge::netmodel {

/// One attribute: type without the NESTED and byte order flags, and its payload.
struct NetlinkAttribute {
  std::uint16_t type = 0;
  std::span<const char> payload;

  std::string_view bytes() const { return {payload.data(), payload.size()}; }
  /// Up to the first zero byte.
  std::string_view text() const { return bytes().substr(0, bytes().find('\0')); }
  /// Network byte order, as netfilter sends numbers. 0 when the payload is shorter.
  std::uint32_t u32() const {
    if (payload.size() < 4) { return 0; }
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      value = (value << 8) | static_cast<std::uint8_t>(payload[i]);
    }
    return value;
  }
};

/// Calls `each(NetlinkAttribute)` for a run of attributes; a truncated or malformed one ends it.
template <class Each>
void for_each_attribute(std::span<const char> run, Each each) {
  while (run.size() >= NLA_HDRLEN) {
    nlattr header{};
    std::memcpy(&header, run.data(), sizeof header);
    if (header.nla_len < NLA_HDRLEN || header.nla_len > run.size()) { return; }
    each(NetlinkAttribute{
        static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
        run.subspan(NLA_HDRLEN, header.nla_len - static_cast<std::size_t>(NLA_HDRLEN))});
    const std::size_t step = static_cast<std::size_t>(NLA_ALIGN(header.nla_len));
    if (step >= run.size()) { return; }
    run = run.subspan(step);
  }
}

/// The attributes of a message, after `skip_bytes` of payload (a nfgenmsg is 4).
inline std::span<const char> attributes_of(const nlmsghdr& header, std::size_t skip_bytes) {
  const std::size_t start = static_cast<std::size_t>(NLMSG_HDRLEN) + NLMSG_ALIGN(skip_bytes);
  if (header.nlmsg_len <= start) { return {}; }
  return {reinterpret_cast<const char*>(&header) + start, header.nlmsg_len - start};
}

}  // namespace edge::netmodel
