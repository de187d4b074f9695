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
/// NLM_F_CREATE|NLM_F_REPLACE. An IPv4 address that exists takes the mark but keeps its flags: to
/// get rid of its prefix route, remove it first. IPv6 takes both.
NlMessage encode_address_add(const Address& address, IfIndex link);
NlMessage encode_address_remove(const Address& address, IfIndex link);

}  // namespace edge::netmodel
