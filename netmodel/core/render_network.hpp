// The subnets of a network with a bridge of its own, and where publications lead.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// Address, routes, rule and nft content of a subnet; returns our address in it.
IpAddress render_subnet(NetworkKind kind, const std::string& bridge, const IpPrefix& subnet,
                        Rendered& out);
/// The same for IPv6, with the sysctls that make the host its router.
void render_subnet6(NetworkKind kind, const std::string& bridge, const IpPrefix& subnet6,
                    Rendered& out);

/// Where a publication leads in one family, and who may use it there.
struct RuleTarget {
  IpAddress address{};
  std::vector<IpPrefix> sources{};  ///< Empty: anyone.
};
/// One per family; a rule with sources of one family only is not open in the other.
std::vector<RuleTarget> targets_of(const Model& model, const GatewayRule& rule,
                                   const std::map<std::string, IpPrefix>& automatic_subnets);

}  // namespace edge::netmodel
