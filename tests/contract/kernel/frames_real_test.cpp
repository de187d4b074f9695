// Frames of ours on real links: what switches learn from them, who hears them.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "netmodel/io/announce.hpp"
#include "netmodel/io/member_check.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

using namespace std::chrono_literals;

/// Adapters eth0.. whose cables end in bridges that stand for switches.
class FramesTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    kernel = std::move(RtnetlinkKernel::open(nullptr)).value();
    ip("link add sw0 type bridge");
    ip("link set sw0 up");
  }
  void plug(const std::string& adapter, const std::string& into) {
    ip("link add " + adapter + " type veth peer name x-" + adapter);
    ip("link set x-" + adapter + " master " + into + " up");
    ip("link set " + adapter + " up");
    await_sysfs("x-" + adapter + "/brport/state", "3");  // Forwarding.
    await_sysfs(adapter + "/operstate", "up");
  }
  /// The switch learns in a softirq, which a busy machine runs later: asked again, 5 s at most.
  bool knows(const LearnedMac& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    do {
      const auto learned = kernel->learned_macs("sw0").value();
      if (std::ranges::find(learned, wanted) != learned.end()) { return true; }
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
  }
  /// Ends as soon as all have heard all.
  MemberCheckResult check(std::vector<std::string> members, std::chrono::milliseconds wait = 5s) {
    const auto result = check_members(
        {.host_id = "h", .group = "g", .members = std::move(members), .run = ++run, .wait = wait});
    EXPECT_TRUE(result) << result.error().what;
    return result.value_or(MemberCheckResult{});
  }
  std::unique_ptr<RtnetlinkKernel> kernel;
  std::uint32_t run = 0;
};

TEST_F(FramesTest, SwitchLearnsWhereAnAnnouncedGuestIsAndThatItMoved) {
  plug("eth0", "sw0");
  plug("eth1", "sw0");
  const Announcer announcer = Announcer::open().value();
  const MacAddress silent = mac("52:54:00:00:00:01");
  ASSERT_EQ(announcer.announce("eth0", std::vector{Announcement{silent}}).value(), 1U);
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = silent}));
  ASSERT_EQ(announcer.announce("eth1", std::vector{Announcement{silent}}).value(), 1U);
  EXPECT_TRUE(knows({.port = "x-eth1", .mac = silent}));
  const auto learned = kernel->learned_macs("sw0").value();
  EXPECT_EQ(std::ranges::count(learned, silent, &LearnedMac::mac), 1) << "nowhere else";
}

TEST_F(FramesTest, AMacIsForgottenOnOnePort) {
  plug("eth0", "sw0");
  const std::vector both{Announcement{mac("52:54:00:00:00:01")},
                         Announcement{mac("52:54:00:00:00:02")}};
  ASSERT_TRUE(Announcer::open()->announce("eth0", both));
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = both[0].mac}));
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = both[1].mac}));
  ASSERT_TRUE(kernel->forget_mac("x-eth0", both[0].mac));
  const auto learned = kernel->learned_macs("sw0").value();
  EXPECT_EQ(std::ranges::count(learned, both[0].mac, &LearnedMac::mac), 0);
  EXPECT_EQ(std::ranges::count(learned, both[1].mac, &LearnedMac::mac), 1);
  EXPECT_TRUE(kernel->forget_mac("x-eth0", both[0].mac)) << "it was not there";
  EXPECT_EQ(kernel->forget_mac("absent", both[0].mac).error().code, Errc::not_found);
}

TEST_F(FramesTest, ThousandGuestsAreAnnouncedInOneGo) {
  plug("eth0", "sw0");
  std::vector<Announcement> guests;
  for (std::uint8_t i = 0; i < 250; ++i) {
    for (std::uint8_t j = 0; j < 4; ++j) { guests.push_back({.mac = {{0x52, 0x54, 0, 0, j, i}}}); }
  }
  EXPECT_EQ(Announcer::open()->announce("eth0", guests).value(), guests.size());
  EXPECT_TRUE(knows({.port = "x-eth0", .mac = guests.back().mac}));
}

TEST_F(FramesTest, AnnouncingOnALinkThatIsGoneOrDownFails) {
  const Announcer announcer = Announcer::open().value();
  const std::vector list{Announcement{mac("52:54:00:00:00:01")}};
  EXPECT_EQ(announcer.announce("absent", list).error().code, Errc::not_found);
  plug("eth0", "sw0");
  ip("link set eth0 down");
  EXPECT_EQ(announcer.announce("eth0", list).error().code, Errc::transient);
}

TEST_F(FramesTest, LearnedMacsLeaveOutTheHostsOwn) {
  plug("eth0", "sw0");
  ASSERT_TRUE(
      Announcer::open()->announce("eth0", std::vector{Announcement{mac("52:54:00:00:00:01")}}));
  const auto state = kernel->dump({}).value();
  ASSERT_TRUE(knows({.port = "x-eth0", .mac = mac("52:54:00:00:00:01")}));
  const std::vector<LearnedMac> learned = kernel->learned_macs("sw0").value();
  for (const LearnedMac& one : learned) {
    EXPECT_EQ(one.port, "x-eth0");
    EXPECT_NE(one.mac, *state.find_link("x-eth0")->link.mac);
  }
  EXPECT_EQ(kernel->learned_macs("absent").error().code, Errc::not_found);
}

TEST_F(FramesTest, MembersOnOneSwitchHearEachOther) {
  for (const std::string name : {"eth0", "eth1", "eth2"}) { plug(name, "sw0"); }
  const MemberCheckResult result = check({"eth0", "eth1", "eth2"});
  EXPECT_TRUE(result.all_heard());
  EXPECT_EQ(result.heard.size(), 6U);
  EXPECT_EQ(result.heard.front(), (HeardMember{.from = "eth0", .by = "eth1"}));
  EXPECT_TRUE(result.troubles.empty());
}

TEST_F(FramesTest, MemberOnAnotherSwitchIsMissedInBothDirections) {
  ip("link add sw1 type bridge");
  ip("link set sw1 up");
  plug("eth0", "sw0");
  plug("eth1", "sw0");
  plug("eth2", "sw1");
  const MemberCheckResult result = check({"eth0", "eth1", "eth2"}, 1s);
  EXPECT_EQ(result.heard, (std::vector<HeardMember>{{.from = "eth0", .by = "eth1"},
                                                    {.from = "eth1", .by = "eth0"}}));
  EXPECT_EQ(result.missed.size(), 4U);
}

TEST_F(FramesTest, PortsOfABridgeHearEachOtherToo) {
  plug("eth0", "sw0");
  plug("eth1", "sw0");
  for (const std::string name : {"eth0", "eth1"}) {
    ip("link add br-" + name + " type bridge");
    ip("link set br-" + name + " up");
    ip("link set " + name + " master br-" + name);
    await_sysfs(name + "/brport/state", "3");
  }
  EXPECT_TRUE(check({"eth0", "eth1"}).all_heard());
}

TEST_F(FramesTest, MemberThatIsDownIsATrouble) {
  plug("eth0", "sw0");
  plug("eth1", "sw0");
  ip("link set eth1 down");
  const MemberCheckResult result = check({"eth0", "eth1"}, 300ms);
  EXPECT_EQ(result.missed.size(), 2U);
  EXPECT_EQ(result.troubles, std::vector<std::string>{"eth1: Network is down"});
}

TEST_F(FramesTest, CheckOfOneMemberOrOfOneThatIsGoneIsRefused) {
  plug("eth0", "sw0");
  MemberCheckOptions options{.host_id = "h", .group = "g", .members = {"eth0"}};
  EXPECT_EQ(check_members(options).error().code, Errc::invalid_input);
  options.members.emplace_back("absent");
  EXPECT_EQ(check_members(options).error().code, Errc::not_found);
}

}  // namespace
}  // namespace edge::netmodel
