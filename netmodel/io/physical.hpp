// Which links are the host's adapters, and how each is known for good.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// `[adapters]` of uplink.toml; shell globs on link names (fnmatch(3)).
struct AdapterGlobs {
  std::vector<std::string> match{"*"};
  std::vector<std::string> ignore;  ///< Wins over match.
};

/// True for an Ethernet link that is not ours, not ignored, and
/// - matched by a glob and backed by a bus device (IFLA_PARENT_DEV_NAME), or
/// - matched by a glob other than "*": the explicit override for labs, where veths stand for NICs.
/// Bridges, taps, bonds, VLANs and loopback never are.
bool is_adapter(const ObservedLink& link, const AdapterGlobs& globs);

/// The adapters among the observed links, in order of name.
std::vector<const ObservedLink*> adapters(const ObservedState& state, const AdapterGlobs& globs);

/// The base MAC: the permanent address (IFLA_PERM_ADDRESS, the same that `ethtool -P` shows), else
/// the present one: the caller stores it at first sight.
std::optional<MacAddress> base_mac(const ObservedLink& link);

/// Link speed by ETHTOOL_GLINKSETTINGS of this thread's namespace; nullopt: unknown or no carrier.
std::optional<std::uint32_t> read_speed_mbps(const std::string& link);

}  // namespace edge::netmodel
