#include "uplink/daemon/host_resolvers.hpp"

#include <utility>

#include "dhcp/io/folder.hpp"
#include "uplink/core/resolv_conf.hpp"

namespace edge::uplink {

void HostResolvers::apply(std::vector<netmodel::DnsUpstream> resolvers) {
  resolvers_ = std::move(resolvers);
  write();
}

void HostResolvers::follow(std::string_view link) {
  if (link.empty() || link == link_) { return; }
  link_ = link;
  write();
}

void HostResolvers::write() {
  std::string text = resolv_conf(resolvers_, link_);
  if (text == written_) { return; }
  if (const auto kept = dhcp::write_file(path_, text, 0644); !kept) {
    const bool news = trouble_ != kept.error().what;
    trouble_ = kept.error().what;
    if (news) { events_.add("resolvers.trouble", {{"what", trouble_}}); }
    return;
  }
  written_ = std::move(text);
  trouble_.clear();
}

}  // namespace edge::uplink
