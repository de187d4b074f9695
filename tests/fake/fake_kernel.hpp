// A kernel of values with the kernel's rules, for tests of whoever uses the Kernel port.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netmodel/io/kernel.hpp"

namespace edge::netmodel {

/// Stateful fake. What it shares with the real kernel is held by tests/contract/kernel: names are
/// unique (EEXIST), a port leaves its bridge when either goes, routes vanish with their link, with
/// its last address, when the link goes admin down, and (main table) with their preferred source; a
/// gateway must be reachable (ENETUNREACH), a link up before a route uses it (ENETDOWN); a primary
/// address takes its secondaries along unless promote_secondaries is set; a bridge has 1,023 ports
/// at most and gives its default pvid to each new one; a bond gives its MAC and MTU to its members,
/// has carrier while one of them has, and refuses early options late; a VLAN device cannot have
/// more MTU than its parent and goes with it.
/// Not modelled: DAD and router advertisements, MTU of an unpinned bridge, loose rule deletion.
///
/// Time: none. Threads: one.
class FakeKernel final : public Kernel {
 public:
  /// A fresh network namespace: `lo`, down, and the kernel's own rules.
  FakeKernel();

  Result<ObservedState> dump(std::span<const std::string> sysctls) override;
  Result<std::vector<Sysctl>> read_sysctls(std::span<const std::string> paths) override;
  Result<std::optional<NftState>> dump_nft() override;
  Result<void> apply(const Operation& operation) override;

  /// A kernel with CONFIG_BRIDGE_VLAN_FILTERING; call it before any bridge is made. Without it
  /// vlan_filtering is refused, as on a kernel that lacks it.
  void allow_vlan_filtering();

  // What happens to a host from outside. Unknown names are a broken test: asserted.
  /// A NIC with a bus device, with a cable in it, admin down as the kernel shows it first.
  IfIndex plug_adapter(const std::string& name, const MacAddress& mac,
                       std::uint32_t mtu_max = 9000);
  /// A link of another owner, without a device, with carrier.
  IfIndex add_foreign_link(Link link);
  void remove_link(const std::string& name);
  void rename_link(const std::string& from, const std::string& to);
  /// The cable; for a tap: whether a VM has it open. Not for bridges, bonds and VLAN devices: they
  /// follow their ports, members, parents.
  void set_carrier(const std::string& name, bool carrier);
  /// As whoever opened it, or made it, left it.
  void set_tap(const std::string& name, TapAttributes tap);
  void set_admin_up(const std::string& name, bool up);
  void set_speed(const std::string& name, std::uint32_t mbps);
  void add_foreign_address(Address address);
  void add_foreign_route(Route route);
  void add_foreign_rule(Rule rule);

  // Injected failures.
  /// The n-th apply() from now (1: the next) fails with this errno and does nothing.
  void fail_apply(std::uint64_t nth, int os_errno);
  void forget_failures() { apply_failures_.clear(); }
  /// Every operation whose text holds these words fails with EINVAL from now on; empty: none.
  void refuse(std::string words) { refused_words_ = std::move(words); }
  /// The next `times` operations whose text holds these words succeed and change nothing.
  void ignore(std::string words, int times) {
    ignored_words_ = std::move(words);
    ignored_times_ = times;
  }
  /// The n-th dump() from now fails (ENOBUFS, EINTR..).
  void fail_dump(std::uint64_t nth, int os_errno);
  /// Called before every operation, for instance to change the world under the plan.
  std::function<void(const Operation&)> before_apply;

  /// Operations that succeeded, in order.
  const Plan& applied() const { return applied_; }
  /// apply() calls, failed ones included.
  std::uint64_t writes() const { return writes_; }
  /// The present state without a dump() call.
  const ObservedState& state() const { return state_; }

 private:
  Result<void> write(const CreateLink& operation);
  Result<void> write(const ChangeLink& operation);
  Result<void> write(const DeleteLink& operation);
  Result<void> write(const SetVlans& operation);
  Result<void> write(const AddAddress& operation);
  Result<void> write(const RemoveAddress& operation);
  Result<void> write(const AddRoute& operation);
  Result<void> write(const RemoveRoute& operation);
  Result<void> write(const AddRule& operation);
  Result<void> write(const RemoveRule& operation);
  Result<void> write(const SetSysctl& operation);
  Result<void> write(const CommitNft& operation);
  Result<void> write(const DeleteNft& operation);

  ObservedLink* find(std::string_view name);
  ObservedLink& insert(ObservedLink link);
  Result<void> set_master(ObservedLink& link, const std::string& master);
  void set_up(ObservedLink& link, bool up);
  Result<void> set_bridge(ObservedLink& link, const BridgeAttributes& wanted);
  void set_default_pvid(ObservedLink& bridge, std::uint16_t id);
  void join_vlans(const ObservedLink& port, const ObservedLink& bridge);
  void show_vlans();
  std::vector<ObservedLink*> members_of(const std::string& bond);
  Result<void> make_bond(ObservedLink& made, const BondAttributes& wanted);
  Result<void> set_bond(ObservedLink& link, const BondAttributes& wanted);
  Result<void> join_bond(ObservedLink& link, ObservedLink& bond);
  void leave_bond(ObservedLink& link);
  void select_active(ObservedLink& bond);
  Result<void> make_vlan(ObservedLink& made, const VlanAttributes& wanted);
  std::vector<ObservedLink*> vlans_above(const std::string& parent);
  Result<void> set_mtu(ObservedLink& link, std::uint32_t mtu);
  void set_mac(ObservedLink& link, const MacAddress& mac);
  Result<void> make_kind(ObservedLink& made, const Link& wanted);
  void erase_link(const std::string& name);
  void update_carriers();
  void add_prefix_route(const Address& address);
  void drop_prefix_route(const Address& address);
  void drop_address(const Address& address);
  void drop_routes_of(std::string_view link, std::optional<Family> family);
  Result<void> check_gateway(const Route& route) const;
  std::optional<std::string> read(const std::string& sysctl) const;
  bool sysctl_exists(const std::string& path) const;

  struct FakeBond {
    bool mac_was_given = false;  ///< Else the first member's is taken.
    std::string primary{};       ///< Also while it is no member.
    bool primary_first = false;  ///< At the next selection, whatever the reselect policy says.
  };
  /// What a link was before it joined its bond.
  struct FakeMember {
    std::optional<MacAddress> mac{};
    std::optional<std::uint32_t> mtu{};
    std::optional<MacAddress> permanent_mac{};
    std::uint64_t joined = 0;
  };

  ObservedState state_;
  std::map<std::uint32_t, FakeBond> bonds_;      ///< By index.
  std::map<std::uint32_t, FakeMember> members_;  ///< By index of the member.
  std::uint64_t joins_ = 0;
  std::map<std::string, std::string> sysctls_;
  std::map<std::uint32_t, bool>
      cable_;  ///< By index; what is not here (bridges) has none of its own.
  bool vlan_filtering_ = false;
  std::map<std::uint32_t, std::vector<BridgeVlan>>
      vlans_;  ///< By index, also while nobody filters.
  std::optional<NftState> nft_;
  std::uint32_t next_index_ = 1;
  std::uint64_t writes_ = 0;
  std::uint64_t dumps_ = 0;
  std::map<std::uint64_t, int> apply_failures_;
  std::string refused_words_;
  std::string ignored_words_;
  int ignored_times_ = 0;
  std::map<std::uint64_t, int> dump_failures_;
  Plan applied_;
};

}  // namespace edge::netmodel
