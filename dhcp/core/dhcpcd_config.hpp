// The configuration file of one dhcpcd child. Pure text. Source: facts/dhcpcd.md section 9.
#pragma once

#include <string>

namespace edge::dhcp {

/// IPv4: reports leases, touches nothing. `arp_check`: let dhcpcd probe and decline by itself (it
/// costs 5 s), used after a conflict was seen.
std::string dhcpcd_config_v4(bool arp_check);

/// DHCPv6 without router solicitation: the kernel does SLAAC. `managed` (RA flag M): addresses;
/// otherwise only information (flag O).
std::string dhcpcd_config_v6(bool managed);

}  // namespace edge::dhcp
