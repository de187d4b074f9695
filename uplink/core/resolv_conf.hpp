// The resolvers that programs of the host itself may use, as resolv.conf(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "netmodel/core/render.hpp"

namespace edge::uplink {

/// What the C library reads of a file. Source: resolv.conf(5), MAXNS.
inline constexpr std::size_t resolvers_max = 3;

/// The text of the file: first a resolver of `active`, the link whose path carries the tunnel
/// (empty: none does), then one of each other link in the order given, then their second ones; each
/// address once. No search list: a site's own would change what names mean when a cable is moved.
std::string resolv_conf(const std::vector<netmodel::DnsUpstream>& resolvers,
                        std::string_view active);

}  // namespace edge::uplink
