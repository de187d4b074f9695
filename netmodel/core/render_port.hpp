// One adapter and its port bridge as kernel state: links, addresses, routes, rules, sysctls.
#pragma once

#include <cstddef>
#include <optional>

#include "netmodel/core/render.hpp"

namespace edge::netmodel {

inline constexpr std::uint32_t table_main = 254;
inline constexpr std::uint32_t rule_nat = 9000;      ///< to <nat subnet> lookup main
inline constexpr std::uint32_t rule_mark = 10000;    ///< fwmark <table> lookup <table>
inline constexpr std::uint32_t rule_oif = 11000;     ///< oif <bridge> lookup <table>
inline constexpr std::uint32_t rule_source = 12000;  ///< from <own address> lookup <table>
inline constexpr std::uint32_t metric_first = 2000;
inline constexpr std::uint32_t metric_step = 10;
inline constexpr std::uint32_t metric_drained = 10000;  ///< Added while a port is drained.

/// Adds the port of `adapter` with its preference `rank` (0 is best) to `out`.
void render_port(const AdapterSettings& settings, const AdapterFacts& adapter, std::size_t rank,
                 const RenderFacts& facts, Rendered& out);

/// The MTU of the adapter and of all that rides on it.
std::uint32_t port_mtu(const AdapterSettings& settings, const AdapterFacts& adapter);

/// Carries traffic now: enabled, not set down by a person, with carrier.
bool is_usable(const AdapterSettings& settings, const AdapterFacts& adapter);

/// A lease that can be put on an interface. Leases come from the wire.
bool is_sound(const LeaseFacts& lease);

/// An address that can be a router or a resolver.
bool is_unicast_host(const IpAddress& address);

}  // namespace edge::netmodel
