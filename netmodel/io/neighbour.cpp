// Neighbours (ARP, NDP) over rtnetlink: struct ndmsg and its NDA_ attributes.
#include "netmodel/io/neighbour.hpp"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {

std::optional<DecodedNeighbour> decode_neighbour(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWNEIGH && message.header.nlmsg_type != RTM_DELNEIGH) {
    return std::nullopt;
  }
  const auto fixed = read_as<ndmsg>(message.payload);
  if (!fixed || (fixed->ndm_family != AF_INET && fixed->ndm_family != AF_INET6)) {
    return std::nullopt;
  }

  DecodedNeighbour decoded;
  decoded.link_index = static_cast<std::uint32_t>(fixed->ndm_ifindex);
  std::optional<IpAddress> address;
  for_each_attribute(attributes_after(message.payload, sizeof(ndmsg)),
                     [&](std::uint16_t type, Bytes value) {
                       if (type == NDA_DST) { address = read_ip(value); }
                       if (type == NDA_LLADDR) { decoded.neighbour.mac = read_mac(value); }
                     });
  if (!address) { return std::nullopt; }
  decoded.neighbour.address = *address;
  decoded.neighbour.confirmed =
      (fixed->ndm_state & (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP)) != 0;
  decoded.neighbour.failed = (fixed->ndm_state & NUD_FAILED) != 0;
  return decoded;
}

NlMessage encode_neighbour_get(const IpAddress& address, IfIndex link) {
  ndmsg fixed{};
  fixed.ndm_family = address_family(address.family);
  fixed.ndm_ifindex = static_cast<int>(link.value);
  MessageBuilder message(RTM_GETNEIGH, 0, fixed);
  message.ip(NDA_DST, address);
  return message.take();
}

}  // namespace edge::netmodel
