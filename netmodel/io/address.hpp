// Addresses over rtnetlink: struct ifaddrmsg and its IFA_ attributes, encode beside decode.
#pragma once

#include <cstdint>
#include <optional>

#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// As in a message: the link is still an index.
struct DecodedAddress {
  Address address;
  std::uint32_t link_index = 0;
};

/// Source: inet_fill_ifaddr(), net/ipv4/devinet.c; inet6_fill_ifaddr(), net/ipv6/addrconf.c.
std::optional<DecodedAddress> decode_address(const MessageView& message);

NlMessage encode_address_dump(Family family);
enum class IfPresent : std::uint8_t { refuse, replace };  ///< NLM_F_EXCL, NLM_F_REPLACE.

/// NLM_F_CREATE. Replacing: an IPv4 address takes the mark (before 6.18: not even that, seen
/// on 6.1) but keeps its flags: to get rid of its prefix route, remove it first. IPv6 takes both.
NlMessage encode_address_add(const Address& address, IfIndex link, IfPresent if_present);
NlMessage encode_address_remove(const Address& address, IfIndex link);

}  // namespace edge::netmodel
