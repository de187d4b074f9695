// The model that the kernel shows, for a host whose store is lost; and what to leave alone until
// somebody says what it is.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "netmodel/core/model.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// What our marks in the kernel still say.
struct Rebuilt {
  bool stands = false;  ///< Something of ours is there.
  /// Networks with a bridge of their own, interfaces, groups, publications. Ids of networks and
  /// interfaces are their own; of groups, VLAN networks and publications only `kept-...` is known,
  /// and VM names, DHCP ranges and resolvers are not there at all: they are those of a default.
  Model model = Model::defaults();
  std::map<MacAddress, std::uint32_t> tables;  ///< Routing table of each port that has rules.
  std::map<MacAddress, std::string> names;     ///< Of the adapters behind them, where known.
  std::map<std::string, IpPrefix> automatic_subnets;
};

Rebuilt rebuild(const ObservedState& observed, const std::optional<NftState>& nft);

/// Links that are made for what a model holds, but for those of its ports.
std::set<std::string> explained_links(const Model& model);

/// Links of ours that `model` does not explain. Ports are always explained: each adapter has one.
std::set<std::string> unexplained_links(const ObservedState& observed, const Model& model);

/// The same state with `links`, and what is on them, as if they were not ours: a plan leaves them
/// alone.
ObservedState disowned(ObservedState observed, const std::set<std::string>& links);

/// What our table has for `links` stays in it: their subnets, their guests and the publications
/// that lead there. Both tables are canonical, and so is the outcome.
NftState with_kept(NftState wanted, const NftState& there, const std::set<std::string>& links);

}  // namespace edge::netmodel
