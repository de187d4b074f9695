#include "netmodel/io/ip_record.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "netmodel/io/attributes.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

constexpr std::uint8_t protocol_ra = 9;  // RTPROT_RA
constexpr unsigned nexthop_flags_kept = RTNH_F_ONLINK;

std::string to_hex(Bytes bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) { out += fmt::format("{:02x}", std::to_integer<unsigned>(b)); }
  return out;
}

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> out;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    unsigned value = 0;
    std::from_chars(hex.data() + at, hex.data() + at + 2, value, 16);
    out.push_back(static_cast<std::byte>(value));
  }
  return out;
}

/// The fixed part and the attributes for which `keep` holds, as they came.
template <class Fixed, class Keep>
std::vector<std::byte> filtered(const Fixed& fixed, Bytes attributes, Keep&& keep) {
  std::vector<std::byte> out(netlink_align(sizeof fixed));
  std::memcpy(out.data(), &fixed, sizeof fixed);
  for_each_attribute(attributes, [&](std::uint16_t type, Bytes value) {
    if (!keep(type)) { return; }
    const nlattr head{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), type};
    const std::size_t at = out.size();
    out.resize(at + netlink_align(sizeof head + value.size()));
    std::memcpy(out.data() + at, &head, sizeof head);
    std::memcpy(out.data() + at + sizeof head, value.data(), value.size());
  });
  return out;
}

Bytes after(Bytes payload, std::size_t fixed_bytes) {
  return payload.subspan(std::min(netlink_align(fixed_bytes), payload.size()));
}

std::optional<std::vector<std::byte>> address_entry(const MessageView& message, unsigned index) {
  auto fixed = read_as<ifaddrmsg>(message.payload);
  if (!fixed || fixed->ifa_index != index) { return std::nullopt; }
  std::uint32_t flags = fixed->ifa_flags;
  const Bytes attributes = after(message.payload, sizeof(ifaddrmsg));
  for_each_attribute(attributes, [&](std::uint16_t type, Bytes value) {
    if (type == IFA_FLAGS) { flags = read_or_zero<std::uint32_t>(value); }
  });
  const bool permanent = (flags & IFA_F_PERMANENT) != 0;
  const bool v6 = fixed->ifa_family == AF_INET6;
  if (v6 && (!permanent || fixed->ifa_scope == RT_SCOPE_LINK)) { return std::nullopt; }
  // Lifetimes of a permanent address are for ever, and its counters change by themselves.
  return filtered(*fixed, attributes,
                  [&](std::uint16_t type) { return type != IFA_CACHEINFO || !permanent; });
}

/// The first bits of an address.
struct Bits {
  std::uint8_t family = 0;
  std::uint8_t length = 0;
  std::vector<std::byte> address{};

  bool starts(Bytes other) const {
    if (other.size() != address.size()) { return false; }
    const std::size_t whole = length / 8U;
    if (!std::equal(other.begin(), other.begin() + static_cast<std::ptrdiff_t>(whole),
                    address.begin())) {
      return false;
    }
    const auto mask = static_cast<std::byte>(0xff00U >> (length % 8U));
    return whole == address.size() || ((other[whole] ^ address[whole]) & mask) == std::byte{0};
  }
};

/// Of an address whose route the kernel does not make: its owner does, and calls it the kernel's
/// (NetworkManager sets every address so).
std::optional<Bits> without_route(const std::string& address) {
  const auto bytes = from_hex(address);
  const auto fixed = read_as<ifaddrmsg>(bytes);
  if (!fixed) { return std::nullopt; }
  Bits out{.family = fixed->ifa_family, .length = fixed->ifa_prefixlen};
  std::uint32_t flags = fixed->ifa_flags;
  for_each_attribute(after(bytes, sizeof(ifaddrmsg)), [&](std::uint16_t type, Bytes value) {
    if (type == IFA_FLAGS) { flags = read_or_zero<std::uint32_t>(value); }
    if (type == IFA_ADDRESS) { out.address.assign(value.begin(), value.end()); }
  });
  if ((flags & IFA_F_NOPREFIXROUTE) == 0 || out.length > out.address.size() * 8) {
    return std::nullopt;
  }
  return out;
}

std::optional<std::vector<std::byte>> route_entry(const MessageView& message, unsigned index,
                                                  const std::vector<Bits>& without_routes) {
  auto fixed = read_as<rtmsg>(message.payload);
  if (!fixed) { return std::nullopt; }
  const Bytes attributes = after(message.payload, sizeof(rtmsg));
  std::uint32_t out_index = 0;
  Bytes destination;
  for_each_attribute(attributes, [&](std::uint16_t type, Bytes value) {
    if (type == RTA_OIF) { out_index = read_or_zero<std::uint32_t>(value); }
    if (type == RTA_DST) { destination = value; }
  });
  const bool somebodys = std::ranges::any_of(without_routes, [&](const Bits& bits) {
    return bits.family == fixed->rtm_family && bits.length == fixed->rtm_dst_len &&
           bits.starts(destination);
  });
  const bool made_by_kernel =
      (fixed->rtm_protocol == RTPROT_KERNEL && !somebodys) || fixed->rtm_protocol == protocol_ra;
  const bool cloned = (fixed->rtm_flags & RTM_F_CLONED) != 0;
  if (out_index != index || made_by_kernel || cloned || fixed->rtm_type != RTN_UNICAST) {
    return std::nullopt;
  }
  fixed->rtm_flags &= nexthop_flags_kept;
  return filtered(*fixed, attributes,
                  [](std::uint16_t type) { return type != RTA_CACHEINFO && type != RTA_PREF; });
}

template <class Fixed, class Entry>
Result<std::vector<std::string>> dump(NetlinkSocket& socket, std::uint16_t type, Entry&& entry) {
  std::vector<std::string> out;
  for (const int family : {AF_INET, AF_INET6}) {
    Fixed fixed{};
    reinterpret_cast<std::uint8_t&>(fixed) = static_cast<std::uint8_t>(family);  // First in both.
    const std::size_t before = out.size();
    const NlMessage request = MessageBuilder(type, 0, fixed).take();
    const auto done = socket.dump(
        *request, [&] { out.resize(before); },
        [&](Bytes bytes) {
          for_each_message(bytes, [&](const MessageView& message) {
            if (const auto found = entry(message)) { out.push_back(to_hex(*found)); }
          });
        });
    if (!done && done.error().code != Errc::unsupported) { return std::unexpected(done.error()); }
  }
  return out;
}

bool has_gateway(const std::string& route) {
  const auto bytes = from_hex(route);
  bool found = false;
  for_each_attribute(after(bytes, sizeof(rtmsg)), [&](std::uint16_t type, Bytes) {
    found = found || type == RTA_GATEWAY || type == RTA_VIA;
  });
  return found;
}

Result<void> send(NetlinkSocket& socket, std::uint16_t type, int flags, const std::string& hex) {
  const auto bytes = from_hex(hex);
  const NlMessage message(nlmsg_alloc_simple(type, flags));
  EDGE_ASSERT(message != nullptr);
  auto data = bytes;
  EDGE_ASSERT(nlmsg_append(message.get(), data.data(), data.size(), NLMSG_ALIGNTO) == 0);
  return socket.request(*message);
}

/// The local address and length: what names an entry, whatever else it says.
std::string name_of(const std::string& address) {
  const auto bytes = from_hex(address);
  std::string local;
  for_each_attribute(after(bytes, sizeof(ifaddrmsg)), [&](std::uint16_t type, Bytes value) {
    if (type == IFA_LOCAL || (type == IFA_ADDRESS && local.empty())) { local = to_hex(value); }
  });
  return local;
}

}  // namespace

Result<IpRecord> record_ip(const std::string& link) {
  const unsigned index = ::if_nametoindex(link.c_str());
  if (index == 0) { return fail_errno(errno, fmt::format("link {}", link)); }
  EDGE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open());
  IpRecord out;
  EDGE_ASSIGN(out.addresses, dump<ifaddrmsg>(socket, RTM_GETADDR, [&](const MessageView& m) {
                return address_entry(m, index);
              }));
  std::vector<Bits> without_routes;
  for (const auto& address : out.addresses) {
    if (auto bits = without_route(address)) { without_routes.push_back(std::move(*bits)); }
  }
  EDGE_ASSIGN(out.routes, dump<rtmsg>(socket, RTM_GETROUTE, [&](const MessageView& m) {
                return route_entry(m, index, without_routes);
              }));
  std::vector<std::string> ordered;
  for (const bool with_gateway : {false, true}) {
    for (const auto& route : out.routes) {
      if (has_gateway(route) == with_gateway) { ordered.push_back(route); }
    }
  }
  out.routes = std::move(ordered);
  return out;
}

Result<void> put_back_ip(const std::string& link, const IpRecord& record) {
  EDGE_ASSIGN(const IpRecord present, record_ip(link));
  EDGE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open());
  Result<void> first_failure;
  const auto keep_first = [&](Result<void> done, std::string_view what) {
    if (!done && first_failure) {
      first_failure = fail_in(fmt::format("{} on {}", what, link), done.error());
    }
  };
  if (present.addresses != record.addresses) {
    // All of IPv4, in their order: the first of a subnet is the primary one, and the others go with
    // it. IPv6 has no such order, and one that is there takes what it lacks in its place: made anew
    // it would be away while duplicates are looked for.
    for (const auto& other : present.addresses) {
      if (from_hex(other).front() == std::byte{AF_INET6}) { continue; }
      const bool known = std::ranges::any_of(record.addresses, [&](const auto& address) {
        return name_of(address) == name_of(other);
      });
      if (known) { static_cast<void>(send(socket, RTM_DELADDR, 0, other)); }
    }
    for (const auto& address : record.addresses) {
      keep_first(send(socket, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address),
                 "put an address back");
    }
  }
  // An address that went took its routes along: all are written, the same ones change nothing.
  for (const auto& route : record.routes) {
    keep_first(send(socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route), "put a route back");
  }
  return first_failure;
}

}  // namespace edge::netmodel
