// Ports of our bridges that somebody else put there.
#include "netmodel/core/foreign_ports.hpp"

#include <algorithm>

namespace edge::netmodel {

std::map<std::string, std::vector<std::string>> foreign_ports(
    const ObservedState& observed, const std::set<std::string>& adapters) {
  std::set<std::string> bridges;
  for (const ObservedLink& link : observed.links) {
    if (link.ours() && link.link.kind == LinkKind::bridge) { bridges.insert(link.link.name); }
  }
  std::map<std::string, std::vector<std::string>> out;
  for (const ObservedLink& link : observed.links) {
    const bool foreign = !link.ours() && !adapters.contains(link.link.name);
    if (foreign && bridges.contains(link.link.master)) {
      out[link.link.master].push_back(link.link.name);
    }
  }
  for (auto& [bridge, names] : out) { std::ranges::sort(names); }
  return out;
}

}  // namespace edge::netmodel
