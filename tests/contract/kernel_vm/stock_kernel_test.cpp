// What only a kernel with bonding, 802.1Q and vlan_filtering can show, with frames on its wires.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "netmodel/io/announce.hpp"
#include "netmodel/io/link_monitor.hpp"
#include "netmodel/io/member_check.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

using namespace std::chrono_literals;

/// Adapters eth0 and eth1 whose cables end in a switch: a bridge that filters by VLAN.
class StockKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    kernel = std::move(RtnetlinkKernel::open(nullptr)).value();
    ip("link add sw0 type bridge vlan_filtering 1");
    ip("link set sw0 up");
    for (const std::string name : {"eth0", "eth1"}) {
      ip("link add " + name + " type veth peer name x-" + name);
      ip("link set x-" + name + " master sw0 up");
      ip("link set " + name + " up");
      await_sysfs("x-" + name + "/brport/state", "3");  // Forwarding.
    }
  }
  void apply(const Operation& operation) {
    const auto done = kernel->apply(operation);
    ASSERT_TRUE(done) << done.error().what;
  }
  void make_bond() {
    apply(CreateLink{bond_link("bo0", {})});
    for (const std::string name : {"eth0", "eth1"}) {
      ChangeLink join = change(name);
      join.master = "bo0";
      apply(join);
      await_sysfs("x-" + name + "/brport/state", "3");
    }
    await_sysfs("bo0/operstate", "up");
  }
  std::string active() { return kernel->dump({})->find_link("bo0")->bond_active; }
  /// The switch learns in a softirq, which a busy machine runs later: asked again, 5 s at most.
  bool knows(const LearnedMac& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    do {
      const auto learned = kernel->learned_macs("sw0").value();
      if (std::ranges::find(learned, wanted) != learned.end()) { return true; }
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
  }
  std::unique_ptr<RtnetlinkKernel> kernel;
};

TEST_F(StockKernelTest, FeaturesAreThoseOfThisKernel) {
  const auto features = kernel->probe_features();
  ASSERT_TRUE(features) << features.error().what;
  EXPECT_TRUE(features->vlan_filtering);
}

TEST_F(StockKernelTest, PlannedSwitchMovesTheBondAndAMemberThatIsNoneIsRefused) {
  make_bond();
  ASSERT_EQ(active(), "eth0");
  ASSERT_TRUE(kernel->switch_bond("bo0", "eth1"));
  EXPECT_EQ(active(), "eth1");
  EXPECT_EQ(kernel->switch_bond("bo0", "x-eth0").error().code, Errc::invalid_input);
  EXPECT_EQ(kernel->switch_bond("bo0", "absent").error().code, Errc::not_found);
}

/// Goal: a pulled and a planned switch are both told as they happen.
TEST_F(StockKernelTest, EverySwitchOfTheActiveMemberIsALinkEvent) {
  make_bond();
  boost::asio::io_context loop;
  std::string last;
  bool ready = false;
  LinkMonitorHandlers handlers;
  handlers.on_link = [&](const LinkEvent& event) {
    if (event.name == "bo0") { last = event.bond_active; }
  };
  handlers.on_ready = [&] { ready = true; };
  auto monitor = LinkMonitor::open(loop.get_executor(), std::move(handlers), {}).value();
  monitor->start();
  const auto until = [&](auto condition) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      loop.run_one_until(deadline);
    }
    return condition();
  };
  ASSERT_TRUE(until([&] { return ready; }));
  EXPECT_EQ(last, "eth0");
  ASSERT_TRUE(kernel->switch_bond("bo0", "eth1"));
  EXPECT_TRUE(until([&] { return last == "eth1"; })) << "planned";
  ip("link set x-eth1 down");
  EXPECT_TRUE(until([&] { return last == "eth0"; })) << "pulled";
}

TEST_F(StockKernelTest, AnnouncementLeavesByTheActiveMemberWithItsTag) {
  make_bond();
  ip("link set x-eth0 type bridge_slave learning on");
  for (const std::string port : {"x-eth0", "x-eth1"}) {
    apply(SetVlans{.link = port, .add = {tagged(7, 7)}, .remove = {}});
  }
  const Announcer announcer = Announcer::open().value();
  const MacAddress guest = mac("52:54:00:00:00:01");
  const std::vector list{Announcement{guest, 7}, Announcement{guest, std::nullopt}};
  ASSERT_EQ(announcer.announce("bo0", list).value(), 2U);
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = guest, .vlan = 7}));
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = guest, .vlan = 1}));

  ASSERT_TRUE(kernel->switch_bond("bo0", "eth1"));
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = guest, .vlan = 7})) << "the switch knows nothing yet";
  ASSERT_EQ(announcer.announce("bo0", list).value(), 2U);
  EXPECT_TRUE(knows({.port = "x-eth1", .mac = guest, .vlan = 7}));
  EXPECT_TRUE(knows({.port = "x-eth1", .mac = guest, .vlan = 1}));
}

TEST_F(StockKernelTest, MembersOfABondUnderABridgeHearEachOtherAlsoTheInactiveOne) {
  make_bond();
  apply(CreateLink{bridge_link("br0", "02:00:00:00:00:b0")});
  ChangeLink join = change("bo0");
  join.master = "br0";
  apply(join);
  const Announcement host{mac("02:00:00:00:00:b0")};
  for (const std::string now_active : {"eth0", "eth1"}) {
    ASSERT_TRUE(kernel->switch_bond("bo0", now_active));
    ASSERT_TRUE(Announcer::open()->announce("bo0", std::span(&host, 1)));
    const auto result = check_members(
        {.host_id = "h", .group = "g", .members = {"eth0", "eth1"}, .run = 1, .wait = 5s});
    ASSERT_TRUE(result) << result.error().what;
    EXPECT_TRUE(result->all_heard()) << now_active << " is active";
    EXPECT_TRUE(knows({.port = "x-" + now_active, .mac = host.mac, .vlan = 1}))
        << "the check does not move the host's own MAC";
  }
}

TEST_F(StockKernelTest, MemberWhoseSwitchPortHasAnotherNativeVlanIsMissed) {
  apply(SetVlans{.link = "x-eth1", .add = {native(5)}, .remove = {tagged(1, 1)}});
  const auto result =
      check_members({.host_id = "h", .group = "g", .members = {"eth0", "eth1"}, .run = 1});
  ASSERT_TRUE(result) << result.error().what;
  EXPECT_EQ(result->missed.size(), 2U);
}

TEST_F(StockKernelTest, MemberWhoseSwitchPortTagsTheNativeVlanHearsItTagged) {
  BridgeVlan tagging = native(1);
  tagging.untagged = false;
  apply(SetVlans{.link = "x-eth1", .add = {tagging}, .remove = {}});
  const auto result = check_members(
      {.host_id = "h", .group = "g", .members = {"eth0", "eth1"}, .run = 1, .wait = 5s});
  ASSERT_TRUE(result) << result.error().what;
  ASSERT_TRUE(result->all_heard());
  EXPECT_EQ(result->heard[0], (HeardMember{.from = "eth0", .by = "eth1", .vlan = 1}));
  EXPECT_EQ(result->heard[1], (HeardMember{.from = "eth1", .by = "eth0"}));
}

}  // namespace
}  // namespace edge::netmodel
