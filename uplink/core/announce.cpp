// Who has to be announced when a bond carries on another member, and why it does.
#include "uplink/core/announce.hpp"

#include <algorithm>

namespace edge::uplink {

namespace {

constexpr std::uint16_t native_vlan = 1;

void sort_unique(std::vector<GuestMac>& guests) {
  std::ranges::sort(guests);
  guests.erase(std::ranges::unique(guests).begin(), guests.end());
}

/// 0: untagged.
std::uint16_t vlan_of(const netmodel::Model& model, const std::string& network) {
  const auto found = model.networks.find(network);
  return found == model.networks.end() ? std::uint16_t{0} : found->second.vlan_id.value_or(0);
}

}  // namespace

std::vector<GuestMac> guests_of(const netmodel::Model& model, const MacAddress& leader) {
  std::vector<GuestMac> out;
  GuestMac own{.mac = leader};
  for (const auto& [id, group] : model.groups) {
    if (group.adapters.front() == leader) { own.vlan = group.management_vlan.value_or(0); }
  }
  out.push_back(own);
  for (const auto& [id, interface] : model.interfaces) {
    if (netmodel::bridged_network_leader(model, interface.network) != leader) { continue; }
    out.push_back({interface.mac, vlan_of(model, interface.network)});
  }
  sort_unique(out);
  return out;
}

std::map<MacAddress, Seat> seats_of(const netmodel::Model& model) {
  std::map<MacAddress, Seat> out;
  for (const auto& [id, interface] : model.interfaces) {
    const auto leader = netmodel::bridged_network_leader(model, interface.network);
    if (leader) { out[interface.mac] = {*leader, vlan_of(model, interface.network)}; }
  }
  return out;
}

std::vector<GuestMac> with_learned(std::vector<GuestMac> known, std::span<const GuestMac> learned) {
  std::vector<GuestMac> more(learned.begin(), learned.end());
  for (GuestMac& guest : more) {
    if (guest.vlan == native_vlan) { guest.vlan = 0; }
  }
  sort_unique(more);
  sort_unique(known);
  for (const GuestMac& guest : more) {
    if (known.size() >= announced_guests_max) { break; }
    const auto last = known.begin() + static_cast<std::ptrdiff_t>(known.size());
    if (std::find(known.begin(), last, guest) == last) { known.push_back(guest); }
  }
  known.resize(std::min(known.size(), announced_guests_max));
  return known;
}

std::string_view to_string(FailoverCause cause) {
  switch (cause) {
    case FailoverCause::carrier_lost: return "carrier lost";
    case FailoverCause::adapter_gone: return "adapter gone";
    case FailoverCause::set_down: return "set down by a person";
    case FailoverCause::planned: return "planned";
    case FailoverCause::first: return "the first member that carries";
  }
  return "planned";
}

}  // namespace edge::uplink
