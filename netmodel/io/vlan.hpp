// 802.1Q devices over rtnetlink: IFLA_INFO_DATA of kind "vlan". The parent is IFLA_LINK.
#pragma once

#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {

/// `parent` is left empty. Source: vlan_fill_info(), net/8021q/vlan_netlink.c.
VlanAttributes decode_vlan(Bytes info_data);
void encode_vlan(MessageBuilder& message, const VlanAttributes& vlan);

}  // namespace edge::netmodel
