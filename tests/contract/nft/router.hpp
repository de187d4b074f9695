// A host between two uplinks and two NAT networks, with real packets: what the contract tests look
// at.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "namespaces.hpp"
#include "netmodel/io/nft_kernel.hpp"
#include "states.hpp"

namespace edge::netmodel::test {

/// lan1 (192.0.2.2, 2001:db8:1::2) -- bru1 | host | n-default -- guest1 (10.200.0.10), guest2 (.11)
/// lan2 (198.51.100.2)             -- bru2 |      | n-two     -- guest3 (10.201.0.10)
/// n-routed -- guest4 (10.60.0.10, 2001:db8:60::10), n-iso -- guest5 (10.63.0.10), n-open -- guest6
/// (10.64.0.10), t-one and t-two: taps' places in n-default with guests that are filtered.
/// 203.0.113.5 is behind both lans: only the mark tells by which uplink an answer has to go.
class Router : public testing::Test {
 protected:
  void SetUp() override {
    // Bridged traffic is none of the firewall's business; some kernels start with 1
    // (facts/netmodel.md T5).
    spaces.run("host",
               "if [ -e /proc/sys/net/bridge ]; then sysctl -qw "
               "net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0; fi");
    for (const char* name : {"lan1", "lan2", "guest1", "guest2", "guest3", "guest4", "guest5",
                             "guest6", "held", "bare"}) {
      spaces.add(name);
    }
    spaces.run("host",
               "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
               "net.ipv4.conf.all.rp_filter=2 "
               "net.ipv4.conf.default.rp_filter=2 net.ipv4.conf.all.src_valid_mark=1 "
               "net.ipv4.tcp_fwmark_accept=1 "
               "net.ipv4.fwmark_reflect=1 net.ipv6.conf.default.accept_dad=0 "
               "net.ipv6.conf.all.accept_dad=0");
    for (const char* bridge :
         {"bru1", "bru2", "n-default", "n-two", "n-routed", "n-iso", "n-open"}) {
      spaces.run("host", std::string("ip link add ") + bridge +
                             " type bridge forward_delay 0 mcast_snooping 0 && ip link set " +
                             bridge + " up");
    }
    attach("u1", "lan1", "bru1");
    attach("u2", "lan2", "bru2");
    attach("g1", "guest1", "n-default");
    attach("g2", "guest2", "n-default");
    attach("g3", "guest3", "n-two");
    attach("g4", "guest4", "n-routed");
    attach("g5", "guest5", "n-iso");
    attach("g6", "guest6", "n-open");
    attach("t-one", "held", "n-default");
    attach("t-two", "bare", "n-default");
    addresses();
    routes();
    nft = NftKernel::create().value();
    commit(sample());
  }

  void commit(const NftState& state) {
    const auto done = nft->commit(state);
    ASSERT_TRUE(done.has_value()) << done.error().what;
  }

  Namespaces spaces;
  std::unique_ptr<NftKernel> nft;

 private:
  void attach(const std::string& host_end, const std::string& space, const std::string& bridge) {
    spaces.run(space,
               "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0");
    spaces.link(host_end, space, "eth0");
    spaces.run("host", "ip link set " + host_end + " master " + bridge);
  }
  void addresses() {
    spaces.run(
        "host",
        "ip addr add 192.0.2.1/24 dev bru1 && ip addr add 2001:db8:1::1/64 dev bru1 nodad && "
        "ip addr add 198.51.100.1/24 dev bru2 && ip addr add 10.200.0.1/24 dev n-default && "
        "ip addr add fd00:200::1/64 dev n-default nodad && ip addr add 10.201.0.1/24 dev n-two && "
        "ip addr add 10.60.0.1/24 dev n-routed && ip addr add 2001:db8:60::1/64 dev n-routed nodad "
        "&& "
        "ip addr add 10.63.0.1/24 dev n-iso && ip addr add 10.64.0.1/24 dev n-open");
    spaces.run(
        "lan1",
        "ip addr add 192.0.2.2/24 dev eth0 && ip addr add 2001:db8:1::2/64 dev eth0 nodad && "
        "ip addr add 203.0.113.5/32 dev lo && ip route add 10.200.0.0/16 via 192.0.2.1 && "
        "ip route add 10.60.0.0/14 via 192.0.2.1 && ip route add 10.64.0.0/24 via 192.0.2.1 && "
        "ip -6 route add 2001:db8:60::/64 via 2001:db8:1::1 && "
        "ip -6 route add fd00:200::/64 via 2001:db8:1::1");
    spaces.run("lan2", "ip addr add 198.51.100.2/24 dev eth0 && ip addr add 203.0.113.5/32 dev lo");
    spaces.run(
        "guest1",
        "ip addr add 10.200.0.10/24 dev eth0 && ip route add default via 10.200.0.1 && "
        "ip addr add fd00:200::10/64 dev eth0 nodad && ip -6 route add default via fd00:200::1");
    spaces.run("guest2",
               "ip addr add 10.200.0.11/24 dev eth0 && ip route add default via 10.200.0.1");
    spaces.run("guest3",
               "ip addr add 10.201.0.10/24 dev eth0 && ip route add default via 10.201.0.1");
    spaces.run("guest4",
               "ip addr add 10.60.0.10/24 dev eth0 && ip route add default via 10.60.0.1 && "
               "ip addr add 2001:db8:60::10/64 dev eth0 nodad && ip -6 route add default via "
               "2001:db8:60::1");
    spaces.run("guest5",
               "ip addr add 10.63.0.10/24 dev eth0 && ip route add default via 10.63.0.1");
    spaces.run("guest6",
               "ip addr add 10.64.0.10/24 dev eth0 && ip route add default via 10.64.0.1");
    spaces.run(
        "held",
        "ip link set eth0 address 52:54:00:00:00:11 && ip addr add 10.200.0.30/24 dev eth0 && "
        "ip route add default via 10.200.0.1");
    spaces.run("bare",
               "ip link set eth0 address 52:54:00:00:00:12 && ip addr add 10.200.0.31/24 dev eth0");
  }
  /// The daemon's rules and tables (design of the uplink room).
  void routes() {
    spaces.run("host",
               "for s in 10.200.0.0/24 10.201.0.0/24 10.60.0.0/24 10.63.0.0/24 10.64.0.0/24; do "
               "ip rule add pref 9000 to $s lookup main; done && "
               "ip rule add pref 10000 fwmark 20001 lookup 20001 && ip rule add pref 10000 fwmark "
               "20002 lookup 20002 && "
               "ip rule add pref 9500 iif bru1 lookup main && "
               "ip rule add pref 9500 iif bru2 lookup main && "
               "ip -6 rule add pref 9500 iif bru1 lookup main && "
               "ip route add default via 192.0.2.2 dev bru1 metric 2000 && "
               "ip route add default via 198.51.100.2 dev bru2 metric 2010 && "
               "ip route add 192.0.2.0/24 dev bru1 table 20001 && "
               "ip route add default via 192.0.2.2 dev bru1 table 20001 && "
               "ip route add 198.51.100.0/24 dev bru2 table 20002 && "
               "ip route add default via 198.51.100.2 dev bru2 table 20002 && "
               "ip -6 rule add pref 9000 to fd00:200::/64 lookup main && "
               "ip -6 rule add pref 9000 to 2001:db8:60::/64 lookup main && "
               "ip -6 rule add pref 10000 fwmark 20001 lookup 20001 && "
               "ip -6 route add default via 2001:db8:1::2 dev bru1 table 20001");
  }
};

}  // namespace edge::netmodel::test
