// Attributes of a bridge: IFLA_INFO_DATA of kind "bridge".
#pragma once

#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {

/// Source: br_fill_info(), br_changelink(), net/bridge/br_netlink.c.
BridgeAttributes decode_bridge(Bytes info_data);
void encode_bridge(MessageBuilder& message, const BridgeAttributes& bridge);

}  // namespace edge::netmodel
