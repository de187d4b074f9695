// Our nftables table in nft syntax: what a person would load, and what `nft list table inet uplink`
// shows.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "netmodel/core/nft_state.hpp"

namespace edge::netmodel {

/// Brings a state into the one form that commit and dump use: uplinks, networks and publications
/// sorted, sources in network form, sorted, and without those that lie inside another one of the
/// same publication. Errors: invalid_input, naming the entry: two publications of one (in_link,
/// transport, port), an in_link that is no uplink, a mark of 0 or used twice, a bridge name that is
/// no interface name, port 0, sources of another family than the target, a subnet used twice on a
/// bridge.
Result<NftState> canonical(NftState state);

/// Where two lists of publications differ: `first`, and how many entries there are between it and
/// the common end.
struct Stretch {
  std::size_t first = 0;
  std::size_t known = 0;
  std::size_t wanted = 0;
  bool operator==(const Stretch&) const = default;
};
/// For the common case that some publications changed among many: no copy, no sorting, and only the
/// changed ones are checked. nullopt: something else differs too, or `wanted` is not canonical.
/// Pre: `known` is canonical.
std::optional<Stretch> changed_publications(const NftState& known, const NftState& wanted);

/// The whole table, loadable with `nft -f` and deterministic. Pre: `state` is canonical.
std::string to_text(const NftState& state);

/// One publication as a person says it: "br0: tcp 8080 -> 10.200.0.5:80 from 192.0.2.0/24".
std::string to_text(const Publication& publication);

/// What lies between two states as nft command lines ("add element inet uplink publish { ... }");
/// one line "rebuild table inet uplink" where rules differ. Pre: both canonical.
std::vector<std::string> difference_text(const NftState& from, const NftState& to);

}  // namespace edge::netmodel
