// Which ports a change of the model touches, and which it ends. Pure.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "netmodel/core/render.hpp"

namespace edge::netmodel {

/// Ports by their leaders' base MACs, each in one list at most.
struct PortImpact {
  std::vector<MacAddress> touched{};  ///< Go on, or begin, with other members, links or settings.
  std::vector<MacAddress> ended{};    ///< Join another group, are switched off, or go.
  bool empty() const { return touched.empty() && ended.empty(); }
};

/// A network with a bridge of its own that begins to hold an address that paths need, or an address
/// of the host's own that becomes one of the Console's.
struct CoveredAddress {
  std::string network{};  ///< Empty: `subnet` is the management or the virtual address.
  IpPrefix subnet{};
  NeededAddress needed{};
  /// It would be the host's own, or a broadcast address of it: the kernel drops what comes from
  /// there as martian (fib_validate_source), on every link.
  bool owned = false;
};
/// Subnets that the model names; automatic ones keep away from `needed` by themselves.
std::vector<CoveredAddress> covered_addresses(const Model& before, const Model& after,
                                              const std::vector<NeededAddress>& needed);

/// True when a change between the two could touch a port: cheap.
///
/// A network over an address that paths need is one: its gateway's address is the host's own on
/// every link. What else names no port is none: publications and other orders of preference change
/// nothing that a path's packets pass (scenario `untouched_paths`).
///
/// The virtual address of a cluster is one: its holder owns it on every link, so that a Console, a
/// resolver or a machine of the subnet with the same address is reached by no path any more; and it
/// comes and goes beside the management address, in the same subnet. So is where the Console is
/// reached: it changes nothing on a port, and every path over it.
bool may_touch_ports(const Model& before, const Model& after,
                     const std::vector<NeededAddress>& needed);

/// How long what the change does may take to begin: keepalived takes a virtual address when no peer
/// was heard for three advertisements and a skew (RFC 5798 6.1), and gives it up when it ends.
/// What happens on a backup the day it becomes the holder is not seen by then.
std::chrono::milliseconds begins_within(const Model& before, const Model& after);

PortImpact port_impact(const Model& before, const Model& after,
                       const std::vector<AdapterFacts>& adapters,
                       const std::vector<NeededAddress>& needed);

}  // namespace edge::netmodel
