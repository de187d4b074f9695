// A kernel of values with the kernel's rules, for tests of whoever uses the Kernel port.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netmodel/io/kernel.hpp"

namespace edge::netmodel {

/// Stateful fake. What it shares with the real kernel is held by tests/contract/kernel: names and
/// indexes are unique (EEXIST), a port leaves its bridge when either goes, routes vanish with their
/// link, with its last address, when the link goes admin down, and (main table) with their
/// preferred source; a gateway must be reachable (ENETUNREACH), a link up before a route uses it
/// (ENETDOWN).
///
/// Time: none. Threads: one.
class FakeKernel final : public Kernel {
 public:
  FakeKernel();

  Result<ObservedState> dump(std::span<const std::string> sysctls) override;
  Result<std::optional<NftState>> dump_nft() override;
  Result<void> apply(const Operation& operation) override;

  // What happens to a host from outside.
  /// A NIC with a bus device, up, with carrier. Returns its index.
  IfIndex plug_adapter(const std::string& name, const MacAddress& mac,
                       std::uint32_t mtu_max = 9000);
  /// A link of another owner, without a device.
  IfIndex add_foreign_link(Link link);
  void remove_link(const std::string& name);
  void rename_link(const std::string& from, const std::string& to);
  void set_carrier(const std::string& name, bool carrier);
  void set_admin_up(const std::string& name, bool up);
  void add_foreign_address(Address address);
  void add_foreign_route(Route route);
  void add_foreign_rule(Rule rule);

  // Injected failures.
  /// The n-th apply() from now (1: the next) fails with this errno and does nothing.
  void fail_apply(std::uint64_t nth, int os_errno);
  /// The n-th dump() from now fails (ENOBUFS, EINTR..).
  void fail_dump(std::uint64_t nth, int os_errno);
  /// Called before every operation, for instance to end the process or change the world.
  std::function<void(const Operation&)> before_apply;

  /// Operations that succeeded, in order.
  const Plan& applied() const { return applied_; }
  /// apply() calls, failed ones included.
  std::uint64_t writes() const { return writes_; }

 private:
  Result<void> write(const Operation& operation);
  Result<void> create(const Link& link);
  Result<void> change(const ChangeLink& change);
  Result<void> destroy(const std::string& name);
  Result<void> add(const Address& address);
  Result<void> remove(const Address& address);
  Result<void> add(const Route& route);
  Result<void> remove(const Route& route);
  Result<void> add(const Rule& rule);
  Result<void> remove(const Rule& rule);
  Result<void> set(const Sysctl& sysctl);

  ObservedLink* find(const std::string& name);
  void update_carriers();
  void drop_routes_of(const std::string& link, std::optional<Family> family = std::nullopt);
  bool gateway_reachable(const Route& route) const;

  ObservedState state_;
  std::map<std::string, std::string> sysctls_;
  std::map<std::string, bool> cable_;  ///< Carrier of what is not a bridge.
  std::optional<NftState> nft_;
  std::uint32_t next_index_ = 1;
  std::uint64_t writes_ = 0;
  std::uint64_t dumps_ = 0;
  std::map<std::uint64_t, int> apply_failures_;
  std::map<std::uint64_t, int> dump_failures_;
  Plan applied_;
};

}  // namespace edge::netmodel
