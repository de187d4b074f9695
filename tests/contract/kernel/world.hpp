// The kernel under test with a host around it: the fake or the real one, in the same words.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "netmodel/io/kernel.hpp"

namespace edge::netmodel {

/// What happens to the host from outside, done without the kernel object under test.
class World {
 public:
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  virtual Kernel& kernel() = 0;
  /// An adapter with a cable in it, admin up. Real: one end of a veth pair.
  virtual void plug_adapter(const std::string& name) = 0;
  virtual void set_cable(const std::string& name, bool plugged) = 0;
  virtual void set_admin_up(const std::string& name, bool up) = 0;
  virtual void rename_link(const std::string& from, const std::string& to) = 0;
  virtual void add_foreign_bridge(const std::string& name) = 0;
  virtual void add_foreign_address(const std::string& link, const std::string& prefix) = 0;
  /// In the main table, with protocol 4 (static).
  virtual void add_foreign_route(const std::string& destination, const std::string& link) = 0;
  /// With protocol 4: `from` looks up main.
  virtual void add_foreign_rule(std::uint32_t priority, const std::string& from) = 0;
  /// Waits for netlink events until the condition holds, 5 s at most.
  virtual bool eventually(const std::function<bool()>& condition) = 0;
};

/// What a kernel was built with: Debian's has bonding, 802.1Q and vlan_filtering, this machine's
/// own may lack all three.
enum class KernelBuild : std::uint8_t { common, stock };
std::unique_ptr<World> make_fake_world(KernelBuild build = KernelBuild::common);
std::unique_ptr<World> make_real_world();

/// Goal: whoever uses the Kernel port may believe the fake.
/// Method: every test runs on both; the real one in a network namespace of its own.
class KernelContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    world = std::string_view(GetParam()) == "fake" ? make_fake_world() : make_real_world();
  }

  Kernel& kernel() { return world->kernel(); }
  /// The test fails when the operation does.
  void apply(const Operation& operation) {
    const auto done = kernel().apply(operation);
    ASSERT_TRUE(done) << done.error().what;
  }
  /// The error of an operation that must fail.
  Error failure(const Operation& operation) {
    const auto done = kernel().apply(operation);
    EXPECT_FALSE(done) << to_text(operation) << " succeeded";
    return done ? Error{} : done.error();
  }
  ObservedState dump(const std::vector<std::string>& sysctls = {}) {
    auto state = kernel().dump(sysctls);
    EXPECT_TRUE(state) << state.error().what;
    return state ? std::move(*state) : ObservedState{};
  }
  std::optional<ObservedLink> link(const std::string& name) {
    const ObservedState state = dump();
    const ObservedLink* found = state.find_link(name);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  std::vector<Address> addresses(const std::string& link, Family family = Family::v4);
  std::vector<Route> routes(const std::string& link, Family family = Family::v4);
  bool has(const Route& route);
  bool has(const Rule& rule);

  void make_bridge(const std::string& name, const std::string& mac = "02:00:00:00:00:01");
  void make_tap(const std::string& name, const std::string& bridge);

  std::unique_ptr<World> world;
};

/// The part of the contract that needs bonding, 802.1Q and vlan_filtering. `contract_kernel` runs
/// it on the fake, `vm_contract_kernel` on both, inside the VM; there a kernel that lacks one of
/// them fails the test.
class StockKernelContract : public KernelContract {
 protected:
  void SetUp() override {
    world = std::string_view(GetParam()) == "fake" ? make_fake_world(KernelBuild::stock)
                                                   : make_real_world();
  }
  void make_bond(const std::string& name, const BondAttributes& options = {});
  /// ChangeLink{master}, which must succeed; empty: release.
  void set_master(const std::string& link, const std::string& master);
  BondAttributes bond(const std::string& name) { return link(name)->link.bond.value(); }
  std::vector<BridgeVlan> vlans(const std::string& name) {
    return link(name)->link.vlans.value_or(std::vector<BridgeVlan>{});
  }
};

// Short spellings.
MacAddress mac(std::string_view text);
IpAddress address(std::string_view text);
IpPrefix prefix(std::string_view text);
Link bridge_link(const std::string& name, const std::string& mac);
Address own_address(const std::string& link, std::string_view prefix_text);
/// Table main, protocol ours, metric 100.
Route route_to(std::string_view destination, const std::string& link);
ChangeLink change(const std::string& name);
Link bond_link(const std::string& name, const BondAttributes& options);
/// A bridge that filters by VLAN and has no default pvid.
Link filtering_bridge_link(const std::string& name);
Link vlan_device_link(const std::string& name, const std::string& parent, std::uint16_t id);
BridgeVlan tagged(std::uint16_t first, std::uint16_t last);
BridgeVlan native(std::uint16_t id);  ///< pvid, untagged.

}  // namespace edge::netmodel
