// The rungs of a path's ladder, in words.
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

std::string_view to_string(Step step) {
  switch (step) {
    case Step::none: return "none";
    case Step::disabled: return "disabled";
    case Step::carrier: return "carrier";
    case Step::lease: return "lease";
    case Step::gateway: return "gateway";
    case Step::dns: return "dns";
    case Step::tcp: return "tcp";
    case Step::proxy: return "proxy";
    case Step::portal: return "portal";
    case Step::clock: return "clock";
    case Step::tls: return "tls";
    case Step::console: return "console";
  }
  return "unknown";
}

std::string_view advice(Step step) {
  switch (step) {
    case Step::none: return "nothing to do";
    case Step::disabled: return "enable the port again: \"ip link set PORT up\", or end the drain";
    case Step::carrier:
      return "check the cable and the switch port's lamp; try another cable or switch port";
    case Step::lease:
      return "the switch port gives no DHCP lease: check its VLAN, or the router behind it";
    case Step::gateway:
      return "the router does not answer: check that it is on and that this cable ends there";
    case Step::dns:
      return "the router's DNS does not answer: restart it, or use an endpoint given as an address";
    case Step::tcp:
      return "the Console cannot be reached through this router: check its internet side and "
             "firewall";
    case Step::proxy:
      return "the proxy set in [[tunnel.proxies]] makes no way to the Console: check its address, "
             "credentials and rules";
    case Step::portal:
      return "this network wants a login first (captive portal): log in behind it, or have this "
             "host's MAC address let through";
    case Step::clock: return "the host's clock is wrong: set it, or check the battery of its clock";
    case Step::tls: return "certificates do not fit: check CA, names and dates named in the cause";
    case Step::console: return "the Console refuses or is overloaded: ask its operator";
  }
  return "";
}

}  // namespace edge::uplink
