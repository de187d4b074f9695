// The configuration file of one dhcpcd child.
#include "dhcp/core/dhcpcd_config.hpp"

namespace edge::dhcp {

std::string dhcpcd_config_v4(bool arp_check) {
  std::string text =
      "# Written by uplinkd; changes are lost.\n"
      "ipv4only\n"
      "noconfigure\n"  // Reports; addresses, routes and resolvers are the daemon's.
      "nodelay\n"      // 6.1 s -> 0.024 s together with noarp.
      "noipv4ll\n"
      "reboot 1\n"   // Bounds a silent server and a lost packet at 1 s. 0 is broken with SIGHUP.
      "xidhwaddr\n"  // An OFFER to the DISCOVER before a SIGHUP stays good for a slow server.
      "clientid\n"   // 01:MAC
      "vendorclassid\n"  // Empty: the default tells kernel and processor.
      "option subnet_mask, routers, domain_name_servers, domain_name, interface_mtu\n"
      "option ntp_servers, domain_search, classless_static_routes\n"
      "option dhcp_lease_time, dhcp_renewal_time, dhcp_rebinding_time\n";
  if (!arp_check) { text += "noarp\n"; }
  return text;
}

std::string dhcpcd_config_v6(bool managed) {
  return std::string(
             "# Written by uplinkd; changes are lost.\n"
             "ipv6only\n"
             "noconfigure\n"
             "noipv6rs\n"  // The kernel listens to router advertisements.
             "duid\n"
             "option dhcp6_name_servers, dhcp6_domain_search\n") +
         (managed ? "ia_na\n" : "inform6\n");
}

}  // namespace edge::dhcp
