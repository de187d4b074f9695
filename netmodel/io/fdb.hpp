// What a bridge has learned, over rtnetlink: struct ndmsg of family AF_BRIDGE and its NDA_
// attributes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// A MAC that spoke on a port of a bridge and has not aged out (300 s).
struct LearnedMac {
  std::string port;
  MacAddress mac;
  std::optional<std::uint16_t> vlan{};  ///< nullopt: a bridge without vlan_filtering.
  auto operator<=>(const LearnedMac&) const = default;
};

/// As in a message: links are still indexes.
struct DecodedFdbEntry {
  LearnedMac learned;
  std::uint32_t port_index = 0;
  std::uint32_t bridge_index = 0;
  bool local = false;  ///< NUD_PERMANENT: the port's own address.
};

/// nullopt: no entry of a bridge (a link's own multicast list comes in the same dump).
/// Source: fdb_fill_info(), net/bridge/br_fdb.c.
std::optional<DecodedFdbEntry> decode_fdb_entry(const MessageView& message);
/// What was learned of a MAC on a port, in every VLAN of it.
NlMessage encode_fdb_delete(IfIndex port, const MacAddress& mac);
/// All entries of one bridge.
NlMessage encode_fdb_dump(IfIndex bridge);

}  // namespace edge::netmodel
