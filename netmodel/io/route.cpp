// Routes over rtnetlink: struct rtmsg and its RTA_ attributes, encode beside decode.
#include "netmodel/io/route.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

std::optional<RouteType> decode_type(std::uint8_t type) {
  switch (type) {
    case RTN_UNICAST: return RouteType::unicast;
    case RTN_UNREACHABLE: return RouteType::unreachable;
    case RTN_BLACKHOLE: return RouteType::blackhole;
    default: return std::nullopt;
  }
}

std::uint8_t encode_type(RouteType type) {
  switch (type) {
    case RouteType::unicast: return RTN_UNICAST;
    case RouteType::unreachable: return RTN_UNREACHABLE;
    case RouteType::blackhole: return RTN_BLACKHOLE;
  }
  return RTN_UNSPEC;
}

IpAddress unspecified(Family family) {
  IpAddress address;
  address.family = family;
  return address;
}

/// struct rtvia: u16 family, then the address.
std::optional<IpAddress> read_via(Bytes value) {
  return value.size() < sizeof(std::uint16_t) ? std::nullopt
                                              : read_ip(value.subspan(sizeof(std::uint16_t)));
}

std::optional<std::uint32_t> decode_mtu(Bytes metrics) {
  std::optional<std::uint32_t> mtu;
  for_each_attribute(metrics, [&](std::uint16_t type, Bytes value) {
    if (type == RTAX_MTU) { mtu = read_as<std::uint32_t>(value); }
  });
  return mtu;
}

/// struct rtnexthop and the attributes of the first hop.
void decode_first_hop(Bytes multipath, DecodedRoute& decoded) {
  const auto hop = read_as<rtnexthop>(multipath);
  if (!hop || hop->rtnh_len < sizeof(rtnexthop) || hop->rtnh_len > multipath.size()) { return; }
  decoded.link_index = static_cast<std::uint32_t>(hop->rtnh_ifindex);
  decoded.route.on_link_gateway = (hop->rtnh_flags & RTNH_F_ONLINK) != 0;
  const Bytes attributes = multipath.first(hop->rtnh_len).subspan(sizeof(rtnexthop));
  for_each_attribute(attributes, [&](std::uint16_t type, Bytes value) {
    if (type == RTA_GATEWAY) { decoded.route.gateway = read_ip(value); }
    if (type == RTA_VIA) { decoded.route.gateway = read_via(value); }
  });
}

rtmsg fixed_part(const Route& route) {
  rtmsg fixed{};
  fixed.rtm_family = address_family(route.destination.address.family);
  fixed.rtm_dst_len = route.destination.length;
  fixed.rtm_table =
      route.table < 256 ? static_cast<std::uint8_t>(route.table) : std::uint8_t{RT_TABLE_UNSPEC};
  fixed.rtm_protocol = route.protocol;
  fixed.rtm_type = encode_type(route.type);
  return fixed;
}

void encode_common(MessageBuilder& message, const Route& route, std::optional<IfIndex> link) {
  message.u32(RTA_TABLE, route.table);
  if (route.destination.length > 0) { message.ip(RTA_DST, route.destination.network().address); }
  if (link) { message.u32(RTA_OIF, link->value); }
  if (route.gateway) { message.ip(RTA_GATEWAY, *route.gateway); }
  if (route.metric != 0) { message.u32(RTA_PRIORITY, route.metric); }
}

}  // namespace

std::optional<DecodedRoute> decode_route(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWROUTE && message.header.nlmsg_type != RTM_DELROUTE) {
    return std::nullopt;
  }
  const auto fixed = read_as<rtmsg>(message.payload);
  if (!fixed || (fixed->rtm_family != AF_INET && fixed->rtm_family != AF_INET6)) {
    return std::nullopt;
  }
  const auto type = decode_type(fixed->rtm_type);
  if (!type || (fixed->rtm_flags & RTM_F_CLONED) != 0) { return std::nullopt; }
  const Family family = fixed->rtm_family == AF_INET ? Family::v4 : Family::v6;

  DecodedRoute decoded;
  Route& route = decoded.route;
  route.table = fixed->rtm_table;
  route.type = *type;
  route.protocol = fixed->rtm_protocol;
  route.on_link_gateway = (fixed->rtm_flags & RTNH_F_ONLINK) != 0;
  route.destination = {.address = unspecified(family), .length = fixed->rtm_dst_len};
  for_each_attribute(attributes_after(message.payload, sizeof(rtmsg)),
                     [&](std::uint16_t attribute, Bytes value) {
                       switch (attribute) {
                         case RTA_TABLE: route.table = read_or_zero<std::uint32_t>(value); break;
                         case RTA_DST:
                           route.destination.address = read_ip(value).value_or(unspecified(family));
                           break;
                         case RTA_OIF:
                           decoded.link_index = read_or_zero<std::uint32_t>(value);
                           break;
                         case RTA_GATEWAY: route.gateway = read_ip(value); break;
                         case RTA_VIA: route.gateway = read_via(value); break;
                         case RTA_PREFSRC: route.source = read_ip(value); break;
                         case RTA_PRIORITY:
                           route.metric = read_or_zero<std::uint32_t>(value);
                           break;
                         case RTA_METRICS: route.mtu = decode_mtu(value); break;
                         case RTA_MULTIPATH: decode_first_hop(value, decoded); break;
                         default: break;
                       }
                     });
  if (route.destination.address.family != family ||
      fixed->rtm_dst_len > route.destination.address.bits()) {
    return std::nullopt;
  }
  if (route.type != RouteType::unicast) { decoded.link_index = 0; }  // IPv6 shows lo.
  return decoded;
}

NlMessage encode_route_dump(Family family) {
  rtmsg fixed{};
  fixed.rtm_family = address_family(family);
  return MessageBuilder(RTM_GETROUTE, 0, fixed).take();
}

NlMessage encode_route_add(const Route& route, std::optional<IfIndex> link) {
  rtmsg fixed = fixed_part(route);
  // As ip(8) does: on-link unicast is of scope link, everything else universe.
  const bool on_link = route.type == RouteType::unicast && !route.gateway;
  fixed.rtm_scope = on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  if (route.on_link_gateway) { fixed.rtm_flags = RTNH_F_ONLINK; }
  MessageBuilder message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, fixed);
  encode_common(message, route, link);
  if (route.source) { message.ip(RTA_PREFSRC, *route.source); }
  if (route.mtu) {
    message.nest(RTA_METRICS, [&](MessageBuilder& metrics) { metrics.u32(RTAX_MTU, *route.mtu); });
  }
  return message.take();
}

NlMessage encode_route_remove(const Route& route, std::optional<IfIndex> link) {
  rtmsg fixed = fixed_part(route);
  fixed.rtm_scope = RT_SCOPE_NOWHERE;  // Any scope.
  MessageBuilder message(RTM_DELROUTE, 0, fixed);
  encode_common(message, route, link);
  if (route.source) { message.ip(RTA_PREFSRC, *route.source); }
  return message.take();
}

}  // namespace edge::netmodel
