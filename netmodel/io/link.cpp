// Links over rtnetlink: struct ifinfomsg and its IFLA_ attributes, encode beside decode.
#include "netmodel/io/link.hpp"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "netmodel/io/bridge.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

// include/net/if_inet6.h, not exported to user space: what the last router advertisement said.
constexpr std::uint32_t if_ra_otherconf = 0x80;
constexpr std::uint32_t if_ra_managed = 0x40;

/// IFLA_INFO_DATA of kind "tun". Source: tun_fill_info(), drivers/net/tun.c.
struct DecodedTun {
  TapAttributes tap;
  bool is_tap = false;
};
DecodedTun decode_tun(Bytes info_data) {
  DecodedTun tun;
  for_each_attribute(info_data, [&](std::uint16_t type, Bytes value) {
    switch (type) {
      case IFLA_TUN_TYPE: tun.is_tap = read_or_zero<std::uint8_t>(value) == IFF_TAP; break;
      case IFLA_TUN_OWNER: tun.tap.owner_uid = read_or_zero<std::uint32_t>(value); break;
      case IFLA_TUN_VNET_HDR: tun.tap.vnet_hdr = read_or_zero<std::uint8_t>(value) != 0; break;
      case IFLA_TUN_MULTI_QUEUE:
        tun.tap.multi_queue = read_or_zero<std::uint8_t>(value) != 0;
        break;
      default: break;
    }
  });
  return tun;
}

void decode_link_info(Bytes link_info, Link& link) {
  std::string kind;
  Bytes data;
  for_each_attribute(link_info, [&](std::uint16_t type, Bytes value) {
    if (type == IFLA_INFO_KIND) { kind = read_text(value); }
    if (type == IFLA_INFO_DATA) { data = value; }
  });
  if (kind == "bridge") {
    link.kind = LinkKind::bridge;
    link.bridge = decode_bridge(data);
  } else if (kind == "tun") {
    if (const DecodedTun tun = decode_tun(data); tun.is_tap) {
      link.kind = LinkKind::tap;
      link.tap = tun.tap;
    }
  } else if (kind == "bond") {
    link.kind = LinkKind::bond;
  } else if (kind == "vlan") {
    link.kind = LinkKind::vlan;
  } else if (kind == "veth") {
    link.kind = LinkKind::veth;
  }
}

void decode_inet6(Bytes af_spec, ObservedLink& link) {
  for_each_attribute(af_spec, [&](std::uint16_t family, Bytes value) {
    if (family != AF_INET6) { return; }
    for_each_attribute(value, [&](std::uint16_t type, Bytes flags) {
      if (type != IFLA_INET6_FLAGS) { return; }
      const auto bits = read_or_zero<std::uint32_t>(flags);
      link.ra_managed = (bits & if_ra_managed) != 0;
      link.ra_other = (bits & if_ra_otherconf) != 0;
    });
  });
}

NlMessage link_get(const ifinfomsg& fixed, const std::string* name) {
  MessageBuilder message(RTM_GETLINK, 0, fixed);
  message.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (name != nullptr) { message.text(IFLA_IFNAME, *name); }
  return message.take();
}

}  // namespace

std::optional<DecodedLink> decode_link(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWLINK && message.header.nlmsg_type != RTM_DELLINK) {
    return std::nullopt;
  }
  const auto fixed = read_as<ifinfomsg>(message.payload);
  if (!fixed || fixed->ifi_index <= 0) { return std::nullopt; }

  DecodedLink decoded;
  decoded.bridge_family = fixed->ifi_family == AF_BRIDGE;
  ObservedLink& observed = decoded.observed;
  observed.index = IfIndex{static_cast<std::uint32_t>(fixed->ifi_index)};
  observed.link.admin_up = (fixed->ifi_flags & IFF_UP) != 0;
  observed.carrier = (fixed->ifi_flags & IFF_LOWER_UP) != 0;
  Bytes link_info;
  std::uint32_t group = 0;
  for_each_attribute(attributes_after(message.payload, sizeof(ifinfomsg)),
                     [&](std::uint16_t type, Bytes value) {
                       switch (type) {
                         case IFLA_IFNAME: observed.link.name = read_text(value); break;
                         case IFLA_ADDRESS: observed.link.mac = read_mac(value); break;
                         case IFLA_PERM_ADDRESS: observed.permanent_mac = read_mac(value); break;
                         case IFLA_MTU: observed.link.mtu = read_as<std::uint32_t>(value); break;
                         case IFLA_MIN_MTU:
                           observed.mtu_min = read_or_zero<std::uint32_t>(value);
                           break;
                         case IFLA_MAX_MTU:
                           observed.mtu_max = read_or_zero<std::uint32_t>(value);
                           break;
                         case IFLA_MASTER:
                           decoded.master_index = read_or_zero<std::uint32_t>(value);
                           break;
                         case IFLA_IFALIAS: observed.link.alias = read_text(value); break;
                         case IFLA_GROUP: group = read_or_zero<std::uint32_t>(value); break;
                         case IFLA_CARRIER_DOWN_COUNT:
                           observed.carrier_down_count = read_or_zero<std::uint32_t>(value);
                           break;
                         case IFLA_CARRIER:
                           decoded.carrier_bit = read_or_zero<std::uint8_t>(value) != 0;
                           break;
                         case IFLA_CARRIER_UP_COUNT:
                           decoded.carrier_up_count = read_or_zero<std::uint32_t>(value);
                           break;
                         case IFLA_PARENT_DEV_NAME: observed.has_device = true; break;
                         case IFLA_LINKINFO: link_info = value; break;
                         case IFLA_AF_SPEC: decode_inet6(value, observed); break;
                         default: break;  // Some sixty more that nobody here asks for.
                       }
                     });
  decode_link_info(link_info, observed.link);
  if (observed.link.kind == LinkKind::other) {
    if (fixed->ifi_type == ARPHRD_LOOPBACK) {
      observed.link.kind = LinkKind::loopback;
    } else if (observed.has_device) {
      observed.link.kind = LinkKind::physical;
    }
  }
  if (group == our_link_group && observed.link.alias.empty()) {
    observed.link.alias = unfinished_alias;
  }
  return decoded;
}

NlMessage encode_link_dump() { return link_get(ifinfomsg{}, nullptr); }

NlMessage encode_link_get(const std::string& name) { return link_get(ifinfomsg{}, &name); }

NlMessage encode_link_get(IfIndex index) {
  ifinfomsg fixed{};
  fixed.ifi_index = static_cast<int>(index.value);
  return link_get(fixed, nullptr);
}

NlMessage encode_bridge_create(const Link& link) {
  MessageBuilder message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  message.text(IFLA_IFNAME, link.name).u32(IFLA_GROUP, our_link_group);
  if (link.mac) { message.mac(IFLA_ADDRESS, *link.mac); }
  // A bridge keeps its MTU against smaller ports only if the MTU was *changed* by request: made
  // with the wanted one it would follow its ports (seen on 6.18, br_change_mtu()). So it is made
  // with another.
  if (link.mtu) { message.u32(IFLA_MTU, *link.mtu - 1); }
  message.nest(IFLA_LINKINFO, [&](MessageBuilder& info) {
    info.text(IFLA_INFO_KIND, "bridge");
    info.nest(IFLA_INFO_DATA, [&](MessageBuilder& data) {
      encode_bridge(data, link.bridge.value_or(BridgeAttributes{}));
    });
  });
  return message.take();
}

NlMessage encode_link_change(IfIndex index, const ChangeLink& change,
                             std::optional<std::uint32_t> master_index, bool set_our_group) {
  ifinfomsg fixed{};
  fixed.ifi_index = static_cast<int>(index.value);
  if (change.admin_up) {
    fixed.ifi_change = IFF_UP;
    fixed.ifi_flags = *change.admin_up ? IFF_UP : 0;
  }
  MessageBuilder message(RTM_NEWLINK, 0, fixed);
  if (change.mac) { message.mac(IFLA_ADDRESS, *change.mac); }
  if (change.mtu) { message.u32(IFLA_MTU, *change.mtu); }
  if (set_our_group) { message.u32(IFLA_GROUP, our_link_group); }
  if (change.alias) { message.text(IFLA_IFALIAS, *change.alias); }
  if (master_index) { message.u32(IFLA_MASTER, *master_index); }
  if (change.bridge) {
    message.nest(IFLA_LINKINFO, [&](MessageBuilder& info) {
      info.text(IFLA_INFO_KIND, "bridge");
      info.nest(IFLA_INFO_DATA, [&](MessageBuilder& data) { encode_bridge(data, *change.bridge); });
    });
  }
  return message.take();
}

NlMessage encode_link_delete(IfIndex index) {
  ifinfomsg fixed{};
  fixed.ifi_index = static_cast<int>(index.value);
  return MessageBuilder(RTM_DELLINK, 0, fixed).take();
}

Result<void> check_link_name(const std::string& name) {
  const bool bad_character = std::ranges::any_of(
      name, [](unsigned char c) { return c == '/' || c == ':' || c <= ' ' || c == 0x7f; });
  if (name.empty() || name.size() >= IFNAMSIZ || bad_character || name == "." || name == "..") {
    return fail(Errc::invalid_input,
                "link name \"" + name +
                    "\": 1 to 15 characters without '/', ':' and white space are allowed");
  }
  return {};
}

}  // namespace edge::netmodel
