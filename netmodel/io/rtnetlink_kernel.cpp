// The real kernel of this network namespace: rtnetlink, /dev/net/tun, /proc/sys, and nft by
// delegation.
#include "netmodel/io/rtnetlink_kernel.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include "netmodel/core/vlan_set.hpp"
#include "netmodel/io/address.hpp"
#include "netmodel/io/bridge_vlan.hpp"
#include "netmodel/io/route.hpp"
#include "netmodel/io/rule.hpp"
#include "netmodel/io/sysctl.hpp"
#include "netmodel/io/tap.hpp"

namespace edge::netmodel {
namespace {

constexpr Family families[] = {Family::v4, Family::v6};
const std::string probe_link = "gallium-probe";

/// Names by index while a dump is put together.
class Names {
 public:
  void add(IfIndex index, const std::string& name) { names_[index.value] = name; }
  std::string at(std::uint32_t index) const {
    if (index == 0) { return {}; }
    const auto found = names_.find(index);
    return found == names_.end() ? "#" + std::to_string(index) : found->second;
  }

 private:
  std::map<std::uint32_t, std::string> names_;
};

/// Runs a dump and appends what `decode` makes of each message to `out`.
template <class T, class Decode>
Result<void> collect(NetlinkSocket& socket, NlMessage request, std::vector<T>& out, Decode decode) {
  const std::size_t begin = out.size();
  return socket.dump(
      *request, [&] { out.erase(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end()); },
      [&](Bytes bytes) {
        for_each_message(bytes, [&](const MessageView& view) {
          if (auto decoded = decode(view)) { out.push_back(std::move(*decoded)); }
        });
      });
}

}  // namespace

RtnetlinkKernel::RtnetlinkKernel(NetlinkSocket socket, NftPort* nft)
    : socket_(std::move(socket)), nft_(nft) {}

Result<std::unique_ptr<RtnetlinkKernel>> RtnetlinkKernel::open(NftPort* nft) {
  EDGE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open());
  return std::unique_ptr<RtnetlinkKernel>(new RtnetlinkKernel(std::move(socket), nft));
}

Result<ObservedState> RtnetlinkKernel::dump(std::span<const std::string> sysctls) {
  ObservedState state;
  Names names;

  std::vector<DecodedLink> links;
  EDGE_TRY(collect(socket_, encode_link_dump(), links, decode_link));
  for (const DecodedLink& link : links) { names.add(link.observed.index, link.observed.link.name); }
  for (DecodedLink& link : links) {
    link.observed.link.master = names.at(link.master_index);
    state.links.push_back(std::move(link.observed));
  }

  EDGE_TRY(dump_vlans(state.links));

  // A kernel without IPv6 answers an AF_INET6 dump with everything it has, so the family is
  // checked.
  for (const Family family : families) {
    std::vector<DecodedAddress> addresses;
    EDGE_TRY(collect(socket_, encode_address_dump(family), addresses, decode_address));
    for (DecodedAddress& decoded : addresses) {
      if (decoded.address.prefix.address.family != family) { continue; }
      decoded.address.link = names.at(decoded.link_index);
      state.addresses.push_back(std::move(decoded.address));
    }
    std::vector<DecodedRoute> routes;
    EDGE_TRY(collect(socket_, encode_route_dump(family), routes, decode_route));
    for (DecodedRoute& decoded : routes) {
      if (decoded.route.destination.address.family != family) { continue; }
      decoded.route.link = names.at(decoded.link_index);
      state.routes.push_back(std::move(decoded.route));
    }
    EDGE_ASSIGN(std::vector<Rule> rules, dump_rules(family));
    state.rules.insert(state.rules.end(), std::make_move_iterator(rules.begin()),
                       std::make_move_iterator(rules.end()));
  }

  for (const std::string& path : sysctls) {
    EDGE_ASSIGN(std::optional<std::string> value, read_sysctl(path));
    if (value) { state.sysctls.push_back({.path = path, .value = std::move(*value)}); }
  }
  return state;
}

/// Only where a bridge filters by VLAN: elsewhere the kernel's answer has no effect on any frame.
Result<void> RtnetlinkKernel::dump_vlans(std::vector<ObservedLink>& links) {
  std::set<std::string, std::less<>> filtering;
  for (const ObservedLink& link : links) {
    if (link.link.bridge && link.link.bridge->vlan_filtering == true) {
      filtering.insert(link.link.name);
    }
  }
  if (filtering.empty()) { return {}; }
  std::vector<DecodedVlans> dumped;
  EDGE_TRY(collect(socket_, encode_vlan_dump(), dumped, decode_vlans));
  std::map<std::uint32_t, std::vector<BridgeVlan>> by_index;
  for (DecodedVlans& one : dumped) {
    std::vector<BridgeVlan>& all = by_index[one.link_index];
    all.insert(all.end(), one.vlans.begin(), one.vlans.end());
  }
  for (ObservedLink& link : links) {
    if (filtering.contains(link.link.name) || filtering.contains(link.link.master)) {
      link.link.vlans = joined(by_index[link.index.value]);
    }
  }
  return {};
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

Result<DecodedLink> RtnetlinkKernel::find_link(const std::string& name) {
  EDGE_TRY(check_link_name(name));
  const NlMessage request = encode_link_get(name);
  const auto answer = socket_.get(*request);
  if (!answer) { return fail_in("link " + name, answer.error()); }
  std::optional<DecodedLink> link;
  for_each_message(*answer, [&](const MessageView& view) { link = decode_link(view); });
  if (!link) { return fail(Errc::corrupt, "link " + name + ": unreadable answer"); }
  return std::move(*link);
}

Result<IfIndex> RtnetlinkKernel::index_of(const std::string& name) {
  EDGE_ASSIGN(const DecodedLink link, find_link(name));
  return link.observed.index;
}

Result<void> RtnetlinkKernel::change_link(IfIndex index, const ChangeLink& change,
                                          bool set_our_group) {
  std::optional<std::uint32_t> master_index;
  if (change.master) {
    master_index = 0;
    if (!change.master->empty()) {
      EDGE_ASSIGN(const IfIndex master, index_of(*change.master));
      master_index = master.value;
    }
  }
  return send(encode_link_change(index, change, master_index, set_our_group));
}

Result<void> RtnetlinkKernel::write(const CreateLink& operation) {
  const Link& link = operation.link;
  EDGE_TRY(check_link_name(link.name));
  if (!link.master.empty()) { EDGE_TRY(index_of(link.master)); }  // Before anything exists.
  if (link.kind == LinkKind::bridge) { return create_bridge(link); }
  if (link.kind == LinkKind::tap) { return create_tap(link); }
  return fail(Errc::unsupported, "only bridges and taps are made here");
}

/// Two messages: the first makes it with everything the kernel takes at creation; alias, binding
/// MTU, master and IFF_UP follow in the second (rtnl_create_link() ignores the alias: seen
/// on 6.18).
Result<void> RtnetlinkKernel::create_bridge(const Link& link) {
  EDGE_TRY(send(encode_bridge_create(link)));
  EDGE_ASSIGN(const IfIndex index, index_of(link.name));
  const ChangeLink finish{.name = link.name,
                          .mtu = link.mtu,
                          .admin_up = link.admin_up,
                          .master = link.master.empty() ? std::nullopt : std::optional(link.master),
                          .alias = link.alias,
                          .mac = std::nullopt,
                          .bridge = std::nullopt};
  return change_link(index, finish, false);
}

/// The mark goes on before the tap becomes persistent: whatever survives us carries it.
Result<void> RtnetlinkKernel::create_tap(const Link& link) {
  ++writes_;
  EDGE_ASSIGN(NewTap tap, NewTap::create(link.name, link.tap.value_or(TapAttributes{})));
  EDGE_ASSIGN(const IfIndex index, index_of(link.name));
  const ChangeLink mark{.name = link.name,
                        .mtu = link.mtu,
                        .admin_up = std::nullopt,
                        .master = std::nullopt,
                        .alias = link.alias,
                        .mac = link.mac,
                        .bridge = std::nullopt};
  EDGE_TRY(change_link(index, mark, true));
  EDGE_TRY(tap.persist());
  const ChangeLink connect{
      .name = link.name,
      .mtu = std::nullopt,
      .admin_up = link.admin_up,
      .master = link.master.empty() ? std::nullopt : std::optional(link.master),
      .alias = std::nullopt,
      .mac = std::nullopt,
      .bridge = std::nullopt};
  return change_link(index, connect, false);
}

Result<void> RtnetlinkKernel::write(const ChangeLink& operation) {
  EDGE_ASSIGN(const IfIndex index, index_of(operation.name));
  return change_link(index, operation, false);
}

Result<void> RtnetlinkKernel::write(const DeleteLink& operation) {
  EDGE_ASSIGN(const DecodedLink link, find_link(operation.name));
  if (!link.observed.ours()) { return fail(Errc::denied, "the link does not carry our mark"); }
  return send(encode_link_delete(link.observed.index));
}

Result<void> RtnetlinkKernel::write(const SetVlans& operation) {
  EDGE_TRY(check_vlans(operation));
  EDGE_ASSIGN(const DecodedLink link, find_link(operation.link));
  const bool bridge = link.observed.link.kind == LinkKind::bridge;
  for (NlMessage& message : encode_vlans(
           link.observed.index, bridge ? VlanSubject::bridge : VlanSubject::port, operation)) {
    EDGE_TRY(send(std::move(message)));
  }
  return {};
}

Result<void> RtnetlinkKernel::write(const AddAddress& operation) {
  EDGE_ASSIGN(const IfIndex index, index_of(operation.address.link));
  return send(encode_address_add(operation.address, index));
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
  auto made = send(encode_bridge_create(probe));
  if (!made && made.error().code == Errc::conflict) {  // Left by a process that ended right here.
    EDGE_TRY(write(DeleteLink{probe_link}));
    made = send(encode_bridge_create(probe));
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
