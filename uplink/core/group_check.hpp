// Which members of a group hear which, in words: two switches that are not connected, a wrong
// native VLAN, a switch that does not speak LACP. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace edge::uplink {

/// `by` heard a frame of `from`; with a tag where the switch ports differ in their native VLAN.
struct Hearing {
  std::string from;
  std::string by;
  std::optional<std::uint16_t> vlan{};
};

/// One line per thing that would keep a member from standing in for another; empty: any of them may
/// become active. `members`: names, of those that were asked.
std::vector<std::string> split_lines(const std::string& group,
                                     const std::vector<std::string>& members,
                                     const std::vector<Hearing>& heard);

/// A member of an 802.3ad group that has carrier.
struct Aggregated {
  std::string member;
  bool partner = false;  ///< The switch speaks LACP there.
  bool carries = false;  ///< It is in the aggregate that carries the group.
};

/// One line per thing that keeps a member of an 802.3ad group from carrying; empty: all do.
std::vector<std::string> lacp_lines(const std::string& group,
                                    const std::vector<Aggregated>& members);

}  // namespace edge::uplink
