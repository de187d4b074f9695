// The rules that a whole model has to keep; used by apply_operations and by validate().
#pragma once

#include <map>
#include <optional>
#include <string>

#include "netmodel/core/apply_operations.hpp"
#include "netmodel/core/findings.hpp"

namespace edge::netmodel {

/// Bound of what a model may expand to, per adapter: one nft element per published port.
inline constexpr std::size_t publications_max = 131'072;
/// Each one is a bridge and a DHCP server.
inline constexpr std::size_t networks_max = 1024;

void check_networks(const Model& model, const ModelFacts& facts, Findings& findings);
/// Groups, and what names an adapter that is a member of one.
void check_groups(const Model& model, const ModelFacts& facts, Findings& findings);
/// Networks of kind untagged and vlan: their place, their VLAN ids.
void check_bridged_networks(const Model& model, const ModelFacts& facts, Findings& findings);
/// Management address, virtual address and cluster: all in one subnet, none of them taken.
void check_host(const Model& model, const ModelFacts& facts, Findings& findings);
void check_interfaces(const Model& model, const ModelFacts& facts, Findings& findings);
void check_gateway(const Model& model, const ModelFacts& facts, Findings& findings);
void check_adapters(const Model& model, const ModelFacts& facts, Findings& findings);

/// nullptr: no such adapter is known.
const KnownAdapter* find_adapter(const ModelFacts& facts, const MacAddress& mac);

/// The adapter whose implicit untagged network `id` is ("br" and twelve hex digits); nullopt: not
/// such an id.
std::optional<MacAddress> implicit_network_adapter(const std::string& id);

}  // namespace edge::netmodel
