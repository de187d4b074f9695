// What the daemon finds on a machine that others have configured, before it changes anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "netmodel/core/state.hpp"

namespace edge::uplink {

/// What only the machine itself can tell beside a dump.
struct Surroundings {
  std::vector<std::string> nft_tables;  ///< Of others: "inet firewalld".
  std::vector<std::string> managers;    ///< Programs that configure networks: "NetworkManager".
};

inline constexpr std::string_view takeover_adapter = "takeover.adapter";

struct Finding {
  std::string kind;  ///< "takeover.adapter", "takeover.conflict", "takeover.foreign".
  boost::json::object data;
};

/// One finding per adapter that is about to be taken for the first time, or cannot be; one about
/// what else is there. Adapters that are ours already say nothing: none is new, nothing is said.
std::vector<Finding> takeover_findings(const netmodel::ObservedState& observed,
                                       const std::vector<const netmodel::ObservedLink*>& adapters,
                                       const Surroundings& surroundings);

}  // namespace edge::uplink
