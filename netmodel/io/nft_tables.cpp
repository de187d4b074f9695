#include "netmodel/io/nft_tables.hpp"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>

#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/nft_socket.hpp"

namespace edge::netmodel {
namespace {

constexpr std::size_t request_bytes_max = 256;

/// As `nft` calls it.
std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET: return "inet";
    case NFPROTO_IPV4: return "ip";
    case NFPROTO_IPV6: return "ip6";
    case NFPROTO_ARP: return "arp";
    case NFPROTO_BRIDGE: return "bridge";
    case NFPROTO_NETDEV: return "netdev";
    default: return std::to_string(family);
  }
}

std::string name_in(const nlmsghdr& answer) {
  std::string out;
  const Bytes whole(reinterpret_cast<const std::byte*>(&answer), answer.nlmsg_len);
  constexpr std::size_t head = sizeof(nlmsghdr) + sizeof(nfgenmsg);
  for_each_attribute(whole.subspan(std::min(head, whole.size())),
                     [&](std::uint16_t type, Bytes value) {
                       if (type == NFTA_TABLE_NAME) { out = read_text(value); }
                     });
  return out;
}

}  // namespace

Result<std::vector<std::string>> foreign_nft_tables() {
  EDGE_ASSIGN(NetfilterSocket socket, NetfilterSocket::open());
  std::array<char, request_bytes_max> buffer{};
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE);
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
  extra->nfgen_family = NFPROTO_UNSPEC;
  std::vector<std::string> out;
  EDGE_TRY(socket.exchange(*request, [&](const nlmsghdr& answer) {
    if (answer.nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE)) { return; }
    const auto* head = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(&answer));
    const std::string name = name_in(answer);
    const bool ours = name == our_nft_table &&
                      (head->nfgen_family == NFPROTO_INET || head->nfgen_family == NFPROTO_BRIDGE);
    if (!ours && !name.empty()) { out.push_back(family_name(head->nfgen_family) + " " + name); }
  }));
  return out;
}

}  // namespace edge::netmodel
