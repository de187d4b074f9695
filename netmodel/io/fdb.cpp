// What a bridge has learned, over rtnetlink: struct ndmsg of family AF_BRIDGE and its NDA_
// attributes.
#include "netmodel/io/fdb.hpp"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {

std::optional<DecodedFdbEntry> decode_fdb_entry(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWNEIGH) { return std::nullopt; }
  const auto fixed = read_as<ndmsg>(message.payload);
  if (!fixed || fixed->ndm_family != AF_BRIDGE) { return std::nullopt; }

  DecodedFdbEntry decoded;
  decoded.port_index = static_cast<std::uint32_t>(fixed->ndm_ifindex);
  decoded.local = (fixed->ndm_state & NUD_PERMANENT) != 0;
  std::optional<MacAddress> mac;
  for_each_attribute(attributes_after(message.payload, sizeof(ndmsg)),
                     [&](std::uint16_t type, Bytes value) {
                       switch (type) {
                         case NDA_LLADDR: mac = read_mac(value); break;
                         case NDA_VLAN: decoded.learned.vlan = read_as<std::uint16_t>(value); break;
                         case NDA_MASTER:
                           decoded.bridge_index = read_or_zero<std::uint32_t>(value);
                           break;
                         default: break;
                       }
                     });
  if (!mac || decoded.bridge_index == 0) { return std::nullopt; }
  decoded.learned.mac = *mac;
  return decoded;
}

NlMessage encode_fdb_delete(IfIndex port, const MacAddress& mac) {
  ndmsg fixed{};
  fixed.ndm_family = AF_BRIDGE;
  fixed.ndm_ifindex = static_cast<int>(port.value);
  fixed.ndm_flags = NTF_MASTER;
  MessageBuilder message(RTM_DELNEIGH, 0, fixed);
  message.mac(NDA_LLADDR, mac);
  return message.take();
}

NlMessage encode_fdb_dump(IfIndex bridge) {
  ndmsg fixed{};
  fixed.ndm_family = AF_BRIDGE;
  MessageBuilder message(RTM_GETNEIGH, 0, fixed);
  message.u32(NDA_MASTER, bridge.value);
  return message.take();
}

}  // namespace edge::netmodel
