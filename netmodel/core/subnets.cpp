#include "netmodel/core/subnets.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "netmodel/core/names.hpp"

namespace edge::netmodel {
namespace {

struct Occupied {
  IpPrefix prefix;
  std::string what;
};

/// Leases and foreign addresses: what we cannot move.
std::vector<Occupied> occupied_by_others(const RenderFacts& facts) {
  std::vector<Occupied> out;
  for (const AdapterFacts& adapter : facts.adapters) {
    const std::string port = fmt::format("port \"{}\"", adapter.name);
    if (adapter.lease) { out.push_back({adapter.lease->address, "the lease of " + port}); }
    for (const IpPrefix& seen : adapter.v6.seen) {
      out.push_back({seen.network(), "the IPv6 network of " + port});
    }
  }
  for (const TakenPrefix& taken : facts.taken) { out.push_back({taken.prefix, taken.what}); }
  for (const NeededAddress& item : facts.needed) {
    const auto bits = static_cast<std::uint8_t>(item.address.bits());
    out.push_back({IpPrefix{item.address, bits}, item.what});
  }
  return out;
}

const Occupied* find_overlap(const std::vector<Occupied>& occupied, const IpPrefix& prefix) {
  const auto found =
      std::ranges::find_if(occupied, [&](const Occupied& o) { return o.prefix.overlaps(prefix); });
  return found == occupied.end() ? nullptr : &*found;
}

bool is_automatic(const Network& network) {
  return network.kind == NetworkKind::nat && !network.subnet;
}

/// A site's own network that is wider, and has nothing here that this host needs, is no obstacle:
/// the longer prefix decides.
bool is_blocked(const std::vector<Occupied>& occupied, const IpPrefix& prefix) {
  return std::ranges::any_of(occupied, [&](const Occupied& o) {
    return prefix.contains(o.prefix.address) ||
           (o.prefix.length >= prefix.length && o.prefix.overlaps(prefix));
  });
}

/// One that overlaps nothing; else one inside of what is wider.
std::optional<IpPrefix> first_free(const std::vector<Occupied>& others,
                                   const std::vector<Occupied>& ours) {
  std::optional<IpPrefix> within;
  for (unsigned i = 0; i < automatic_subnet_count; ++i) {
    const IpPrefix candidate = automatic_subnet(i);
    if (find_overlap(ours, candidate) != nullptr) { continue; }
    if (find_overlap(others, candidate) == nullptr) { return candidate; }
    if (!within && !is_blocked(others, candidate)) { within = candidate; }
  }
  return within;
}

}  // namespace

bool in_use(const Model& model, const std::string& id, const IpPrefix& subnet,
            const std::map<std::string, std::vector<std::string>>& foreign) {
  const auto there = foreign.find(network_bridge_name(id));
  if (there != foreign.end() && !there->second.empty()) { return true; }
  const bool attached = std::ranges::any_of(
      model.interfaces, [&](const auto& entry) { return entry.second.network == id; });
  return attached || std::ranges::any_of(model.gateway, [&](const auto& entry) {
           return entry.second.address && subnet.contains(*entry.second.address);
         });
}

IpPrefix automatic_subnet(unsigned number) {
  EDGE_ASSERT(number < automatic_subnet_count);
  const auto last = static_cast<std::uint8_t>(200 + number % 32);
  switch (number / 32) {
    case 0: return {IpAddress::v4(10, last, 0, 0), 24};
    case 1: return {IpAddress::v4(172, 31, last, 0), 24};
    default: return {IpAddress::v4(192, 168, last, 0), 24};
  }
}

IpPrefix automatic_subnet6(std::string_view host_id, std::string_view network, unsigned attempt) {
  const std::uint64_t host = fnv1a64(fmt::format("ula\n{}", host_id));
  const std::uint64_t own = fnv1a64(fmt::format("{}\n{}\n{}", host_id, network, attempt));
  IpPrefix out{{Family::v6, {0xfd}}, 64};
  for (std::size_t i = 0; i < 5; ++i) {
    out.address.bytes[1 + i] = static_cast<std::uint8_t>((host ^ (host >> 24)) >> (8 * i));
  }
  for (std::size_t i = 0; i < 2; ++i) {
    out.address.bytes[6 + i] = static_cast<std::uint8_t>((own ^ (own >> 32)) >> (8 * i));
  }
  return out;
}

AutomaticSubnets choose_subnets(const Model& model, const RenderFacts& facts) {
  AutomaticSubnets out;
  const std::vector<Occupied> others = occupied_by_others(facts);
  std::vector<Occupied> ours;
  for (const auto& [id, network] : model.networks) {
    if (is_bridged(network.kind)) { continue; }
    for (const auto& subnet : {network.subnet, network.subnet6}) {
      if (!subnet) { continue; }
      ours.push_back({*subnet, fmt::format("network \"{}\"", id)});
      if (const Occupied* other = find_overlap(others, *subnet)) {
        out.notes.push_back(
            {"network.overlap",
             fmt::format("network \"{}\": subnet {} overlaps {} of {}", id, to_string(*subnet),
                         to_string(other->prefix), other->what)});
      }
    }
  }
  std::vector<std::pair<std::string, std::optional<IpPrefix>>> homeless;  // And what it had.
  for (const auto& [id, network] : model.networks) {
    if (!is_automatic(network)) { continue; }
    const auto had = facts.automatic_subnets.find(id);
    if (had == facts.automatic_subnets.end()) {
      homeless.emplace_back(id, std::nullopt);
      continue;
    }
    const Occupied* other = find_overlap(others, had->second);
    const bool blocked = other != nullptr || find_overlap(ours, had->second) != nullptr;
    if (blocked && !in_use(model, id, had->second, facts.foreign_ports)) {
      homeless.emplace_back(id, had->second);
      continue;
    }
    if (other != nullptr) {
      out.notes.push_back(
          {"network.overlap",
           fmt::format("network \"{}\": subnet {} overlaps {} of {}; it stays because it is in use",
                       id, to_string(had->second), to_string(other->prefix), other->what)});
    }
    out.chosen[id] = had->second;
    ours.push_back({had->second, id});
  }
  for (const auto& [id, had] : homeless) {
    const auto subnet = first_free(others, ours);
    if (!subnet) {
      out.notes.push_back(
          {"network.no_subnet",
           fmt::format("network \"{}\": each of 10.200..231.0.0/24, 172.31.200..231.0/24 and "
                       "192.168.200..231.0/24 is in use on this machine; give it a subnet",
                       id)});
      continue;
    }
    if (const Occupied* other = find_overlap(others, *subnet)) {
      out.notes.push_back(
          {"network.overlap",
           fmt::format("network \"{}\": subnet {} lies within {} of {}; give it one of its own", id,
                       to_string(*subnet), to_string(other->prefix), other->what)});
    }
    if (had && *had != *subnet) {
      out.notes.push_back({"network.renumbered",
                           fmt::format("network \"{}\": subnet {} is now {}: the old one is in use "
                                       "on this machine",
                                       id, to_string(*had), to_string(*subnet))});
    }
    out.chosen[id] = *subnet;
    ours.push_back({*subnet, id});
  }
  return out;
}

std::optional<IpPrefix> subnet_of(const Model& model, const std::string& network,
                                  const std::map<std::string, IpPrefix>& automatic_subnets) {
  const auto found = model.networks.find(network);
  if (found == model.networks.end()) { return std::nullopt; }
  return subnet_of(found->first, found->second, automatic_subnets);
}

std::optional<IpPrefix> subnet_of(const std::string& id, const Network& network,
                                  const std::map<std::string, IpPrefix>& automatic_subnets) {
  if (is_bridged(network.kind)) { return std::nullopt; }
  std::optional<IpPrefix> subnet = network.subnet;
  if (!subnet) {
    const auto automatic = automatic_subnets.find(id);
    if (automatic != automatic_subnets.end()) { subnet = automatic->second; }
  }
  const bool sound =
      subnet && subnet->address.family == Family::v4 && subnet->length >= 8 && subnet->length <= 30;
  return sound ? std::optional(subnet->network()) : std::nullopt;
}

std::optional<IpPrefix> subnet6_of(const Model& model, const std::string& network) {
  const auto found = model.networks.find(network);
  if (found == model.networks.end()) { return std::nullopt; }
  return subnet6_of(found->second);
}

std::optional<IpPrefix> subnet6_of(const Network& network) {
  if (is_bridged(network.kind)) { return std::nullopt; }
  const auto& subnet6 = network.subnet6;
  const bool sound = subnet6 && subnet6->address.family == Family::v6 && subnet6->length == 64;
  return sound ? std::optional(subnet6->network()) : std::nullopt;
}

std::optional<IpAddress> address6_of(const Model& model, const Interface& interface) {
  const auto subnet6 = subnet6_of(model, interface.network);
  if (!subnet6 || !interface.host_number) { return std::nullopt; }
  return host_address6(*subnet6, *interface.host_number);
}

std::optional<IpAddress> address_of(const Model& model, const Interface& interface,
                                    const std::map<std::string, IpPrefix>& automatic_subnets) {
  const auto subnet = subnet_of(model, interface.network, automatic_subnets);
  if (!subnet || !interface.host_number) { return std::nullopt; }
  return host_address(*subnet, *interface.host_number);
}

}  // namespace edge::netmodel
