// The real dhcpcd and a real server: what the engine and the supervision are worth.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/contract/dhcp/lab.hpp"

namespace edge::dhcp::lab {
namespace {

const std::vector<std::string> home_network{"dhcp-range=192.168.1.50,192.168.1.99,10m",
                                            "dhcp-authoritative",
                                            "dhcp-option=option:router,192.168.1.1",
                                            "dhcp-option=option:dns-server,192.168.1.1,9.9.9.9",
                                            "dhcp-option=option:mtu,1400",
                                            "dhcp-option=option:domain-search,a.lan,b.lan",
                                            "domain=ex.lan"};

/// Goal: every rule of the lease's life with the real programs. Method: one veth through a switch;
/// the far end is pulled, servers come and go, processes are killed; each wait has a deadline.
class DhcpcdTest : public testing::Test {
 protected:
  void SetUp() override { lab.in_net("ip addr add 192.168.1.1/24 dev sw"); }

  void serve(const std::vector<std::string>& options = home_network) {
    server = std::make_unique<Server>(lab, options);
  }
  void start_and_bind() {
    port.start();
    ASSERT_TRUE(port.wait_phase(LeasePhase::bound));
  }
  /// Until the pull is seen and the lease is held.
  void pull() {
    lab.pull();
    ASSERT_TRUE(port.wait_phase(LeasePhase::held, seconds(3)));
  }
  bool lease_was_lost() const {
    for (const Port::Seen& seen : port.seen()) {
      if (seen.update.phase == LeasePhase::none) { return true; }
    }
    return false;
  }
  /// A new child is confirmed by the server.
  bool wait_restarted(std::uint32_t restarts_before) {
    return lab.wait([&] {
      const DhcpClientStatus status = port.client().status();
      return status.restarts > restarts_before && status.last_event == "REBOOT";
    });
  }

  Lab lab;
  std::unique_ptr<Server> server;
  Port port{lab};
};

TEST_F(DhcpcdTest, FirstLeaseComesWithAllItsFacts) {
  serve();
  const auto start = Clock::now();
  start_and_bind();
  print_figure("start of the child -> address", {since(start)});
  const Lease& lease = *port.last().lease;
  EXPECT_EQ(lease.address.length, 24);
  EXPECT_EQ(lease.default_gateway(), IpAddress::v4(192, 168, 1, 1));
  EXPECT_EQ(lease.dns, (std::vector{IpAddress::v4(192, 168, 1, 1), IpAddress::v4(9, 9, 9, 9)}));
  EXPECT_EQ(lease.mtu, 1400U);
  EXPECT_EQ(lease.domain, "ex.lan");
  EXPECT_EQ(lease.search, (std::vector<std::string>{"a.lan", "b.lan"}));
  EXPECT_EQ(lease.lease_time, seconds(600));
  // The gateway's MAC follows by ARP: it proves this network again without its server.
  EXPECT_TRUE(lab.wait([&] { return port.last().lease && port.last().lease->gateway_mac; }));
}

TEST_F(DhcpcdTest, CarrierUpToAddressIsQuickAndAPullKeepsTheLease) {
  serve();
  start_and_bind();
  std::vector<milliseconds> times;
  for (int i = 0; i < 9; ++i) {
    pull();
    const auto start = Clock::now();
    lab.plug();
    ASSERT_TRUE(lab.wait([&] { return port.phase() == LeasePhase::bound; }));
    times.push_back(since(start));
  }
  const milliseconds median = print_figure("plug -> bound, through a switch", times);
  EXPECT_LE(median, milliseconds(150));
  EXPECT_FALSE(lease_was_lost());
}

TEST_F(DhcpcdTest, WithTheServerDeadTheKnownGatewayMakesTheLeaseUsableAtOnce) {
  serve();
  start_and_bind();
  ASSERT_TRUE(lab.wait([&] { return port.last().lease->gateway_mac.has_value(); }));
  server->stop();
  std::vector<milliseconds> times;
  for (int i = 0; i < 3; ++i) {
    pull();
    const auto start = Clock::now();
    lab.plug();
    ASSERT_TRUE(port.wait_phase(LeasePhase::stored));
    times.push_back(since(start));
  }
  print_figure("plug -> stored lease used, server dead", times);
  EXPECT_FALSE(lease_was_lost());

  const auto back = Clock::now();
  serve();
  ASSERT_TRUE(port.wait_phase(LeasePhase::bound));
  print_figure("server back -> bound", {since(back)});
  EXPECT_LE(since(back), seconds(5));
}

TEST_F(DhcpcdTest, AnotherGatewayBehindTheSameNumbersIsTrustedOnlyAfterSilence) {
  serve();
  start_and_bind();
  ASSERT_TRUE(lab.wait([&] { return port.last().lease->gateway_mac.has_value(); }));
  server->stop();
  pull();
  lab.in_net("ip link set sw address 02:00:00:00:77:77");
  const auto start = Clock::now();
  lab.plug();
  ASSERT_TRUE(port.wait_phase(LeasePhase::stored));
  print_figure("plug -> stored lease used, server dead, other gateway", {since(start)});
  EXPECT_GE(since(start), seconds(2));
  EXPECT_LE(since(start), seconds(5));
}

TEST_F(DhcpcdTest, ALeaseOfTheStoreIsUsedAfterARestartWithTheServerDead) {
  serve();
  start_and_bind();
  ASSERT_TRUE(lab.wait([&] { return port.last().lease->gateway_mac.has_value(); }));
  const Lease stored = *port.last().lease;
  port.stop();
  server->stop();

  Port again(lab, "0200000000ab");  // Another folder: dhcpcd itself knows nothing.
  again.start(stored);
  EXPECT_TRUE(lab.wait([&] { return again.phase() == LeasePhase::stored; }));
  EXPECT_EQ(again.last().lease->address, stored.address);
}

TEST_F(DhcpcdTest, AServerThatComesBackIsUsedWithinFiveSeconds) {
  port.start();
  lab.wait([] { return false; },
           seconds(9));  // dhcpcd alone would now wait 8 s for its next packet.
  EXPECT_EQ(port.phase(), LeasePhase::none);
  const auto back = Clock::now();
  serve();
  ASSERT_TRUE(port.wait_phase(LeasePhase::bound, seconds(8)));
  print_figure("server back after an outage without lease -> bound", {since(back)});
  EXPECT_LE(since(back), seconds(5));
}

TEST_F(DhcpcdTest, AnotherNetworkReplacesTheLease) {
  serve();
  start_and_bind();
  pull();
  server->stop();
  lab.in_net("ip addr flush dev sw && ip addr add 10.9.9.1/24 dev sw");
  serve({"dhcp-range=10.9.9.50,10.9.9.99,10m", "dhcp-authoritative"});
  auto start = Clock::now();
  lab.plug();
  ASSERT_TRUE(port.wait_phase(LeasePhase::bound));
  print_figure("plug into another network, authoritative server -> bound", {since(start)});
  EXPECT_EQ(port.last().lease->address.network(), parse_prefix("10.9.9.0/24").value());
}

/// A server that does not know the address says nothing at all: dhcpcd gives up after `reboot 1`.
TEST_F(DhcpcdTest, AnotherNetworkWithTheSameNumbersAndASilentServerReplacesTheLease) {
  serve();
  start_and_bind();
  const IpAddress before = port.last().lease->address.address;
  pull();
  server->stop();
  lab.in_net("ip link set sw address 02:00:00:00:77:77");
  std::filesystem::remove(lab.folder().path() + "/server-leases");
  serve({"dhcp-range=192.168.1.150,192.168.1.199,10m"});
  const auto start = Clock::now();
  lab.plug();
  ASSERT_TRUE(port.wait_phase(LeasePhase::bound));
  print_figure("plug into another network, silent about the old address -> bound", {since(start)});
  EXPECT_NE(port.last().lease->address.address, before);
  EXPECT_LE(since(start), seconds(3));
}

TEST_F(DhcpcdTest, AKilledChildIsReplacedAndTheLeaseStays) {
  serve();
  start_and_bind();
  std::vector<milliseconds> times;
  for (int i = 0; i < 3; ++i) {
    const auto before = port.client().status().restarts;
    const auto start = Clock::now();
    kill(port.dhcpcd_processes().front(), SIGKILL);
    ASSERT_TRUE(wait_restarted(before));
    times.push_back(since(start));
  }
  print_figure("kill -9 of dhcpcd -> confirmed again", times);
  EXPECT_FALSE(lease_was_lost());
}

TEST_F(DhcpcdTest, AStoppedChildIsReplacedWhicheverProcessItIs) {
  serve();
  start_and_bind();
  ASSERT_GE(port.dhcpcd_processes().size(), 3U);
  for (std::size_t which = 0; which < 2; ++which) {
    const auto before = port.client().status().restarts;
    const auto start = Clock::now();
    kill(port.dhcpcd_processes().at(which), SIGSTOP);
    ASSERT_TRUE(wait_restarted(before)) << which;
    print_figure(which == 0 ? "SIGSTOP of dhcpcd -> confirmed again"
                            : "SIGSTOP of a helper -> confirmed again",
                 {since(start)});
  }
  EXPECT_FALSE(lease_was_lost());
}

TEST_F(DhcpcdTest, ASecondChildOfThePortIsRefused) {
  serve();
  start_and_bind();
  std::optional<ChildExit> exit;
  const std::string keeper =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "uplink-dhcp-keeper";
  const auto second =
      Child::spawn(lab.io(),
                   {.keeper = keeper,
                    .lock_file = lab.folder().path() + "/run/dhcp/0200000000aa.lock",
                    .argv = {"/bin/true"}},
                   [&exit](const ChildExit& result) { exit = result; });
  ASSERT_TRUE(second.has_value()) << second.error().what;
  ASSERT_TRUE(lab.wait([&exit] { return exit.has_value(); }));
  EXPECT_EQ(exit->status, keeper_status_locked) << exit->last_line;
  EXPECT_EQ(port.phase(), LeasePhase::bound);
}

TEST_F(DhcpcdTest, AChildThatWasLeftIsAdoptedHeardOfAndEnded) {
  const std::string keeper =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "uplink-dhcp-keeper";
  const std::string lock = lab.folder().path() + "/left.lock";
  const auto nobody = Child::adopt(lab.io(), lock, [](const ChildExit&) {});
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(nobody.error().code, Errc::not_found);
  auto first = Child::spawn(lab.io(),
                            {.keeper = keeper,
                             .lock_file = lock,
                             .stay = true,
                             .argv = {"/usr/bin/tail", "-f", "/dev/null"}},
                            [](const ChildExit&) {});
  ASSERT_TRUE(first.has_value()) << first.error().what;
  const pid_t pid = (*first)->pid();
  std::optional<ChildExit> exit;
  Result<std::unique_ptr<Child>> second = fail(Errc::not_found, "not asked yet");
  ASSERT_TRUE(lab.wait([&] {
    second = Child::adopt(lab.io(), lock, [&exit](const ChildExit& result) { exit = result; });
    return second.has_value();
  }));
  EXPECT_EQ((*second)->pid(), pid);
  (*first)->release();
  first->reset();
  (*second)->signal(SIGTERM);
  ASSERT_TRUE(lab.wait([&exit] { return exit.has_value(); }));
  EXPECT_EQ(exit->status, status_unknown);
  EXPECT_EQ((*second)->pid(), 0);
  EXPECT_FALSE(Child::adopt(lab.io(), lock, [](const ChildExit&) {}).has_value());
}

TEST_F(DhcpcdTest, WithTheKeeperAllProcessesEnd) {
  serve();
  start_and_bind();
  auto processes = port.dhcpcd_processes();
  ASSERT_GE(processes.size(), 3U);
  kill(static_cast<pid_t>(port.client().status().pid), SIGKILL);
  EXPECT_TRUE(all_gone(processes, milliseconds(1000)));
  // And the port is served again.
  EXPECT_TRUE(wait_restarted(0));
}

TEST_F(DhcpcdTest, StopEndsAllProcessesAndKeepsTheLease) {
  serve();
  start_and_bind();
  const auto processes = port.dhcpcd_processes();
  const auto start = Clock::now();
  port.stop();
  print_figure("stop", {since(start)});
  EXPECT_TRUE(all_gone(processes, milliseconds(100)));
  EXPECT_EQ(port.client().status().pid, 0);
  EXPECT_EQ(port.phase(), LeasePhase::bound);
}

TEST_F(DhcpcdTest, AnAddressThatIsUsedTwiceIsDeclined) {
  lab.add_neighbour("192.168.1.77/24");
  auto options = home_network;
  options.emplace_back("dhcp-host=02:00:00:00:00:aa,192.168.1.77");
  serve(options);
  port.start();
  ASSERT_TRUE(
      lab.wait([&] { return !port.seen().empty() && port.last().cause == LeaseCause::conflict; }));
  EXPECT_EQ(port.phase(), LeasePhase::none);
  EXPECT_NE(port.troubles().back().find("192.168.1.77"), std::string::npos);
  ASSERT_TRUE(port.wait_phase(LeasePhase::bound, seconds(15)));
  EXPECT_NE(port.last().lease->address.address, IpAddress::v4(192, 168, 1, 77));
  EXPECT_GE(server->lines_with("DHCPDECLINE"), 1);
}

TEST_F(DhcpcdTest, PurgeEndsAChildWhoseOwnerLives) {
  serve();
  start_and_bind();
  const auto processes = port.dhcpcd_processes();
  const std::string folder = lab.folder().path();
  ASSERT_TRUE(purge(folder + "/run", folder + "/state").has_value());
  EXPECT_TRUE(all_gone(processes, milliseconds(100)));
  EXPECT_FALSE(std::filesystem::exists(folder + "/run/dhcp"));
  EXPECT_FALSE(std::filesystem::exists(folder + "/state/dhcp"));
}

TEST_F(DhcpcdTest, AClientOfTheMachineIsNamed) {
  EXPECT_EQ(foreign_dhcp_client(Lab::bridge), "");
  // A process of that name and command line, in our own PID namespace.
  const std::string link = lab.folder().path() + "/dhcpcd";
  ASSERT_EQ(symlink("/bin/sleep", link.c_str()), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    execl(link.c_str(), "dhcpcd: [manager]", "30", nullptr);
    _exit(1);
  }
  EXPECT_TRUE(lab.wait([&] { return !foreign_dhcp_client(Lab::bridge).empty(); }));
  EXPECT_NE(foreign_dhcp_client(Lab::bridge).find(fmt::format("pid {}", pid)), std::string::npos);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

/// Goal: a broken package or a disk that cannot be written is not taken for a network without DHCP.
TEST_F(DhcpcdTest, AProgramThatEndsAtOnceIsNamedWithItsStatus) {
  std::vector<std::string> said;
  auto made = DhcpClient::create(
      lab.io(),
      {.interface = Lab::bridge,
       .key = "0200000000ab",
       .runtime_dir = lab.folder().path() + "/run",
       .state_dir = lab.folder().path() + "/state",
       .dhcpcd = "/bin/false"},
      {.on_lease = [](const LeaseUpdate&) {},
       .on_trouble = [&said](const std::string& text) { said.push_back(text); }});
  ASSERT_TRUE(made.has_value()) << made.error().what;
  (*made)->start_with(std::nullopt, true);
  const auto named = [&said] {
    return std::ranges::any_of(said, [](const std::string& text) {
      return text.find("ends at once, with status 1") != std::string::npos;
    });
  };
  EXPECT_TRUE(lab.wait(named, seconds(30)));
  bool stopped = false;
  (*made)->stop([&stopped] { stopped = true; });
  EXPECT_TRUE(lab.wait([&stopped] { return stopped; }));
}

/// Goal: nothing outlives a daemon that is killed. Method: a shell is the owner; it is killed.
TEST_F(DhcpcdTest, WithTheOwnerAllProcessesEnd) {
  const std::string folder = lab.folder().path();
  const std::string keeper =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "uplink-dhcp-keeper";
  const std::string script = fmt::format(
      "{} --parent $$ --lock {}/owner.lock -- /usr/bin/tail -f /dev/null & wait", keeper, folder);
  const pid_t owner = fork();
  if (owner == 0) {
    execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    _exit(1);
  }
  std::vector<pid_t> all;
  ASSERT_TRUE(lab.wait([&] {
    all = {owner};
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", all[i]));
      for (pid_t pid = 0; children >> pid;) { all.push_back(pid); }
    }
    std::string name;
    std::getline(std::ifstream(fmt::format("/proc/{}/comm", all.back())), name);
    return all.size() == 4 && name == "tail";
  }));
  kill(owner, SIGKILL);
  const auto start = Clock::now();
  EXPECT_TRUE(all_gone({all.begin() + 1, all.end()}, milliseconds(1000)));
  print_figure("owner killed -> all gone", {since(start)});
  waitpid(owner, nullptr, 0);
}

}  // namespace
}  // namespace edge::dhcp::lab
