// The configuration of keepalived for one virtual address. Source: keepalived.conf(5), 2.2.
#pragma once

#include <cstdint>
#include <string>

#include "netmodel/core/render.hpp"

namespace edge::uplink {

/// The whole file. The host that is alive with the highest priority holds the address; its peers
/// notice its end within three advertisements and a skew, RFC 5798 6.1: less than four.
/// Peers that are known are spoken to one by one: many switches filter VRRP's multicast.
std::string keepalived_config(const netmodel::VirtualAddress& address, const std::string& host_id);

}  // namespace edge::uplink
