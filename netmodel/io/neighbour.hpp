// Neighbours (ARP, NDP) over rtnetlink: struct ndmsg and its NDA_ attributes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// Who answers for an address on a link.
struct Neighbour {
  std::string link;
  IpAddress address;
  std::optional<MacAddress> mac;  ///< nullopt: nobody answered (yet).
  bool confirmed = false;         ///< NUD_REACHABLE, PERMANENT or NOARP: it answered just now.
  bool failed = false;            ///< NUD_FAILED: it was asked and did not answer.
  bool operator==(const Neighbour&) const = default;
};

/// As in a message: the link is still an index.
struct DecodedNeighbour {
  Neighbour neighbour;
  std::uint32_t link_index = 0;
};

/// nullopt also for bridge forwarding entries (AF_BRIDGE). Source: neigh_fill_info(),
/// net/core/neighbour.c.
std::optional<DecodedNeighbour> decode_neighbour(const MessageView& message);
NlMessage encode_neighbour_get(const IpAddress& address, IfIndex link);

}  // namespace edge::netmodel
