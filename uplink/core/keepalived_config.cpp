#include "uplink/core/keepalived_config.hpp"

#include <fmt/format.h>

namespace edge::uplink {

std::string keepalived_config(const netmodel::VirtualAddress& address, const std::string& host_id) {
  const netmodel::Cluster& cluster = address.cluster;
  std::string out = fmt::format(
      "# Written by uplinkd; changes are lost.\n"
      "global_defs {{\n"
      "  router_id {}\n"
      "  vrrp_version 3\n"
      // Five gratuitous ARPs at once, five more after a second, and one every minute for caches
      // that missed them all (facts/netmodel.md 1.10).
      "  vrrp_garp_master_delay 1\n"
      "  vrrp_garp_master_refresh 60\n"
      "  vrrp_higher_prio_send_advert true\n"
      "}}\n"
      "vrrp_instance uplink {{\n"
      "  state BACKUP\n"
      "  interface {}\n"
      "  virtual_router_id {}\n"
      "  priority {}\n"
      "  advert_int {}.{:02}\n",
      host_id, address.link, cluster.id, cluster.priority, cluster.advert_ms / 1000,
      cluster.advert_ms % 1000 / 10);
  if (!cluster.preempt) { out += "  nopreempt\n"; }
  std::string peers;
  for (const IpAddress& host : cluster.hosts) {
    if (host != address.own) { peers += fmt::format("    {}\n", to_string(host)); }
  }
  if (!peers.empty()) {
    out += fmt::format("  unicast_src_ip {}\n  unicast_peer {{\n{}  }}\n", to_string(address.own),
                       peers);
  }
  if (!address.carrier.empty()) {
    // The bridge keeps its carrier as long as a guest runs; the wire is what counts.
    out += fmt::format("  track_interface {{\n    {}\n  }}\n", address.carrier);
  }
  out += fmt::format("  virtual_ipaddress {{\n    {} dev {}\n  }}\n}}\n",
                     to_string(address.address), address.link);
  return out;
}

}  // namespace edge::uplink
