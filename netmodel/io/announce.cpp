// Announces the MACs of guests on a link, so that switches learn where they are now.
#include "netmodel/io/announce.hpp"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "netmodel/io/packet_socket.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint16_t rarp_request = 3;  // RFC 903: "request reverse".
constexpr int send_buffer_bytes = 1 << 20;

void put16(std::vector<std::byte>& out, unsigned value) {
  out.push_back(static_cast<std::byte>(value >> 8U));
  out.push_back(static_cast<std::byte>(value & 0xffU));
}

void put(std::vector<std::byte>& out, const MacAddress& mac) {
  for (const std::uint8_t byte : mac.bytes) { out.push_back(std::byte{byte}); }
}

}  // namespace

std::vector<std::byte> encode_announcement(const Announcement& announcement) {
  std::vector<std::byte> frame;
  put(frame, broadcast_mac);
  put(frame, announcement.mac);
  if (announcement.vlan) {
    put16(frame, ETH_P_8021Q);
    put16(frame, *announcement.vlan);
  }
  put16(frame, ETH_P_RARP);
  put16(frame, ARPHRD_ETHER);
  put16(frame, ETH_P_IP);
  frame.push_back(std::byte{ETH_ALEN});
  frame.push_back(std::byte{4});
  put16(frame, rarp_request);
  put(frame, announcement.mac);
  frame.resize(frame.size() + 4);  // No protocol address: nobody takes it for an ARP entry.
  put(frame, announcement.mac);
  frame.resize(frame.size() + 4);
  frame.resize(std::max(frame.size(), ethernet_frame_min + (announcement.vlan ? 4U : 0U)));
  return frame;
}

Result<Announcer> Announcer::open() {
  EDGE_ASSIGN(UniqueFd fd, open_packet_sender());
  // A thousand guests in one go; without CAP_NET_ADMIN some 250.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer_bytes,
                     sizeof send_buffer_bytes);
  return Announcer(std::move(fd));
}

Result<std::size_t> Announcer::announce(const std::string& link,
                                        std::span<const Announcement> list) const {
  EDGE_ASSIGN(const IfIndex index, index_of_link(link));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(index.value);
  to.sll_halen = ETH_ALEN;
  std::ranges::copy(broadcast_mac.bytes, to.sll_addr);
  std::size_t sent = 0;
  for (const Announcement& one : list) {
    const std::vector<std::byte> frame = encode_announcement(one);
    const ssize_t size = ::sendto(fd_.get(), frame.data(), frame.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (size < 0 && (errno == EAGAIN || errno == ENOBUFS)) { return sent; }
    if (size < 0) { return fail_errno(errno, "announce on " + link); }
    ++sent;
  }
  return sent;
}

}  // namespace edge::netmodel
