// Routes over rtnetlink: struct rtmsg and its RTA_ attributes, encode beside decode.
#pragma once

#include <cstdint>
#include <optional>

#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// As in a message: the link is still an index, 0 for none.
struct DecodedRoute {
  Route route;
  std::uint32_t link_index = 0;
};

/// nullopt also for types beyond RouteType (local, broadcast, multicast, prohibit, throw..) and for
/// clones of the IPv6 route cache. A multipath route is shown by its first hop.
/// Source: fib_dump_info(), net/ipv4/fib_semantics.c; rt6_fill_node(), net/ipv6/route.c.
std::optional<DecodedRoute> decode_route(const MessageView& message);

NlMessage encode_route_dump(Family family);
/// NLM_F_CREATE|NLM_F_REPLACE: takes the place of the route with the same table, destination and
/// metric. IPv6 turns metric 0 into 1024.
NlMessage encode_route_add(const Route& route, std::optional<IfIndex> link);
NlMessage encode_route_remove(const Route& route, std::optional<IfIndex> link);

}  // namespace edge::netmodel
