// Raw Ethernet sockets (AF_PACKET): opened, and bound to one link for the frames of one ethertype.
#include "netmodel/io/packet_socket.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace edge::netmodel {
namespace {

constexpr int socket_flags = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;

Result<void> set(int fd, int level, int option, const void* value, socklen_t size) {
  if (::setsockopt(fd, level, option, value, size) == 0) { return {}; }
  return fail_errno(errno, "set packet socket option");
}

/// struct sock_filter: accept the whole frame if its ethertype is this one. A VLAN tag is not in
/// the frame any more when the filter sees it (skb_vlan_untag()).
Result<void> filter_by_ethertype(int fd, std::uint16_t ethertype) {
  std::array<sock_filter, 4> code{
      {{.code = BPF_LD | BPF_H | BPF_ABS, .jt = 0, .jf = 0, .k = offsetof(ethhdr, h_proto)},
       {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = ethertype},
       {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0xffff},
       {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0}}};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  return set(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

}  // namespace

Result<UniqueFd> open_packet_sender() {
  UniqueFd fd(::socket(AF_PACKET, socket_flags, 0));  // Protocol 0: nothing is received.
  if (!fd) { return fail_errno(errno, "open packet socket"); }
  return fd;
}

Result<UniqueFd> open_packet_listener(IfIndex link, std::uint16_t ethertype) {
  // The filter goes on before the socket hears anything.
  EDGE_ASSIGN(UniqueFd fd, open_packet_sender());
  EDGE_TRY(filter_by_ethertype(fd.get(), ethertype));
  const int on = 1;
  EDGE_TRY(set(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on));
  EDGE_TRY(set(fd.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
  sockaddr_ll self{};
  self.sll_family = AF_PACKET;
  self.sll_protocol = htons(ETH_P_ALL);
  self.sll_ifindex = static_cast<int>(link.value);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0) {
    return fail_errno(errno, "bind packet socket");
  }
  return fd;
}

Result<IfIndex> index_of_link(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) { return fail_errno(errno, "link " + name); }
  return IfIndex{index};
}

}  // namespace edge::netmodel
