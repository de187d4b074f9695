// Rules of networks: kinds, subnets and their neighbours, DHCP ranges and reservations.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

/// Findings about one network.
class NetworkCheck {
 public:
  NetworkCheck(const std::string& id, const Network& network, Findings& findings)
      : id_(id), network_(network), findings_(findings) {}

  void fields();
  bool subnet();
  void subnet6();
  void dhcp(const std::optional<IpPrefix>& subnet);
  void dns();
  void add(std::string_view field, std::string_view text) {
    findings_.add(Subject::network, id_, field, text);
  }

 private:
  void range(const IpPrefix& subnet);
  void reservations(const IpPrefix& subnet);

  const std::string& id_;
  const Network& network_;
  Findings& findings_;
};

void NetworkCheck::fields() {
  const bool isolated = network_.kind == NetworkKind::isolated;
  const auto foreign = [&](std::string_view field) {
    add(field,
        fmt::format("field \"{}\" does not belong to kind {}; allowed: subnet, subnet6, dhcp{}",
                    field, to_string(network_.kind), isolated ? "" : ", dns"));
  };
  if (implicit_network_adapter(id_)) {
    add("network",
        "ids of \"br\" and twelve hex digits are kept for the untagged networks of adapters");
  }
  if (!network_.group.empty()) { foreign("group"); }
  if (network_.adapter) { foreign("adapter"); }
  if (network_.vlan_id) { foreign("vlan_id"); }
  if (isolated && !network_.dns.empty()) { foreign("dns"); }
  if (!network_.subnet && network_.kind != NetworkKind::nat) {
    add("subnet", fmt::format("a network of kind {} needs \"subnet\", e.g. 10.5.0.0/24",
                              to_string(network_.kind)));
  }
}

bool NetworkCheck::subnet() {
  if (!network_.subnet) { return true; }
  const IpPrefix& subnet = *network_.subnet;
  const std::string text = to_string(subnet);
  if (subnet.address.family != Family::v4 || subnet.length < 8 || subnet.length > 30) {
    add("subnet",
        fmt::format("subnet {} is not allowed; allowed: IPv4 with a length of 8..30", text));
    return false;
  }
  if (subnet != subnet.network()) {
    add("subnet", fmt::format("subnet {} has host bits set; did you mean {}?", text,
                              to_string(subnet.network())));
    return false;
  }
  const IpAddress& address = subnet.address;
  const bool reserved = address.bytes[0] == 0 || address.bytes[0] >= 224;
  if (reserved || address.is_loopback() || address.is_link_local()) {
    add("subnet",
        fmt::format("subnet {} is reserved; allowed: unicast addresses, e.g. 10.5.0.0/24", text));
    return false;
  }
  return true;
}

void NetworkCheck::subnet6() {
  if (!network_.subnet6) { return; }
  const IpPrefix& subnet = *network_.subnet6;
  const std::string text = to_string(subnet);
  if (subnet.address.family != Family::v6 || subnet.length != 64) {
    add("subnet6",
        fmt::format("subnet6 {} is not allowed; allowed: IPv6 with a length of 64", text));
    return;
  }
  if (subnet != subnet.network()) {
    add("subnet6", fmt::format("subnet6 {} has host bits set; did you mean {}?", text,
                               to_string(subnet.network())));
    return;
  }
  const std::uint8_t first = subnet.address.bytes[0];
  const bool global = (first & 0xe0U) == 0x20;  // 2000::/3, RFC 4291.
  const bool local = (first & 0xfeU) == 0xfc;   // fc00::/7, RFC 4193.
  if (!global && !local) {
    add("subnet6",
        fmt::format("subnet6 {} is reserved; allowed: prefixes of 2000::/3 and fd00::/8", text));
  }
}

void NetworkCheck::range(const IpPrefix& subnet) {
  if (!network_.dhcp.from || !network_.dhcp.to) { return; }
  const IpAddress from = *network_.dhcp.from;
  const IpAddress to = *network_.dhcp.to;
  const std::string usable =
      fmt::format("{}..{}", to_string(gateway_of(subnet)),
                  to_string(IpAddress::v4_from_u32(subnet.broadcast().v4_u32() - 1)));
  bool inside = true;
  for (const auto& [field, value] : {std::pair{"from", from}, std::pair{"to", to}}) {
    const bool usable_host = value.family == Family::v4 && subnet.contains(value) &&
                             value != subnet.address && value != subnet.broadcast();
    if (usable_host) { continue; }
    inside = false;
    add(fmt::format("dhcp.{}", field),
        fmt::format("dhcp.{} {} is outside the subnet's addresses {}", field, to_string(value),
                    usable));
  }
  if (!inside) { return; }
  if (from > to) {
    add("dhcp.from", fmt::format("DHCP range {}..{} is reversed", to_string(from), to_string(to)));
  } else if (from <= gateway_of(subnet)) {
    add("dhcp.from", fmt::format("DHCP range {}..{} contains the gateway {}", to_string(from),
                                 to_string(to), to_string(gateway_of(subnet))));
  }
}

void NetworkCheck::reservations(const IpPrefix& subnet) {
  std::set<MacAddress> macs;
  std::set<IpAddress> addresses;
  for (const DhcpReservation& r : network_.dhcp.reservations) {
    const std::string who = fmt::format("reservation of {}", to_string(r.mac));
    constexpr std::string_view field = "dhcp.reservations";
    if (r.mac.is_multicast() || r.mac.is_zero()) {
      add(field, fmt::format("{}: not a unicast MAC address", who));
    } else if (!macs.insert(r.mac).second) {
      add(field, fmt::format("{}: the MAC address is named twice", who));
    }
    if (r.address.family != Family::v4 || !subnet.contains(r.address) ||
        r.address == subnet.address || r.address == subnet.broadcast()) {
      add(field, fmt::format("{}: {} is not a host address of {}", who, to_string(r.address),
                             to_string(subnet)));
    } else if (r.address == gateway_of(subnet)) {
      add(field, fmt::format("{}: {} is the gateway", who, to_string(r.address)));
    } else if (!addresses.insert(r.address).second) {
      add(field, fmt::format("{}: {} is reserved twice", who, to_string(r.address)));
    }
  }
}

void NetworkCheck::dhcp(const std::optional<IpPrefix>& subnet) {
  const bool fixed = network_.dhcp.from || network_.dhcp.to || !network_.dhcp.reservations.empty();
  if (!network_.subnet && fixed) {
    add("dhcp", "a DHCP range or reservation needs \"subnet\": without one the subnet may change");
    return;
  }
  if (!subnet) { return; }
  range(*subnet);
  reservations(*subnet);
}

void NetworkCheck::dns() {
  for (const IpAddress& address : network_.dns) {
    if (address.is_unspecified() || address.is_multicast()) {
      add("dns", fmt::format("dns {} is not the address of a resolver", to_string(address)));
    }
  }
}

/// Prefixes nest or are apart: sorted by address, the widest one that still reaches is the only
/// rival.
void check_neighbours(const Model& model, const ModelFacts& facts, Findings& findings) {
  std::vector<std::pair<IpPrefix, std::string>> subnets;  // IPv4 sorts before IPv6.
  for (const auto& [id, network] : model.networks) {
    const auto subnet = subnet_of(id, network, facts.automatic_subnets);
    if (subnet) { subnets.emplace_back(*subnet, id); }
    const auto subnet6 = subnet6_of(network);
    if (subnet6) { subnets.emplace_back(*subnet6, id); }
  }
  std::ranges::sort(subnets);
  const std::pair<IpPrefix, std::string>* widest = nullptr;
  for (const auto& entry : subnets) {
    if (widest == nullptr || !widest->first.overlaps(entry.first)) {
      widest = &entry;
      continue;
    }
    // An automatic subnet moves by itself; the one that was written down is the one to blame.
    const bool v6 = entry.first.address.family == Family::v6;
    const auto listed = [&](const std::string& id) {
      return (v6 || model.networks.at(id).subnet.has_value()) &&
             findings.concerns(Subject::network, id);
    };
    const bool blame_entry = listed(entry.second);
    const auto& blamed = blame_entry ? entry : *widest;
    const auto& other = blame_entry ? *widest : entry;
    if (!listed(blamed.second)) { continue; }
    const std::string_view field = v6 ? "subnet6" : "subnet";
    findings.add(Subject::network, blamed.second, field,
                 fmt::format("{} {} overlaps {} of network \"{}\"", field, to_string(blamed.first),
                             to_string(other.first), other.second));
  }
}

/// Leases and foreign addresses. The management address stands as a lease; check_host() speaks of
/// it.
void check_taken(const Model& model, const ModelFacts& facts, Findings& findings) {
  const auto& management = model.host.management;
  for (const auto& [id, network] : model.networks) {
    if (is_bridged(network.kind) || !findings.concerns(Subject::network, id)) { continue; }
    for (const auto& [field, subnet] :
         {std::pair{"subnet", network.subnet}, std::pair{"subnet6", network.subnet6}}) {
      if (!subnet) { continue; }
      for (const TakenPrefix& taken : facts.taken) {
        if (!subnet->overlaps(taken.prefix)) { continue; }
        if (management && taken.prefix == management->address.network()) { continue; }
        findings.add(Subject::network, id, field,
                     fmt::format("{} {} overlaps {} of {}", field, to_string(*subnet),
                                 to_string(taken.prefix), taken.what));
      }
    }
  }
}

}  // namespace

void check_networks(const Model& model, const ModelFacts& facts, Findings& findings) {
  std::map<std::string, std::string> names;
  std::size_t bridges = 0;
  for (const auto& [id, network] : model.networks) {
    if (is_bridged(network.kind)) { continue; }
    ++bridges;
    NetworkCheck check(id, network, findings);
    check.fields();
    const bool usable = check.subnet();
    check.subnet6();
    check.dhcp(usable ? network.subnet : std::nullopt);
    check.dns();
    const auto [taken, fresh] = names.emplace(network_bridge_name(id), id);
    if (!fresh) {
      check.add(
          "network",
          fmt::format("its bridge would be named {} like that of network \"{}\"; choose another id",
                      taken->first, taken->second));
    }
  }
  if (bridges > networks_max) {
    findings.add_to(std::nullopt, "networks",
                    fmt::format("networks with a bridge of their own: {}; allowed: at most {}",
                                bridges, networks_max));
  }
  check_bridged_networks(model, facts, findings);
  check_neighbours(model, facts, findings);
  check_taken(model, facts, findings);
}

}  // namespace edge::netmodel
