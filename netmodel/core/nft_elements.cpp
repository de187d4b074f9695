// Between the model's words and the elements of our sets: encode, decode, difference.
#include <algorithm>
#include <bit>
#include <iterator>
#include <map>
#include <utility>

#include "base/assert.hpp"
#include "netmodel/core/nft_table.hpp"

namespace edge::netmodel::nft {
namespace {

constexpr std::uint8_t proto_tcp = 6, proto_udp = 17;
constexpr std::size_t ifname_bytes = 16;

// ---- encode ----

void append_ifname(std::string& out, std::string_view name) {
  EDGE_ASSERT(name.size() < ifname_bytes);
  out.append(name);
  out.append(ifname_bytes - name.size(), '\0');
}
void append_mark(std::string& out, std::uint32_t mark, std::endian order) {
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned shift = order == std::endian::little ? 8 * i : 24 - 8 * i;
    out += static_cast<char>(mark >> shift);
  }
}
void append_protocol(std::string& out, Transport transport) {
  out += static_cast<char>(transport == Transport::tcp ? proto_tcp : proto_udp);
  out.append(3, '\0');
}
void append_port(std::string& out, std::uint16_t port) {
  out += static_cast<char>(port >> 8);
  out += static_cast<char>(port & 0xff);
  out.append(2, '\0');
}
void append_address(std::string& out, const IpAddress& address) {
  for (std::size_t i = 0; i < address.size_bytes(); ++i) {
    out += static_cast<char>(address.bytes[i]);
  }
}

std::string ifname_key(std::string_view name) {
  std::string key;
  append_ifname(key, name);
  return key;
}
std::string mark_bytes(std::uint32_t mark) {
  std::string bytes;
  append_mark(bytes, mark, std::endian::native);
  return bytes;
}
std::string address_key(const IpAddress& address) {
  std::string key;
  append_address(key, address);
  return key;
}

IpAddress last_address(const IpPrefix& prefix) {
  IpAddress last = prefix.network().address;
  for (unsigned bit = prefix.length; bit < last.bits(); ++bit) {
    last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
  }
  return last;
}

std::vector<Element>& in(Elements& elements, SetId id) {
  return elements[static_cast<std::size_t>(id)];
}
const std::vector<Element>& in(const Elements& elements, SetId id) {
  return elements[static_cast<std::size_t>(id)];
}
SetId of(Family family, SetId v4, SetId v6) { return family == Family::v4 ? v4 : v6; }

void encode_uplinks(const std::vector<UplinkPort>& uplinks, Elements& out) {
  std::map<IpAddress, const UplinkPort*> owners;
  for (const UplinkPort& uplink : uplinks) {
    const std::string mark = mark_bytes(uplink.mark);
    in(out, SetId::uplinks).push_back({ifname_key(uplink.bridge), {}, mark});
    in(out, SetId::uplink_bridges).push_back({ifname_key(uplink.bridge), {}, {}});
    in(out, SetId::within_bridge)
        .push_back({ifname_key(uplink.bridge) + ifname_key(uplink.bridge), {}, {}});
    in(out, SetId::uplink_marks).push_back({mark, {}, {}});
    for (const IpAddress& address : uplink.addresses) {
      if (owners.emplace(address, &uplink).second) {
        in(out, of(address.family, SetId::own_addresses, SetId::own_addresses6))
            .push_back({address_key(address), {}, mark});
      } else {
        in(out, of(address.family, SetId::address_twins, SetId::address_twins6))
            .push_back({ifname_key(uplink.bridge) + address_key(address), {}, {}});
      }
    }
  }
}

/// The sets of one kind of networks.
struct NetworkSets {
  SetId bridges, sources, sources6;
};
constexpr NetworkSets nat_sets{SetId::nat_bridges, SetId::nat_sources, SetId::nat_sources6};
constexpr NetworkSets routed_sets{SetId::routed_bridges, SetId::routed_sources,
                                  SetId::routed_sources6};

void encode_networks(const std::vector<GuestNetwork>& networks, const NetworkSets& sets,
                     Elements& out) {
  std::string_view previous;
  for (const GuestNetwork& network : networks) {
    const std::string bridge = ifname_key(network.bridge);
    if (network.bridge != previous) {
      in(out, SetId::guest_bridges).push_back({bridge, {}, {}});
      in(out, sets.bridges).push_back({bridge, {}, {}});
      in(out, SetId::within_bridge).push_back({bridge + bridge, {}, {}});
    }
    previous = network.bridge;
    in(out, of(network.subnet.address.family, sets.sources, sets.sources6))
        .push_back({bridge + address_key(network.subnet.network().address),
                    bridge + address_key(last_address(network.subnet)),
                    {}});
  }
}

void encode_isolated(const std::vector<std::string>& bridges, Elements& out) {
  for (const std::string& name : bridges) {
    const std::string bridge = ifname_key(name);
    in(out, SetId::isolated_bridges).push_back({bridge, {}, {}});
    in(out, SetId::within_bridge).push_back({bridge + bridge, {}, {}});
  }
}

std::string mac_key(const MacAddress& mac) {
  std::string key;
  for (const std::uint8_t byte : mac.bytes) { key += static_cast<char>(byte); }
  key.append(2, '\0');
  return key;
}

void encode_guest_ports(const std::vector<GuestPort>& ports, Elements& out) {
  for (const GuestPort& port : ports) {
    const std::string tap = ifname_key(port.tap);
    in(out, SetId::filtered_ports).push_back({tap, {}, {}});
    in(out, SetId::port_macs).push_back({tap + mac_key(port.mac), {}, {}});
    if (port.addresses.empty()) { continue; }
    in(out, SetId::addressed_ports).push_back({tap, {}, {}});
    in(out, SetId::port_addresses).push_back({tap + address_key(IpAddress{}), {}, {}});
    for (const IpAddress& address : port.addresses) {
      in(out, SetId::port_addresses).push_back({tap + address_key(address), {}, {}});
    }
  }
}

/// All but publications: few.
void encode_surroundings(const NftState& state, Elements& out) {
  encode_uplinks(state.uplinks, out);
  encode_networks(state.nat_networks, nat_sets, out);
  encode_networks(state.routed_networks, routed_sets, out);
  encode_isolated(state.isolated_bridges, out);
  encode_guest_ports(state.guest_ports, out);
}

/// Publications come sorted by bridge: the mark of the last one is nearly always the right one.
class MarkOf {
 public:
  explicit MarkOf(const std::vector<UplinkPort>& uplinks) : uplinks_(uplinks) {}
  std::uint32_t operator()(std::string_view bridge) {
    if (last_ == nullptr || last_->bridge != bridge) {
      const auto found = std::ranges::find(uplinks_, bridge, &UplinkPort::bridge);
      EDGE_ASSERT(found != uplinks_.end());
      last_ = &*found;
    }
    return last_->mark;
  }

 private:
  const std::vector<UplinkPort>& uplinks_;
  const UplinkPort* last_ = nullptr;
};

void encode_publication(const Publication& publication, std::uint32_t mark, Elements& out) {
  const Family family = publication.target.family;
  std::string data = address_key(publication.target);
  append_port(data, publication.target_port);
  std::string key;
  append_mark(key, mark, publication.sources.empty() ? std::endian::native : std::endian::big);
  append_protocol(key, publication.transport);
  append_port(key, publication.port);
  if (publication.sources.empty()) {
    in(out, of(family, SetId::publish, SetId::publish6))
        .push_back({std::move(key), {}, std::move(data)});
    return;
  }
  for (const IpPrefix& source : publication.sources) {
    in(out, of(family, SetId::publish_from, SetId::publish_from6))
        .push_back({key + address_key(source.network().address),
                    key + address_key(last_address(source)), data});
  }
}

// ---- decode ----

std::uint32_t mark_at(std::string_view bytes, std::endian order) {
  std::uint32_t mark = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned shift = order == std::endian::little ? 8 * i : 24 - 8 * i;
    mark |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[i])) << shift;
  }
  return mark;
}
std::uint16_t port_at(std::string_view bytes) {
  return static_cast<std::uint16_t>((static_cast<std::uint8_t>(bytes[0]) << 8) |
                                    static_cast<std::uint8_t>(bytes[1]));
}
std::string name_at(std::string_view bytes) {
  const auto name = bytes.substr(0, ifname_bytes);
  return std::string(name.substr(0, name.find('\0')));
}
IpAddress address_at(std::string_view bytes, Family family) {
  IpAddress address;
  address.family = family;
  for (std::size_t i = 0; i < address.size_bytes(); ++i) {
    address.bytes[i] = static_cast<std::uint8_t>(bytes[i]);
  }
  return address;
}
/// nullopt: the interval is no prefix, so it is none of ours.
std::optional<IpPrefix> prefix_of(const IpAddress& first, const IpAddress& last) {
  for (unsigned length = 0; length <= first.bits(); ++length) {
    const IpPrefix prefix{first, static_cast<std::uint8_t>(length)};
    if (prefix.network().address == first && last_address(prefix) == last) { return prefix; }
  }
  return std::nullopt;
}

void decode_uplinks(const Elements& elements, NftState& state) {
  for (const Element& element : in(elements, SetId::uplinks)) {
    state.uplinks.push_back({name_at(element.key), mark_at(element.data, std::endian::native), {}});
  }
  for (const Family family : {Family::v4, Family::v6}) {
    for (const Element& element :
         in(elements, of(family, SetId::own_addresses, SetId::own_addresses6))) {
      const auto mark = mark_at(element.data, std::endian::native);
      const auto uplink = std::ranges::find(state.uplinks, mark, &UplinkPort::mark);
      if (uplink != state.uplinks.end()) {
        uplink->addresses.push_back(address_at(element.key, family));
      }
    }
    for (const Element& element :
         in(elements, of(family, SetId::address_twins, SetId::address_twins6))) {
      const auto uplink =
          std::ranges::find(state.uplinks, name_at(element.key), &UplinkPort::bridge);
      if (uplink == state.uplinks.end()) { continue; }
      uplink->addresses.push_back(
          address_at(std::string_view(element.key).substr(ifname_bytes), family));
    }
  }
}

void decode_networks(const Elements& elements, const NetworkSets& sets,
                     std::vector<GuestNetwork>& networks) {
  for (const Family family : {Family::v4, Family::v6}) {
    for (const Element& element : in(elements, of(family, sets.sources, sets.sources6))) {
      const auto subnet =
          prefix_of(address_at(std::string_view(element.key).substr(ifname_bytes), family),
                    address_at(std::string_view(element.key_end).substr(ifname_bytes), family));
      if (subnet) { networks.push_back({name_at(element.key), *subnet}); }
    }
  }
}

void decode_guest_ports(const Elements& elements, NftState& state) {
  std::map<std::string, GuestPort> ports;
  for (const Element& element : in(elements, SetId::port_macs)) {
    const std::string tap = name_at(element.key);
    GuestPort& port = ports[tap];
    port.tap = tap;
    for (std::size_t i = 0; i < port.mac.bytes.size(); ++i) {
      port.mac.bytes[i] = static_cast<std::uint8_t>(element.key[ifname_bytes + i]);
    }
  }
  for (const Element& element : in(elements, SetId::port_addresses)) {
    const auto port = ports.find(name_at(element.key));
    const IpAddress address =
        address_at(std::string_view(element.key).substr(ifname_bytes), Family::v4);
    if (port != ports.end() && !address.is_unspecified()) {
      port->second.addresses.push_back(address);
    }
  }
  for (auto& [tap, port] : ports) { state.guest_ports.push_back(std::move(port)); }
}

std::optional<Publication> decode_publication(
    const Element& element, Family family, bool restricted,
    const std::map<std::uint32_t, std::string_view>& bridges) {
  const std::string_view key = element.key;
  const auto bridge =
      bridges.find(mark_at(key, restricted ? std::endian::big : std::endian::native));
  const auto protocol = static_cast<std::uint8_t>(key[4]);
  if (bridge == bridges.end() || (protocol != proto_tcp && protocol != proto_udp)) {
    return std::nullopt;
  }
  const std::size_t address_bytes = family == Family::v4 ? 4 : 16;
  Publication publication{
      .in_link = std::string(bridge->second),
      .transport = protocol == proto_tcp ? Transport::tcp : Transport::udp,
      .port = port_at(key.substr(8)),
      .target = address_at(element.data, family),
      .target_port = port_at(std::string_view(element.data).substr(address_bytes)),
      .sources = {}};
  if (restricted) {
    const auto source = prefix_of(address_at(key.substr(12), family),
                                  address_at(std::string_view(element.key_end).substr(12), family));
    if (!source) { return std::nullopt; }
    publication.sources.push_back(*source);
  }
  return publication;
}

/// One element per source becomes one publication with its sources.
void join_sources(std::vector<Publication>& publications) {
  std::ranges::sort(publications);
  std::vector<Publication> joined;
  joined.reserve(publications.size());
  for (Publication& publication : publications) {
    const bool same =
        !joined.empty() && !publication.sources.empty() && !joined.back().sources.empty() &&
        joined.back().in_link == publication.in_link &&
        joined.back().transport == publication.transport &&
        joined.back().port == publication.port && joined.back().target == publication.target &&
        joined.back().target_port == publication.target_port;
    if (same) {
      joined.back().sources.push_back(publication.sources.front());
    } else {
      joined.push_back(std::move(publication));
    }
  }
  publications = std::move(joined);
}

bool same_marks(const std::vector<UplinkPort>& a, const std::vector<UplinkPort>& b) {
  return std::ranges::equal(a, b, [](const UplinkPort& left, const UplinkPort& right) {
    return left.bridge == right.bridge && left.mark == right.mark;
  });
}

}  // namespace

Elements elements_of(const NftState& state) {
  Elements elements;
  encode_surroundings(state, elements);
  in(elements, SetId::publish).reserve(state.publications.size());
  MarkOf mark_of(state.uplinks);
  for (const Publication& publication : state.publications) {
    encode_publication(publication, mark_of(publication.in_link), elements);
  }
  return elements;
}

NftState state_of(const Elements& elements) {
  NftState state;
  decode_uplinks(elements, state);
  decode_networks(elements, nat_sets, state.nat_networks);
  decode_networks(elements, routed_sets, state.routed_networks);
  for (const Element& element : in(elements, SetId::isolated_bridges)) {
    state.isolated_bridges.push_back(name_at(element.key));
  }
  decode_guest_ports(elements, state);
  std::map<std::uint32_t, std::string_view> bridges;
  for (const UplinkPort& uplink : state.uplinks) { bridges.emplace(uplink.mark, uplink.bridge); }
  for (const Family family : {Family::v4, Family::v6}) {
    for (const bool restricted : {false, true}) {
      const SetId id = restricted ? of(family, SetId::publish_from, SetId::publish_from6)
                                  : of(family, SetId::publish, SetId::publish6);
      for (const Element& element : in(elements, id)) {
        auto publication = decode_publication(element, family, restricted, bridges);
        if (publication) { state.publications.push_back(*std::move(publication)); }
      }
    }
  }
  join_sources(state.publications);
  return state;
}

bool ElementDifference::empty() const {
  const auto none = [](const std::vector<Element>& list) { return list.empty(); };
  return std::ranges::all_of(removed, none) && std::ranges::all_of(added, none);
}

ElementDifference difference(Elements from, Elements to) {
  ElementDifference result;
  for (std::size_t i = 0; i < set_count; ++i) {
    std::ranges::sort(from[i]);
    std::ranges::sort(to[i]);
    std::ranges::set_difference(from[i], to[i], std::back_inserter(result.removed[i]));
    std::ranges::set_difference(to[i], from[i], std::back_inserter(result.added[i]));
  }
  return result;
}

ElementDifference difference(std::span<const Publication> from, std::span<const Publication> to,
                             const std::vector<UplinkPort>& uplinks) {
  Elements old_elements, new_elements;
  MarkOf mark_of(uplinks);
  for (const Publication& publication : from) {
    encode_publication(publication, mark_of(publication.in_link), old_elements);
  }
  for (const Publication& publication : to) {
    encode_publication(publication, mark_of(publication.in_link), new_elements);
  }
  return difference(std::move(old_elements), std::move(new_elements));
}

ElementDifference difference(const NftState& from, const NftState& to) {
  if (!same_marks(from.uplinks, to.uplinks)) {
    return difference(elements_of(from), elements_of(to));
  }
  // Marks stand, so equal publications are equal elements: only the others are encoded.
  Elements old_elements, new_elements;
  encode_surroundings(from, old_elements);
  encode_surroundings(to, new_elements);
  MarkOf old_mark(from.uplinks), new_mark(to.uplinks);
  auto left = from.publications.begin();
  auto right = to.publications.begin();
  while (left != from.publications.end() || right != to.publications.end()) {
    const bool both = left != from.publications.end() && right != to.publications.end();
    if (both && *left == *right) {
      ++left;
      ++right;
    } else if (right == to.publications.end() || (both && *left < *right)) {
      encode_publication(*left, old_mark(left->in_link), old_elements);
      ++left;
    } else {
      encode_publication(*right, new_mark(right->in_link), new_elements);
      ++right;
    }
  }
  return difference(std::move(old_elements), std::move(new_elements));
}

}  // namespace edge::netmodel::nft
