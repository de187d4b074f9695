// Which members of a group hear which, in words.
#include "uplink/core/group_check.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace edge::uplink {

namespace {

bool heard_untagged(const std::vector<Hearing>& heard, const std::string& from,
                    const std::string& by) {
  return std::ranges::any_of(
      heard, [&](const Hearing& h) { return h.from == from && h.by == by && !h.vlan; });
}

/// Members that all hear each other belong together; each is in the first such party.
std::vector<std::vector<std::string>> parties_of(const std::vector<std::string>& members,
                                                 const std::vector<Hearing>& heard) {
  std::vector<std::vector<std::string>> parties;
  for (const std::string& member : members) {
    const auto fits = std::ranges::find_if(parties, [&](const std::vector<std::string>& party) {
      return std::ranges::all_of(party, [&](const std::string& other) {
        return heard_untagged(heard, member, other) && heard_untagged(heard, other, member);
      });
    });
    if (fits == parties.end()) {
      parties.push_back({member});
    } else {
      fits->push_back(member);
    }
  }
  return parties;
}

}  // namespace

std::vector<std::string> split_lines(const std::string& group,
                                     const std::vector<std::string>& members,
                                     const std::vector<Hearing>& heard) {
  std::vector<std::string> out;
  for (const Hearing& hearing : heard) {
    if (!hearing.vlan) { continue; }
    out.push_back(fmt::format(
        "group \"{}\": frames of {} reach {} with VLAN tag {}: the native VLANs of their switch "
        "ports differ",
        group, hearing.from, hearing.by, *hearing.vlan));
  }
  const auto parties = parties_of(members, heard);
  if (parties.size() < 2) { return out; }
  std::string text;
  for (const auto& party : parties) {
    text += fmt::format("{}{}", text.empty() ? "" : " | ", fmt::join(party, ", "));
  }
  out.push_back(fmt::format(
      "group \"{}\": {} do not hear each other: connect their switches, or give their switch ports "
      "the same native VLAN; a failover between them would cut everybody off",
      group, text));
  return out;
}

}  // namespace edge::uplink
