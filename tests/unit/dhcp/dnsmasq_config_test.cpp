#include "dhcp/core/dnsmasq_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dhcp/core/dhcpcd_config.hpp"

namespace edge::dhcp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

DnsmasqSettings guest_network() {
  return {.network = "default",
          .bridge = "n-default",
          .gateway = parse_prefix("10.200.0.1/24").value(),
          .range_from = IpAddress::v4(10, 200, 0, 10),
          .range_to = IpAddress::v4(10, 200, 0, 254),
          .mtu = 1400,
          .domain = "default.internal",
          .reservations = {{.mac = parse_mac("02:00:00:00:00:05").value(),
                            .address = IpAddress::v4(10, 200, 0, 5),
                            .name = "web"}},
          .upstreams = {{.address = IpAddress::v4(9, 9, 9, 9), .link = "br020000000001"},
                        {.address = IpAddress::v4(1, 1, 1, 1), .link = ""}}};
}
const DnsmasqFiles files{
    .pid = "/r/pid", .leases = "/r/leases", .hosts = "/r/hosts", .servers = "/r/servers"};

TEST(DnsmasqConfigTest, ListensOnItsBridgeOnlyAndServesItsRange) {
  ASSERT_THAT(problems_of(guest_network()), IsEmpty());
  const std::string text = render_config(guest_network(), files);
  for (const char* line :
       {"\nbind-dynamic\n", "\ninterface=n-default\n", "\nexcept-interface=lo\n", "\nno-resolv\n",
        "\ndhcp-range=10.200.0.10,10.200.0.254,255.255.255.0,3600\n", "\ndhcp-authoritative\n",
        "\ndhcp-option=option:mtu,1400\n", "\ndhcp-option=option:router,10.200.0.1\n",
        "\nservers-file=/r/servers\n", "\ndhcp-hostsfile=/r/hosts\n",
        "\nlocal=/default.internal/\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(render_hosts(guest_network()), "02:00:00:00:00:05,10.200.0.5,web\n");
  EXPECT_EQ(render_servers(guest_network()), "server=9.9.9.9@br020000000001\nserver=1.1.1.1\n");
}

TEST(DnsmasqConfigTest, WithoutDhcpOnlyNamesAreServed) {
  DnsmasqSettings settings = guest_network();
  settings.dhcp = false;
  EXPECT_THAT(render_config(settings, files), Not(HasSubstr("dhcp")));
}

TEST(DnsmasqConfigTest, AnIsolatedNetworkIsToldOfNoRouter) {
  DnsmasqSettings settings = guest_network();
  settings.router = false;
  settings.gateway6 = parse_prefix("fd00::1/64").value();
  const std::string text = render_config(settings, files);
  EXPECT_THAT(text, HasSubstr("\ndhcp-option=option:router\n"));
  EXPECT_THAT(text, HasSubstr("\nra-param=n-default,60,0\n"));
}

TEST(DnsmasqConfigTest, Ipv6IsAdvertisedWithTheHostNumbersOfIpv4) {
  DnsmasqSettings settings = guest_network();
  settings.gateway6 = parse_prefix("fd00:1::1/64").value();
  ASSERT_THAT(problems_of(settings), IsEmpty());
  const std::string text = render_config(settings, files);
  for (const char* line : {"\nenable-ra\n", "\nra-param=n-default,60,1800\n",
                           "\ndhcp-range=fd00:1::a,fd00:1::fe,slaac,64,3600\n",
                           "\ndhcp-option=option6:dns-server,[fd00:1::1]\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(render_hosts(settings), "02:00:00:00:00:05,10.200.0.5,[fd00:1::5],web\n");
  EXPECT_EQ(change_between(guest_network(), settings), DnsmasqChange::restart);
  settings.dhcp = false;
  EXPECT_THAT(render_config(settings, files), HasSubstr("\ndhcp-range=fd00:1::,ra-only,64,3600\n"));
  settings.gateway6 = parse_prefix("fd00:1::/64").value();
  EXPECT_THAT(problems_of(settings), ElementsAre(HasSubstr("gateway fd00:1::/64 must be")));
}

TEST(DnsmasqConfigTest, EveryProblemIsListed) {
  DnsmasqSettings settings = guest_network();
  settings.bridge = "n\nuser=root";
  settings.domain = "a b";
  settings.range_from = IpAddress::v4(10, 200, 0, 1);
  settings.range_to = IpAddress::v4(10, 201, 0, 9);
  settings.mtu = 9001;
  settings.reservations.push_back({.mac = settings.reservations[0].mac,
                                   .address = IpAddress::v4(10, 200, 0, 255),
                                   .name = "web\ndhcp-script=/x"});
  settings.upstreams.push_back({.address = IpAddress::v4(0, 0, 0, 0), .link = "a,b"});
  const auto problems = problems_of(settings);
  EXPECT_EQ(problems.size(), 10U) << testing::PrintToString(problems);
  for (const std::string& problem : problems) {
    EXPECT_THAT(problem, HasSubstr("network \"default\": "));
  }
}

TEST(DnsmasqConfigTest, HostsAndUpstreamsReload_TheRestRestarts) {
  DnsmasqSettings other = guest_network();
  EXPECT_EQ(change_between(guest_network(), other), DnsmasqChange::none);
  other.upstreams.clear();
  other.reservations.clear();
  EXPECT_EQ(change_between(guest_network(), other), DnsmasqChange::reload);
  other.range_to = IpAddress::v4(10, 200, 0, 99);
  EXPECT_EQ(change_between(guest_network(), other), DnsmasqChange::restart);
}

TEST(LeaseFileTest, GoodLinesAreTakenOthersSkipped) {
  const auto leases = parse_lease_file(
      "1700000000 02:00:00:00:00:05 10.200.0.5 web 01:02:00:00:00:00:05\n"
      "0 02:00:00:00:00:06 10.200.0.6 * *\n"
      "duid 00:01:00:01\n"
      "1700000000 1234 fd00::5 web6 00:01\n"
      "x 02:00:00:00:00:07 10.200.0.7 a *\n"
      "1700000000 02:00:00:00:00:08 10.200.0.8 evil;name *");
  ASSERT_EQ(leases.size(), 3U);
  EXPECT_EQ(leases[0].name, "web");
  EXPECT_EQ(leases[0].expires, WallTime(std::chrono::seconds(1700000000)));
  EXPECT_EQ(leases[1].expires, std::nullopt);
  EXPECT_EQ(leases[2].name, "");
}

TEST(DhcpcdConfigTest, ReportsOnlyAndIsQuick) {
  const std::string text = dhcpcd_config_v4(false);
  for (const char* line :
       {"\nnoconfigure\n", "\nnodelay\n", "\nnoarp\n", "\nnoipv4ll\n", "\nreboot 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(dhcpcd_config_v4(true), Not(HasSubstr("noarp")));
  EXPECT_THAT(dhcpcd_config_v6(true), HasSubstr("\nia_na\n"));
  EXPECT_THAT(dhcpcd_config_v6(false), HasSubstr("\ninform6\n"));
}

}  // namespace
}  // namespace edge::dhcp
