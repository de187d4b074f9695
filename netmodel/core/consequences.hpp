// What a change would mean for those who use the network: told before it is made. Pure.
#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "netmodel/core/operation.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// A model together with the facts in which it would be applied.
struct Situation {
  const Model& model;
  const RenderFacts& facts;
};

/// One thing that somebody would notice.
struct Consequence {
  /// "port.gone" (its path with it), "port.moves" (another address, link or group),
  /// "port.interrupted" (a bond is rebuilt, a path may pause), "port.down", "interface.cut" (a VM
  /// loses its network), "interface.moves", "interface.gone", "publication.ends",
  /// "publication.waits", "no_lease".
  std::string kind{};
  std::string subject{};  ///< Name of the port, or id of the interface or rule; empty: the host.
  std::string what{};     ///< One line for a person.
  auto operator<=>(const Consequence&) const = default;
};

struct Consequences {
  std::vector<Consequence> items{};  ///< Sorted: ports, interfaces, publications, the host.
  /// A port with a lease and carrier is left, so that the Console can be reached.
  bool leased_port_remains = false;
  bool empty() const { return items.empty(); }
};

/// Compares what runs before with what would run after; `plan` is what leads from one to the other
/// and may be empty (a pulled cable: only facts differ).
Consequences consequences(const Situation& before, const Situation& after, const Plan& plan);

/// One line per consequence, for people.
std::vector<std::string> to_lines(const Consequences& consequences);
/// `{"leased_port_remains": bool, "items": [{"kind", "subject", "what"}]}`
boost::json::object to_json(const Consequences& consequences);

}  // namespace edge::netmodel
