// What a change would mean for those who use the network: told before it is made. Pure.
#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "netmodel/core/operation.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// A model together with the facts in which it is applied. `facts.automatic_subnets` are those of
/// its render.
struct Situation {
  const Model& model;
  const RenderFacts& facts;
};

/// One thing that somebody would notice.
struct Consequence {
  /// Of ports: "port.gone" (its address and path with it), "port.down" (no link or switched off),
  /// "port.moves" (another link or address: a new lease, a new path), "port.pauses" (its bond is
  /// made or ends: a moment without traffic), "port.mtu".
  /// Of VMs: "interface.gone", "interface.cut" (loses its network), "interface.moves" (another
  /// network or VLAN), "interface.renumbers" (its network has another subnet),
  /// "interface.reopens" (a new tap).
  /// Of publications: "publication.ends", on one port or at all.
  /// Of networks: "network.covers" (its subnet holds an address that paths need); "host.covers"
  /// (its management or virtual address is one).
  /// Of the host: "host.unreachable" (no port with a lease and a link is left).
  std::string kind{};
  std::string subject{};  ///< Name of the port or group, id of the interface or rule; or empty.
  std::string what{};     ///< One line for a person.
  bool operator==(const Consequence&) const = default;
};

struct Consequences {
  std::vector<Consequence> items{};  ///< Ports, interfaces, publications, networks, the host.
  /// A port with a lease and a link is left, so that the Console can be reached.
  bool leased_port_remains = false;
  /// Somebody could be reached before, and no port is left that could carry a path even with a new
  /// lease, or each known address of the Console becomes the host's own.
  bool cuts_last_path = false;
  bool empty() const { return items.empty(); }
};

/// Compares what runs before with what would run after; `plan` is what leads from one to the other
/// and may be empty (a cable that is pulled: only the facts differ). A lease counts only on the
/// link where it is now.
Consequences consequences(const Situation& before, const Situation& after, const Plan& plan);

/// One line per consequence, for people.
std::vector<std::string> to_lines(const Consequences& consequences);
/// Those of ports, networks and the host only: what ends ways to the Console.
std::vector<std::string> to_lines_of_ways(const Consequences& consequences);
/// `{"leased_port_remains": bool, "items": [{"kind", "subject", "what"}]}`
boost::json::object to_json(const Consequences& consequences);

}  // namespace edge::netmodel
