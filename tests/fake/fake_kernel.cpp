// FakeKernel: links, failures, and what happens from outside.
#include "tests/fake/fake_kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.hpp"

namespace edge::netmodel {
namespace {

constexpr std::ptrdiff_t bridge_ports_max = 1023;  // BR_MAX_PORTS - 1
constexpr std::size_t name_bytes_max = 15, alias_bytes_max = 255;

Rule kernel_rule(Family family, std::uint32_t priority, std::uint32_t table) {
  Rule rule;
  rule.family = family;
  rule.priority = priority;
  rule.table = table;
  rule.protocol = protocol_kernel;
  return rule;
}

Result<void> check_mtu(const ObservedLink& link, std::uint32_t mtu) {
  if (mtu < link.mtu_min || (link.mtu_max != 0 && mtu > link.mtu_max)) {
    return fail_errno(EINVAL, "mtu out of the device's range");
  }
  return {};
}

}  // namespace

FakeKernel::FakeKernel() {
  ObservedLink lo;
  lo.link.name = "lo";
  lo.link.kind = LinkKind::loopback;
  lo.link.mac = MacAddress{};
  lo.link.mtu = 65536;
  lo.link.admin_up = false;
  cable_[insert(lo).index.value] = true;
  for (const auto& [priority, table] :
       {std::pair{0U, table_local}, {32766U, table_main}, {32767U, table_default}}) {
    state_.rules.push_back(kernel_rule(Family::v4, priority, table));
    if (table != table_default) {
      state_.rules.push_back(kernel_rule(Family::v6, priority, table));
    }
  }
}

Result<ObservedState> FakeKernel::dump(std::span<const std::string> sysctls) {
  if (const auto failure = dump_failures_.find(++dumps_); failure != dump_failures_.end()) {
    return fail_errno(failure->second, "dump");
  }
  ObservedState state = state_;
  EDGE_ASSIGN(state.sysctls, read_sysctls(sysctls));
  return state;
}

Result<std::vector<Sysctl>> FakeKernel::read_sysctls(std::span<const std::string> paths) {
  std::vector<Sysctl> out;
  for (const std::string& path : paths) {
    if (auto value = read(path)) { out.push_back({.path = path, .value = std::move(*value)}); }
  }
  return out;
}

Result<std::optional<NftState>> FakeKernel::dump_nft() { return nft_; }

Result<void> FakeKernel::apply(const Operation& operation) {
  ++writes_;
  if (before_apply) { before_apply(operation); }
  if (const auto failure = apply_failures_.find(writes_); failure != apply_failures_.end()) {
    return fail_errno(failure->second, to_text(operation));
  }
  if (!refused_words_.empty() && to_text(operation).contains(refused_words_)) {
    return fail_errno(EINVAL, to_text(operation));
  }
  if (ignored_times_ > 0 && to_text(operation).contains(ignored_words_)) {
    --ignored_times_;
    return {};
  }
  auto done = std::visit([this](const auto& one) { return write(one); }, operation);
  if (!done) { return fail_in(to_text(operation), done.error()); }
  update_carriers();
  show_vlans();
  applied_.push_back(operation);
  return {};
}

ObservedLink* FakeKernel::find(std::string_view name) {
  const auto found = std::ranges::find(
      state_.links, name,
      [](const ObservedLink& link) -> std::string_view { return link.link.name; });
  return found == state_.links.end() ? nullptr : &*found;
}

ObservedLink& FakeKernel::insert(ObservedLink link) {
  link.index = IfIndex{next_index_++};
  state_.links.push_back(std::move(link));
  return state_.links.back();
}

Result<void> FakeKernel::set_master(ObservedLink& link, const std::string& master) {
  if (link.link.master == master) { return {}; }
  ObservedLink* target = master.empty() ? nullptr : find(master);
  if (!master.empty() && target == nullptr) { return fail_errno(ENODEV, "master " + master); }
  const bool to_bond = target != nullptr && target->link.kind == LinkKind::bond;
  if (target != nullptr && !to_bond) {
    if (target->link.kind != LinkKind::bridge) {
      return fail_errno(EOPNOTSUPP, "master " + master + " is no bridge and no bond");
    }
    if (link.link.kind == LinkKind::bridge) {
      return fail_errno(ELOOP, "a bridge cannot be a bridge's port");
    }
    const auto ports = std::ranges::count_if(
        state_.links, [&](const ObservedLink& port) { return port.link.master == master; });
    if (ports >= bridge_ports_max) { return fail_errno(EXFULL, "bridge " + master); }
  }
  vlans_.erase(link.index.value);
  link.link.master.clear();
  if (members_.contains(link.index.value)) { leave_bond(link); }
  if (to_bond) { EDGE_TRY(join_bond(link, *target)); }
  if (target != nullptr && !to_bond) { join_vlans(link, *target); }
  link.link.master = master;
  return {};
}

void FakeKernel::set_up(ObservedLink& link, bool up) {
  if (link.link.admin_up == up) { return; }
  link.link.admin_up = up;
  const std::string name = link.link.name;
  if (up) {
    for (const Address& address : state_.addresses) {
      if (address.link == name) { add_prefix_route(address); }
    }
  } else {
    drop_routes_of(name, std::nullopt);
    std::erase_if(state_.addresses, [&](const Address& address) {
      return address.link == name && address.prefix.address.family == Family::v6;
    });
  }
  for (ObservedLink* vlan : vlans_above(name)) { set_up(*vlan, up); }
}

Result<void> FakeKernel::write(const CreateLink& operation) {
  const Link& wanted = operation.link;
  const bool made_here = wanted.kind == LinkKind::bridge || wanted.kind == LinkKind::tap ||
                         wanted.kind == LinkKind::bond || wanted.kind == LinkKind::vlan;
  if (!made_here) { return fail(Errc::unsupported, "no kind that is made here"); }
  if (wanted.name.empty() || wanted.name.size() > name_bytes_max) {
    return fail_errno(EINVAL, "link name");
  }
  if (find(wanted.name) != nullptr) { return fail_errno(EEXIST, "link"); }
  if (!wanted.master.empty() && find(wanted.master) == nullptr) {
    return fail_errno(ENODEV, "master " + wanted.master);
  }
  ObservedLink link;
  link.link.name = wanted.name;
  link.link.kind = wanted.kind;
  link.link.mac = wanted.mac;
  link.link.mtu = wanted.mtu;
  link.link.admin_up = false;
  link.link.alias = wanted.alias;
  link.mtu_min = wanted.kind == LinkKind::vlan ? 0 : 68;
  link.mtu_max = 65535;
  ObservedLink& made = insert(std::move(link));
  if (const auto done = make_kind(made, wanted); !done) {
    erase_link(wanted.name);
    return done;
  }
  if (!made.link.mac) {
    made.link.mac = MacAddress{{0xfe, 0, 0, 0, 0, static_cast<std::uint8_t>(made.index.value)}};
  }
  if (!made.link.mtu) { made.link.mtu = 1500; }
  set_up(made, wanted.admin_up);
  return set_master(made, wanted.master);  // One that refuses leaves the link, as the kernel does.
}

Result<void> FakeKernel::make_kind(ObservedLink& made, const Link& wanted) {
  switch (wanted.kind) {
    case LinkKind::bridge:
      made.link.bridge = BridgeAttributes{.vlan_filtering = false};
      if (vlan_filtering_) { set_default_pvid(made, 1); }
      EDGE_TRY(set_bridge(made, wanted.bridge.value_or(BridgeAttributes{})));
      break;
    case LinkKind::bond: EDGE_TRY(make_bond(made, wanted.bond.value_or(BondAttributes{}))); break;
    case LinkKind::vlan: EDGE_TRY(make_vlan(made, wanted.vlan.value_or(VlanAttributes{}))); break;
    case LinkKind::tap:
      made.link.tap = wanted.tap.value_or(TapAttributes{});
      cable_[made.index.value] = false;
      break;
    case LinkKind::physical:
    case LinkKind::veth:
    case LinkKind::loopback:
    case LinkKind::other: break;
  }
  return {};
}

Result<void> FakeKernel::write(const ChangeLink& operation) {
  ObservedLink* link = find(operation.name);
  if (link == nullptr) { return fail_errno(ENODEV, "link " + operation.name); }
  if (operation.mtu) { EDGE_TRY(check_mtu(*link, *operation.mtu)); }
  if (operation.alias && operation.alias->size() > alias_bytes_max) {
    return fail_errno(EINVAL, "alias");
  }
  if (operation.bridge) { EDGE_TRY(set_bridge(*link, *operation.bridge)); }
  if (operation.bond) { EDGE_TRY(set_bond(*link, *operation.bond)); }
  if (operation.master) { EDGE_TRY(set_master(*link, *operation.master)); }
  if (operation.mtu) { EDGE_TRY(set_mtu(*link, *operation.mtu)); }
  if (operation.mac) { set_mac(*link, *operation.mac); }
  if (operation.alias) { link->link.alias = *operation.alias; }
  if (operation.admin_up) {
    if (*operation.admin_up && link->link.vlan && !find(link->link.vlan->parent)->link.admin_up) {
      return fail_errno(ENETDOWN, "the parent is down");
    }
    set_up(*link, *operation.admin_up);
  }
  return {};
}

Result<void> FakeKernel::write(const DeleteLink& operation) {
  const ObservedLink* link = find(operation.name);
  if (link == nullptr) { return fail_errno(ENODEV, "link " + operation.name); }
  if (!link->ours()) { return fail(Errc::denied, "the link does not carry our mark"); }
  erase_link(operation.name);
  return {};
}

void FakeKernel::erase_link(const std::string& name) {
  std::vector<std::string> above;
  for (const ObservedLink* vlan : vlans_above(name)) { above.push_back(vlan->link.name); }
  for (const std::string& vlan : above) { erase_link(vlan); }
  drop_routes_of(name, std::nullopt);
  std::erase_if(state_.addresses, [&](const Address& address) { return address.link == name; });
  for (ObservedLink& link : state_.links) {
    if (link.link.master != name) { continue; }
    link.link.master.clear();
    vlans_.erase(link.index.value);
    if (members_.contains(link.index.value)) { leave_bond(link); }
  }
  const std::uint32_t index = find(name)->index.value;
  cable_.erase(index);
  vlans_.erase(index);
  bonds_.erase(index);
  members_.erase(index);
  std::erase_if(state_.links, [&](const ObservedLink& link) { return link.link.name == name; });
  std::erase_if(sysctls_, [&](const auto& entry) { return !sysctl_exists(entry.first); });
}

/// From below: what has a cable, bonds, bridges, VLAN devices; everything needs to be admin up.
void FakeKernel::update_carriers() {
  const auto set = [](ObservedLink& link, bool carrier) {
    if (link.carrier && !carrier) { ++link.carrier_down_count; }
    link.carrier = carrier;
  };
  const auto any_below = [&](const ObservedLink& master) {
    return std::ranges::any_of(state_.links, [&](const ObservedLink& port) {
      return port.link.master == master.link.name && port.carrier;
    });
  };
  for (ObservedLink& link : state_.links) {
    const auto cable = cable_.find(link.index.value);
    if (cable != cable_.end()) { set(link, link.link.admin_up && cable->second); }
  }
  for (const LinkKind kind : {LinkKind::bond, LinkKind::bridge}) {
    for (ObservedLink& link : state_.links) {
      if (link.link.kind == kind) { set(link, link.link.admin_up && any_below(link)); }
    }
  }
  for (ObservedLink& link : state_.links) {
    if (link.link.vlan) { set(link, link.link.admin_up && find(link.link.vlan->parent)->carrier); }
    if (bonds_.contains(link.index.value)) { select_active(link); }
  }
}

IfIndex FakeKernel::plug_adapter(const std::string& name, const MacAddress& mac,
                                 std::uint32_t mtu_max) {
  EDGE_ASSERT(find(name) == nullptr);
  ObservedLink link;
  link.link.name = name;
  link.link.kind = LinkKind::physical;
  link.link.mac = mac;
  link.link.mtu = 1500;
  link.link.admin_up = false;
  link.permanent_mac = mac;
  link.has_device = true;
  link.mtu_min = 68;
  link.mtu_max = mtu_max;
  link.speed_mbps = 10000;
  const IfIndex index = insert(std::move(link)).index;
  cable_[index.value] = true;
  return index;
}

IfIndex FakeKernel::add_foreign_link(Link link) {
  EDGE_ASSERT(find(link.name) == nullptr);
  ObservedLink observed;
  observed.link = std::move(link);
  if (!observed.link.mtu) { observed.link.mtu = 1500; }
  if (observed.link.kind == LinkKind::bridge && !observed.link.bridge) {
    observed.link.bridge = BridgeAttributes{};
  }
  const ObservedLink& made = insert(std::move(observed));
  const bool has_cable = made.link.kind != LinkKind::bridge && made.link.kind != LinkKind::bond &&
                         made.link.kind != LinkKind::vlan;
  if (has_cable) { cable_[made.index.value] = true; }
  if (made.link.kind == LinkKind::bond) {
    bonds_[made.index.value] = {.mac_was_given = true};
    if (!made.link.bond) { find(made.link.name)->link.bond = BondAttributes{}; }
  }
  const IfIndex index = made.index;
  update_carriers();
  return index;
}

void FakeKernel::remove_link(const std::string& name) {
  EDGE_ASSERT(find(name) != nullptr);
  erase_link(name);
  update_carriers();
}

void FakeKernel::rename_link(const std::string& from, const std::string& to) {
  EDGE_ASSERT(find(from) != nullptr && find(to) == nullptr);
  find(from)->link.name = to;
  for (ObservedLink& link : state_.links) {
    if (link.link.master == from) { link.link.master = to; }
    if (link.link.vlan && link.link.vlan->parent == from) { link.link.vlan->parent = to; }
    if (link.bond_active == from) { link.bond_active = to; }
  }
  for (Address& address : state_.addresses) {
    if (address.link == from) { address.link = to; }
  }
  for (Route& route : state_.routes) {
    if (route.link == from) { route.link = to; }
  }
}

void FakeKernel::set_carrier(const std::string& name, bool carrier) {
  const ObservedLink* link = find(name);
  EDGE_ASSERT(link != nullptr && cable_.contains(link->index.value));
  cable_[link->index.value] = carrier;
  update_carriers();
}

void FakeKernel::set_tap(const std::string& name, TapAttributes tap) {
  EDGE_ASSERT(find(name) != nullptr && find(name)->link.tap);
  find(name)->link.tap = tap;
}

void FakeKernel::set_admin_up(const std::string& name, bool up) {
  EDGE_ASSERT(find(name) != nullptr);
  set_up(*find(name), up);
  update_carriers();
}

void FakeKernel::set_speed(const std::string& name, std::uint32_t mbps) {
  EDGE_ASSERT(find(name) != nullptr);
  find(name)->speed_mbps = mbps;
}

void FakeKernel::fail_apply(std::uint64_t nth, int os_errno) {
  apply_failures_[writes_ + nth] = os_errno;
}

void FakeKernel::fail_dump(std::uint64_t nth, int os_errno) {
  dump_failures_[dumps_ + nth] = os_errno;
}

}  // namespace edge::netmodel
