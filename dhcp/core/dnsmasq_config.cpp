// What one dnsmasq of ours is told, and what it tells in its lease file.
#include "dhcp/core/dnsmasq_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace edge::dhcp {
namespace {

/// A host name label or a domain: no character that means something in a dnsmasq file.
bool is_name(std::string_view text, bool dots) {
  if (text.empty() || text.size() > (dots ? 253U : 63U) || text.front() == '-' ||
      text.front() == '.') {
    return false;
  }
  return std::ranges::all_of(text, [dots](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           (dots && c == '.');
  });
}

bool is_link_name(std::string_view text) {
  return !text.empty() && text.size() <= 15 && std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && c != '/' && c != ',' && c != '#' && c != '@' && c != '"';
  });
}

/// Usable by a guest: inside the subnet, not its first, last or our own address.
bool is_guest_address(const IpPrefix& gateway, const IpAddress& address) {
  return address.family == Family::v4 && gateway.contains(address) &&
         address != gateway.network().address && address != gateway.broadcast() &&
         address != gateway.address;
}

class Problems {
 public:
  explicit Problems(std::string_view network) : network_(network) {}
  void add(std::string_view what) {
    lines.push_back(fmt::format("network \"{}\": {}", network_, what));
  }
  std::vector<std::string> lines;

 private:
  std::string_view network_;
};

void check_range(const DnsmasqSettings& s, Problems& problems) {
  for (const auto& [name, address] :
       {std::pair{"from", s.range_from}, std::pair{"to", s.range_to}}) {
    if (!is_guest_address(s.gateway, address)) {
      problems.add(fmt::format("dhcp {} {} must be a guest address within {}", name,
                               to_string(address), to_string(s.gateway.network())));
    }
  }
  if (s.range_from.family == Family::v4 && s.range_to.family == Family::v4 &&
      s.range_from.v4_u32() > s.range_to.v4_u32()) {
    problems.add(
        fmt::format("dhcp from {} is above to {}", to_string(s.range_from), to_string(s.range_to)));
  }
  if (s.lease_time < std::chrono::seconds(120) || s.lease_time > std::chrono::hours(24 * 365)) {
    problems.add(
        fmt::format("lease time {} s is out of range 120..31536000", s.lease_time.count()));
  }
  if (s.mtu && (*s.mtu < 576 || *s.mtu > 9000)) {
    problems.add(fmt::format("MTU {} is out of range 576..9000", *s.mtu));
  }
}

void check_reservations(const DnsmasqSettings& s, Problems& problems) {
  if (s.reservations.size() > reservations_max) {
    problems.add(fmt::format("{} reservations, at most {} are allowed", s.reservations.size(),
                             reservations_max));
    return;
  }
  std::set<MacAddress> macs;
  std::set<IpAddress> addresses;
  for (const Reservation& r : s.reservations) {
    const std::string who =
        fmt::format("reservation {} for {}", to_string(r.address), to_string(r.mac));
    if (!is_guest_address(s.gateway, r.address)) {
      problems.add(fmt::format("{}: must be a guest address within {}", who,
                               to_string(s.gateway.network())));
    }
    if (r.mac.is_zero() || r.mac.is_multicast()) {
      problems.add(who + ": the MAC must be a unicast one");
    }
    if (!r.name.empty() && !is_name(r.name, false)) {
      problems.add(who + ": the name must be letters, digits and '-', at most 63");
    }
    if (!macs.insert(r.mac).second) { problems.add(who + ": the MAC is reserved twice"); }
    if (!addresses.insert(r.address).second) {
      problems.add(who + ": the address is reserved twice");
    }
  }
}

void check_upstreams(const DnsmasqSettings& s, Problems& problems) {
  if (s.upstreams.size() > upstreams_max) {
    problems.add(
        fmt::format("{} resolvers, at most {} are allowed", s.upstreams.size(), upstreams_max));
  }
  for (const UpstreamResolver& u : s.upstreams) {
    if (u.address.is_unspecified() || u.address.is_multicast()) {
      problems.add(fmt::format("resolver {} must be a unicast address", to_string(u.address)));
    }
    if (!u.link.empty() && !is_link_name(u.link)) {
      problems.add(fmt::format("resolver {}: interface \"{}\" must be a name of 1..15 characters",
                               to_string(u.address), u.link));
    }
  }
}

}  // namespace

std::vector<std::string> problems_of(const DnsmasqSettings& s) {
  Problems problems(s.network);
  if (!is_name(s.network, false)) { problems.add("the id must be letters, digits and '-'"); }
  if (!is_link_name(s.bridge)) {
    problems.add(fmt::format("bridge \"{}\" must be a name of 1..15 characters", s.bridge));
  }
  if (s.gateway.address.family != Family::v4 || s.gateway.length < 8 || s.gateway.length > 30) {
    problems.add(
        fmt::format("gateway {} must be IPv4 with a prefix length of 8..30", to_string(s.gateway)));
    return problems.lines;  // The rest is judged against it.
  }
  if (s.gateway.address == s.gateway.network().address ||
      s.gateway.address == s.gateway.broadcast()) {
    problems.add(fmt::format("gateway {} is the subnet's own or its broadcast address",
                             to_string(s.gateway)));
  }
  if (s.gateway6 && (s.gateway6->address.family != Family::v6 || s.gateway6->length != 64 ||
                     s.gateway6->address == s.gateway6->network().address)) {
    problems.add(fmt::format("gateway {} must be an IPv6 address with a prefix length of 64",
                             to_string(*s.gateway6)));
  }
  if (!s.domain.empty() && !is_name(s.domain, true)) {
    problems.add(fmt::format(
        "domain of {} bytes must be letters, digits, '-' and dots, at most 253", s.domain.size()));
  }
  if (s.dhcp) {
    check_range(s, problems);
    check_reservations(s, problems);
  }
  check_upstreams(s, problems);
  return problems.lines;
}

namespace {

/// The address in the IPv6 network with the host number that `v4` has in its own.
IpAddress twin(const DnsmasqSettings& s, const IpAddress& v4) {
  const std::uint32_t number = v4.v4_u32() - s.gateway.network().address.v4_u32();
  IpAddress out = s.gateway6->network().address;
  for (std::size_t i = 0; i < 4; ++i) {
    out.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return out;
}

/// Guests may make addresses of their own (SLAAC) and ask for theirs (DHCPv6). Source: dnsmasq(8),
/// --dhcp-range, --ra-param: a lifetime of 0 is no default router.
void add_ipv6(const DnsmasqSettings& s, std::string& out) {
  constexpr int interval_s = 60, router_lifetime_s = 1800;
  out += "enable-ra\n";
  out += fmt::format("ra-param={},{},{}\n", s.bridge, interval_s, s.router ? router_lifetime_s : 0);
  if (s.dhcp) {
    out += fmt::format("dhcp-range={},{},slaac,64,{}\n", to_string(twin(s, s.range_from)),
                       to_string(twin(s, s.range_to)), s.lease_time.count());
  } else {
    out += fmt::format("dhcp-range={},ra-only,64,{}\n", to_string(s.gateway6->network().address),
                       s.lease_time.count());
  }
  out += fmt::format("dhcp-option=option6:dns-server,[{}]\n", to_string(s.gateway6->address));
}

}  // namespace

std::string render_config(const DnsmasqSettings& s, const DnsmasqFiles& files) {
  std::string out = "# Written by uplinkd; changes are lost.\n";
  const auto add = [&out](std::string_view line) { (out += line) += '\n'; };
  add("keep-in-foreground");
  add("bind-dynamic");  // Only this bridge's address, also when the bridge comes later.
  add("interface=" + s.bridge);
  add("except-interface=lo");  // dnsmasq adds it by itself.
  add("port=53");
  add("pid-file=" + files.pid);
  add("no-resolv");  // The machine's resolvers are not the guests'.
  add("no-hosts");
  add("domain-needed");
  add("bogus-priv");
  add("all-servers");  // Each uplink's resolvers at once: a dead uplink costs nothing.
  add("cache-size=1000");
  add("servers-file=" + files.servers);
  if (!s.domain.empty()) {
    add("domain=" + s.domain);
    add(fmt::format("local=/{}/", s.domain));
  }
  if (s.gateway6) { add_ipv6(s, out); }
  if (!s.dhcp) { return out; }
  add(fmt::format("dhcp-range={},{},{},{}", to_string(s.range_from), to_string(s.range_to),
                  to_string(IpAddress::v4_from_u32(~(0xffffffffU >> s.gateway.length))),
                  s.lease_time.count()));
  add("dhcp-authoritative");
  add("no-ping");  // Every address of the range is ours; the check would cost each guest 3 s.
  add("dhcp-leasefile=" + files.leases);
  add("dhcp-hostsfile=" + files.hosts);
  add(fmt::format(
      "dhcp-lease-max={}",
      std::min<std::uint32_t>(65536, s.range_to.v4_u32() - s.range_from.v4_u32() + 1 +
                                         static_cast<std::uint32_t>(reservations_max))));
  // Without a value the option is not sent; left out, dnsmasq would send its own address.
  add("dhcp-option=option:router" + (s.router ? "," + to_string(s.gateway.address) : ""));
  add("dhcp-option=option:dns-server," + to_string(s.gateway.address));
  if (s.mtu) { add(fmt::format("dhcp-option=option:mtu,{}", *s.mtu)); }
  return out;
}

std::string render_hosts(const DnsmasqSettings& s) {
  std::string out;
  for (const Reservation& r : s.reservations) {
    const std::string v6 =
        s.gateway6 ? fmt::format(",[{}]", to_string(twin(s, r.address))) : std::string();
    out += fmt::format("{},{}{}{}{}\n", to_string(r.mac), to_string(r.address), v6,
                       r.name.empty() ? "" : ",", r.name);
  }
  return out;
}

std::string render_servers(const DnsmasqSettings& s) {
  std::string out;
  for (const UpstreamResolver& u : s.upstreams) {
    out += fmt::format("server={}{}{}\n", to_string(u.address), u.link.empty() ? "" : "@", u.link);
  }
  return out;
}

DnsmasqChange change_between(const DnsmasqSettings& from, const DnsmasqSettings& to) {
  if (from == to) { return DnsmasqChange::none; }
  DnsmasqSettings same_files = from;
  same_files.reservations = to.reservations;
  same_files.upstreams = to.upstreams;
  return same_files == to ? DnsmasqChange::reload : DnsmasqChange::restart;
}

std::vector<GuestLease> parse_lease_file(std::string_view text) {
  std::vector<GuestLease> out;
  while (!text.empty() && out.size() < 65536) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // EXPIRY MAC ADDRESS NAME CLIENT-ID; EXPIRY is seconds since 1970, 0: never. Source:
    // dnsmasq(8).
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at < line.size() && words.size() < 5;) {
      const std::size_t stop = std::min(line.find(' ', at), line.size());
      words.push_back(line.substr(at, stop - at));
      at = stop + 1;
    }
    if (words.size() < 4) { continue; }
    std::int64_t expiry = 0;
    const auto [last, ec] =
        std::from_chars(words[0].data(), words[0].data() + words[0].size(), expiry);
    const auto mac = parse_mac(words[1]);
    const auto address = parse_ip(words[2]);
    if (ec != std::errc{} || last != words[0].data() + words[0].size() || expiry < 0 ||
        expiry > 253402300799 || !mac || !address || address->family != Family::v4) {
      continue;
    }
    GuestLease lease{.mac = *mac, .address = *address};
    if (words[3] != "*" && is_name(words[3], true)) { lease.name = words[3]; }
    if (expiry > 0) { lease.expires = WallTime(std::chrono::seconds(expiry)); }
    out.push_back(std::move(lease));
  }
  return out;
}

}  // namespace edge::dhcp
