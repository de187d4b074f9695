#include "netmodel/core/allocate.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {
namespace {

/// All automatic subnets have this size.
constexpr IpPrefix any_automatic{{Family::v4, {10, 200, 0, 0}}, 24};

/// Whether `guest`, which did not ask for it, can have the host number in its network of `model`.
bool is_free_for(const Interface& guest, std::uint32_t number, const Model& model,
                 const ModelFacts& facts) {
  const auto network = model.networks.find(guest.network);
  if (network == model.networks.end() || is_bridged(network->second.kind)) { return false; }
  const IpPrefix subnet =
      subnet_of(model, guest.network, facts.automatic_subnets).value_or(any_automatic);
  const auto address = host_address(subnet, number);
  if (!address || *address == gateway_of(subnet)) { return false; }
  return std::ranges::none_of(network->second.dhcp.reservations, [&](const DhcpReservation& r) {
    return r.address == *address && r.mac != guest.mac;
  });
}

}  // namespace

void renumber_guests(Model& model, const std::string& network, const ModelFacts& facts) {
  const auto subnet = subnet_of(model, network, facts.automatic_subnets);
  if (!subnet) { return; }
  for (auto& [id, interface] : model.interfaces) {
    if (interface.network != network || !interface.host_number) { continue; }
    const auto address = host_address(*subnet, *interface.host_number);
    if (!address || *address == gateway_of(*subnet)) { interface.host_number.reset(); }
  }
}

void keep_open_fields(Model& model, const Model& old, const std::vector<InterfaceFields>& fields,
                      const ModelFacts& facts) {
  std::set<MacAddress> macs;
  std::set<std::pair<std::string, std::uint32_t>> numbers;
  for (const auto& [id, interface] : model.interfaces) {
    macs.insert(interface.mac);
    if (interface.host_number) { numbers.insert({interface.network, *interface.host_number}); }
  }
  for (const InterfaceFields& given : fields) {
    const auto was = old.interfaces.find(given.interface);
    const auto now = model.interfaces.find(given.interface);
    if (was == old.interfaces.end() || now == model.interfaces.end()) { continue; }
    if (!given.mac && macs.insert(was->second.mac).second) { now->second.mac = was->second.mac; }
    const bool same_network = now->second.network == was->second.network;
    if (now->second.host_number || !was->second.host_number || !same_network) { continue; }
    const std::uint32_t number = *was->second.host_number;
    if (!is_free_for(now->second, number, model, facts)) { continue; }
    if (numbers.insert({now->second.network, number}).second) { now->second.host_number = number; }
  }
}

void generate_macs(Model& model, const ModelFacts& facts) {
  const bool wanted = std::ranges::any_of(
      model.interfaces, [](const auto& entry) { return entry.second.mac.is_zero(); });
  if (!wanted) { return; }
  std::set<MacAddress> used;
  for (const auto& [id, interface] : model.interfaces) { used.insert(interface.mac); }
  for (const auto& [id, network] : model.networks) {
    for (const DhcpReservation& r : network.dhcp.reservations) { used.insert(r.mac); }
    used.insert(generated_mac(facts.host_id, "network", id));
  }
  for (const KnownAdapter& adapter : facts.adapters) { used.insert(adapter.base_mac); }
  for (auto& [id, interface] : model.interfaces) {
    // All zero came from "not given" only when this command created it; a given zero MAC is
    // reported.
    for (unsigned attempt = 0; interface.mac.is_zero(); ++attempt) {
      const MacAddress mac = generated_mac(facts.host_id, "interface", id, attempt);
      if (used.insert(mac).second) { interface.mac = mac; }
    }
  }
}

void allocate_addresses(Model& model, const ModelFacts& facts, Findings& findings) {
  std::map<std::string, std::set<std::uint32_t>> used;
  for (const auto& [id, interface] : model.interfaces) {
    if (interface.host_number) { used[interface.network].insert(*interface.host_number); }
  }
  for (auto& [id, interface] : model.interfaces) {
    const auto network = model.networks.find(interface.network);
    if (interface.host_number || network == model.networks.end() ||
        is_bridged(network->second.kind)) {
      continue;
    }
    const IpPrefix subnet = subnet_of(model, interface.network, facts.automatic_subnets)
                                .value_or(any_automatic)
                                .network();
    const bool sound =
        subnet.address.family == Family::v4 && subnet.length >= 8 && subnet.length <= 30;
    const auto range = sound ? dhcp_range_of(network->second, subnet) : std::nullopt;
    if (!range || range->from > range->to) { continue; }
    const std::uint32_t base = subnet.address.v4_u32();
    std::set<std::uint32_t>& taken = used[interface.network];
    std::optional<std::uint32_t> reserved;
    for (const DhcpReservation& r : network->second.dhcp.reservations) {
      if (r.mac == interface.mac) { reserved = r.address.v4_u32() - base; }
      taken.insert(r.address.v4_u32() - base);
    }
    if (reserved) {
      interface.host_number = reserved;
      continue;
    }
    // Starting at a hash of the id, an interface that is attached again most often finds its old
    // address.
    const std::uint32_t first = range->from.v4_u32() - base;
    const std::uint32_t count = range->to.v4_u32() - range->from.v4_u32() + 1;
    const auto start = static_cast<std::uint32_t>(fnv1a64(id) % count);
    for (std::uint32_t i = 0; i < count && !interface.host_number; ++i) {
      const std::uint32_t number = first + (start + i) % count;
      if (taken.insert(number).second) { interface.host_number = number; }
    }
    if (!interface.host_number) {
      findings.add(Subject::interface, id, "network",
                   fmt::format("network \"{}\" has no free address left in {}..{}",
                               interface.network, to_string(range->from), to_string(range->to)));
    }
  }
}

}  // namespace edge::netmodel
