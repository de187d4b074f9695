#include "uplink/core/resolv_conf.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace edge::uplink {

std::string resolv_conf(const std::vector<netmodel::DnsUpstream>& resolvers,
                        std::string_view active) {
  std::vector<netmodel::DnsUpstream> ordered;
  for (const bool of_active : {true, false}) {
    for (const auto& entry : resolvers) {
      if ((entry.link == active) == of_active) { ordered.push_back(entry); }
    }
  }
  std::string out =
      "# Written by uplinkd: the resolvers that leases name, first that of the tunnel's port.\n"
      "# /etc/resolv.conf may be a link to this file.\n";
  std::vector<IpAddress> named;  // Two networks that are alike name the same address.
  for (const auto& entry : netmodel::in_turn(std::move(ordered))) {
    const bool known = std::ranges::find(named, entry.address) != named.end();
    if (known || named.size() == resolvers_max) { continue; }
    named.push_back(entry.address);
    const bool scoped = entry.address.is_link_local() && entry.address.family == Family::v6;
    out += fmt::format("nameserver {}{}{}\n", to_string(entry.address), scoped ? "%" : "",
                       scoped ? entry.link : "");
  }
  if (!named.empty()) { out += "options timeout:2 attempts:2\n"; }
  return out;
}

}  // namespace edge::uplink
