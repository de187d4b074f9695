// Raw Ethernet sockets (AF_PACKET): opened, and bound to one link for the frames of one ethertype.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"
#include "base/unique_fd.hpp"

namespace edge::netmodel {

inline constexpr std::size_t ethernet_frame_min = 60;  ///< Without its checksum.
inline constexpr MacAddress broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// For sending only, non-blocking: it receives nothing. Errors: denied without CAP_NET_RAW.
Result<UniqueFd> open_packet_sender();

/// Receives untagged and tagged frames of that ethertype from one link, whatever that link is part
/// of: it listens to all (ETH_P_ALL) behind a filter of four instructions. A socket of the
/// ethertype alone hears nothing on a port of a bridge, which consumes the frame first (seen
/// on 6.1). Closing it waits for RCU, some 10 ms. Errors: not_found without that link; denied.
Result<UniqueFd> open_packet_listener(IfIndex link, std::uint16_t ethertype);

/// Does not wait for rtnl. Errors: not_found.
Result<IfIndex> index_of_link(const std::string& name);

}  // namespace edge::netmodel
