#include "dhcp/core/hook_event.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace edge::dhcp {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// What dhcpcd 9.4.1 sent for a BOUND by dnsmasq with options 3, 6, 15, 26, 42, 119 and 121.
const std::map<std::string, std::string> recorded_bound{
    {"interface", "br0"},
    {"reason", "BOUND"},
    {"protocol", "dhcp"},
    {"pid", "2"},
    {"ifcarrier", "up"},
    {"UPLINK_HOOK_CHILD", "7"},
    {"new_ip_address", "192.168.1.133"},
    {"new_subnet_mask", "255.255.255.0"},
    {"new_subnet_cidr", "24"},
    {"new_network_number", "192.168.1.0"},
    {"new_broadcast_address", "192.168.1.255"},
    {"new_routers", "192.168.1.1"},
    {"new_domain_name_servers", "192.168.1.1 9.9.9.9"},
    {"new_domain_name", "ex.lan"},
    {"new_domain_search", "a.lan b.lan"},
    {"new_interface_mtu", "1400"},
    {"new_ntp_servers", "192.168.1.7"},
    {"new_classless_static_routes",
     "0.0.0.0/0 192.168.1.2 10.9.0.0/16 192.168.1.9 172.16.5.0/24 0.0.0.0"},
    {"new_dhcp_lease_time", "600"},
    {"new_dhcp_renewal_time", "300"},
    {"new_dhcp_rebinding_time", "525"},
    {"new_dhcp_server_identifier", "192.168.1.1"},
    {"new_dhcp_message_type", "5"}};

std::string datagram(const std::map<std::string, std::string>& variables) {
  std::string out;
  for (const auto& [name, value] : variables) { out += name + "=" + value + '\0'; }
  return out;
}

/// Goal: what is good is taken, what is bad costs itself and is named, what cannot do without costs
/// the lease. Method: one recorded event, one variable changed at a time.
class HookEventTest : public testing::Test {
 protected:
  HookEvent event_with(const std::string& name, const std::string& value) {
    auto variables = recorded_bound;
    variables[name] = value;
    return parse_hook_event(datagram(variables)).value();
  }
  HookEvent event_without(const std::string& name) {
    auto variables = recorded_bound;
    variables.erase(name);
    return parse_hook_event(datagram(variables)).value();
  }
};

TEST_F(HookEventTest, ARecordedBoundGivesTheWholeLease) {
  const HookEvent event = parse_hook_event(datagram(recorded_bound)).value();
  EXPECT_EQ(event.reason, HookReason::bound);
  EXPECT_EQ(event.interface, "br0");
  EXPECT_EQ(event.generation, 7U);
  EXPECT_THAT(event.notes, IsEmpty());
  ASSERT_TRUE(event.lease.has_value());
  const Lease& lease = *event.lease;
  EXPECT_EQ(to_string(lease.address), "192.168.1.133/24");
  EXPECT_THAT(lease.dns, ElementsAre(IpAddress::v4(192, 168, 1, 1), IpAddress::v4(9, 9, 9, 9)));
  EXPECT_THAT(lease.search, ElementsAre("a.lan", "b.lan"));
  EXPECT_EQ(lease.domain, "ex.lan");
  EXPECT_EQ(lease.mtu, 1400U);
  EXPECT_THAT(lease.ntp, ElementsAre(IpAddress::v4(192, 168, 1, 7)));
  EXPECT_EQ(lease.server, IpAddress::v4(192, 168, 1, 1));
  EXPECT_EQ(lease.lease_time, seconds(600));
  EXPECT_EQ(lease.renewal_time, seconds(300));
  EXPECT_EQ(lease.rebinding_time, seconds(525));
}

TEST_F(HookEventTest, Option121WinsOverRoutersAndItsZeroGatewayIsOnLink) {
  const Lease lease = *event_with("reason", "BOUND").lease;
  EXPECT_EQ(lease.default_gateway(), IpAddress::v4(192, 168, 1, 2));
  ASSERT_EQ(lease.effective_routes().size(), 3U);
  EXPECT_EQ(lease.effective_routes()[2].gateway, std::nullopt);

  const Lease plain = *event_without("new_classless_static_routes").lease;
  EXPECT_EQ(plain.default_gateway(), IpAddress::v4(192, 168, 1, 1));
  EXPECT_EQ(plain.effective_routes().size(), 1U);
}

TEST_F(HookEventTest, AWrongOptionalValueCostsOnlyItselfAndIsNamed) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"new_interface_mtu", "67"},
      {"new_interface_mtu", "1400x"},
      {"new_routers", "0.0.0.0"},
      {"new_routers", "224.0.0.1"},
      {"new_domain_name", "a;rm -rf.lan"},
      {"new_domain_search", "-x"},
      {"new_ntp_servers", "fe80::1"},
      {"new_classless_static_routes", "10.0.0.0/8"},
      {"new_dhcp_server_identifier", "me"},
      {"new_classless_static_routes", "10.0.0.0/33 10.0.0.1"}};
  for (const auto& [name, value] : wrong) {
    const HookEvent event = event_with(name, value);
    EXPECT_TRUE(event.lease.has_value()) << name << "=" << value;
    ASSERT_EQ(event.notes.size(), 1U) << name << "=" << value;
    EXPECT_THAT(event.notes[0], HasSubstr(name + "=\"" + value + "\""));
  }
  EXPECT_EQ(event_with("new_interface_mtu", "67").lease->mtu, std::nullopt);
  EXPECT_THAT(event_with("new_domain_name_servers", "0.0.0.0 9.9.9.9").lease->dns,
              ElementsAre(IpAddress::v4(9, 9, 9, 9)));
}

TEST_F(HookEventTest, AWrongAddressPrefixOrLeaseTimeCostsTheLease) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"new_ip_address", "192.168.1.999"},
      {"new_ip_address", "127.0.0.1"},
      {"new_ip_address", "224.1.1.1"},
      {"new_ip_address", "192.168.1.0"},
      {"new_ip_address", "192.168.1.255"},
      {"new_ip_address", "fd00::1"},
      {"new_ip_address", ""},
      {"new_subnet_cidr", "0"},
      {"new_subnet_cidr", "33"},
      {"new_dhcp_lease_time", "0"},
      {"new_dhcp_lease_time", "-5"},
      {"new_dhcp_lease_time", "4294967296"}};
  for (const auto& [name, value] : wrong) {
    const HookEvent event = event_with(name, value);
    EXPECT_FALSE(event.lease.has_value()) << name << "=" << value;
    EXPECT_EQ(event.notes.size(), 1U) << name << "=" << value;
  }
}

TEST_F(HookEventTest, TheEdgesOfTheRangesAreTaken) {
  EXPECT_TRUE(event_with("new_subnet_cidr", "32").lease);
  EXPECT_TRUE(event_with("new_dhcp_lease_time", "1").lease);
  EXPECT_EQ(event_with("new_dhcp_lease_time", "4294967295").lease->expires(), std::nullopt);
  EXPECT_EQ(event_with("new_interface_mtu", "576").lease->mtu, 576U);
  EXPECT_EQ(event_with("new_interface_mtu", "65535").lease->mtu, 65535U);
}

TEST_F(HookEventTest, TheMaskServesWhereTheLengthIsMissing) {
  EXPECT_EQ(event_without("new_subnet_cidr").lease->address.length, 24);
  auto variables = recorded_bound;
  variables.erase("new_subnet_cidr");
  variables["new_subnet_mask"] = "255.0.255.0";
  EXPECT_FALSE(parse_hook_event(datagram(variables)).value().lease);
}

TEST_F(HookEventTest, TimesOutOfOrderGetTheDefaultsOfTheRfc) {
  EXPECT_EQ(event_with("new_dhcp_renewal_time", "599").lease->renewal_time, seconds(300));
  EXPECT_EQ(event_with("new_dhcp_rebinding_time", "601").lease->rebinding_time, seconds(525));
  EXPECT_EQ(event_without("new_dhcp_lease_time").lease->lease_time, seconds(3600));
}

TEST_F(HookEventTest, OnlyLeaseEventsCarryALease) {
  EXPECT_FALSE(event_with("reason", "EXPIRE").lease);
  EXPECT_FALSE(event_with("reason", "NAK").lease);
  EXPECT_TRUE(event_with("reason", "RENEW").lease);
  EXPECT_EQ(event_with("reason", "3RDPARTY").reason, HookReason::other);
}

TEST(HookDatagramTest, WhatIsNoListOfVariablesIsRefused) {
  const auto refused = [](std::string_view bytes) { return !parse_hook_event(bytes).has_value(); };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("reason=BOUND"));
  EXPECT_TRUE(refused(std::string_view("interface=br0\0", 14)));
  EXPECT_TRUE(refused(std::string_view("interface=br0\0reason=BOUND\0reason=NAK\0", 38)));
  EXPECT_TRUE(refused(std::string_view("interface=br0\0reason=BOUND\0junk\0", 32)));
  EXPECT_TRUE(refused(std::string_view("interface=br0\0reason=BOUND\0\0", 28)));
  EXPECT_TRUE(refused(std::string_view("interface=a/b\0reason=BOUND\0", 27)));
  EXPECT_TRUE(refused(std::string_view("interface=sixteencharacter\0reason=NAK\0", 38)));
  EXPECT_FALSE(refused(std::string_view("interface=br0\0reason=NAK\0", 25)));

  const std::string base("interface=br0\0reason=NAK\0x=", 27);
  EXPECT_FALSE(refused(base + std::string(hook_datagram_bytes_max - base.size(), 'a')));
  EXPECT_TRUE(refused(base + std::string(hook_datagram_bytes_max - base.size() + 1, 'a')));
}

TEST(HookDatagramTest, NotesAndListsAreBounded) {
  std::string many = "new_domain_name_servers=";
  for (int i = 0; i < 600; ++i) { many += "bad "; }
  for (int i = 1; i < 100; ++i) { many += "10.0.0." + std::to_string(i) + " "; }
  const std::string head(
      "interface=br0\0reason=BOUND\0new_ip_address=10.0.0.200\0new_subnet_cidr=24\0", 72);
  const HookEvent event = parse_hook_event(head + many).value();
  ASSERT_TRUE(event.lease.has_value());
  EXPECT_EQ(event.lease->dns.size(), 32U);
  EXPECT_EQ(event.notes.size(), hook_notes_max);
}

TEST(HookDatagramTest, Dhcp6AddressesComeWithTheirLifetimes) {
  const HookEvent event = parse_hook_event(datagram({{"interface", "br0"},
                                                     {"reason", "BOUND6"},
                                                     {"new_dhcp6_ia_na1_ia_addr1", "fd00:1::180"},
                                                     {"new_dhcp6_ia_na1_ia_addr1_pltime", "300"},
                                                     {"new_dhcp6_ia_na1_ia_addr1_vltime", "600"},
                                                     {"new_dhcp6_ia_na1_ia_addr2", "fd00:1::181"},
                                                     {"new_dhcp6_ia_na1_ia_addr2_pltime", "700"},
                                                     {"new_dhcp6_ia_na1_ia_addr2_vltime", "600"},
                                                     {"new_dhcp6_name_servers", "fd00:1::53"},
                                                     {"new_dhcp6_server_id", "00010001aabb"}}))
                              .value();
  ASSERT_TRUE(event.lease6.has_value());
  ASSERT_EQ(event.lease6->addresses.size(), 1U);
  EXPECT_EQ(to_string(event.lease6->addresses[0].address), "fd00:1::180");
  EXPECT_EQ(event.lease6->addresses[0].valid, seconds(600));
  EXPECT_EQ(event.lease6->dns.size(), 1U);
  EXPECT_EQ(event.notes.size(), 1U);
}

}  // namespace
}  // namespace edge::dhcp
