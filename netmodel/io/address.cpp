// Addresses over rtnetlink: struct ifaddrmsg and its IFA_ attributes, encode beside decode.
#include "netmodel/io/address.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint8_t protocol_kernel_ra = 2;          // IFAPROT_KERNEL_RA, since Linux 5.18.
constexpr std::uint8_t prefix_with_broadcast_max = 30;  // RFC 3021: a /31 has no broadcast.

ifaddrmsg fixed_part(const Address& address, IfIndex link) {
  ifaddrmsg fixed{};
  fixed.ifa_family = address_family(address.prefix.address.family);
  fixed.ifa_prefixlen = address.prefix.length;
  fixed.ifa_scope = address.prefix.address.is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  fixed.ifa_index = link.value;
  return fixed;
}

/// An optimistic address is used while its duplicates are looked for. RFC 4429.
AddressState state_of(std::uint32_t flags) {
  const bool looked_for = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  if (looked_for || (flags & IFA_F_DADFAILED) != 0) { return AddressState::unusable; }
  return (flags & IFA_F_DEPRECATED) != 0 ? AddressState::deprecated : AddressState::ready;
}

/// PERMANENT is what the kernel makes of an address without lifetimes.
std::uint32_t flags_of(const Address& address) {
  std::uint32_t out = address.no_prefix_route ? IFA_F_NOPREFIXROUTE : 0U;
  if (address.prefix.address.family == Family::v6) { out |= IFA_F_PERMANENT; }
  if (address.skips_dad()) { out |= IFA_F_NODAD; }
  return out;
}

}  // namespace

std::optional<DecodedAddress> decode_address(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWADDR && message.header.nlmsg_type != RTM_DELADDR) {
    return std::nullopt;
  }
  const auto fixed = read_as<ifaddrmsg>(message.payload);
  if (!fixed || (fixed->ifa_family != AF_INET && fixed->ifa_family != AF_INET6)) {
    return std::nullopt;
  }
  const Family family = fixed->ifa_family == AF_INET ? Family::v4 : Family::v6;

  std::optional<IpAddress> local;
  std::optional<IpAddress> peer_or_local;
  std::uint32_t flags = fixed->ifa_flags;
  std::uint8_t protocol = 0;
  for_each_attribute(attributes_after(message.payload, sizeof(ifaddrmsg)),
                     [&](std::uint16_t type, Bytes value) {
                       switch (type) {
                         case IFA_LOCAL: local = read_ip(value); break;
                         case IFA_ADDRESS: peer_or_local = read_ip(value); break;
                         case IFA_FLAGS: flags = read_or_zero<std::uint32_t>(value); break;
                         case IFA_PROTO: protocol = read_or_zero<std::uint8_t>(value); break;
                         default: break;
                       }
                     });
  const auto& own = local ? local : peer_or_local;
  if (!own || own->family != family || fixed->ifa_prefixlen > own->bits()) { return std::nullopt; }

  DecodedAddress decoded;
  decoded.link_index = fixed->ifa_index;
  decoded.address.prefix = {.address = *own, .length = fixed->ifa_prefixlen};
  decoded.address.no_prefix_route = (flags & IFA_F_NOPREFIXROUTE) != 0;
  decoded.address.ours = protocol == our_protocol;
  const bool permanent = (flags & IFA_F_PERMANENT) != 0 && protocol != protocol_kernel_ra;
  decoded.address.state = state_of(flags);
  decoded.address.dynamic = family == Family::v6 && !permanent;
  return decoded;
}

NlMessage encode_address_dump(Family family) {
  ifaddrmsg fixed{};
  fixed.ifa_family = address_family(family);
  return MessageBuilder(RTM_GETADDR, 0, fixed).take();
}

NlMessage encode_address_add(const Address& address, IfIndex link, IfPresent if_present) {
  const IpPrefix& prefix = address.prefix;
  const int present_flag = if_present == IfPresent::refuse ? NLM_F_EXCL : NLM_F_REPLACE;
  MessageBuilder message(RTM_NEWADDR, NLM_F_CREATE | present_flag, fixed_part(address, link));
  message.ip(IFA_LOCAL, prefix.address).ip(IFA_ADDRESS, prefix.address);
  if (prefix.address.family == Family::v4 && prefix.length <= prefix_with_broadcast_max) {
    message.ip(IFA_BROADCAST, prefix.broadcast());
  }
  message.u32(IFA_FLAGS, flags_of(address));
  if (address.ours) { message.u8(IFA_PROTO, our_protocol); }
  return message.take();
}

NlMessage encode_address_remove(const Address& address, IfIndex link) {
  MessageBuilder message(RTM_DELADDR, 0, fixed_part(address, link));
  message.ip(IFA_LOCAL, address.prefix.address).ip(IFA_ADDRESS, address.prefix.address);
  return message.take();
}

}  // namespace edge::netmodel
