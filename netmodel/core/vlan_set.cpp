// Sets of VLAN ids with flags, as a port of a bridge has them: joined, added to, compared.
#include "netmodel/core/vlan_set.hpp"

#include <algorithm>
#include <array>

namespace edge::netmodel {
namespace {

/// One byte per id; 0: the id is not there.
constexpr std::uint8_t present = 1, is_pvid = 2, is_untagged = 4;
using Ids = std::array<std::uint8_t, vlan_id_last + 1>;

template <class Fn>
void for_each_id(std::span<const BridgeVlan> vlans, Fn&& fn) {
  for (const BridgeVlan& vlan : vlans) {
    const std::size_t last = std::min(vlan.last, vlan_id_last);
    for (std::size_t id = std::max<std::size_t>(vlan.first, 1); id <= last; ++id) { fn(id, vlan); }
  }
}

void add_to(Ids& ids, std::span<const BridgeVlan> vlans) {
  for_each_id(vlans, [&](std::size_t id, const BridgeVlan& vlan) {
    if (vlan.pvid) {
      for (std::uint8_t& other : ids) { other &= static_cast<std::uint8_t>(~is_pvid); }
    }
    ids[id] = static_cast<std::uint8_t>(present | (vlan.pvid ? is_pvid : 0) |
                                        (vlan.untagged ? is_untagged : 0));
  });
}

Ids expand(std::span<const BridgeVlan> vlans) {
  Ids ids{};
  add_to(ids, vlans);
  return ids;
}

std::vector<BridgeVlan> compress(const Ids& ids) {
  std::vector<BridgeVlan> out;
  std::uint8_t before = 0;
  for (std::size_t id = 1; id < ids.size(); ++id) {
    const std::uint8_t now = ids[id];
    const auto number = static_cast<std::uint16_t>(id);
    if (now != 0 && now == before) {
      out.back().last = number;
    } else if (now != 0) {
      out.push_back({.first = number,
                     .last = number,
                     .pvid = (now & is_pvid) != 0,
                     .untagged = (now & is_untagged) != 0});
    }
    before = now;
  }
  return out;
}

bool same_flags(const BridgeVlan& a, const BridgeVlan& b) {
  return a.pvid == b.pvid && a.untagged == b.untagged;
}

/// As compress() leaves them.
bool canonical(std::span<const BridgeVlan> vlans) {
  const BridgeVlan* before = nullptr;
  bool pvid = false;
  for (const BridgeVlan& vlan : vlans) {
    if (vlan.first < 1 || vlan.first > vlan.last || vlan.last > vlan_id_last) { return false; }
    if (vlan.pvid && (pvid || vlan.first != vlan.last)) { return false; }
    if (before != nullptr && before->last >= vlan.first) { return false; }
    if (before != nullptr && before->last + 1 == vlan.first && same_flags(*before, vlan)) {
      return false;
    }
    pvid = pvid || vlan.pvid;
    before = &vlan;
  }
  return true;
}

}  // namespace

/// The kernel's own answer is canonical already: 0.9 us instead of 8 us for each port of each look.
std::vector<BridgeVlan> joined(std::vector<BridgeVlan> vlans) {
  if (canonical(vlans)) { return vlans; }
  return compress(expand(vlans));
}

std::vector<BridgeVlan> with_vlans(std::span<const BridgeVlan> have,
                                   std::span<const BridgeVlan> add) {
  Ids ids = expand(have);
  add_to(ids, add);
  return compress(ids);
}

std::vector<BridgeVlan> without_vlans(std::span<const BridgeVlan> have,
                                      std::span<const BridgeVlan> remove) {
  Ids ids = expand(have);
  for_each_id(remove, [&](std::size_t id, const BridgeVlan&) { ids[id] = 0; });
  return compress(ids);
}

std::optional<SetVlans> vlan_difference(std::span<const BridgeVlan> have,
                                        std::span<const BridgeVlan> want) {
  if (std::ranges::equal(have, want)) { return std::nullopt; }
  const Ids from = expand(have), to = expand(want);
  Ids add{}, remove{};
  for (std::size_t id = 1; id < from.size(); ++id) {
    if (to[id] == 0) {
      remove[id] = from[id] != 0 ? present : 0;
    } else if (to[id] != from[id]) {
      add[id] = to[id];
    }
  }
  SetVlans change{.add = compress(add), .remove = compress(remove)};
  if (change.add.empty() && change.remove.empty()) { return std::nullopt; }
  return change;
}

}  // namespace edge::netmodel
