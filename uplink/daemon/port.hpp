// A port of the host: the card, its place in the model, and what it is as a layer-3 port.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "dhcp/io/arp_probe.hpp"
#include "dhcp/io/dhcp_client.hpp"
#include "netmodel/core/render.hpp"
#include "uplink/core/ipv6_choice.hpp"

namespace edge::uplink {

/// One physical adapter, present now or known from before, and the layer-3 port that it leads: a
/// group of one unless the model names a larger one. What is the port's is empty while another
/// adapter leads.
struct Port {
  std::string key;  ///< Base MAC in hex; survives renames and re-plugged cards.
  MacAddress base_mac;
  std::string name;  ///< Netdev name, the last known one while absent.

  // The card.
  std::uint32_t table = 0;  ///< 0: the store has not numbered it yet.
  bool numbering = false;   ///< It is being asked.
  bool present = false;
  IfIndex index{0};
  bool card_up = false;  ///< Administratively.
  bool card_carrier = false;
  std::uint32_t carrier_changes = 0;  ///< Seen; a cable that moved may look as before.
  bool was_up = false;                ///< We saw it admin up: a later down is somebody's decision.
  bool switched_off = false;          ///< The model says so: its down is ours.
  std::uint32_t speed_mbps = 0;
  std::uint32_t mtu = 1500;  ///< Of the link now.
  std::uint32_t own_mtu =
      0;  ///< As the machine had it before us: of a port without a wish. 0: not seen.
  std::uint32_t mtu_min = 0;
  std::uint32_t mtu_max = 0;
  std::string trouble;
  std::string number_trouble;

  // Its place: of the model, as of the last dump.
  std::string group;                ///< Id; empty: no group names it.
  std::vector<MacAddress> members;  ///< The leader first; itself alone without a group.
  std::string bridge;               ///< Of the port that it belongs to.
  std::string l3;                   ///< Where addresses are: the bridge, or a management VLAN.
  std::string bond_active;          ///< Name of the member that carries; empty: no bond, or none.
  std::string wire;  ///< The bridge's port to the outside, the adapter or the bond; empty: none.

  // The port that it leads.
  bool live = false;          ///< A member's card is here.
  bool admin_up = false;      ///< A member is up.
  bool carrier = false;       ///< A member has carrier.
  bool disabled = false;      ///< A person has set every member down.
  bool bridge_ready = false;  ///< The last dump showed `l3`, up.
  /// The last dump showed the lease's address and its routes: a dial can bind and finds its way.
  bool address_ready = false;
  /// A former life of the daemon left its lease with its routes: they stay until the wire has
  /// answered, or not.
  bool standing = false;
  std::optional<dhcp::Lease> lease;
  dhcp::LeasePhase phase = dhcp::LeasePhase::none;
  std::optional<dhcp::Lease> stored;  ///< From an earlier run, handed to the client at its start.
  bool is_static = false;             ///< The model gives the address; no DHCP client runs.
  bool managed6 = false;  ///< Some router said so (RFC 4861 M) since the cable was plugged in.
  bool other6 = false;    ///< The same of O.
  std::optional<dhcp::Lease6> lease6;
  std::optional<dhcp::Lease6> stored6;  ///< From an earlier run, or of the port that this was.
  std::optional<MonoTime> lease6_ends;  ///< The first of its addresses.
  netmodel::Ipv6Facts v6;
  Sources6 sources6;                    ///< Of v6.seen and v6.owned, as of the last dump.
  std::vector<IpAddress> routers6;      ///< Advertised; v6.default_gateway is one of them.
  std::set<IpAddress> failed_routers6;  ///< Of routers6: asked, and no answer (NUD_FAILED).
  std::optional<IpAddress> router6;     ///< By which its own table leads, as of the last dump.
  std::optional<bool> gateway_reachable;
  std::optional<MonoTime> drained_until;
  std::unique_ptr<dhcp::DhcpClient> dhcp;
  std::unique_ptr<dhcp::ArpProbe> gateway_probe;  ///< Set while a question runs.

  bool leads() const { return members.empty() || members.front() == base_mac; }
  bool locally_disabled() const { return present && was_up && !card_up; }
  bool lease_usable() const { return lease && dhcp::usable(phase); }
  /// Its own, of both families: where flows lead to.
  std::set<IpAddress> addresses() const {
    std::set<IpAddress> out;
    if (lease) { out.insert(lease->address.address); }
    for (const auto* prefixes : {&v6.seen, &v6.owned}) {
      for (const IpPrefix& prefix : *prefixes) { out.insert(prefix.address); }
    }
    return out;
  }
};

}  // namespace edge::uplink
