// 802.1Q devices over rtnetlink: IFLA_INFO_DATA of kind "vlan". The parent is IFLA_LINK.
#include "netmodel/io/vlan.hpp"

#include <linux/if_link.h>

namespace edge::netmodel {

VlanAttributes decode_vlan(Bytes info_data) {
  VlanAttributes vlan;
  for_each_attribute(info_data, [&](std::uint16_t type, Bytes value) {
    if (type == IFLA_VLAN_ID) { vlan.id = read_or_zero<std::uint16_t>(value); }
  });
  return vlan;
}

void encode_vlan(MessageBuilder& message, const VlanAttributes& vlan) {
  message.u16(IFLA_VLAN_ID, vlan.id);
}

}  // namespace edge::netmodel
