// libFuzzer: netlink datagrams that may be anything must neither crash nor hang the decoders.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/assert.hpp"
#include "netmodel/core/vlan_set.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/bridge_vlan.hpp"
#include "netmodel/io/fdb.hpp"
#include "netmodel/io/link_event.hpp"
#include "netmodel/io/listeners.hpp"
#include "netmodel/io/member_check.hpp"
#include "netmodel/io/nft_attributes.hpp"

namespace {

using namespace edge::netmodel;

constexpr std::array<std::uint16_t, 13> types{
    RTM_NEWLINK, RTM_DELLINK,  RTM_NEWADDR,  RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE,
    RTM_DELRULE, RTM_NEWNEIGH, RTM_DELNEIGH, NLMSG_DONE,  NLMSG_ERROR,  NLMSG_OVERRUN};

/// The input as the body of one well-formed message, so that the fuzzer gets past the header.
std::vector<std::byte> as_message(Bytes body, std::uint8_t selector) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = types[selector % types.size()];
  std::vector<std::byte> bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

/// As the readers of nftables and conntrack walk their messages: what nests, and how deep, the
/// input says.
std::size_t walk(std::span<const char> run, unsigned depth) {
  constexpr unsigned depth_max = 8;
  std::size_t seen = 0;
  for_each_attribute(run, [&](const NetlinkAttribute& attribute) {
    EDGE_ASSERT(attribute.text().size() <= attribute.payload.size());
    seen += 1 + (attribute.u32() & 1U);
    if (depth < depth_max) { seen += walk(attribute.payload, depth + 1); }
  });
  return seen;
}

void decode(Bytes bytes, LinkTable& table) {
  std::size_t events = 0;
  decode_events(bytes, table.names(), 1, [&](MonitorEvent event) {
    ++events;
    if (const auto* change = std::get_if<KernelChange>(&event)) {
      EDGE_ASSERT(change->text.size() <= KernelChange::text_bytes_max);
    }
    if (auto* link = std::get_if<LinkEvent>(&event)) { (void)table.on_link(*link); }
  });
  EDGE_ASSERT(events <= bytes.size());
  for_each_message(bytes, [&](const MessageView& message) {
    if (const auto vlans = decode_vlans(message)) {
      EDGE_ASSERT(joined(vlans->vlans).size() <= vlan_id_last);
    }
    (void)decode_fdb_entry(message);
  });
  (void)decode_member_frame(bytes);
  const std::span<const char> text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  (void)walk(text, 0);
  for (const HostSocket& socket : parse_proc_net({text.data(), text.size()}, Transport::udp)) {
    EDGE_ASSERT(socket.protocol == Transport::udp);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) { return 0; }
  const Bytes rest = std::as_bytes(std::span(data, size)).subspan(1);
  LinkTable table;
  decode(rest, table);
  decode(as_message(rest, data[0]), table);
  table.on_dump_begin();
  (void)table.on_dump_end();
  return 0;
}
