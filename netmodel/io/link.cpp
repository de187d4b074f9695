// Links over rtnetlink: struct ifinfomsg and its IFLA_ attributes, encode beside decode.
#include "netmodel/io/link.hpp"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "netmodel/io/bridge.hpp"
#include "netmodel/io/message_builder.hpp"
#include "netmodel/io/vlan.hpp"

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

void decode_kind(const std::string& kind, Bytes data, DecodedLink& decoded) {
  Link& link = decoded.observed.link;
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
    decoded.bond = decode_bond(data);
    link.bond = decoded.bond->bond;
  } else if (kind == "vlan") {
    link.kind = LinkKind::vlan;
    link.vlan = decode_vlan(data);
  } else if (kind == "veth") {
    link.kind = LinkKind::veth;
  }
}

void decode_link_info(Bytes link_info, DecodedLink& decoded) {
  std::string kind, slave_kind;
  Bytes data, slave_data;
  for_each_attribute(link_info, [&](std::uint16_t type, Bytes value) {
    switch (type) {
      case IFLA_INFO_KIND: kind = read_text(value); break;
      case IFLA_INFO_DATA: data = value; break;
      case IFLA_INFO_SLAVE_KIND: slave_kind = read_text(value); break;
      case IFLA_INFO_SLAVE_DATA: slave_data = value; break;
      default: break;
    }
  });
  decode_kind(kind, data, decoded);
  decoded.bond_member = slave_kind == "bond";
  if (decoded.bond_member && !decoded.observed.permanent_mac) {
    decoded.observed.permanent_mac = decode_bond_member_mac(slave_data);
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

MessageBuilder link_get(const ifinfomsg& fixed) {
  MessageBuilder message(RTM_GETLINK, 0, fixed);
  message.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message;
}

ifinfomsg fixed_of(IfIndex index) {
  ifinfomsg fixed{};
  fixed.ifi_index = static_cast<int>(index.value);
  return fixed;
}

/// IFLA_LINKINFO with its kind, and what fill(data) puts into IFLA_INFO_DATA.
template <class Fill>
void put_info(MessageBuilder& message, const char* kind, Fill&& fill) {
  message.nest(IFLA_LINKINFO, [&](MessageBuilder& info) {
    info.text(IFLA_INFO_KIND, kind);
    info.nest(IFLA_INFO_DATA, fill);
  });
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
                         case IFLA_LINK:
                           decoded.parent_index = read_or_zero<std::uint32_t>(value);
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
  decode_link_info(link_info, decoded);
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

ObservedLink resolved(DecodedLink decoded, const LinkNames& names) {
  ObservedLink observed = std::move(decoded.observed);
  observed.link.master = name_of(names, decoded.master_index);
  if (decoded.bond) {
    observed.bond_active = name_of(names, decoded.bond->active_index);
    observed.link.bond->primary = name_of(names, decoded.bond->primary_index);
  }
  if (observed.link.vlan) { observed.link.vlan->parent = name_of(names, decoded.parent_index); }
  return observed;
}

NlMessage encode_link_dump(std::optional<IfIndex> master) {
  MessageBuilder message = link_get(ifinfomsg{});
  if (master) { message.u32(IFLA_MASTER, master->value); }
  return message.take();
}

NlMessage encode_link_get(const std::string& name) {
  return link_get(ifinfomsg{}).text(IFLA_IFNAME, name).take();
}

NlMessage encode_link_get(IfIndex index) { return link_get(fixed_of(index)).take(); }

NlMessage encode_link_create(const Link& link, std::uint32_t other_index) {
  MessageBuilder message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  message.text(IFLA_IFNAME, link.name).u32(IFLA_GROUP, our_link_group);
  if (link.mac) { message.mac(IFLA_ADDRESS, *link.mac); }
  const bool bridge = link.kind == LinkKind::bridge;
  // A bridge keeps its MTU against smaller ports only if the MTU was *changed* by request: made
  // with the wanted one it would follow its ports (seen on 6.18, br_change_mtu()). So it is made
  // with another.
  if (link.mtu) { message.u32(IFLA_MTU, bridge ? *link.mtu - 1 : *link.mtu); }
  if (bridge) {
    put_info(message, "bridge", [&](MessageBuilder& data) {
      encode_bridge(data, link.bridge.value_or(BridgeAttributes{}));
    });
  } else if (link.kind == LinkKind::bond) {
    put_info(message, "bond", [&](MessageBuilder& data) {
      encode_bond(data, link.bond.value_or(BondAttributes{}), std::nullopt, other_index);
    });
  } else if (link.kind == LinkKind::vlan) {
    message.u32(IFLA_LINK, other_index);
    put_info(message, "vlan", [&](MessageBuilder& data) {
      encode_vlan(data, link.vlan.value_or(VlanAttributes{}));
    });
  }
  return message.take();
}

NlMessage encode_link_change(IfIndex index, const ChangeLink& change,
                             const ChangeReferences& references) {
  ifinfomsg fixed = fixed_of(index);
  if (change.admin_up) {
    fixed.ifi_change = IFF_UP;
    fixed.ifi_flags = *change.admin_up ? IFF_UP : 0;
  }
  MessageBuilder message(RTM_NEWLINK, 0, fixed);
  if (change.mac) { message.mac(IFLA_ADDRESS, *change.mac); }
  if (change.mtu) { message.u32(IFLA_MTU, *change.mtu); }
  if (references.set_our_group) { message.u32(IFLA_GROUP, our_link_group); }
  if (change.alias) { message.text(IFLA_IFALIAS, *change.alias); }
  if (references.master_index) { message.u32(IFLA_MASTER, *references.master_index); }
  if (change.bridge) {
    put_info(message, "bridge", [&](MessageBuilder& data) { encode_bridge(data, *change.bridge); });
  }
  if (change.bond) {
    put_info(message, "bond", [&](MessageBuilder& data) {
      encode_bond(data, *change.bond, references.present_bond, references.primary_index);
    });
  }
  return message.take();
}

NlMessage encode_bond_switch(IfIndex bond, IfIndex member) {
  MessageBuilder message(RTM_NEWLINK, 0, fixed_of(bond));
  put_info(message, "bond", [&](MessageBuilder& data) { encode_bond_active(data, member.value); });
  return message.take();
}

NlMessage encode_link_delete(IfIndex index) {
  return MessageBuilder(RTM_DELLINK, 0, fixed_of(index)).take();
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
