// The real dnsmasq for a VM network: guests get addresses and names, changes reload, a dead one
// returns.
#include "dhcp/io/dnsmasq.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/contract/dhcp/lab.hpp"

namespace edge::dhcp::lab {
namespace {

constexpr MacAddress guest_mac{{0x02, 0, 0, 0, 0, 0xaa}};

/// Asks the server at 10.200.0.1 from the guest; nullopt: no answer within 300 ms or none of type
/// A.
std::optional<IpAddress> resolve(const std::string& name) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 0, .tv_usec = 300000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(53);
  inet_pton(AF_INET, "10.200.0.1", &to.sin_addr);
  std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00",
                    12);  // RFC 1035 section 4.1.1.
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    query += static_cast<char>(end - at);
    query += name.substr(at, end - at);
    at = end + 1;
  }
  query += std::string("\x00\x00\x01\x00\x01", 5);
  sendto(fd.get(), query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&to),
         sizeof to);
  std::array<std::uint8_t, 512> answer{};
  const ssize_t size = recv(fd.get(), answer.data(), answer.size(), 0);
  if (size < static_cast<ssize_t>(query.size()) + 16 || answer[7] == 0) { return std::nullopt; }
  const auto* last = answer.data() + query.size() + 12;  // Name pointer, type, class, TTL, length.
  return IpAddress::v4(last[0], last[1], last[2], last[3]);
}

/// Goal: the network's service as guests see it. Method: the lab's host is the guest (its br0 a
/// client of the real dhcpcd), the bridge sw with our dnsmasq is the VM network.
class DnsmasqTest : public testing::Test {
 protected:
  void SetUp() override {
    lab.in_net("ip addr add 10.200.0.1/24 dev sw");
    settings = {.network = "default",
                .bridge = "sw",
                .gateway = parse_prefix("10.200.0.1/24").value(),
                .range_from = IpAddress::v4(10, 200, 0, 10),
                .range_to = IpAddress::v4(10, 200, 0, 254),
                .mtu = 1400,
                .domain = "default.internal"};
  }
  /// A child starts in the namespace of the thread that starts it.
  Result<void> apply() {
    Result<void> result;
    lab.at_net([&] { result = service.apply(settings); });
    return result;
  }
  /// Another child than `pid` runs. A first attempt may still find the lock of the dying one.
  bool wait_replaced(int pid) {
    return wait_at_net([&] { return service.running() && service.pid() != pid; });
  }
  bool wait_serving() {
    return wait_at_net([&] {
      return lab.output_of_net("ss -Hlnu 'sport = :67'").find(":67") != std::string::npos;
    });
  }
  /// In the network's namespace: a child that is started meanwhile belongs there.
  bool wait_at_net(const std::function<bool()>& condition) {
    bool met = false;
    lab.at_net([&] { met = lab.wait(condition); });
    return met;
  }

  Lab lab;
  DnsmasqSettings settings;
  std::vector<std::string> troubles;
  Dnsmasq service{
      lab.io(),
      {.runtime_dir = lab.folder().path() + "/run", .state_dir = lab.folder().path() + "/state"},
      [this](const std::string& text) { troubles.push_back(text); }};
  Port guest{lab, "guest"};
};

TEST_F(DnsmasqTest, AGuestGetsAnAddressAndIsListed) {
  std::filesystem::permissions(lab.folder().path(),
                               std::filesystem::perms::owner_all);  // Closed to others.
  ASSERT_TRUE(apply());
  ASSERT_TRUE(wait_serving());
  guest.start();
  ASSERT_TRUE(guest.wait_phase(LeasePhase::bound));
  const Lease& lease = *guest.last().lease;
  EXPECT_EQ(lease.mtu, 1400U);
  EXPECT_EQ(lease.default_gateway(), IpAddress::v4(10, 200, 0, 1));
  EXPECT_EQ(lease.domain, "default.internal");
  const auto leases = service.leases();
  ASSERT_TRUE(leases.has_value());
  ASSERT_EQ(leases->size(), 1U);
  EXPECT_EQ(leases->front().mac, guest_mac);
  EXPECT_EQ(leases->front().address, lease.address.address);
}

TEST_F(DnsmasqTest, AReservationIsTakenUpByReloadAndItsNameResolves) {
  ASSERT_TRUE(apply());
  ASSERT_TRUE(wait_serving());
  const int pid = service.pid();
  settings.reservations = {
      {.mac = guest_mac, .address = IpAddress::v4(10, 200, 0, 5), .name = "web"}};
  ASSERT_TRUE(apply());
  guest.start();
  ASSERT_TRUE(guest.wait_phase(LeasePhase::bound));
  EXPECT_EQ(guest.last().lease->address.address, IpAddress::v4(10, 200, 0, 5));
  EXPECT_EQ(service.pid(), pid);
  lab.in_host("ip route replace 10.200.0.0/24 dev br0");
  EXPECT_EQ(resolve("web.default.internal"), IpAddress::v4(10, 200, 0, 5));
}

TEST_F(DnsmasqTest, AKilledOneReturnsAndAnUnchangedOneIsLeftAlone) {
  ASSERT_TRUE(apply());
  ASSERT_TRUE(wait_serving());
  const int pid = service.pid();
  ASSERT_TRUE(apply());
  EXPECT_EQ(service.pid(), pid);
  kill(pid, SIGKILL);
  EXPECT_TRUE(wait_replaced(pid));
  EXPECT_TRUE(wait_serving());
  const int second = service.pid();
  settings.range_to = IpAddress::v4(10, 200, 0, 100);
  ASSERT_TRUE(apply());
  EXPECT_TRUE(wait_replaced(second));
  EXPECT_TRUE(wait_serving());
}

TEST_F(DnsmasqTest, ATakenPortIsTroubleWithItsReason) {
  const UniqueFd holder = [&] {
    UniqueFd fd;
    lab.at_net([&] { fd.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(67);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    return fd;
  }();
  ASSERT_TRUE(apply());
  ASSERT_TRUE(lab.wait([&] { return !troubles.empty(); }));
  EXPECT_THAT(troubles.front(), testing::AllOf(testing::HasSubstr("network \"default\""),
                                               testing::HasSubstr("in use")));
}

TEST_F(DnsmasqTest, BadSettingsChangeNothing) {
  ASSERT_TRUE(apply());
  ASSERT_TRUE(wait_serving());
  const int pid = service.pid();
  settings.range_to = IpAddress::v4(10, 201, 0, 1);
  const auto result = apply();
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().what, testing::HasSubstr("10.201.0.1"));
  EXPECT_EQ(service.pid(), pid);
}

TEST_F(DnsmasqTest, LeftAloneItServesOnAndTheNextRunReplacesIt) {
  const DnsmasqOptions same{.runtime_dir = lab.folder().path() + "/run",
                            .state_dir = lab.folder().path() + "/state"};
  auto first = std::make_unique<Dnsmasq>(lab.io(), same);
  lab.at_net([&] { ASSERT_TRUE(first->apply(settings)); });
  ASSERT_TRUE(wait_serving());
  const int pid = first->pid();
  first->leave();
  first.reset();
  ASSERT_EQ(kill(pid, 0), 0);
  guest.start();  // It logs into a pipe that nobody reads any more.
  ASSERT_TRUE(guest.wait_phase(LeasePhase::bound));
  ASSERT_TRUE(apply());
  EXPECT_NE(kill(pid, 0), 0) << "two children at once";
  EXPECT_TRUE(wait_serving());
  EXPECT_EQ(service.restarts(), 0U) << "the first try already";
  const auto leases = service.leases();
  ASSERT_TRUE(leases.has_value());
  EXPECT_EQ(leases->size(), 1U);
}

TEST_F(DnsmasqTest, WhatWasLeftForADeletedNetworkEnds) {
  ASSERT_TRUE(apply());
  ASSERT_TRUE(wait_serving());
  const int pid = service.pid();
  const std::string runtime = lab.folder().path() + "/run";
  ASSERT_TRUE(end_leftovers(runtime, {"default"}));
  ASSERT_EQ(kill(pid, 0), 0);
  service.leave();
  ASSERT_TRUE(end_leftovers(runtime, {"another"}));
  EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(DnsmasqTest, StopForgetsItsFilesWhenTold) {
  ASSERT_TRUE(apply());
  ASSERT_TRUE(wait_serving());
  bool done = false;
  service.stop(true, [&done] { done = true; });
  ASSERT_TRUE(lab.wait([&done] { return done; }));
  EXPECT_FALSE(service.running());
  EXPECT_FALSE(std::filesystem::exists(lab.folder().path() + "/state/dnsmasq/default"));
}

/// Router advertisements with the flags M and O, and DHCPv6, by a server of the lab.
class Dhcp6Test : public testing::Test {
 protected:
  static std::string sysctl(const std::string& name) {
    std::string value;
    std::getline(std::ifstream("/proc/sys/net/ipv6/conf/br0/" + name), value);
    return value;
  }
  void serve(const std::string& range) {
    lab.in_net(
        "sysctl -qw net.ipv6.conf.sw.accept_dad=0 && ip -6 addr add fd00:1::1/64 dev sw nodad");
    server = std::make_unique<Server>(
        lab, std::vector<std::string>{range, "enable-ra", "ra-param=sw,4",
                                      "dhcp-option=option6:dns-server,[fd00:1::53]"});
  }
  void SetUp() override {
    // /proc/sys/net shows the namespace of the reader.
    lab.in_host("sysctl -qw net.ipv6.conf.br0.accept_ra=2 net.ipv6.conf.br0.accept_dad=0");
  }

  Lab lab;
  std::unique_ptr<Server> server;
  Port port{lab};
};

TEST_F(Dhcp6Test, AManagedNetworkGivesAnAddressAndTheKernelKeepsItsSettings) {
  serve("dhcp-range=fd00:1::100,fd00:1::1ff,64,10m");
  port.client().renew_v6(true, true);
  ASSERT_TRUE(lab.wait([&] { return port.lease6().has_value(); }, seconds(12)));
  ASSERT_EQ(port.lease6()->addresses.size(), 1U);
  EXPECT_TRUE(
      parse_prefix("fd00:1::100/120").value().contains(port.lease6()->addresses[0].address));
  EXPECT_EQ(port.lease6()->dns, (std::vector{parse_ip("fd00:1::53").value()}));
  EXPECT_EQ(sysctl("accept_ra"), "2");
  EXPECT_EQ(sysctl("addr_gen_mode"), "0");

  port.client().renew_v6(false, false);
  EXPECT_TRUE(lab.wait([&] { return !port.lease6().has_value(); }));
  port.stop();
}

TEST_F(Dhcp6Test, ANetworkWithOtherInformationOnlyGivesResolvers) {
  serve("dhcp-range=fd00:1::,ra-stateless,64,10m");
  port.client().renew_v6(false, true);
  ASSERT_TRUE(lab.wait([&] { return port.lease6().has_value(); }, seconds(12)));
  EXPECT_TRUE(port.lease6()->addresses.empty());
  EXPECT_EQ(port.lease6()->dns, (std::vector{parse_ip("fd00:1::53").value()}));
  port.stop();
}

}  // namespace
}  // namespace edge::dhcp::lab
