// Figures of taps: 500 attached to one bridge by our kernel port, beside a program that does the
// same with its own ioctls and messages. Runs on any kernel.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/bench/links/raw_netlink.hpp"

namespace edge::netmodel::bench {
namespace {

constexpr int taps = 500;

Link bridge(const std::string& name) {
  Link link;
  link.name = name;
  link.kind = LinkKind::bridge;
  link.mac = MacAddress{{2, 0, 0, 0, 0, 1}};
  link.mtu = 1500;
  link.alias = "gallium:port:" + name;
  link.bridge = BridgeAttributes{};
  return link;
}

MacAddress mac_of(int number) {
  return {
      {0xfe, 0, 0, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}};
}

Link tap(int number, const std::string& master) {
  Link link;
  link.name = fmt::format("t-{}", number);
  link.kind = LinkKind::tap;
  link.mac = mac_of(number);
  link.mtu = 1500;
  link.master = master;
  link.alias = "gallium:interface:" + link.name;
  link.tap = TapAttributes{};
  return link;
}

/// One tap, with everything ours has: owner, persistence, group, alias, MAC, MTU, master, up.
void raw_tap(RawNetlink& raw, int number, int master) {
  const std::string name = fmt::format("r-{}", number);
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  require(fd >= 0 && ::ioctl(fd, TUNSETIFF, &request) == 0, "reference tap");
  require(::ioctl(fd, TUNSETOWNER, 0UL) == 0 && ::ioctl(fd, TUNSETPERSIST, 1UL) == 0,
          "reference tap owner");
  ifinfomsg fixed{};
  fixed.ifi_index = index_of(name);
  fixed.ifi_change = fixed.ifi_flags = IFF_UP;
  RawMessage message(RTM_NEWLINK, 0, fixed);
  message.put(IFLA_ADDRESS, mac_of(number).bytes.data(), 6).put32(IFLA_MTU, 1500);
  message.put32(IFLA_GROUP, 117).put_text(IFLA_IFALIAS, "gallium:interface:" + name);
  message.put32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  raw.request(std::move(message));
  ::close(fd);
}

int run() {
  enter_new_namespace();
  auto kernel = RtnetlinkKernel::open(nullptr);
  require(kernel.has_value(), kernel ? "" : kernel.error().what);
  std::vector<double> ours, theirs;
  for (int round = 0; round < 3; ++round) {
    const std::string names[] = {fmt::format("br{}", round), fmt::format("rr{}", round)};
    for (const std::string& name : names) { succeed((*kernel)->apply(CreateLink{bridge(name)})); }
    const int begin = round * taps, end = begin + taps;
    ours.push_back(milliseconds_of([&] {
      for (int i = begin; i < end; ++i) { succeed((*kernel)->apply(CreateLink{tap(i, names[0])})); }
    }));
    RawNetlink raw;
    theirs.push_back(milliseconds_of([&] {
      const int master = index_of(names[1]);
      for (int i = begin; i < end; ++i) { raw_tap(raw, i, master); }
    }));
  }
  print("taps.attach_500", ours, "raw-ioctl-netlink", theirs, 2);
  return 0;
}

}  // namespace
}  // namespace edge::netmodel::bench

int main() { return edge::netmodel::bench::run(); }
