// FakeKernel: links, failures, and what happens from outside.
#include "tests/fake/fake_kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint32_t table_local = 255, table_main = 254, table_default = 253;
constexpr std::uint8_t protocol_kernel = 2;        // RTPROT_KERNEL
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
  for (const std::string& path : sysctls) {
    if (auto value = read(path)) {
      state.sysctls.push_back({.path = path, .value = std::move(*value)});
    }
  }
  return state;
}

Result<std::optional<NftState>> FakeKernel::dump_nft() { return nft_; }

Result<void> FakeKernel::apply(const Operation& operation) {
  ++writes_;
  if (before_apply) { before_apply(operation); }
  if (const auto failure = apply_failures_.find(writes_); failure != apply_failures_.end()) {
    return fail_errno(failure->second, to_text(operation));
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
  if (master.empty()) {
    vlans_.erase(link.index.value);
  } else {
    const ObservedLink* target = find(master);
    if (target == nullptr) { return fail_errno(ENODEV, "master " + master); }
    if (target->link.kind != LinkKind::bridge) {
      return fail_errno(EOPNOTSUPP, "master " + master + " is no bridge");
    }
    if (link.link.kind == LinkKind::bridge) {
      return fail_errno(ELOOP, "a bridge cannot be a bridge's port");
    }
    const auto ports = std::ranges::count_if(
        state_.links, [&](const ObservedLink& port) { return port.link.master == master; });
    if (ports >= bridge_ports_max) { return fail_errno(EXFULL, "bridge " + master); }
    join_vlans(link, *target);
  }
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
    return;
  }
  drop_routes_of(name, std::nullopt);
  std::erase_if(state_.addresses, [&](const Address& address) {
    return address.link == name && address.prefix.address.family == Family::v6;
  });
}

Result<void> FakeKernel::write(const CreateLink& operation) {
  const Link& wanted = operation.link;
  if (wanted.kind != LinkKind::bridge && wanted.kind != LinkKind::tap) {
    return fail(Errc::unsupported, "only bridges and taps are made here");
  }
  if (wanted.name.empty() || wanted.name.size() > name_bytes_max) {
    return fail_errno(EINVAL, "link name");
  }
  if (find(wanted.name) != nullptr) { return fail_errno(EEXIST, "link"); }
  if (!wanted.master.empty() && find(wanted.master) == nullptr) {
    return fail_errno(ENODEV, "master " + wanted.master);
  }

  ObservedLink link;
  link.link = wanted;
  link.link.master.clear();
  link.link.admin_up = false;
  link.mtu_min = 68;
  link.mtu_max = 65535;
  if (!wanted.mac) {
    link.link.mac = MacAddress{{0xfe, 0, 0, 0, 0, static_cast<std::uint8_t>(next_index_)}};
  }
  if (!wanted.mtu) { link.link.mtu = 1500; }
  const bool is_tap = wanted.kind == LinkKind::tap;
  link.link.vlans.reset();
  link.link.bridge.reset();
  if (is_tap) { link.link.tap = wanted.tap.value_or(TapAttributes{}); }
  ObservedLink& made = insert(std::move(link));
  if (!is_tap) {
    made.link.bridge = BridgeAttributes{.vlan_filtering = false};
    if (vlan_filtering_) { set_default_pvid(made, 1); }
    const auto done = set_bridge(made, wanted.bridge.value_or(BridgeAttributes{}));
    if (!done) {
      erase_link(wanted.name);
      return done;
    }
  }
  if (is_tap) { cable_[made.index.value] = false; }
  set_up(made, wanted.admin_up);
  return set_master(made, wanted.master);
}

Result<void> FakeKernel::write(const ChangeLink& operation) {
  ObservedLink* link = find(operation.name);
  if (link == nullptr) { return fail_errno(ENODEV, "link " + operation.name); }
  if (operation.mtu) { EDGE_TRY(check_mtu(*link, *operation.mtu)); }
  if (operation.alias && operation.alias->size() > alias_bytes_max) {
    return fail_errno(EINVAL, "alias");
  }
  if (operation.bridge) { EDGE_TRY(set_bridge(*link, *operation.bridge)); }
  if (operation.master) { EDGE_TRY(set_master(*link, *operation.master)); }
  if (operation.mtu) { link->link.mtu = operation.mtu; }
  if (operation.mac) { link->link.mac = operation.mac; }
  if (operation.alias) { link->link.alias = *operation.alias; }
  if (operation.admin_up) { set_up(*link, *operation.admin_up); }
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
  drop_routes_of(name, std::nullopt);
  std::erase_if(state_.addresses, [&](const Address& address) { return address.link == name; });
  for (ObservedLink& link : state_.links) {
    if (link.link.master != name) { continue; }
    link.link.master.clear();
    vlans_.erase(link.index.value);
  }
  cable_.erase(find(name)->index.value);
  vlans_.erase(find(name)->index.value);
  std::erase_if(state_.links, [&](const ObservedLink& link) { return link.link.name == name; });
  std::erase_if(sysctls_, [&](const auto& entry) { return !sysctl_exists(entry.first); });
}

/// A bridge has carrier when a port has; everything needs to be admin up for it.
void FakeKernel::update_carriers() {
  const auto set = [](ObservedLink& link, bool carrier) {
    if (link.carrier && !carrier) { ++link.carrier_down_count; }
    link.carrier = carrier;
  };
  for (ObservedLink& link : state_.links) {
    if (link.link.kind != LinkKind::bridge) {
      set(link, link.link.admin_up && cable_.at(link.index.value));
    }
  }
  for (ObservedLink& bridge : state_.links) {
    if (bridge.link.kind != LinkKind::bridge) { continue; }
    const bool live = std::ranges::any_of(state_.links, [&](const ObservedLink& port) {
      return port.link.master == bridge.link.name && port.carrier;
    });
    set(bridge, bridge.link.admin_up && live);
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
  if (made.link.kind != LinkKind::bridge) { cable_[made.index.value] = true; }
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
  EDGE_ASSERT(link != nullptr && link->link.kind != LinkKind::bridge);
  cable_[link->index.value] = carrier;
  update_carriers();
}

void FakeKernel::set_admin_up(const std::string& name, bool up) {
  EDGE_ASSERT(find(name) != nullptr);
  set_up(*find(name), up);
  update_carriers();
}

void FakeKernel::fail_apply(std::uint64_t nth, int os_errno) {
  apply_failures_[writes_ + nth] = os_errno;
}

void FakeKernel::fail_dump(std::uint64_t nth, int os_errno) {
  dump_failures_[dumps_ + nth] = os_errno;
}

}  // namespace edge::netmodel
