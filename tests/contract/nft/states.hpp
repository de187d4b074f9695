// The state that the contract tests commit, in one place.
#pragma once

#include "netmodel/core/nft_text.hpp"

namespace edge::netmodel::test {

inline IpAddress ip(std::string_view text) { return parse_ip(text).value(); }
inline IpPrefix prefix(std::string_view text) { return parse_prefix(text).value(); }

inline Publication publish(std::string link, Transport transport, std::uint16_t port,
                           std::string_view target, std::uint16_t target_port,
                           std::vector<IpPrefix> sources = {}) {
  return {.in_link = std::move(link),
          .transport = transport,
          .port = port,
          .target = ip(target),
          .target_port = target_port,
          .sources = std::move(sources)};
}

inline constexpr MacAddress guest_mac{{0x52, 0x54, 0, 0, 0, 0x11}};
inline constexpr MacAddress other_mac{{0x52, 0x54, 0, 0, 0, 0x12}};

/// Two uplinks, networks of each kind, published ports open and restricted, two filtered guests.
inline NftState sample() {
  NftState state;
  state.uplinks = {{"bru1", 20001, {ip("192.0.2.1"), ip("2001:db8:1::1")}},
                   {"bru2", 20002, {ip("198.51.100.1")}}};
  state.nat_networks = {{"n-default", prefix("10.200.0.0/24")},
                        {"n-default", prefix("fd00:200::/64")},
                        {"n-two", prefix("10.201.0.0/24")}};
  state.routed_networks = {{"n-routed", prefix("10.60.0.0/24")},
                           {"n-routed", prefix("2001:db8:60::/64")}};
  state.isolated_bridges = {"n-iso"};
  state.guest_ports = {{"t-one", guest_mac, {ip("10.200.0.30")}}, {"t-two", other_mac, {}}};
  state.publications = {
      publish("bru1", Transport::tcp, 80, "10.200.0.10", 8080),
      publish("bru1", Transport::tcp, 81, "10.200.0.10", 8080,
              {prefix("192.0.2.0/30"), prefix("203.0.113.0/24")}),
      publish("bru1", Transport::tcp, 86, "fd00:200::10", 8080),
      publish("bru1", Transport::tcp, 87, "fd00:200::10", 8080, {prefix("2001:db8:1::/64")}),
      publish("bru1", Transport::udp, 53, "10.200.0.10", 5353),
      publish("bru1", Transport::udp, 54, "10.200.0.10", 5353, {prefix("192.0.2.2/32")}),
      publish("bru2", Transport::tcp, 80, "10.200.0.10", 8080),
  };
  return canonical(state).value();
}

}  // namespace edge::netmodel::test
