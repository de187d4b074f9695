// Attributes of a bridge: IFLA_INFO_DATA of kind "bridge".
#include "netmodel/io/bridge.hpp"

#include <linux/if_link.h>

namespace edge::netmodel {

BridgeAttributes decode_bridge(Bytes info_data) {
  BridgeAttributes bridge;
  for_each_attribute(info_data, [&](std::uint16_t type, Bytes value) {
    switch (type) {
      case IFLA_BR_FORWARD_DELAY:
        bridge.forward_delay_cs = read_or_zero<std::uint32_t>(value);
        break;
      case IFLA_BR_STP_STATE: bridge.stp = read_or_zero<std::uint32_t>(value) != 0; break;
      case IFLA_BR_MCAST_SNOOPING:
        bridge.multicast_snooping = read_or_zero<std::uint8_t>(value) != 0;
        break;
      case IFLA_BR_VLAN_FILTERING:
        bridge.vlan_filtering = read_or_zero<std::uint8_t>(value) != 0;
        break;
      case IFLA_BR_VLAN_DEFAULT_PVID: bridge.default_pvid = read_as<std::uint16_t>(value); break;
      default: break;  // Some fifty more that nobody here asks for.
    }
  });
  return bridge;
}

void encode_bridge(MessageBuilder& message, const BridgeAttributes& bridge) {
  message.u32(IFLA_BR_FORWARD_DELAY, bridge.forward_delay_cs)
      .u32(IFLA_BR_STP_STATE, bridge.stp ? 1 : 0)
      .u8(IFLA_BR_MCAST_SNOOPING, bridge.multicast_snooping ? 1 : 0);
  if (bridge.vlan_filtering) { message.u8(IFLA_BR_VLAN_FILTERING, *bridge.vlan_filtering ? 1 : 0); }
  if (bridge.default_pvid) { message.u16(IFLA_BR_VLAN_DEFAULT_PVID, *bridge.default_pvid); }
}

}  // namespace edge::netmodel
