// ctnetlink: a filtered dump, then each match deleted by its own tuple and id.
#include "netmodel/io/conntrack_kernel.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "netmodel/io/nft_attributes.hpp"
#include "netmodel/io/nft_socket.hpp"

namespace edge::netmodel {
namespace {

/// Which parts of a tuple a dump compares. Source: net/netfilter/nf_internals.h (in no uapi
/// header).
constexpr std::uint32_t compare_ip_destination = 1U << 1;

/// A dump walks the table in one go on its CPU, and whoever was to run there waits for it: 9 ms for
/// 262,144 buckets on 6.18 without preemption; two in a row stood in the way of every second
/// command after a pulled cable. So a dump is followed by a break as long as itself.
constexpr std::chrono::milliseconds break_max{50};

enum class Direction { original, reply };

/// What a flow has to look like.
struct Match {
  Direction direction = Direction::original;
  IpAddress destination;
};

/// What a flow asks for at its destination.
struct Service {
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
  auto operator<=>(const Service&) const = default;
};

/// Enough to delete it and nothing else.
struct Flow {
  std::string original_tuple;  ///< Payload of CTA_TUPLE_ORIG, as the kernel sent it.
  std::string reply_tuple;     ///< Of CTA_TUPLE_REPLY.
  std::string id;
  std::string zone;
  std::uint32_t mark = 0;
  std::uint32_t status = 0;  ///< IPS_*
  std::uint8_t family = AF_UNSPEC;

  bool has_new_destination() const { return (status & IPS_DST_NAT) != 0; }
};

std::uint8_t family_of(const IpAddress& address) {
  return static_cast<std::uint8_t>(address.family == Family::v4 ? AF_INET : AF_INET6);
}

class Request {
 public:
  Request(int message_type, std::uint8_t family, std::uint16_t flags) {
    header_ = mnl_nlmsg_put_header(buffer_.data());
    header_->nlmsg_type = static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | message_type);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    extra->nfgen_family = family;
  }
  nlmsghdr* header() { return header_; }
  void put(std::uint16_t type, const std::string& bytes) {
    if (!bytes.empty()) { mnl_attr_put(header_, type, bytes.size(), bytes.data()); }
  }

 private:
  alignas(nlmsghdr) std::array<char, 1024> buffer_{};
  nlmsghdr* header_;
};

void put_filter(nlmsghdr* header, const Match& match) {
  const bool original = match.direction == Direction::original;
  nlattr* tuple = mnl_attr_nest_start(header, original ? CTA_TUPLE_ORIG : CTA_TUPLE_REPLY);
  nlattr* ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  const auto destination = match.destination.family == Family::v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST;
  mnl_attr_put(header, static_cast<std::uint16_t>(destination), match.destination.size_bytes(),
               match.destination.bytes.data());
  mnl_attr_nest_end(header, ip);
  mnl_attr_nest_end(header, tuple);
  nlattr* filter = mnl_attr_nest_start(header, CTA_FILTER);
  mnl_attr_put_u32(header, CTA_FILTER_ORIG_FLAGS, original ? compare_ip_destination : 0);
  mnl_attr_put_u32(header, CTA_FILTER_REPLY_FLAGS, original ? 0 : compare_ip_destination);
  mnl_attr_nest_end(header, filter);
}

Flow parse_flow(const nlmsghdr& header) {
  Flow flow;
  if (mnl_nlmsg_get_payload_len(&header) >= sizeof(nfgenmsg)) {
    flow.family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(&header))->nfgen_family;
  }
  for_each_attribute(attributes_of(header, sizeof(nfgenmsg)),
                     [&](const NetlinkAttribute& attribute) {
                       switch (attribute.type) {
                         case CTA_TUPLE_ORIG: flow.original_tuple = attribute.bytes(); break;
                         case CTA_TUPLE_REPLY: flow.reply_tuple = attribute.bytes(); break;
                         case CTA_ID: flow.id = attribute.bytes(); break;
                         case CTA_ZONE: flow.zone = attribute.bytes(); break;
                         case CTA_MARK: flow.mark = attribute.u32(); break;
                         case CTA_STATUS: flow.status = attribute.u32(); break;
                         default: break;
                       }
                     });
  return flow;
}

/// Whether the flow is what the dump was asked for.
bool fits(const Flow& flow, const Match& match) {
  const IpAddress& address = match.destination;
  const std::string_view wanted(reinterpret_cast<const char*>(address.bytes.data()),
                                address.size_bytes());
  const int type = address.family == Family::v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST;
  bool found = false;
  const auto look = [&](const NetlinkAttribute& part) {
    found = found || (part.type == type && part.bytes() == wanted);
  };
  const bool original = match.direction == Direction::original;
  for_each_attribute(std::span<const char>(original ? flow.original_tuple : flow.reply_tuple),
                     [&](const NetlinkAttribute& part) {
                       if (part.type == CTA_TUPLE_IP) { for_each_attribute(part.payload, look); }
                     });
  return found;
}

Service service_of(const Flow& flow) {
  Service service;
  const auto each_protocol_part = [&](const NetlinkAttribute& part) {
    const std::string_view bytes = part.bytes();
    if (part.type == CTA_PROTO_NUM && !bytes.empty()) {
      service.protocol = static_cast<std::uint8_t>(bytes[0]);
    }
    if (part.type == CTA_PROTO_DST_PORT && bytes.size() >= 2) {
      service.port = static_cast<std::uint16_t>((static_cast<std::uint8_t>(bytes[0]) << 8) |
                                                static_cast<std::uint8_t>(bytes[1]));
    }
  };
  for_each_attribute(std::span<const char>(flow.original_tuple), [&](const NetlinkAttribute& part) {
    if (part.type == CTA_TUPLE_PROTO) { for_each_attribute(part.payload, each_protocol_part); }
  });
  return service;
}

}  // namespace

struct ConntrackKernel::Impl {
  explicit Impl(NetfilterSocket opened) : socket(std::move(opened)) {}
  using Clock = std::chrono::steady_clock;

  NetfilterSocket socket;
  Clock::time_point break_ends;

  /// The flows of a dump that `wanted` takes.
  template <class Wanted>
  Result<std::vector<Flow>> dump(Request& request, Wanted wanted) {
    std::vector<Flow> flows;
    std::this_thread::sleep_until(break_ends);
    const Clock::time_point began = Clock::now();
    const auto done = socket.exchange(*request.header(), [&](const nlmsghdr& header) {
      Flow flow = parse_flow(header);
      if (wanted(flow)) { flows.push_back(std::move(flow)); }
    });
    const Clock::time_point ended = Clock::now();
    break_ends = ended + std::min<Clock::duration>(ended - began, break_max);
    // The table changes all the time; a torn dump may show a flow twice, which a second delete
    // answers with ENOENT.
    if (!done && done.error().os_errno != EINTR) { return fail_in("read conntrack", done.error()); }
    return flows;
  }

  template <class Wanted>
  Result<std::vector<Flow>> find(const Match& match, Wanted wanted) {
    Request request(IPCTNL_MSG_CT_GET, family_of(match.destination), NLM_F_DUMP);
    // Of IPv6 the kernel's filter takes every flow but those that match: ipv6_addr_cmp() is 0 for
    // equal ones, which ctnetlink_filter_match_tuple() reads as "differs" (seen with 6.18).
    if (match.destination.family == Family::v4) { put_filter(request.header(), match); }
    return dump(request, [&](const Flow& flow) { return fits(flow, match) && wanted(flow); });
  }

  /// Of both families.
  template <class Wanted>
  Result<std::vector<Flow>> find_marked(std::uint32_t mark, Wanted wanted) {
    Request request(IPCTNL_MSG_CT_GET, AF_UNSPEC, NLM_F_DUMP);
    mnl_attr_put_u32(request.header(), CTA_MARK, htonl(mark));
    mnl_attr_put_u32(request.header(), CTA_MARK_MASK, ~0U);  // Older kernels take both or none.
    return dump(request, [&](const Flow& flow) { return flow.mark == mark && wanted(flow); });
  }

  /// Returns whether it was still there.
  Result<bool> remove(const Flow& flow) {
    Request request(IPCTNL_MSG_CT_DELETE, flow.family, 0);
    request.put(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.original_tuple);
    request.put(CTA_ID, flow.id);  // Of a flow that took the same tuple since, the id differs.
    request.put(CTA_ZONE, flow.zone);
    const auto done = socket.exchange(*request.header(), [](const nlmsghdr&) {});
    if (!done && done.error().os_errno == ENOENT) { return false; }
    if (!done) { return fail_in("delete conntrack flow", done.error()); }
    return true;
  }

  /// Returns how many were still there.
  Result<unsigned> remove_all(const std::vector<Flow>& flows) {
    unsigned removed = 0;
    for (const Flow& flow : flows) {
      EDGE_ASSIGN(const bool was_there, remove(flow));
      removed += was_there ? 1 : 0;
    }
    return removed;
  }
};

ConntrackKernel::ConntrackKernel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConntrackKernel::~ConntrackKernel() = default;

Result<std::unique_ptr<ConntrackKernel>> ConntrackKernel::create() {
  EDGE_ASSIGN(NetfilterSocket socket, NetfilterSocket::open());
  auto impl = std::make_unique<Impl>(std::move(socket));
  // Asks for a flow that cannot be: says now whether we may and the kernel can.
  const auto none = [](const Flow&) { return false; };
  EDGE_TRY(impl->find({.direction = Direction::original, .destination = IpAddress{}}, none));
  return std::unique_ptr<ConntrackKernel>(new ConntrackKernel(std::move(impl)));
}

Result<unsigned> ConntrackKernel::remove_for_address(const IpAddress& address) {
  const auto all = [](const Flow&) { return true; };
  unsigned removed = 0;
  for (const Direction direction : {Direction::original, Direction::reply}) {
    EDGE_ASSIGN(const auto flows,
                impl_->find({.direction = direction, .destination = address}, all));
    EDGE_ASSIGN(const unsigned count, impl_->remove_all(flows));
    removed += count;
  }
  return removed;
}

Result<unsigned> ConntrackKernel::remove_for_publications(std::span<const Publication> publications,
                                                          const UplinkPort& uplink) {
  if (publications.empty()) { return 0U; }
  std::set<Service> services[2];
  for (const Publication& publication : publications) {
    const int protocol = publication.transport == Transport::tcp ? IPPROTO_TCP : IPPROTO_UDP;
    services[publication.target.family == Family::v4 ? 0 : 1].insert(
        {static_cast<std::uint8_t>(protocol), publication.port});
  }
  // Our rules ask for mark, transport and port: a flow may have come to any address of the host, to
  // a second one of the uplink or to the virtual one of the cluster.
  const auto published = [&](const Flow& flow) {
    return flow.has_new_destination() &&
           services[flow.family == AF_INET ? 0 : 1].contains(service_of(flow));
  };
  unsigned removed = 0;
  for (const IpAddress& address : uplink.addresses) {
    const std::set<Service>& wanted = services[address.family == Family::v4 ? 0 : 1];
    if (wanted.empty()) { continue; }
    // Flows from outside carry the mark of their uplink, hairpin flows none.
    const auto concerned = [&](const Flow& flow) {
      return (flow.mark == uplink.mark || flow.mark == 0) && wanted.contains(service_of(flow));
    };
    EDGE_ASSIGN(const auto flows,
                impl_->find({.direction = Direction::original, .destination = address}, concerned));
    EDGE_ASSIGN(const unsigned count, impl_->remove_all(flows));
    removed += count;
  }
  EDGE_ASSIGN(const auto translated, impl_->find_marked(uplink.mark, published));
  EDGE_ASSIGN(const unsigned marked, impl_->remove_all(translated));
  return removed + marked;
}

}  // namespace edge::netmodel
