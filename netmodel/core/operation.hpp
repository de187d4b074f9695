// One step of a plan: a kernel write as a value, in the order in which it must happen.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "netmodel/core/nft_state.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// bridge, tap, bond or vlan, made with MAC, MTU, alias, master, up. Its `vlans` are not part of
/// it: SetVlans follows.
struct CreateLink {
  Link link;
};
/// Only the fields that are set are written.
///
/// `master` in one operation: towards a bond the link is taken down, joined and brought up again
/// (the kernel refuses a member that is up, and takes the member up itself); a link that leaves a
/// bond is brought up again (the kernel leaves it down). So one ChangeLink{master} is a whole join
/// or a whole leave, also straight from one master to another. `admin_up` wins where it is set.
struct ChangeLink {
  std::string name{};
  std::optional<std::uint32_t> mtu{};
  std::optional<bool> admin_up{};
  std::optional<std::string> master{};  ///< Empty string: release.
  std::optional<std::string> alias{};
  std::optional<MacAddress> mac{};
  std::optional<BridgeAttributes> bridge{};
  std::optional<BondAttributes> bond{};  ///< primary, reselect, hash policy; never the mode.
};
struct DeleteLink {
  std::string name;
};
/// VLAN ids of a port of a bridge with vlan_filtering, or of the bridge itself. `add` comes first;
/// an id that is there takes the new flags, a new pvid takes that mark off the old one (which keeps
/// the id). No id is in both lists. Removing an id that is not there changes nothing.
struct SetVlans {
  std::string link{};
  std::vector<BridgeVlan> add{};
  std::vector<BridgeVlan> remove{};
  bool self = false;  ///< Only for people: the link is the bridge itself, not a port of it.
};
struct AddAddress {
  Address address;
};  ///< NLM_F_REPLACE.
struct RemoveAddress {
  Address address;
};
struct AddRoute {
  Route route;
};  ///< NLM_F_CREATE|NLM_F_REPLACE.
struct RemoveRoute {
  Route route;
};
struct AddRule {
  Rule rule;
};
struct RemoveRule {
  Rule rule;
};
struct SetSysctl {
  Sysctl sysctl;
};
struct CommitNft {
  NftState state;
  /// Only for people: what changes, as nft commands; empty: the whole table is new.
  std::vector<std::string> difference{};
};  ///< The whole table of ours, one atomic batch.
struct DeleteNft {};  ///< The table of ours goes (purge).

using Operation =
    std::variant<CreateLink, ChangeLink, DeleteLink, SetVlans, AddAddress, RemoveAddress, AddRoute,
                 RemoveRoute, AddRule, RemoveRule, SetSysctl, CommitNft, DeleteNft>;

/// The operation as lines that a person could type: "ip link add ...", "bridge ...", "nft ...".
std::string to_text(const Operation& operation);

using Plan = std::vector<Operation>;

}  // namespace edge::netmodel
