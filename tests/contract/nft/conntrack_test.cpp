// Exactly the flows that a change made wrong are removed; everything else stays.
#include <gmock/gmock.h>

#include <algorithm>

#include "netmodel/io/conntrack_kernel.hpp"
#include "router.hpp"

namespace edge::netmodel::test {
namespace {

class ConntrackTest : public Router {
 protected:
  void SetUp() override {
    Router::SetUp();
    conntrack = ConntrackKernel::create().value();
  }
  /// Original direction of the present flows, one a line.
  std::string flows(const std::string& options) {
    return spaces.output("conntrack -L " + options + " 2>/dev/null");
  }
  unsigned count(const std::string& options) {
    const std::string lines = flows(options);
    return static_cast<unsigned>(std::count(lines.begin(), lines.end(), '\n'));
  }

  std::unique_ptr<ConntrackKernel> conntrack;
};

TEST_F(ConntrackTest, WithoutAMatchNothingIsRemoved) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 80, web));
  EXPECT_EQ(conntrack->remove_for_address(ip("192.0.2.99")).value(), 0U);
  EXPECT_EQ(count("--orig-dst 192.0.2.1"), 1U);
}

TEST_F(ConntrackTest, AnOldAddressTakesItsPublishedAndItsMasqueradedFlowsAlong) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  Server outside1(spaces, "lan1", Kind::tcp, "192.0.2.2", 443);
  Server outside2(spaces, "lan2", Kind::tcp, "198.51.100.2", 443);
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 80, web));          // In by the address,
  ASSERT_TRUE(exchange(spaces, "guest1", "192.0.2.2", 443, outside1));  // out with it,
  ASSERT_TRUE(
      exchange(spaces, "lan2", "198.51.100.1", 80, web));  // and the same of the other uplink.
  ASSERT_TRUE(exchange(spaces, "guest1", "198.51.100.2", 443, outside2));
  EXPECT_EQ(conntrack->remove_for_address(ip("192.0.2.1")).value(), 2U);
  EXPECT_EQ(count("--orig-dst 192.0.2.1"), 0U);
  EXPECT_EQ(count("--reply-dst 192.0.2.1"), 0U);
  EXPECT_EQ(count("--orig-dst 198.51.100.1"), 1U);
  EXPECT_EQ(count("--reply-dst 198.51.100.1"), 1U);
}

TEST_F(ConntrackTest, AnOldIpv6AddressToo) {
  Server web(spaces, "guest1", Kind::tcp, "fd00:200::10", 8080);
  ASSERT_TRUE(exchange(spaces, "lan1", "2001:db8:1::1", 86, web));
  EXPECT_EQ(conntrack->remove_for_address(ip("2001:db8:1::1")).value(), 1U);
  EXPECT_EQ(count("-f ipv6 --orig-dst 2001:db8:1::1"), 0U);
}

TEST_F(ConntrackTest, AWithdrawnPublicationTakesItsFlowsOfThatTransportPortAndUplink) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  Server dns(spaces, "guest1", Kind::udp, "10.200.0.10", 5353);
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 80, web));
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 81, web));
  ASSERT_TRUE(exchange(spaces, "lan2", "198.51.100.1", 80, web));
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 53, dns));
  ASSERT_TRUE(exchange(spaces, "guest2", "192.0.2.1", 80, web));  // A hairpin.
  const NftState state = sample();
  EXPECT_EQ(conntrack->remove_for_publication(state.publications[0], state.uplinks[0]).value(), 2U);
  EXPECT_EQ(count("-p tcp --orig-dst 192.0.2.1 --orig-port-dst 80"), 0U);
  EXPECT_EQ(count("-p tcp --orig-dst 192.0.2.1 --orig-port-dst 81"), 1U);
  EXPECT_EQ(count("-p tcp --orig-dst 198.51.100.1"), 1U);
  EXPECT_EQ(count("-p udp --orig-dst 192.0.2.1"), 1U);
}

/// Why: a publication is open at every address of the host, e.g. the virtual one of a cluster.
TEST_F(ConntrackTest, AWithdrawnPublicationTakesFlowsToASecondAddressOfTheUplinkAlong) {
  spaces.run("host",
             "ip addr add 192.0.2.9/24 dev bru1 && ip addr add 2001:db8:1::9/64 dev bru1 nodad && "
             "ip addr add 198.51.100.9/24 dev bru2");
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  Server web6(spaces, "guest1", Kind::tcp, "fd00:200::10", 8080);
  Server routed(spaces, "guest4", Kind::tcp, "10.60.0.10", 80);
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 80, web));
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.9", 80, web));
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.9", 81, web));
  ASSERT_TRUE(exchange(spaces, "lan2", "198.51.100.9", 80, web));
  ASSERT_TRUE(exchange(spaces, "lan1", "2001:db8:1::9", 86, web6));
  ASSERT_TRUE(exchange(spaces, "lan1", "10.60.0.10", 80, routed));  // Forwarded, not translated.
  const NftState state = sample();
  const Publication web80 = publish("bru1", Transport::tcp, 80, "10.200.0.10", 8080);
  EXPECT_EQ(conntrack->remove_for_publication(web80, state.uplinks[0]).value(), 2U);
  EXPECT_EQ(count("-p tcp --orig-dst 192.0.2.1"), 0U);
  EXPECT_EQ(count("-p tcp --orig-dst 192.0.2.9 --orig-port-dst 80"), 0U);
  EXPECT_EQ(count("-p tcp --orig-dst 192.0.2.9 --orig-port-dst 81"), 1U);
  EXPECT_EQ(count("-p tcp --orig-dst 198.51.100.9"), 1U);
  EXPECT_EQ(count("-p tcp --orig-dst 10.60.0.10"), 1U);
  EXPECT_EQ(count("-f ipv6 -p tcp --orig-dst 2001:db8:1::9"), 1U);
  const Publication web86 = publish("bru1", Transport::tcp, 86, "fd00:200::10", 8080);
  EXPECT_EQ(conntrack->remove_for_publication(web86, state.uplinks[0]).value(), 1U);
  EXPECT_EQ(count("-f ipv6 -p tcp --orig-dst 2001:db8:1::9"), 0U);
}

/// Two uplinks may hold one address (facts/dhcpcd.md 5.1): the mark says by which one a flow came.
TEST_F(ConntrackTest, FlowsOfATwinUplinkStay) {
  Server web(spaces, "guest1", Kind::tcp, "10.200.0.10", 8080);
  ASSERT_TRUE(exchange(spaces, "lan1", "192.0.2.1", 80, web));
  const UplinkPort twin{"bru2", 20002, {ip("192.0.2.1")}};
  EXPECT_EQ(conntrack->remove_for_publication(sample().publications[0], twin).value(), 0U);
  EXPECT_EQ(count("--orig-dst 192.0.2.1"), 1U);
}

/// A UDP client that sent before its port was published is remembered without translation, and
/// every further packet keeps that memory alive.
TEST_F(ConntrackTest, AUdpFlowThatBeganBeforeThePublicationFindsItAfterwards) {
  NftState state = sample();
  std::erase_if(state.publications, [](const Publication& p) { return p.port == 53; });
  commit(state);
  Server game(spaces, "guest1", Kind::udp, "10.200.0.10", 5353);
  Server other(spaces, "host", Kind::udp, "192.0.2.1", 53);  // Whoever had the port so far.
  Flow flow(spaces, "lan1", Kind::udp, "192.0.2.1", 53);
  ASSERT_EQ(flow.send(other), "192.0.2.2");
  commit(sample());
  EXPECT_EQ(flow.send(game, silence), std::nullopt);
  EXPECT_EQ(conntrack
                ->remove_for_publication(publish("bru1", Transport::udp, 53, "10.200.0.10", 5353),
                                         sample().uplinks[0])
                .value(),
            1U);
  EXPECT_EQ(flow.send(game), "192.0.2.2");
}

/// Masquerade follows a route by itself; a published flow of a dead uplink must not hold its port.
TEST_F(ConntrackTest, ARemovedPublishedUdpFlowIsTranslatedAnew) {
  Server before(spaces, "guest1", Kind::udp, "10.200.0.10", 5353);
  Server after(spaces, "guest2", Kind::udp, "10.200.0.11", 5353);
  Flow flow(spaces, "lan1", Kind::udp, "192.0.2.1", 53);
  ASSERT_EQ(flow.send(before), "192.0.2.2");
  NftState state = sample();
  const auto moved = std::ranges::find(state.publications, std::uint16_t{53}, &Publication::port);
  const Publication old = *moved;
  moved->target = ip("10.200.0.11");
  commit(state);
  EXPECT_EQ(flow.send(before), "192.0.2.2");  // Still there: rules are asked for new flows only.
  EXPECT_EQ(conntrack->remove_for_publication(old, state.uplinks[0]).value(), 1U);
  EXPECT_EQ(flow.send(after), "192.0.2.2");
}

}  // namespace
}  // namespace edge::netmodel::test
