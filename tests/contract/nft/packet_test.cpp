// The table judged by packets: who reaches whom, with which source address, by which uplink.
#include <gmock/gmock.h>

#include "router.hpp"

namespace edge::netmodel::test {

void PrintTo(const Seen& seen, std::ostream* out) { *out << seen.data << " from " << seen.peer; }

namespace {

using std::chrono::milliseconds;

/// Long enough for a packet to cross two bridges on a loaded machine; only waited out where nothing
/// must come.

class NftPacketTest : public Router {
 protected:
  std::optional<Seen> reach(const std::string& from, const std::string& to, std::uint16_t port,
                            Server& server, const std::string& source = {}) {
    return exchange(spaces, from, to, port, server, source);
  }
  bool silent(const std::string& from, const std::string& to, std::uint16_t port, Server& server,
              const std::string& source = {}) {
    return !exchange(spaces, from, to, port, server, source, silence);
  }
};

TEST_F(NftPacketTest, APublishedPortReachesItsGuestWithTheClientsAddress) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_EQ(reach("lan1", "192.0.2.1", 80, web), (Seen{"192.0.2.2", "hello"}));
  EXPECT_EQ(reach("lan2", "198.51.100.1", 80, web), (Seen{"198.51.100.2", "hello"}));
  Server dns(spaces, "guest1", Kind::udp, "10.200.0.10", 5353);
  EXPECT_EQ(reach("lan1", "192.0.2.1", 53, dns), (Seen{"192.0.2.2", "hello"}));
}

TEST_F(NftPacketTest, APublishedPortReachesItsGuestOverIpv6) {
  Server web(spaces, "guest1", Kind::tcp, "fd00:200::10", 8080);
  EXPECT_EQ(reach("lan1", "2001:db8:1::1", 86, web), (Seen{"2001:db8:1::2", "hello"}));
  EXPECT_EQ(reach("lan1", "2001:db8:1::1", 87, web), (Seen{"2001:db8:1::2", "hello"}));
  EXPECT_TRUE(silent("lan1", "2001:db8:1::1", 88, web));
}

TEST_F(NftPacketTest, WhatIsNotPublishedIsNotReached) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_TRUE(silent("lan1", "192.0.2.1", 8080, web));   // Another port of the host.
  EXPECT_TRUE(silent("lan2", "198.51.100.1", 81, web));  // Published on the other uplink only.
  EXPECT_TRUE(
      silent("lan1", "10.200.0.10", 8080, web));  // Straight to the guest, with a route there.
  Server udp(spaces, "guest1", Kind::udp, "10.200.0.10", 8080);
  EXPECT_TRUE(silent("lan1", "192.0.2.1", 80, udp));  // The same number of the other transport.
}

TEST_F(NftPacketTest, TrafficThroughTheHostToSomeoneElsesPortIsNotCaught) {
  Server elsewhere(spaces, "lan1", Kind::tcp, "203.0.113.5", 80);
  EXPECT_EQ(reach("guest2", "203.0.113.5", 80, elsewhere), (Seen{"192.0.2.1", "hello"}));
}

TEST_F(NftPacketTest, ARestrictedPortOpensToItsSourcesOnly) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_EQ(reach("lan1", "192.0.2.1", 81, web), (Seen{"192.0.2.2", "hello"}));
  EXPECT_EQ(reach("lan1", "192.0.2.1", 81, web, "203.0.113.5"), (Seen{"203.0.113.5", "hello"}));
  spaces.run("lan1", "ip addr add 192.0.2.4/24 dev eth0");  // Next to 192.0.2.0/30.
  EXPECT_TRUE(silent("lan1", "192.0.2.1", 81, web, "192.0.2.4"));
  Server udp(spaces, "guest1", Kind::udp, "10.200.0.10", 5353);
  EXPECT_EQ(reach("lan1", "192.0.2.1", 54, udp), (Seen{"192.0.2.2", "hello"}));
  EXPECT_TRUE(silent("lan1", "192.0.2.1", 54, udp, "192.0.2.4"));
}

TEST_F(NftPacketTest, HairpinFromTheHost) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_EQ(reach("host", "192.0.2.1", 80, web), (Seen{"192.0.2.1", "hello"}));
  EXPECT_EQ(reach("host", "198.51.100.1", 80, web), (Seen{"198.51.100.1", "hello"}));
  Server dns(spaces, "guest1", Kind::udp, "10.200.0.10", 5353);
  EXPECT_EQ(reach("host", "192.0.2.1", 53, dns), (Seen{"192.0.2.1", "hello"}));
}

TEST_F(NftPacketTest, HairpinFromTheSameNetworkFromTheTargetItselfAndFromAnother) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_EQ(reach("guest2", "192.0.2.1", 80, web), (Seen{"10.200.0.1", "hello"}));
  EXPECT_EQ(reach("guest1", "192.0.2.1", 80, web), (Seen{"10.200.0.1", "hello"}));
  EXPECT_EQ(reach("guest3", "198.51.100.1", 80, web), (Seen{"10.200.0.1", "hello"}));
  EXPECT_TRUE(silent("guest2", "192.0.2.1", 8080, web));
}

TEST_F(NftPacketTest, TheHostsOwnPortsStayTheHosts) {
  Server own(spaces, "host", Kind::tcp, "0.0.0.0", 2222);
  EXPECT_EQ(reach("lan1", "192.0.2.1", 2222, own), (Seen{"192.0.2.2", "hello"}));
  EXPECT_EQ(reach("guest1", "192.0.2.1", 2222, own), (Seen{"10.200.0.10", "hello"}));
  EXPECT_EQ(reach("guest1", "10.200.0.1", 2222, own), (Seen{"10.200.0.10", "hello"}));
  EXPECT_EQ(reach("host", "192.0.2.1", 2222, own), (Seen{"192.0.2.1", "hello"}));
}

/// A connection of the daemon that carries an uplink's mark goes out, also to a port number
/// published there.
TEST_F(NftPacketTest, AMarkedConnectionToTheOutsideIsNotCaughtByAPublication) {
  Server console(spaces, "lan2", Kind::tcp, "203.0.113.5", 80);
  spaces.run("host", "ip rule add pref 9500 to 203.0.113.5 lookup 20002");
  EXPECT_EQ(reach("host", "203.0.113.5", 80, console), (Seen{"198.51.100.1", "hello"}));
}

TEST_F(NftPacketTest, GuestsLeaveWithTheAddressOfTheUplink) {
  Server outside(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  EXPECT_EQ(reach("guest1", "192.0.2.2", 443, outside), (Seen{"192.0.2.1", "hello"}));
  Server other(spaces, "lan2", Kind::udp, "198.51.100.2", 53);
  EXPECT_EQ(reach("guest3", "198.51.100.2", 53, other), (Seen{"198.51.100.1", "hello"}));
}

TEST_F(NftPacketTest, AGuestWithAForeignSourceDoesNotGetOut) {
  spaces.run("guest1", "ip addr add 10.250.0.10/32 dev lo");
  spaces.run("host", "ip route add 10.250.0.10 via 10.200.0.10");
  spaces.run("lan1", "ip route add 10.250.0.10 via 192.0.2.1");
  Server outside(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  EXPECT_TRUE(silent("guest1", "192.0.2.2", 443, outside, "10.250.0.10"));
}

TEST_F(NftPacketTest, NatNetworksDoNotReachEachOther) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_TRUE(silent("guest3", "10.200.0.10", 8080, web));
  Server back(spaces, "guest3", Kind::tcp, "10.201.0.10", 8080);
  EXPECT_TRUE(silent("guest1", "10.201.0.10", 8080, back));
  EXPECT_TRUE(reach("guest2", "10.200.0.10", 8080,
                    web));  // Within one network nothing of ours is on the way.
}

TEST_F(NftPacketTest, ARoutedNetworkIsReachedAndSeenWithItsOwnAddresses) {
  Server web(spaces, "guest4", Kind::tcp, "10.60.0.10", 8080);
  EXPECT_EQ(reach("lan1", "10.60.0.10", 8080, web), (Seen{"192.0.2.2", "hello"}));
  Server web6(spaces, "guest4", Kind::tcp, "2001:db8:60::10", 8080);
  EXPECT_EQ(reach("lan1", "2001:db8:60::10", 8080, web6), (Seen{"2001:db8:1::2", "hello"}));
  Server outside(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  EXPECT_EQ(reach("guest4", "192.0.2.2", 443, outside), (Seen{"10.60.0.10", "hello"}));
  Server outside6(spaces, "lan1", Kind::tcp, "2001:db8:1::2", 443);
  EXPECT_EQ(reach("guest4", "2001:db8:1::2", 443, outside6), (Seen{"2001:db8:60::10", "hello"}));
  spaces.run("lan2", "ip route add 10.60.0.0/24 via 198.51.100.1");
  EXPECT_EQ(reach("lan2", "10.60.0.10", 8080, web, "203.0.113.5"), (Seen{"203.0.113.5", "hello"}));
}

TEST_F(NftPacketTest, ARoutedGuestWithAForeignSourceDoesNotGetOut) {
  spaces.run("guest4", "ip addr add 10.250.0.10/32 dev lo");
  spaces.run("host", "ip route add 10.250.0.10 via 10.60.0.10");
  spaces.run("lan1", "ip route add 10.250.0.10 via 192.0.2.1");
  Server outside(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  EXPECT_TRUE(silent("guest4", "192.0.2.2", 443, outside, "10.250.0.10"));
  EXPECT_TRUE(reach("guest4", "192.0.2.2", 443, outside));
}

TEST_F(NftPacketTest, NothingPassesIntoOrOutOfAnIsolatedNetwork) {
  Server web(spaces, "guest5", Kind::tcp, "10.63.0.10", 8080);
  for (const char* from : {"lan1", "guest1", "guest3", "guest4", "guest6"}) {
    EXPECT_TRUE(silent(from, "10.63.0.10", 8080, web)) << from;
  }
  EXPECT_TRUE(reach("host", "10.63.0.10", 8080, web));
  Server outside(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  EXPECT_TRUE(silent("guest5", "192.0.2.2", 443, outside));
  Server routed(spaces, "guest4", Kind::tcp, "10.60.0.10", 443);
  EXPECT_TRUE(silent("guest5", "10.60.0.10", 443, routed));
  Server published(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_TRUE(silent("guest5", "192.0.2.1", 80, published));
  Server own(spaces, "host", Kind::tcp, "0.0.0.0", 2222);
  EXPECT_EQ(reach("guest5", "10.63.0.1", 2222, own), (Seen{"10.63.0.10", "hello"}));
}

TEST_F(NftPacketTest, NatGuestsReachRoutedOnesWithTheirAddressMaskedAndNotBack) {
  Server routed(spaces, "guest4", Kind::tcp, "10.60.0.10", 443);
  EXPECT_EQ(reach("guest1", "10.60.0.10", 443, routed), (Seen{"10.60.0.1", "hello"}));
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_TRUE(silent("guest4", "10.200.0.10", 8080, web));
  EXPECT_EQ(reach("guest4", "192.0.2.1", 80, web), (Seen{"10.200.0.1", "hello"}));  // Published.
}

TEST_F(NftPacketTest, AnOpenNetworkIsLeftToTheHostsOwnRules) {
  Server web(spaces, "guest6", Kind::tcp, "10.64.0.10", 8080);
  EXPECT_EQ(reach("lan1", "10.64.0.10", 8080, web), (Seen{"192.0.2.2", "hello"}));
  EXPECT_TRUE(reach("guest4", "10.64.0.10", 8080, web));
  EXPECT_TRUE(
      silent("guest1", "10.64.0.10", 8080, web));  // The nat network's rule, not the open one's.
  Server outside(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  EXPECT_EQ(reach("guest6", "192.0.2.2", 443, outside), (Seen{"10.64.0.10", "hello"}));
  spaces.run("host",
             "nft add table inet admin && nft add chain inet admin f '{ type filter hook forward "
             "priority 0; }' && nft add rule inet admin f iifname n-open drop");
  EXPECT_TRUE(silent("guest6", "192.0.2.2", 443, outside));
}

TEST_F(NftPacketTest, AFilteredGuestSpeaksWithItsOwnMacAndAddressOnly) {
  Server web(spaces, "guest1", Kind::udp, "10.200.0.10", 9000);
  EXPECT_EQ(reach("held", "10.200.0.10", 9000, web), (Seen{"10.200.0.30", "hello"}));
  spaces.run("held", "ip addr add 10.200.0.77/24 dev eth0");
  EXPECT_TRUE(silent("held", "10.200.0.10", 9000, web, "10.200.0.77"));
  spaces.run("held", "ip link set eth0 address 52:54:00:00:99:99");
  EXPECT_TRUE(silent("held", "10.200.0.10", 9000, web));
  NftState state = sample();
  state.guest_ports.erase(state.guest_ports.begin());
  commit(state);
  spaces.run("held", "ip neigh flush dev eth0");  // It waits for an answer that was dropped.
  EXPECT_EQ(reach("held", "10.200.0.10", 9000, web, "10.200.0.77"), (Seen{"10.200.0.77", "hello"}));
}

TEST_F(NftPacketTest, AFilteredGuestWithoutAKnownAddressMayHaveAny) {
  Server web(spaces, "guest1", Kind::udp, "10.200.0.10", 9000);
  spaces.run("bare", "ip addr add 10.200.0.78/24 dev eth0");
  EXPECT_EQ(reach("bare", "10.200.0.10", 9000, web, "10.200.0.78"), (Seen{"10.200.0.78", "hello"}));
  spaces.run("bare", "ip link set eth0 address 52:54:00:00:99:98");
  EXPECT_TRUE(silent("bare", "10.200.0.10", 9000, web, "10.200.0.78"));
}

TEST_F(NftPacketTest, OneUplinksNeighboursDoNotReachTheOthersThroughUs) {
  spaces.run("lan1", "ip route add 198.51.100.0/24 via 192.0.2.1");
  spaces.run("lan2", "ip route add 192.0.2.0/24 via 198.51.100.1");
  Server beyond(spaces, "lan2", Kind::tcp, "198.51.100.2", 443);
  EXPECT_TRUE(silent("lan1", "198.51.100.2", 443, beyond));
}

/// Method: one client address behind both uplinks; the main table would answer over the first.
TEST_F(NftPacketTest, AnswersLeaveByTheUplinkThroughWhichTheRequestCame) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_EQ(reach("lan2", "198.51.100.1", 80, web, "203.0.113.5"), (Seen{"203.0.113.5", "hello"}));
  EXPECT_EQ(reach("lan1", "192.0.2.1", 80, web, "203.0.113.5"), (Seen{"203.0.113.5", "hello"}));
  Server own(spaces, "host", Kind::udp, "198.51.100.1", 2222);
  EXPECT_EQ(reach("lan2", "198.51.100.1", 2222, own, "203.0.113.5"),
            (Seen{"203.0.113.5", "hello"}));
  Server tcp(spaces, "host", Kind::tcp, "198.51.100.1", 2222);
  EXPECT_EQ(reach("lan2", "198.51.100.1", 2222, tcp, "203.0.113.5"),
            (Seen{"203.0.113.5", "hello"}));
}

TEST_F(NftPacketTest, AMasqueradedFlowFollowsTheRoute) {
  Server first(spaces, "lan1", Kind::udp, "203.0.113.5", 53);
  Server second(spaces, "lan2", Kind::udp, "203.0.113.5", 53);
  Flow flow(spaces, "guest1", Kind::udp, "203.0.113.5", 53);
  EXPECT_EQ(flow.send(first), "192.0.2.1");
  spaces.run("host", "ip route del default via 192.0.2.2 dev bru1 metric 2000");
  EXPECT_EQ(flow.send(second, silence),
            std::nullopt);  // This packet shows the kernel that the route moved.
  EXPECT_EQ(flow.send(second), "198.51.100.1");
}

/// A container network of somebody else's, masqueraded by his own table: its flows go out by the
/// route, and their answers come back to it, not out again by the uplink's table.
TEST_F(NftPacketTest, AnswersToAForeignNetworkBehindTheHostReachIt) {
  spaces.add("container");
  spaces.link("veth0", "container", "eth0");
  spaces.run("host",
             "ip link add docker0 type bridge forward_delay 0 && ip link set docker0 up && "
             "ip link set veth0 master docker0 && ip addr add 172.30.0.1/24 dev docker0 && "
             "nft 'add table ip theirs; add chain ip theirs post { type nat hook postrouting "
             "priority 100; }; add rule ip theirs post ip saddr 172.30.0.0/24 oifname != docker0 "
             "masquerade'");
  spaces.run("container",
             "ip addr add 172.30.0.2/24 dev eth0 && ip route add default via 172.30.0.1");
  Server beyond(spaces, "lan1", Kind::tcp, "203.0.113.5", 443);
  EXPECT_EQ(reach("container", "203.0.113.5", 443, beyond), (Seen{"192.0.2.1", "hello"}));
}

TEST_F(NftPacketTest, ADhcpRenewalIsNotSentUnicastThroughAnUplink) {
  Server server(spaces, "lan1", Kind::udp, "192.0.2.2", 67);
  Server relay(spaces, "guest1", Kind::udp, "10.200.0.10", 67);
  Flow renewal(spaces, "host", Kind::udp, "192.0.2.2", 67, 68);
  EXPECT_EQ(renewal.send(server, silence), std::nullopt);
  Flow inside(spaces, "host", Kind::udp, "10.200.0.10", 67, 68);
  EXPECT_EQ(inside.send(relay), "10.200.0.1");
  NftState state = sample();
  state.drop_dhcp_unicast_renewals = false;
  commit(state);
  EXPECT_EQ(renewal.send(server), "192.0.2.1");
}

/// Docker and others switch br_netfilter on for the whole machine: guests of one bridge keep their
/// wire.
TEST_F(NftPacketTest, BridgedTrafficPassesWithBridgeNetfilterOnToo) {
  spaces.run(
      "host",
      "if [ -e /proc/sys/net/bridge ]; then sysctl -qw net.bridge.bridge-nf-call-iptables=1; fi");
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 9090);
  EXPECT_EQ(reach("guest2", "10.200.0.10", 9090, web), (Seen{"10.200.0.11", "hello"}));
  spaces.add("vm");  // Attached to the uplink's own bridge.
  spaces.link("v1", "vm", "eth0");
  spaces.run("host", "ip link set v1 master bru1");
  spaces.run("vm", "ip addr add 192.0.2.77/24 dev eth0");
  Server beyond(spaces, "lan1", Kind::tcp, "192.0.2.2", 80);
  EXPECT_EQ(reach("vm", "192.0.2.2", 80, beyond), (Seen{"192.0.2.77", "hello"}));
}

TEST_F(NftPacketTest, HairpinToAnotherGuestWorksWithBridgeNetfilterOnToo) {
  spaces.run("host",
             "if [ -e /proc/sys/net/bridge ]; then sysctl -qw "
             "net.bridge.bridge-nf-call-iptables=1; fi");
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_TRUE(reach("guest2", "192.0.2.1", 80, web));
  EXPECT_TRUE(reach("guest3", "192.0.2.1", 80, web));
}

TEST_F(NftPacketTest, ABridgeMadeAnewIsTheSameUplink) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  spaces.run(
      "host",
      "ip link del bru2 && ip link add bru2 type bridge forward_delay 0 && ip link set bru2 up && "
      "ip link set u2 master bru2 && ip addr add 198.51.100.1/24 dev bru2 && "
      "ip route add 198.51.100.0/24 dev bru2 table 20002 && "
      "ip route add default via 198.51.100.2 dev bru2 table 20002");
  EXPECT_EQ(reach("lan2", "198.51.100.1", 80, web), (Seen{"198.51.100.2", "hello"}));
  EXPECT_EQ(nft->dump().value(), sample());
}

TEST_F(NftPacketTest, AWithdrawnPublicationIsClosedAndANewOneOpens) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  NftState state = sample();
  state.publications.erase(state.publications.begin());
  state.publications.push_back(publish("bru2", Transport::tcp, 8000, "10.200.0.10", 8080));
  commit(state);
  EXPECT_TRUE(silent("lan1", "192.0.2.1", 80, web));
  EXPECT_EQ(reach("lan2", "198.51.100.1", 8000, web), (Seen{"198.51.100.2", "hello"}));
}

TEST_F(NftPacketTest, AnEmptyTableTouchesNoForeignTraffic) {
  commit(NftState{});
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  EXPECT_TRUE(reach("lan1", "10.200.0.10", 8080, web));
  EXPECT_TRUE(reach("guest3", "10.200.0.10", 8080, web));
}

}  // namespace
}  // namespace edge::netmodel::test
