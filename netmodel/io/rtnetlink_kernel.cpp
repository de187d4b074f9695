// The real kernel of this network namespace: rtnetlink, /dev/net/tun, /proc/sys, and nft by
// delegation.
#include "netmodel/io/rtnetlink_kernel.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "netmodel/io/address.hpp"
#include "netmodel/io/dump_collect.hpp"
#include "netmodel/io/route.hpp"
#include "netmodel/io/rule.hpp"
#include "netmodel/io/sysctl.hpp"

namespace edge::netmodel {
namespace {

constexpr Family families[] = {Family::v4, Family::v6};
const std::string probe_link = "gallium-probe";

}  // namespace

RtnetlinkKernel::RtnetlinkKernel(NetlinkSocket socket, NftPort* nft)
    : socket_(std::move(socket)), nft_(nft) {}

Result<std::unique_ptr<RtnetlinkKernel>> RtnetlinkKernel::open(NftPort* nft) {
  EDGE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open());
  return std::unique_ptr<RtnetlinkKernel>(new RtnetlinkKernel(std::move(socket), nft));
}

Result<ObservedState> RtnetlinkKernel::dump(std::span<const std::string> sysctls) {
  ObservedState state;
  EDGE_TRY(dump_links(state.links));
  LinkNames names;
  for (const ObservedLink& link : state.links) { names[link.index.value] = link.link.name; }

  // A kernel without IPv6 answers an AF_INET6 dump with everything it has, so the family is
  // checked.
  for (const Family family : families) {
    std::vector<DecodedAddress> addresses;
    EDGE_TRY(collect(socket_, encode_address_dump(family), addresses, decode_address));
    for (DecodedAddress& decoded : addresses) {
      if (decoded.address.prefix.address.family != family) { continue; }
      decoded.address.link = name_of(names, decoded.link_index);
      state.addresses.push_back(std::move(decoded.address));
    }
    std::vector<DecodedRoute> routes;
    EDGE_TRY(collect(socket_, encode_route_dump(family), routes, decode_route));
    for (DecodedRoute& decoded : routes) {
      if (decoded.route.destination.address.family != family) { continue; }
      decoded.route.link = name_of(names, decoded.link_index);
      state.routes.push_back(std::move(decoded.route));
    }
    EDGE_ASSIGN(std::vector<Rule> rules, dump_rules(family));
    state.rules.insert(state.rules.end(), std::make_move_iterator(rules.begin()),
                       std::make_move_iterator(rules.end()));
  }

  EDGE_ASSIGN(state.sysctls, read_sysctls(sysctls));
  return state;
}

Result<std::vector<Sysctl>> RtnetlinkKernel::read_sysctls(std::span<const std::string> paths) {
  std::vector<Sysctl> out;
  out.reserve(paths.size());
  for (const std::string& path : paths) {
    EDGE_ASSIGN(std::optional<std::string> value, read_sysctl(path));
    if (value) { out.push_back({.path = path, .value = std::move(*value)}); }
  }
  return out;
}

Result<std::vector<Rule>> RtnetlinkKernel::dump_rules(Family family) {
  std::vector<Rule> rules;
  EDGE_TRY(collect(socket_, encode_rule_dump(family), rules, decode_rule));
  std::erase_if(rules, [&](const Rule& rule) { return rule.family != family; });
  return rules;
}

Result<std::optional<NftState>> RtnetlinkKernel::dump_nft() {
  if (nft_ == nullptr) { return fail(Errc::unsupported, "no nftables in this kernel object"); }
  return nft_->dump();
}

Result<void> RtnetlinkKernel::apply(const Operation& operation) {
  auto done = std::visit([this](const auto& one) { return write(one); }, operation);
  if (!done) { return fail_in(to_text(operation), done.error()); }
  return {};
}

Result<void> RtnetlinkKernel::send(NlMessage message) {
  ++writes_;
  return socket_.request(*message);
}

Result<void> RtnetlinkKernel::write(const AddAddress& operation) {
  const Address& wanted = operation.address;
  EDGE_ASSIGN(const IfIndex index, index_of(wanted.link));
  const auto added = send(encode_address_add(wanted, index, IfPresent::refuse));
  if (added || added.error().os_errno != EEXIST) { return added; }
  EDGE_TRY(send(encode_address_add(wanted, index, IfPresent::replace)));
  if (!wanted.ours) { return {}; }
  EDGE_ASSIGN(const bool marked, address_is_ours(wanted, index));
  if (marked) { return {}; }
  // Linux 6.1 leaves the mark of an address as it is, so a taken over one is made anew.
  EDGE_TRY(send(encode_address_remove(wanted, index)));
  return send(encode_address_add(wanted, index, IfPresent::refuse));
}

Result<bool> RtnetlinkKernel::address_is_ours(const Address& wanted, IfIndex index) {
  std::vector<DecodedAddress> addresses;
  EDGE_TRY(collect(socket_, encode_address_dump(wanted.prefix.address.family), addresses,
                   decode_address));
  return std::ranges::any_of(addresses, [&](const DecodedAddress& one) {
    return one.link_index == index.value && one.address.prefix == wanted.prefix && one.address.ours;
  });
}

Result<void> RtnetlinkKernel::write(const RemoveAddress& operation) {
  EDGE_ASSIGN(const IfIndex index, index_of(operation.address.link));
  return send(encode_address_remove(operation.address, index));
}

Result<std::optional<IfIndex>> RtnetlinkKernel::index_of_route_link(const Route& route) {
  if (route.link.empty()) { return std::optional<IfIndex>(); }
  EDGE_ASSIGN(const IfIndex index, index_of(route.link));
  return std::optional(index);
}

Result<void> RtnetlinkKernel::write(const AddRoute& operation) {
  EDGE_ASSIGN(const std::optional<IfIndex> index, index_of_route_link(operation.route));
  return send(encode_route_add(operation.route, index));
}

Result<void> RtnetlinkKernel::write(const RemoveRoute& operation) {
  EDGE_ASSIGN(const std::optional<IfIndex> index, index_of_route_link(operation.route));
  return send(encode_route_remove(operation.route, index));
}

Result<void> RtnetlinkKernel::write(const AddRule& operation) {
  return send(encode_rule_add(operation.rule));
}

/// The kernel's deletion matches loosely; looking first makes it exact.
Result<void> RtnetlinkKernel::write(const RemoveRule& operation) {
  EDGE_ASSIGN(const std::vector<Rule> rules, dump_rules(operation.rule.family));
  if (std::ranges::find(rules, operation.rule) == rules.end()) {
    return fail_errno(ENOENT, "no such rule");
  }
  if (*first_rule_removed(rules, operation.rule) != operation.rule) {
    return fail(Errc::conflict, "the kernel would remove another rule of the same priority");
  }
  return send(encode_rule_remove(operation.rule));
}

Result<void> RtnetlinkKernel::write(const SetSysctl& operation) {
  ++writes_;
  return write_sysctl(operation.sysctl);
}

Result<void> RtnetlinkKernel::write(const CommitNft& operation) {
  if (nft_ == nullptr) { return fail(Errc::unsupported, "no nftables in this kernel object"); }
  ++writes_;
  return nft_->commit(operation.state);
}

Result<void> RtnetlinkKernel::write(const DeleteNft&) {
  if (nft_ == nullptr) { return fail(Errc::unsupported, "no nftables in this kernel object"); }
  ++writes_;
  return nft_->remove();
}

Result<KernelFeatures> RtnetlinkKernel::probe_features() {
  KernelFeatures features;
  struct stat ignored{};
  features.ipv6 = ::stat("/proc/sys/net/ipv6", &ignored) == 0;

  // A kernel without CONFIG_BRIDGE_VLAN_FILTERING shows the attribute (0) and refuses to set it.
  const Link probe{.name = probe_link,
                   .kind = LinkKind::bridge,
                   .mac = std::nullopt,
                   .mtu = std::nullopt,
                   .admin_up = false,
                   .master = {},
                   .alias = {},
                   .bridge = BridgeAttributes{.vlan_filtering = true},
                   .tap = std::nullopt};
  auto made = send(encode_link_create(probe, 0));
  if (!made && made.error().code == Errc::conflict) {  // Left by a process that ended right here.
    EDGE_TRY(write(DeleteLink{probe_link}));
    made = send(encode_link_create(probe, 0));
  }
  if (!made && made.error().code != Errc::unsupported) {
    return fail_in("probe vlan_filtering", made.error());
  }
  features.vlan_filtering = made.has_value();
  if (made) { EDGE_TRY(write(DeleteLink{probe_link})); }
  return features;
}

Result<std::optional<Neighbour>> RtnetlinkKernel::find_neighbour(const std::string& link,
                                                                 const IpAddress& address) {
  EDGE_ASSIGN(const IfIndex index, index_of(link));
  const NlMessage request = encode_neighbour_get(address, index);
  auto answer = socket_.get(*request);
  if (!answer) {
    if (answer.error().code == Errc::not_found) { return std::optional<Neighbour>(); }
    return std::unexpected(answer.error());
  }
  std::optional<DecodedNeighbour> decoded;
  for_each_message(*answer, [&](const MessageView& view) { decoded = decode_neighbour(view); });
  if (!decoded) { return fail(Errc::corrupt, "neighbour: unreadable answer"); }
  decoded->neighbour.link = link;
  return std::optional(std::move(decoded->neighbour));
}

}  // namespace edge::netmodel
