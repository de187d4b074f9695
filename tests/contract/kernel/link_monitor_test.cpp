// The link monitor against the real kernel's notifications.
#include "netmodel/io/link_monitor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <set>

#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

using namespace std::chrono_literals;

class LinkMonitorTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    auto opened = RtnetlinkKernel::open(nullptr);
    ASSERT_TRUE(opened);
    kernel = std::move(*opened);
  }
  void open(LinkMonitorOptions options = {}) {
    options.own_port = kernel->port_id();
    LinkMonitorHandlers handlers{
        .on_link = [this](const LinkEvent& event) { on_link(event); },
        .on_change = [this](const KernelChange& change) { changes.push_back(change); },
        .on_neighbour = [this](const NeighbourEvent& event) { neighbours.push_back(event); },
        .on_overrun = [this] { ++overruns; },
        .on_ready = [this] { ready = true; }};
    auto opened = LinkMonitor::open(loop.get_executor(), std::move(handlers), options);
    ASSERT_TRUE(opened) << opened.error().what;
    monitor = std::move(*opened);
    monitor->start();
    ASSERT_TRUE(until([&] { return ready; }));
  }
  void on_link(const LinkEvent& event) {
    links.push_back(event);
    if (!event.renamed_from.empty()) { present.erase(event.renamed_from); }
    if (event.gone) {
      present.erase(event.name);
    } else {
      present.insert(event.name);
    }
  }
  /// Runs the loop until the condition holds, 5 s at most.
  template <class Condition>
  bool until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      loop.run_one_until(deadline);
    }
    return condition();
  }
  template <class Predicate>
  const LinkEvent* find_link_event(Predicate predicate) {
    const auto found = std::ranges::find_if(links, predicate);
    return found == links.end() ? nullptr : &*found;
  }
  const KernelChange* find_change(ChangeKind kind, bool removed) {
    const auto found = std::ranges::find_if(changes, [&](const KernelChange& one) {
      return one.kind == kind && one.removed == removed;
    });
    return found == changes.end() ? nullptr : &*found;
  }
  std::set<std::string> dumped_names() {
    std::set<std::string> names;
    const auto state = kernel->dump({});
    for (const ObservedLink& link : state.value().links) { names.insert(link.link.name); }
    return names;
  }

  boost::asio::io_context loop;
  std::unique_ptr<RtnetlinkKernel> kernel;
  std::unique_ptr<LinkMonitor> monitor;
  std::vector<LinkEvent> links;
  std::vector<KernelChange> changes;
  std::vector<NeighbourEvent> neighbours;
  std::set<std::string> present;
  int overruns = 0;
  bool ready = false;
};

TEST_F(LinkMonitorTest, LinksThatExistAppearBeforeReady) {
  ip("link add eth0 type veth peer name x0");
  open();
  EXPECT_EQ(present, (std::set<std::string>{"lo", "eth0", "x0"}));
  EXPECT_TRUE(std::ranges::all_of(links, [](const LinkEvent& event) { return event.appeared; }));
}

TEST_F(LinkMonitorTest, PulledCableIsAnEventWithItsCount) {
  ip("link add eth0 type veth peer name x0");
  ip("link set x0 up");
  ip("link set eth0 up");
  open();
  links.clear();
  ip("link set x0 down");
  const auto lost = [](const LinkEvent& event) {
    return event.name == "eth0" && event.admin_up && !event.carrier;
  };
  ASSERT_TRUE(until([&] { return find_link_event(lost) != nullptr; }));
  const LinkEvent event = *find_link_event(lost);
  EXPECT_GE(event.carrier_down_count, 1U);
  EXPECT_EQ(event.kind, LinkKind::veth);
  EXPECT_FALSE(event.appeared);
  EXPECT_FALSE(event.by_us);
}

TEST_F(LinkMonitorTest, RenameSaysTheOldName) {
  ip("link add eth0 type veth peer name x0");
  open();
  ip("link set eth0 name lan0");
  ASSERT_TRUE(until([&] {
    return find_link_event([](const LinkEvent& event) { return event.renamed_from == "eth0"; });
  }));
  EXPECT_EQ(present, (std::set<std::string>{"lo", "lan0", "x0"}));
}

TEST_F(LinkMonitorTest, DeletedLinkIsGone) {
  ip("link add eth0 type veth peer name x0");
  open();
  ip("link del eth0");
  ASSERT_TRUE(until([&] {
    return find_link_event(
        [](const LinkEvent& event) { return event.gone && event.name == "eth0"; });
  }));
  ASSERT_TRUE(until([&] { return present == std::set<std::string>{"lo"}; }));
}

TEST_F(LinkMonitorTest, LinkMovedToAnotherNamespaceIsGone) {
  ip("link add eth0 type veth peer name x0");
  open();
  ip("netns add t-netio-monitor");
  ip("link set eth0 netns t-netio-monitor");
  EXPECT_TRUE(until([&] { return !present.contains("eth0"); }));
  ip("netns del t-netio-monitor");
}

TEST_F(LinkMonitorTest, ReleasedPortIsNotTakenForADeletedLink) {
  ip("link add br0 type bridge");
  ip("link add eth0 type veth peer name x0");
  ip("link set eth0 master br0");
  open();
  links.clear();
  ip("link set eth0 nomaster");
  ASSERT_TRUE(until([&] { return find_change(ChangeKind::bridge_port, true) != nullptr; }));
  ASSERT_TRUE(until([&] {
    return find_link_event(
        [](const LinkEvent& event) { return event.name == "eth0" && event.master.empty(); });
  }));
  EXPECT_TRUE(present.contains("eth0"));
}

TEST_F(LinkMonitorTest, OwnWritesAreToldFromThoseOfOthers) {
  open();
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  ASSERT_TRUE(kernel->apply(AddAddress{own_address("br0", "10.0.0.5/24")}));
  ASSERT_TRUE(until([&] { return find_change(ChangeKind::address, false) != nullptr; }));
  EXPECT_TRUE(find_change(ChangeKind::address, false)->by_us);
  EXPECT_TRUE(find_change(ChangeKind::address, false)->ours);
  EXPECT_EQ(find_change(ChangeKind::address, false)->text, "address 10.0.0.5/24 dev br0");

  changes.clear();
  ip("address del 10.0.0.5/24 dev br0");
  ASSERT_TRUE(until([&] { return find_change(ChangeKind::address, true) != nullptr; }));
  EXPECT_FALSE(find_change(ChangeKind::address, true)->by_us);
  EXPECT_EQ(find_change(ChangeKind::address, true)->text, "deleted address 10.0.0.5/24 dev br0");
}

TEST_F(LinkMonitorTest, RoutesAndRulesAreToldInWords) {
  ip("link add br0 type bridge");
  ip("link set br0 up");
  ip("address add 10.0.0.5/24 dev br0");
  open();
  changes.clear();
  ip("route add 10.7.0.0/16 via 10.0.0.1 dev br0 table 20001 proto 117 metric 5");
  ip("rule add priority 12000 from 10.0.0.5 lookup 20001 protocol 117");
  ASSERT_TRUE(until([&] {
    return find_change(ChangeKind::rule, false) && find_change(ChangeKind::route, false);
  }));
  EXPECT_EQ(find_change(ChangeKind::route, false)->text,
            "route 10.7.0.0/16 via 10.0.0.1 dev br0 table 20001 proto 117 metric 5");
  EXPECT_TRUE(find_change(ChangeKind::route, false)->ours);
  EXPECT_EQ(find_change(ChangeKind::rule, false)->text,
            "rule 12000: from 10.0.0.5/32 lookup 20001");
  ip("route del 10.7.0.0/16 table 20001");
  ASSERT_TRUE(until([&] { return find_change(ChangeKind::route, true) != nullptr; }));
}

TEST_F(LinkMonitorTest, NewMacOfTheGatewayIsAnEvent) {
  ip("link add br0 type bridge");
  open();
  ip("neigh replace 10.0.0.1 lladdr 02:00:00:00:00:99 dev br0");
  ASSERT_TRUE(until([&] { return !neighbours.empty(); }));
  EXPECT_EQ(neighbours.back().neighbour.link, "br0");
  EXPECT_EQ(neighbours.back().neighbour.address, address("10.0.0.1"));
  EXPECT_EQ(neighbours.back().neighbour.mac, mac("02:00:00:00:00:99"));
}

/// Goal: a burst that nobody read costs one re-read, and nothing stays wrong.
/// Method: 10,000 address changes into a small buffer while the loop stands still, and meanwhile a
/// link is deleted, one renamed and one made: their events are lost for certain.
TEST_F(LinkMonitorTest, AfterAnOverrunTheLinksAreReadAgain) {
  ip("link add old0 type veth peer name old1");
  ip("link add name0 type veth peer name name1");
  ASSERT_TRUE(kernel->apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  open({.own_port = 0, .receive_buffer_bytes = 64 << 10, .neighbours = true});

  std::string lines;
  for (int i = 0; i < 5000; ++i) {
    lines += "address add 10.0.0.5/24 dev br0\naddress del 10.0.0.5/24 dev br0\n";
  }
  ip_batch(lines);
  ip("link del old0");
  ip("link set name0 name renamed0");
  ip("link add new0 type veth peer name new1");

  ASSERT_TRUE(until([&] { return overruns > 0 && present == dumped_names(); }));
  EXPECT_EQ(present, (std::set<std::string>{"lo", "br0", "renamed0", "name1", "new0", "new1"}));
  EXPECT_EQ(monitor->overruns(), static_cast<std::uint64_t>(overruns));

  links.clear();
  ip("link del new0");
  ASSERT_TRUE(until([&] { return !present.contains("new0"); })) << "events go on afterwards";
}

TEST_F(LinkMonitorTest, StoppedInsideAHandlerItIsSilent) {
  ip("link add eth0 type veth peer name x0");
  int calls = 0;
  LinkMonitorHandlers handlers;
  handlers.on_link = [&](const LinkEvent&) {
    ++calls;
    monitor->stop();
  };
  auto opened = LinkMonitor::open(loop.get_executor(), std::move(handlers));
  ASSERT_TRUE(opened);
  monitor = std::move(*opened);
  monitor->start();
  loop.run();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace edge::netmodel
