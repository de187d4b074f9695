// What the daemon last knew for certain, beside its store: the model in force and the numbers that
// the kernel shows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.hpp"
#include "netmodel/core/model.hpp"

namespace edge::uplink {

/// Role: a value, kept as a JSON file in the runtime folder, which lives as long as the kernel's
/// state does, and in the state folder, which lives longer. Never ahead of the store: a store that
/// knows less than this has lost something. Time: none. Threads: none.
struct LastKnown {
  struct Adapter {
    MacAddress base_mac{};
    std::uint32_t number = 0;  ///< Routing table 20000 + number.
    std::string name;
    bool operator==(const Adapter&) const = default;
  };
  std::string host_id;
  std::int64_t revision = 0;
  netmodel::Model model;
  std::vector<Adapter> adapters;
  std::map<std::string, IpPrefix> automatic_subnets;
  bool operator==(const LastKnown&) const = default;
};

std::string to_json_text(const LastKnown& known);
/// Errors: corrupt, with what is wrong.
Result<LastKnown> last_known_from_json(std::string_view text);

}  // namespace edge::uplink
