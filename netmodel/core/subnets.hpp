// Which subnet a nat network without one of its own gets, and when it moves out of the way; which
// prefix IPv6 gets when none is given.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netmodel/core/model.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// 10.200.0.0/24, 10.201.0.0/24 ... 10.231.0.0/24; where a site's own network takes all of these,
/// 172.31.200.0/24 ... 172.31.231.0/24, then 192.168.200.0/24 ... 192.168.231.0/24.
/// `number` < automatic_subnet_count. Source: RFC 1918; far from what routers ship with.
inline constexpr unsigned automatic_subnet_count = 96;
IpPrefix automatic_subnet(unsigned number);

/// Unique local, the same for the same ids: fd, 40 bits of the host, 16 bits of the network.
/// `attempt` moves on after a collision. Source: RFC 4193 section 3.
IpPrefix automatic_subnet6(std::string_view host_id, std::string_view network, unsigned attempt);

struct AutomaticSubnets {
  std::map<std::string, IpPrefix> chosen;
  std::vector<Note> notes;
};

/// Keeps what facts.automatic_subnets says as long as it overlaps no lease, no foreign address and
/// no other network; otherwise an unused network moves to the first free subnet, where there is
/// none to one within a wider network of the site, and a used one stays and is noted.
AutomaticSubnets choose_subnets(const Model& model, const RenderFacts& facts);

}  // namespace edge::netmodel
