// The kernel under test with a host around it: the fake or the real one, in the same words.
#include "tests/contract/kernel/world.hpp"

#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/assert.hpp"
#include "base/unique_fd.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"
#include "tests/fake/fake_kernel.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint8_t protocol_static = 4;  // RTPROT_STATIC

class FakeWorld final : public World {
 public:
  explicit FakeWorld(KernelBuild build) {
    if (build == KernelBuild::stock) { kernel_.allow_vlan_filtering(); }
  }
  Kernel& kernel() override { return kernel_; }
  void plug_adapter(const std::string& name) override {
    kernel_.plug_adapter(name, MacAddress{{0x02, 0xaa, 0, 0, 0, ++adapters_}});
    kernel_.set_admin_up(name, true);
  }
  void set_cable(const std::string& name, bool plugged) override {
    kernel_.set_carrier(name, plugged);
  }
  void set_admin_up(const std::string& name, bool up) override { kernel_.set_admin_up(name, up); }
  void rename_link(const std::string& from, const std::string& to) override {
    kernel_.rename_link(from, to);
  }
  void add_foreign_bridge(const std::string& name) override {
    Link link = bridge_link(name, "02:bb:00:00:00:01");
    link.alias.clear();
    kernel_.add_foreign_link(link);
  }
  void add_foreign_address(const std::string& link, const std::string& text) override {
    Address foreign = own_address(link, text);
    foreign.no_prefix_route = false;
    kernel_.add_foreign_address(foreign);
  }
  void add_foreign_route(const std::string& destination, const std::string& link) override {
    Route route = route_to(destination, link);
    route.protocol = protocol_static;
    route.metric = 0;
    kernel_.add_foreign_route(route);
  }
  void add_foreign_rule(std::uint32_t priority, const std::string& from) override {
    kernel_.add_foreign_rule(
        {.priority = priority, .from = prefix(from), .protocol = protocol_static});
  }
  bool eventually(const std::function<bool()>& condition) override { return condition(); }

 private:
  FakeKernel kernel_;
  std::uint8_t adapters_ = 0;
};

/// Every change from outside is made by iproute2.
class RealWorld final : public World {
 public:
  RealWorld() {
    enter_new_namespace();
    auto opened = RtnetlinkKernel::open(nullptr);
    EDGE_ASSERT(opened.has_value());
    kernel_ = std::move(*opened);
    events_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    sockaddr_nl self{};
    self.nl_family = AF_NETLINK;
    self.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR;
    EDGE_ASSERT(::bind(events_.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) == 0);
  }
  Kernel& kernel() override { return *kernel_; }
  void plug_adapter(const std::string& name) override {
    ip("link add " + name + " type veth peer name x-" + name);
    ip("link set x-" + name + " up");
    ip("link set " + name + " up");
  }
  void set_cable(const std::string& name, bool plugged) override {
    ip("link set x-" + name + (plugged ? " up" : " down"));
  }
  void set_admin_up(const std::string& name, bool up) override {
    ip("link set " + name + (up ? " up" : " down"));
  }
  void rename_link(const std::string& from, const std::string& to) override {
    ip("link set " + from + " down");  // Kernels before 6.2 rename nothing that is up.
    ip("link set " + from + " name " + to);
    ip("link set " + to + " up");
  }
  void add_foreign_bridge(const std::string& name) override {
    ip("link add " + name + " type bridge");
    ip("link set " + name + " up");
  }
  void add_foreign_address(const std::string& link, const std::string& text) override {
    ip("address add " + text + " dev " + link);
  }
  void add_foreign_route(const std::string& destination, const std::string& link) override {
    ip("route add " + destination + " dev " + link + " proto static");
  }
  void add_foreign_rule(std::uint32_t priority, const std::string& from) override {
    ip("rule add priority " + std::to_string(priority) + " from " + from +
       " lookup main protocol static");
  }
  bool eventually(const std::function<bool()>& condition) override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!condition()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      pollfd ready{.fd = events_.get(), .events = POLLIN, .revents = 0};
      if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) {
        return condition();
      }
      std::array<char, 32768> ignored;
      while (::recv(events_.get(), ignored.data(), ignored.size(), 0) > 0) {}
    }
    return true;
  }

 private:
  std::unique_ptr<RtnetlinkKernel> kernel_;
  UniqueFd events_;
};

}  // namespace

std::unique_ptr<World> make_fake_world(KernelBuild build) {
  return std::make_unique<FakeWorld>(build);
}
std::unique_ptr<World> make_real_world() { return std::make_unique<RealWorld>(); }

std::vector<Address> KernelContract::addresses(const std::string& name, Family family) {
  std::vector<Address> found = dump().addresses;
  std::erase_if(found, [&](const Address& one) {
    return one.link != name || one.prefix.address.family != family ||
           one.prefix.address.is_link_local();
  });
  return found;
}

std::vector<Route> KernelContract::routes(const std::string& name, Family family) {
  std::vector<Route> found = dump().routes;
  std::erase_if(found, [&](const Route& route) {
    return route.link != name || route.destination.address.family != family ||
           route.destination.address.is_link_local();
  });
  return found;
}

bool KernelContract::has(const Route& route) {
  const ObservedState state = dump();
  return std::ranges::find(state.routes, route) != state.routes.end();
}

bool KernelContract::has(const Rule& rule) {
  const ObservedState state = dump();
  return std::ranges::find(state.rules, rule) != state.rules.end();
}

void KernelContract::make_bridge(const std::string& name, const std::string& mac_text) {
  apply(CreateLink{bridge_link(name, mac_text)});
}

void KernelContract::make_tap(const std::string& name, const std::string& bridge) {
  Link link;
  link.name = name;
  link.kind = LinkKind::tap;
  link.mac = mac("fe:00:00:00:00:42");
  link.mtu = 1500;
  link.master = bridge;
  link.alias = "gallium:interface:" + name;
  link.tap = TapAttributes{.owner_uid = 0, .vnet_hdr = true, .multi_queue = false};
  apply(CreateLink{link});
}

void StockKernelContract::make_bond(const std::string& name, const BondAttributes& options) {
  apply(CreateLink{bond_link(name, options)});
}

void StockKernelContract::set_master(const std::string& name, const std::string& master) {
  ChangeLink operation = change(name);
  operation.master = master;
  apply(operation);
}

MacAddress mac(std::string_view text) { return parse_mac(text).value(); }
IpAddress address(std::string_view text) { return parse_ip(text).value(); }
IpPrefix prefix(std::string_view text) { return parse_prefix(text).value(); }

Link bridge_link(const std::string& name, const std::string& mac_text) {
  Link link;
  link.name = name;
  link.kind = LinkKind::bridge;
  link.mac = mac(mac_text);
  link.mtu = 1500;
  link.alias = "gallium:port:" + to_hex(mac(mac_text));
  link.bridge = BridgeAttributes{};
  return link;
}

Link bond_link(const std::string& name, const BondAttributes& options) {
  Link link;
  link.name = name;
  link.kind = LinkKind::bond;
  link.mac = mac("02:00:00:00:00:b0");
  link.mtu = 1500;
  link.alias = "gallium:bond:020000000000b0";
  link.bond = options;
  return link;
}

Link filtering_bridge_link(const std::string& name) {
  Link link = bridge_link(name, "02:00:00:00:00:01");
  link.bridge->vlan_filtering = true;
  link.bridge->default_pvid = 0;
  return link;
}

Link vlan_device_link(const std::string& name, const std::string& parent, std::uint16_t id) {
  Link link;
  link.name = name;
  link.kind = LinkKind::vlan;
  link.mtu = 1500;
  link.alias = "gallium:vlan:020000000001";
  link.vlan = VlanAttributes{.parent = parent, .id = id};
  return link;
}

BridgeVlan tagged(std::uint16_t first, std::uint16_t last) {
  return {.first = first, .last = last};
}

BridgeVlan native(std::uint16_t id) {
  return {.first = id, .last = id, .pvid = true, .untagged = true};
}

Address own_address(const std::string& link, std::string_view prefix_text) {
  return {.link = link, .prefix = prefix(prefix_text), .no_prefix_route = true, .ours = true};
}

Route route_to(std::string_view destination, const std::string& link) {
  Route route;
  route.destination = prefix(destination);
  route.link = link;
  route.metric = 100;
  return route;
}

ChangeLink change(const std::string& name) {
  ChangeLink change;
  change.name = name;
  return change;
}

}  // namespace edge::netmodel
