// VLAN ids of bridge ports and of the bridge itself: AF_BRIDGE messages with struct
// bridge_vlan_info in IFLA_AF_SPEC.
#include "netmodel/io/bridge_vlan.hpp"

#include <fmt/format.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <span>

#include "netmodel/core/vlan_set.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

/// Two attributes of 8 bytes each: well inside the 4 KiB of one message.
constexpr std::size_t ranges_per_message_max = 128;

constexpr std::uint16_t flags_of(const BridgeVlan& vlan) {
  return static_cast<std::uint16_t>((vlan.pvid ? BRIDGE_VLAN_INFO_PVID : 0) |
                                    (vlan.untagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0));
}

void put(MessageBuilder& spec, std::uint16_t id, int flags) {
  const bridge_vlan_info info{.flags = static_cast<__u16>(flags), .vid = id};
  spec.raw(IFLA_BRIDGE_VLAN_INFO, &info, sizeof info);
}

void put(MessageBuilder& spec, const BridgeVlan& vlan) {
  const int flags = flags_of(vlan);
  if (vlan.first == vlan.last) {
    put(spec, vlan.first, flags);
    return;
  }
  put(spec, vlan.first, flags | BRIDGE_VLAN_INFO_RANGE_BEGIN);
  put(spec, vlan.last, flags | BRIDGE_VLAN_INFO_RANGE_END);
}

NlMessage encode_part(std::uint16_t type, IfIndex index, VlanSubject subject,
                      std::span<const BridgeVlan> vlans) {
  ifinfomsg fixed{};
  fixed.ifi_family = AF_BRIDGE;
  fixed.ifi_index = static_cast<int>(index.value);
  MessageBuilder message(type, 0, fixed);
  message.nest(IFLA_AF_SPEC, [&](MessageBuilder& spec) {
    const std::uint16_t self = BRIDGE_FLAGS_SELF;
    if (subject == VlanSubject::bridge) { spec.raw(IFLA_BRIDGE_FLAGS, &self, sizeof self); }
    for (const BridgeVlan& vlan : vlans) { put(spec, vlan); }
  });
  return message.take();
}

std::size_t count(const BridgeVlan& vlan) { return 1U + vlan.last - vlan.first; }

/// Pre: check_vlans.
void encode_parts(std::uint16_t type, IfIndex index, VlanSubject subject,
                  std::span<const BridgeVlan> vlans, std::vector<NlMessage>& out) {
  std::vector<BridgeVlan> part;
  std::size_t ids = 0;
  const auto flush = [&] {
    if (!part.empty()) { out.push_back(encode_part(type, index, subject, part)); }
    part.clear();
    ids = 0;
  };
  for (BridgeVlan rest : vlans) {
    while (true) {
      if (ids == vlans_per_message_max || part.size() == ranges_per_message_max) { flush(); }
      BridgeVlan head = rest;
      const std::size_t taken = std::min(count(rest), vlans_per_message_max - ids);
      head.last = static_cast<std::uint16_t>(rest.first + taken - 1);
      part.push_back(head);
      ids += taken;
      if (head.last == rest.last) { break; }
      rest.first = static_cast<std::uint16_t>(head.last + 1);
    }
  }
  flush();
}

Result<void> check_range(const std::string& link, const BridgeVlan& vlan) {
  if (vlan.first < 1 || vlan.last > vlan_id_last || vlan.first > vlan.last) {
    return fail(Errc::invalid_input, fmt::format("link {}: VLAN ids {}-{} are out of range 1..{}",
                                                 link, vlan.first, vlan.last, vlan_id_last));
  }
  if (vlan.pvid && vlan.first != vlan.last) {
    return fail(Errc::invalid_input, fmt::format("link {}: VLAN ids {}-{} cannot all be the pvid",
                                                 link, vlan.first, vlan.last));
  }
  return {};
}

}  // namespace

std::optional<DecodedVlans> decode_vlans(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWLINK) { return std::nullopt; }
  const auto fixed = read_as<ifinfomsg>(message.payload);
  if (!fixed || fixed->ifi_family != AF_BRIDGE || fixed->ifi_index <= 0) { return std::nullopt; }
  DecodedVlans decoded{.link_index = static_cast<std::uint32_t>(fixed->ifi_index), .vlans = {}};
  std::optional<std::uint16_t> range_begin;
  const auto on_info = [&](const bridge_vlan_info& info) {
    if ((info.flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) != 0) {
      range_begin = info.vid;
      return;
    }
    const bool ends_range = (info.flags & BRIDGE_VLAN_INFO_RANGE_END) != 0;
    decoded.vlans.push_back({.first = ends_range ? range_begin.value_or(info.vid) : info.vid,
                             .last = info.vid,
                             .pvid = (info.flags & BRIDGE_VLAN_INFO_PVID) != 0,
                             .untagged = (info.flags & BRIDGE_VLAN_INFO_UNTAGGED) != 0});
    range_begin.reset();
  };
  for_each_attribute(
      attributes_after(message.payload, sizeof(ifinfomsg)), [&](std::uint16_t type, Bytes value) {
        if (type != IFLA_AF_SPEC) { return; }
        decoded.vlans.reserve(value.size() / NLA_ALIGN(NLA_HDRLEN + sizeof(bridge_vlan_info)));
        for_each_attribute(value, [&](std::uint16_t inner, Bytes bytes) {
          if (inner != IFLA_BRIDGE_VLAN_INFO) { return; }
          if (const auto info = read_as<bridge_vlan_info>(bytes)) { on_info(*info); }
        });
      });
  if (decoded.vlans.empty()) { return std::nullopt; }
  return decoded;
}

NlMessage encode_vlan_dump() {
  ifinfomsg fixed{};
  fixed.ifi_family = AF_BRIDGE;
  MessageBuilder message(RTM_GETLINK, 0, fixed);
  message.u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
  return message.take();
}

std::vector<NlMessage> encode_vlans(IfIndex index, VlanSubject subject, const SetVlans& change) {
  std::vector<NlMessage> messages;
  encode_parts(RTM_SETLINK, index, subject, change.add, messages);
  encode_parts(RTM_DELLINK, index, subject, change.remove, messages);
  return messages;
}

Result<void> check_vlans(const SetVlans& change) {
  for (const BridgeVlan& vlan : change.add) { EDGE_TRY(check_range(change.link, vlan)); }
  for (const BridgeVlan& vlan : change.remove) {
    BridgeVlan ids = vlan;  // Flags have no meaning here.
    ids.pvid = false;
    EDGE_TRY(check_range(change.link, ids));
  }
  return {};
}

}  // namespace edge::netmodel
