// Figures of VLANs on one bridge: made, one added, one deleted, read back, and for how long a
// deletion keeps everybody else from the rtnl lock. Needs vlan_filtering and 802.1Q: for the VM
// (`netns-lab/lab vm -- .../vm_bench_vlan`); fails on a kernel without.
#include <fmt/format.h>
#include <linux/if_bridge.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/bench/links/raw_netlink.hpp"

namespace edge::netmodel::bench {
namespace {

using Vlans = std::vector<BridgeVlan>;
const std::string uplink = "eth0";

Vlans range(std::uint16_t first, std::uint16_t last) { return {{.first = first, .last = last}}; }

/// 2, 4, 6..: no two of them make a range.
Vlans scattered(int count) {
  Vlans vlans;
  for (int i = 1; i <= count; ++i) {
    const auto id = static_cast<std::uint16_t>(2 * i);
    vlans.push_back({.first = id, .last = id});
  }
  return vlans;
}

/// As many ids in one message as there are.
RawMessage raw_vlans(std::uint16_t type, const Vlans& vlans) {
  ifinfomsg fixed{};
  fixed.ifi_family = AF_BRIDGE;
  fixed.ifi_index = index_of(uplink);
  RawMessage message(type, 0, fixed);
  const std::size_t spec = message.begin(IFLA_AF_SPEC);
  for (const BridgeVlan& vlan : vlans) {
    const bool one = vlan.first == vlan.last;
    bridge_vlan_info info{.flags = static_cast<__u16>(one ? 0 : BRIDGE_VLAN_INFO_RANGE_BEGIN),
                          .vid = vlan.first};
    message.put(IFLA_BRIDGE_VLAN_INFO, &info, sizeof info);
    if (one) { continue; }
    info = {.flags = BRIDGE_VLAN_INFO_RANGE_END, .vid = vlan.last};
    message.put(IFLA_BRIDGE_VLAN_INFO, &info, sizeof info);
  }
  message.end(spec);
  return message;
}

class Bench {
 public:
  Bench() : kernel_(std::move(RtnetlinkKernel::open(nullptr)).value()) {
    run_ip("ip link add eth0 type veth peer name x0 && ip link set eth0 up && ip link set x0 up");
    Link bridge;
    bridge.name = "br0";
    bridge.kind = LinkKind::bridge;
    bridge.mac = MacAddress{{2, 0, 0, 0, 0, 1}};
    bridge.alias = "gallium:port:020000000001";
    bridge.bridge = BridgeAttributes{.vlan_filtering = true, .default_pvid = std::uint16_t{0}};
    succeed(kernel_->apply(CreateLink{bridge}));
    ChangeLink join;
    join.name = uplink;
    join.master = "br0";
    succeed(kernel_->apply(join));
  }

  void create(const std::string& figure, const Vlans& vlans, int runs) {
    std::vector<double> ours, theirs;
    for (int run = 0; run < runs; ++run) {
      ours.push_back(milliseconds_of([&] { add(vlans); }));
      remove(vlans);
      theirs.push_back(milliseconds_of([&] { raw_.request(raw_vlans(RTM_SETLINK, vlans)); }));
      remove(vlans);
    }
    print(figure, ours, "raw-netlink", theirs, 1.5);
  }

  /// 1,000 are there.
  void one_more(int runs) {
    add(range(2, 1001));
    std::vector<double> added, deleted, raw_added, raw_deleted;
    for (int run = 0; run < runs; ++run) {
      added.push_back(milliseconds_of([&] { add(range(3000, 3000)); }));
      deleted.push_back(milliseconds_of([&] { remove(range(3000, 3000)); }));
      raw_added.push_back(
          milliseconds_of([&] { raw_.request(raw_vlans(RTM_SETLINK, range(3000, 3000))); }));
      raw_deleted.push_back(
          milliseconds_of([&] { raw_.request(raw_vlans(RTM_DELLINK, range(3000, 3000))); }));
    }
    print("vlan.add_one", added, "raw-netlink", raw_added, 3);
    print("vlan.delete_one", deleted, "raw-netlink", raw_deleted, 3);
    remove(range(2, 1001));
  }

  /// What a turn that finds nothing to do costs at least: scattered ids, the larger dump.
  void dump_again(int runs) {
    add(scattered(1000));
    std::vector<double> ours, theirs;
    for (int run = 0; run < runs; ++run) {
      ours.push_back(milliseconds_of([&] {
        const auto state = kernel_->dump({});
        require(state && state->find_link(uplink)->link.vlans->size() == 1000, "dump");
      }));
      theirs.push_back(milliseconds_of([&] { raw_dump(); }));
    }
    print("vlan.dump_1000", ours, "raw-netlink", theirs, 2);
    remove(scattered(1000));
  }

  /// How long another program waits for its RTM_GETLINK at worst, meanwhile.
  void hold(int runs) {
    std::vector<double> ours, theirs;
    for (int run = 0; run < runs; ++run) {
      add(range(2, 4094));
      ours.push_back(worst_wait([&] { remove(range(2, 4094)); }));
      add(range(2, 4094));
      theirs.push_back(worst_wait([&] { raw_.request(raw_vlans(RTM_DELLINK, range(2, 4094))); }));
    }
    print("vlan.delete_4093_others_wait", ours, "raw-netlink-one-message", theirs, 1);
  }

  /// The other way to have VLANs: a VLAN device and a bridge for each, by ip -batch.
  void against_bridges(int count) {
    const auto last = static_cast<std::uint16_t>(1 + count);
    const double ours = milliseconds_of([&] { add(range(2, last)); });
    remove(range(2, last));
    std::string lines;
    for (int id = 2; id <= last; ++id) {
      lines += fmt::format(
          "link add link x0 name v{0} type vlan id {0}\nlink add b{0} type bridge\n"
          "link set v{0} master b{0} up\nlink set b{0} up\n",
          id);
    }
    const double theirs = milliseconds_of([&] {
      FILE* ip = ::popen("ip -batch -", "we");
      require(ip != nullptr && std::fwrite(lines.data(), 1, lines.size(), ip) == lines.size(),
              "ip -batch");
      require(::pclose(ip) == 0, "ip -batch");
    });
    print(fmt::format("vlan.create_{}_against_bridges", count), {ours}, "ip-batch-bridge-per-vlan",
          {theirs}, 0.05);
  }

 private:
  static void run_ip(const std::string& command) {
    require(std::system(command.c_str()) == 0, command);
  }
  void add(const Vlans& vlans) {
    succeed(kernel_->apply(SetVlans{.link = uplink, .add = vlans, .remove = {}}));
  }
  void remove(const Vlans& vlans) {
    succeed(kernel_->apply(SetVlans{.link = uplink, .add = {}, .remove = vlans}));
  }

  /// The same dumps as ours, unread.
  void raw_dump() {
    ifinfomsg links{}, vlans{};
    vlans.ifi_family = AF_BRIDGE;
    raw_.dump(RawMessage(RTM_GETLINK, 0, links).put32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS));
    raw_.dump(
        RawMessage(RTM_GETLINK, 0, vlans).put32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED));
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
      ifaddrmsg address{};
      address.ifa_family = family;
      raw_.dump(RawMessage(RTM_GETADDR, 0, address));
      rtmsg route{};
      route.rtm_family = family;
      raw_.dump(RawMessage(RTM_GETROUTE, 0, route));
      raw_.dump(RawMessage(RTM_GETRULE, 0, route));
    }
  }

  static double worst_wait(const std::function<void()>& work) {
    std::atomic<bool> stop = false, begun = false;
    double worst = 0;
    std::thread other([&] {
      RawNetlink raw;
      ifinfomsg lo{};
      lo.ifi_index = 1;
      lo.ifi_change = lo.ifi_flags = 1;  // IFF_UP: it is up already; a write waits for rtnl.
      while (!stop) {
        worst = std::max(worst, milliseconds_of([&] { raw.request({RTM_NEWLINK, 0, lo}); }));
        begun = true;
      }
    });
    while (!begun) { std::this_thread::yield(); }
    work();
    stop = true;
    other.join();
    return worst;
  }

  std::unique_ptr<RtnetlinkKernel> kernel_;
  RawNetlink raw_;
};

int run() {
  enter_new_namespace();
  Bench bench;
  bench.create("vlan.create_1000", range(2, 1001), 9);
  bench.create("vlan.create_1000_scattered", scattered(1000), 9);
  bench.create("vlan.create_4093", range(2, 4094), 3);
  bench.one_more(51);
  bench.dump_again(15);
  bench.hold(3);
  bench.against_bridges(100);
  return 0;
}

}  // namespace
}  // namespace edge::netmodel::bench

int main() { return edge::netmodel::bench::run(); }
