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

std::vector<std::string> lacp_lines(const std::string& group,
                                    const std::vector<Aggregated>& members) {
  std::vector<std::string> mute;
  std::vector<std::string> apart;
  for (const Aggregated& one : members) {
    if (!one.partner) {
      mute.push_back(one.member);
    } else if (!one.carries) {
      apart.push_back(one.member);
    }
  }
  std::vector<std::string> lines;
  if (!mute.empty() && mute.size() == members.size()) {
    lines.push_back(
        fmt::format("group \"{}\": the switch speaks no LACP on {}: one member carries at a time; "
                    "make them one "
                    "802.3ad aggregate at the switch, or set the group's mode to active-backup",
                    group, fmt::join(mute, ", ")));
  } else if (!mute.empty()) {
    lines.push_back(fmt::format(
        "group \"{}\": the switch speaks no LACP on {}: nothing is carried there; put its switch "
        "port into the aggregate of the others",
        group, fmt::join(mute, ", ")));
  }
  if (!apart.empty()) {
    lines.push_back(fmt::format(
        "group \"{}\": {} ended in another aggregate than the one that carries: nothing is carried "
        "there; all members belong to one aggregate of one switch (or of one stack)",
        group, fmt::join(apart, ", ")));
  }
  return lines;
}

}  // namespace edge::uplink
