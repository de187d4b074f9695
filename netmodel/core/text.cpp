// Operations in the syntax of ip, sysctl and nft: what a person would type.
#include <string>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/operation.hpp"

namespace edge::netmodel {
namespace {

std::string_view on_off(bool value) { return value ? "1" : "0"; }

std::string bridge_words(const BridgeAttributes& bridge) {
  std::string out =
      fmt::format("forward_delay {} stp_state {} mcast_snooping {}", bridge.forward_delay_cs,
                  on_off(bridge.stp), on_off(bridge.multicast_snooping));
  if (bridge.vlan_filtering) {
    out += fmt::format(" vlan_filtering {}", on_off(*bridge.vlan_filtering));
  }
  if (bridge.default_pvid) { out += fmt::format(" vlan_default_pvid {}", *bridge.default_pvid); }
  return out;
}

std::string_view mode_word(BondMode mode) {
  switch (mode) {
    case BondMode::active_backup: return "active-backup";
    case BondMode::balance_xor: return "balance-xor";
    case BondMode::lacp: return "802.3ad";
    case BondMode::other: return "other";
  }
  return "other";
}

/// BOND_XMIT_POLICY_ of linux/if_bonding.h, in the words of ip.
std::string hash_word(std::uint8_t policy) {
  switch (policy) {
    case 0: return "layer2";
    case 1: return "layer3+4";
    case 2: return "layer2+3";
    default: return std::to_string(policy);
  }
}

/// What may be written while members are in it.
std::string live_bond_words(const BondAttributes& bond) {
  std::string out = fmt::format("miimon {}", bond.miimon_ms);
  if (bond.mode == BondMode::active_backup) {
    if (!bond.primary.empty()) { out += " primary " + bond.primary; }
    out += fmt::format(" primary_reselect {}", to_string(bond.reselect));
  } else {
    out += " xmit_hash_policy " + hash_word(bond.xmit_hash_policy);
  }
  return out;
}

std::string bond_words(const BondAttributes& bond) {
  std::string out = fmt::format("mode {} fail_over_mac {} {}", mode_word(bond.mode),
                                bond.fail_over_mac, live_bond_words(bond));
  if (bond.mode == BondMode::lacp) {
    out += bond.lacp_fast ? " lacp_rate fast" : " lacp_rate slow";
  }
  return out;
}

std::string_view kind_word(LinkKind kind) {
  switch (kind) {
    case LinkKind::physical: return "physical";
    case LinkKind::bridge: return "bridge";
    case LinkKind::tap: return "tap";
    case LinkKind::bond: return "bond";
    case LinkKind::vlan: return "vlan";
    case LinkKind::veth: return "veth";
    case LinkKind::loopback: return "loopback";
    case LinkKind::other: return "other";
  }
  return "other";
}

/// The settings that follow the creation, in one line.
std::string set_words(const Link& link, bool with_mac_and_mtu) {
  std::string out = fmt::format("ip link set dev {}", link.name);
  if (with_mac_and_mtu && link.mac) { out += " address " + to_string(*link.mac); }
  if (with_mac_and_mtu && link.mtu) { out += fmt::format(" mtu {}", *link.mtu); }
  if (!link.master.empty()) { out += " master " + link.master; }
  if (!link.alias.empty()) { out += " alias " + link.alias; }
  return out + (link.admin_up ? " up" : " down");
}

std::string text_of(const CreateLink& op) {
  const Link& link = op.link;
  if (link.kind == LinkKind::tap) {
    const TapAttributes tap = link.tap.value_or(TapAttributes{});
    return fmt::format("ip tuntap add dev {} mode tap user {}{}{}\n{}", link.name, tap.owner_uid,
                       tap.vnet_hdr ? " vnet_hdr" : "", tap.multi_queue ? " multi_queue" : "",
                       set_words(link, true));
  }
  std::string out =
      fmt::format("ip link add {}name {}",
                  link.vlan ? fmt::format("link {} ", link.vlan->parent) : "", link.name);
  if (link.mac) { out += " address " + to_string(*link.mac); }
  if (link.mtu) { out += fmt::format(" mtu {}", *link.mtu); }
  out += fmt::format(" type {}", kind_word(link.kind));
  if (link.bridge) { out += " " + bridge_words(*link.bridge); }
  if (link.bond) { out += " " + bond_words(*link.bond); }
  if (link.vlan) { out += fmt::format(" id {}", link.vlan->id); }
  return out + "\n" + set_words(link, false);
}

std::string text_of(const ChangeLink& op) {
  std::string words;
  if (op.mac) { words += " address " + to_string(*op.mac); }
  if (op.mtu) { words += fmt::format(" mtu {}", *op.mtu); }
  if (op.master) {
    words += op.master->empty() ? std::string(" nomaster") : " master " + *op.master;
  }
  if (op.alias) { words += " alias " + (op.alias->empty() ? std::string("\"\"") : *op.alias); }
  if (op.admin_up) { words += *op.admin_up ? " up" : " down"; }
  std::string out;
  // A bond takes no member that is up.
  if (op.master && is_bond_name(*op.master)) {
    out = fmt::format("ip link set dev {} down\n", op.name);
  }
  if (!words.empty()) { out += fmt::format("ip link set dev {}{}", op.name, words); }
  if (op.bridge) {
    out += fmt::format("{}ip link set dev {} type bridge {}", out.empty() ? "" : "\n", op.name,
                       bridge_words(*op.bridge));
  }
  if (op.bond) {
    out += fmt::format("{}ip link set dev {} type bond {}", out.empty() ? "" : "\n", op.name,
                       live_bond_words(*op.bond));
    // The command has no word for none.
    if (op.bond->mode == BondMode::active_backup && op.bond->primary.empty()) {
      out += fmt::format("\necho > /sys/class/net/{}/bonding/primary", op.name);
    }
  }
  return out;
}

std::string text_of(const DeleteLink& op) { return fmt::format("ip link delete dev {}", op.name); }

std::string vlan_words(const SetVlans& op, std::string_view verb, const BridgeVlan& vlan) {
  std::string out = fmt::format("bridge vlan {} dev {} vid {}", verb, op.link, vlan.first);
  if (vlan.last != vlan.first) { out += fmt::format("-{}", vlan.last); }
  if (verb == "add" && vlan.pvid) { out += " pvid"; }
  if (verb == "add" && vlan.untagged) { out += " untagged"; }
  return out + (op.self ? " self" : "");
}

std::string text_of(const SetVlans& op) {
  std::vector<std::string> lines;
  lines.reserve(op.add.size() + op.remove.size());
  for (const BridgeVlan& vlan : op.add) { lines.push_back(vlan_words(op, "add", vlan)); }
  for (const BridgeVlan& vlan : op.remove) { lines.push_back(vlan_words(op, "del", vlan)); }
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string_view ip_command(Family family) { return family == Family::v6 ? "ip -6" : "ip"; }

/// Without its mark: "proto" of addresses is newer than the iproute2 of Debian 12.
std::string text_of(const AddAddress& op) {
  const Address& a = op.address;
  return fmt::format("{} address replace {} dev {}{}{}", ip_command(a.prefix.address.family),
                     to_string(a.prefix), a.link, a.skips_dad() ? " nodad" : "",
                     a.no_prefix_route ? " noprefixroute" : "");
}

std::string text_of(const RemoveAddress& op) {
  return fmt::format("{} address delete {} dev {}", ip_command(op.address.prefix.address.family),
                     to_string(op.address.prefix), op.address.link);
}

std::string route_words(const Route& route) {
  std::string out;
  if (route.type == RouteType::unreachable) { out += "unreachable "; }
  if (route.type == RouteType::blackhole) { out += "blackhole "; }
  out += route.destination.length == 0 ? "default" : to_string(route.destination);
  if (route.gateway) { out += " via " + to_string(*route.gateway); }
  if (!route.link.empty()) { out += " dev " + route.link; }
  if (route.table != table_main) { out += fmt::format(" table {}", route.table); }
  out += fmt::format(" proto {}", route.protocol);
  if (!route.gateway && !route.link.empty() && route.destination.address.family == Family::v4) {
    out += " scope link";
  }
  if (route.source) { out += " src " + to_string(*route.source); }
  if (route.metric != 0) { out += fmt::format(" metric {}", route.metric); }
  if (route.mtu) { out += fmt::format(" mtu {}", *route.mtu); }
  if (route.on_link_gateway) { out += " onlink"; }
  return out;
}

std::string text_of(const AddRoute& op) {
  return fmt::format("{} route replace {}", ip_command(op.route.destination.address.family),
                     route_words(op.route));
}

std::string text_of(const RemoveRoute& op) {
  return fmt::format("{} route delete {}", ip_command(op.route.destination.address.family),
                     route_words(op.route));
}

std::string rule_words(const Rule& rule) {
  std::string out = fmt::format("priority {}", rule.priority);
  if (rule.from) { out += " from " + to_string(*rule.from); }
  if (rule.to) { out += " to " + to_string(*rule.to); }
  if (rule.mark && rule.mark_mask == 0xffffffff) { out += fmt::format(" fwmark {}", *rule.mark); }
  if (rule.mark && rule.mark_mask != 0xffffffff) {
    out += fmt::format(" fwmark {}/{:#x}", *rule.mark, rule.mark_mask);
  }
  if (!rule.in_link.empty()) { out += " iif " + rule.in_link; }
  if (!rule.out_link.empty()) { out += " oif " + rule.out_link; }
  out += rule.table == table_main ? " lookup main" : fmt::format(" lookup {}", rule.table);
  return out + fmt::format(" protocol {}", rule.protocol);
}

std::string text_of(const AddRule& op) {
  return fmt::format("{} rule add {}", ip_command(op.rule.family), rule_words(op.rule));
}

std::string text_of(const RemoveRule& op) {
  return fmt::format("{} rule delete {}", ip_command(op.rule.family), rule_words(op.rule));
}

std::string text_of(const SetSysctl& op) {
  return fmt::format("sysctl -w {}={}", op.sysctl.path, op.sysctl.value);
}

std::string text_of(const CommitNft& op) {
  if (op.difference.empty()) { return "nft -f - <<END\n" + to_text(op.state) + "END"; }
  std::string out;
  for (const std::string& line : op.difference) {
    out +=
        fmt::format("{}{}{}", out.empty() ? "" : "\n", line.starts_with('#') ? "" : "nft ", line);
  }
  return out;
}

std::string text_of(const DeleteNft&) {
  return fmt::format("nft delete table inet {}", our_nft_table);
}

}  // namespace

std::string to_text(const Operation& operation) {
  return std::visit([](const auto& op) { return text_of(op); }, operation);
}

}  // namespace edge::netmodel
