// What the first packet of a connection costs at 10, 1,000 and 10,000 publications. Method: UDP
// datagrams from ever new source addresses of this host to published ports of its own; each one is
// a new connection that goes through marks, the publication's lookup and DNAT to a socket. Sizes
// take turns, so that a filling connection table burdens all of them alike.
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "base/unique_fd.hpp"
#include "netmodel/core/nft_text.hpp"
#include "new_connection.hpp"
#include "tests/bench/figure_line.hpp"

namespace edge::netmodel {
namespace {

constexpr std::array sizes{10U, 1'000U, 10'000U};
constexpr std::uint16_t first_port = 10'000, target_port = 9;
constexpr unsigned connections = 2'000, rounds = 9;
const IpAddress own = IpAddress::v4(192, 0, 2, 1), target = IpAddress::v4(10, 200, 0, 10);

void require(bool ok, const char* what) {
  if (ok) { return; }
  std::perror(what);
  std::exit(1);
}
void shell(const char* line) { require(std::system(line) == 0, line); }

sockaddr_in endpoint(const IpAddress& address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  std::memcpy(&out.sin_addr, address.bytes.data(), 4);
  return out;
}

NftState state_with(unsigned publications) {
  NftState state;
  state.uplinks = {{"bru1", 20001, {own}}};
  state.nat_networks = {{"n-default", {IpAddress::v4(10, 200, 0, 0), 24}}};
  for (unsigned i = 0; i < publications; ++i) {
    state.publications.push_back({.in_link = "bru1",
                                  .transport = Transport::udp,
                                  .port = static_cast<std::uint16_t>(first_port + i),
                                  .target = target,
                                  .target_port = target_port,
                                  .sources = {}});
  }
  return canonical(std::move(state)).value();
}

/// Sends one datagram from `source`, an address of 10.64.0.0/10 that nobody used before.
void send_from(int fd, std::uint32_t source, std::uint16_t port) {
  sockaddr_in to = endpoint(own, port);
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof to;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_spec_dst.s_addr = htonl(0x0a400000U + source);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
  require(::sendmsg(fd, &message, 0) == 1, "sendmsg");
}

double nanoseconds_each(int fd, unsigned publications, std::uint32_t& source) {
  const auto begin = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < connections; ++i) {
    send_from(fd, source++, static_cast<std::uint16_t>(first_port + i % publications));
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / connections;
}

}  // namespace

void new_connections(NftKernel& nft) {
  shell(
      "ip link set lo up && ip link add bru1 type bridge && ip link set bru1 up && ip addr add "
      "192.0.2.1/24 dev bru1 && ip link add n-default type bridge && ip link set n-default up && "
      "ip "
      "addr add 10.200.0.10/24 dev n-default && ip route add local 10.64.0.0/10 dev lo");
  const UniqueFd server(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = endpoint(target, target_port);
  require(::bind(server.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "bind");
  const UniqueFd client(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::map<unsigned, std::vector<double>> times;
  std::uint32_t source = 1;
  for (unsigned round = 0; round < rounds; ++round) {
    for (const unsigned size : sizes) {
      const auto done = nft.commit(state_with(size));
      require(done.has_value(), "commit");
      times[size].push_back(nanoseconds_each(client.get(), size, source));
    }
  }
  char byte = 0;  // Not one datagram would have come without DNAT.
  require(::recv(server.get(), &byte, 1, MSG_DONTWAIT) == 1, "a datagram arrived");
  for (auto& [size, list] : times) { std::ranges::sort(list); }
  const double few = times[sizes.front()][rounds / 2];
  for (const unsigned size : sizes) {
    const double median = times[size][rounds / 2];
    print_line({.figure = fmt::format("nat.new_connection_{}", size),
                .unit = "ns",
                .value = median,
                .worst = times[size].back(),
                .runs = rounds,
                .reference_name = "10 publications",
                .reference = few,
                .target_ratio = 1.2,
                .decimals = 0});
  }
}

}  // namespace edge::netmodel
