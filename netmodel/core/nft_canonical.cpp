// One form of a state, so that equal means equal, and the checks that the kernel would answer with
// an errno.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "netmodel/core/nft_text.hpp"

namespace edge::netmodel {
namespace {

std::unexpected<Error> refuse(const std::string& what) { return fail(Errc::invalid_input, what); }

bool is_interface_name(std::string_view name) {
  const auto bad = [](char c) {
    return c == '/' || c == ':' || c == '"' || static_cast<unsigned char>(c) <= ' ';
  };
  return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
         std::ranges::none_of(name, bad);
}

template <class T>
void sort_unique(std::vector<T>& list) {
  std::ranges::sort(list);
  const auto rest = std::ranges::unique(list);
  list.erase(rest.begin(), rest.end());
}

Result<void> check_uplinks(std::vector<UplinkPort>& uplinks) {
  std::ranges::sort(uplinks);
  std::set<std::uint32_t> marks;
  for (std::size_t i = 0; i < uplinks.size(); ++i) {
    UplinkPort& uplink = uplinks[i];
    if (!is_interface_name(uplink.bridge)) {
      return refuse(
          fmt::format("uplink \"{}\": not an interface name of 1..15 characters", uplink.bridge));
    }
    if (i > 0 && uplinks[i - 1].bridge == uplink.bridge) {
      return refuse(fmt::format("uplink \"{}\" is given twice", uplink.bridge));
    }
    if (uplink.mark == 0 || !marks.insert(uplink.mark).second) {
      return refuse(fmt::format("uplink \"{}\": mark {} must be unique and not 0", uplink.bridge,
                                uplink.mark));
    }
    sort_unique(uplink.addresses);
  }
  return {};
}

Result<void> check_networks(std::string_view kind, std::vector<GuestNetwork>& networks) {
  for (GuestNetwork& network : networks) {
    if (!is_interface_name(network.bridge)) {
      return refuse(fmt::format("{} network \"{}\": not an interface name of 1..15 characters",
                                kind, network.bridge));
    }
    network.subnet = network.subnet.network();
  }
  sort_unique(networks);
  for (std::size_t i = 1; i < networks.size(); ++i) {
    const GuestNetwork &a = networks[i - 1], &b = networks[i];
    if (a.bridge == b.bridge && a.subnet.overlaps(b.subnet)) {
      return refuse(fmt::format("{} network \"{}\": {} overlaps {}", kind, a.bridge,
                                to_string(a.subnet), to_string(b.subnet)));
    }
  }
  return {};
}

Result<void> check_isolated(std::vector<std::string>& bridges) {
  for (const std::string& bridge : bridges) {
    if (!is_interface_name(bridge)) {
      return refuse(fmt::format(
          "isolated network \"{}\": not an interface name of 1..15 characters", bridge));
    }
  }
  sort_unique(bridges);
  return {};
}

Result<void> check_guest_ports(std::vector<GuestPort>& ports) {
  std::ranges::sort(ports);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    GuestPort& port = ports[i];
    const auto bad = std::ranges::find_if(port.addresses, [](const IpAddress& address) {
      return address.family != Family::v4 || address.is_unspecified();
    });
    if (!is_interface_name(port.tap)) {
      return refuse(
          fmt::format("guest port \"{}\": not an interface name of 1..15 characters", port.tap));
    }
    if (i > 0 && ports[i - 1].tap == port.tap) {
      return refuse(fmt::format("guest port \"{}\" is given twice", port.tap));
    }
    if (bad != port.addresses.end()) {
      return refuse(fmt::format("guest port \"{}\": {} is not an IPv4 address of a guest", port.tap,
                                to_string(*bad)));
    }
    sort_unique(port.addresses);
  }
  return {};
}

/// Prefixes are sorted by address and length, so whatever contains another comes before it.
void drop_contained(std::vector<IpPrefix>& sources) {
  for (IpPrefix& source : sources) { source = source.network(); }
  std::ranges::sort(sources);
  std::vector<IpPrefix> kept;
  for (const IpPrefix& source : sources) {
    if (kept.empty() || !kept.back().contains(source.address)) { kept.push_back(source); }
  }
  sources = std::move(kept);
}

Result<void> check_publication(Publication& publication, std::string_view& known_uplink,
                               const std::vector<UplinkPort>& uplinks) {
  if (publication.in_link != known_uplink) {  // Sorted by it: one search per uplink.
    const auto uplink = std::ranges::find(uplinks, publication.in_link, &UplinkPort::bridge);
    if (uplink == uplinks.end()) {
      return refuse(fmt::format("publication {}: \"{}\" is not an uplink", to_text(publication),
                                publication.in_link));
    }
    known_uplink = uplink->bridge;
  }
  if (publication.port == 0 || publication.target_port == 0) {
    return refuse(
        fmt::format("publication {}: port 0 is out of range 1..65535", to_text(publication)));
  }
  for (const IpPrefix& source : publication.sources) {
    if (source.address.family != publication.target.family) {
      return refuse(fmt::format("publication {}: source {} is of another family than the target",
                                to_text(publication), to_string(source)));
    }
  }
  if (!publication.sources.empty()) { drop_contained(publication.sources); }
  return {};
}

Result<void> check_publications(std::vector<Publication>& publications,
                                const std::vector<UplinkPort>& uplinks) {
  const auto key = [](const Publication& p) {
    return std::tie(p.in_link, p.transport, p.port, p.target.family);
  };
  const auto less = [&](const Publication& a, const Publication& b) { return key(a) < key(b); };
  if (!std::ranges::is_sorted(publications, less)) { std::ranges::sort(publications, less); }
  std::string_view known_uplink;
  for (std::size_t i = 0; i < publications.size(); ++i) {
    EDGE_TRY(check_publication(publications[i], known_uplink, uplinks));
    if (i > 0 && !less(publications[i - 1], publications[i])) {
      return refuse(
          fmt::format("publications {} and {}: one port of an uplink can be published once",
                      to_text(publications[i - 1]), to_text(publications[i])));
    }
  }
  return {};
}

auto key_of(const Publication& p) {
  return std::tie(p.in_link, p.transport, p.port, p.target.family);
}

/// What differs most often first.
bool same(const Publication& a, const Publication& b) {
  return a.port == b.port && a.target_port == b.target_port && a.transport == b.transport &&
         a.target == b.target && a.in_link == b.in_link && a.sources == b.sources;
}

bool same_surroundings(const NftState& a, const NftState& b) {
  return a.uplinks == b.uplinks && a.nat_networks == b.nat_networks &&
         a.routed_networks == b.routed_networks && a.isolated_bridges == b.isolated_bridges &&
         a.guest_ports == b.guest_ports &&
         a.drop_dhcp_unicast_renewals == b.drop_dhcp_unicast_renewals && a.foreign_edits.empty() &&
         b.foreign_edits.empty();
}

bool is_canonical(const std::vector<Publication>& list, const Stretch& stretch,
                  const std::vector<UplinkPort>& uplinks) {
  std::string_view known_uplink;
  for (std::size_t i = stretch.first; i < stretch.first + stretch.wanted; ++i) {
    Publication checked = list[i];
    if (!check_publication(checked, known_uplink, uplinks) || checked != list[i]) { return false; }
  }
  const std::size_t begin = stretch.first == 0 ? 1 : stretch.first;
  const std::size_t end = std::min(stretch.first + stretch.wanted + 1, list.size());
  for (std::size_t i = begin; i < end; ++i) {
    if (!(key_of(list[i - 1]) < key_of(list[i]))) { return false; }
  }
  return true;
}

}  // namespace

std::optional<Stretch> changed_publications(const NftState& known, const NftState& wanted) {
  if (!same_surroundings(known, wanted)) { return std::nullopt; }
  const auto& from = known.publications;
  const auto& to = wanted.publications;
  const std::size_t shorter = std::min(from.size(), to.size());
  Stretch out;
  while (out.first < shorter && same(from[out.first], to[out.first])) { ++out.first; }
  std::size_t tail = 0;
  while (tail < shorter - out.first &&
         same(from[from.size() - 1 - tail], to[to.size() - 1 - tail])) {
    ++tail;
  }
  out.known = from.size() - out.first - tail;
  out.wanted = to.size() - out.first - tail;
  if (!is_canonical(to, out, wanted.uplinks)) { return std::nullopt; }
  return out;
}

Result<NftState> canonical(NftState state) {
  EDGE_TRY(check_uplinks(state.uplinks));
  EDGE_TRY(check_networks("nat", state.nat_networks));
  EDGE_TRY(check_networks("routed", state.routed_networks));
  EDGE_TRY(check_isolated(state.isolated_bridges));
  EDGE_TRY(check_guest_ports(state.guest_ports));
  EDGE_TRY(check_publications(state.publications, state.uplinks));
  return state;
}

}  // namespace edge::netmodel
