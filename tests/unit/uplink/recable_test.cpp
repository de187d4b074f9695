// Recabling: what changed is told, and only what the host lost is called wrong.
#include "uplink/core/recable.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

using testing::HasSubstr;

PortSight port(const std::string& name, int network) {
  return {.key = "02000000000" + name.substr(3),
          .name = name,
          .carrier = true,
          .leased = true,
          .path_up = true,
          .subnet = "192.168." + std::to_string(network) + ".0/24",
          .gateway = "192.168." + std::to_string(network) + ".1",
          .gateway_mac = "02:00:00:00:0f:0" + std::to_string(network),
          .server = "",
          .neighbour = ""};
}
PortSight unplugged(const std::string& name) {
  PortSight out;
  out.key = port(name, 1).key;
  out.name = name;
  return out;
}
const RecableSnapshot two{.began = "2026-01-01T00:00:00Z",
                          .ports = {port("eth0", 1), port("eth1", 2)}};

TEST(RecableTest, NothingTouchedIsTheSame) {
  const auto report = compare(two, two.ports);
  EXPECT_FALSE(report.degraded());
  EXPECT_EQ(report.rows[0].change, RecableChange::same);
  EXPECT_EQ(report.rows[0].is, "192.168.1.0/24 by 192.168.1.1");
}

TEST(RecableTest, TwoCablesExchangedAreSwappedAndThatIsNotWrong) {
  const auto report = compare(two, {port("eth0", 2), port("eth1", 1)});
  EXPECT_FALSE(report.degraded());
  EXPECT_EQ(report.rows[0].change, RecableChange::swapped);
  EXPECT_EQ(report.rows[0].with, "eth1");
  EXPECT_EQ(report.rows[1].change, RecableChange::swapped);
}

TEST(RecableTest, ACableThatWentToAnotherPortIsMovedAndItsOldPortIsWrong) {
  const auto report = compare({.began = "", .ports = {port("eth0", 1), unplugged("eth1")}},
                              {unplugged("eth0"), port("eth1", 1)});
  EXPECT_EQ(report.rows[0].change, RecableChange::unplugged);
  EXPECT_THAT(report.rows[0].wrong, HasSubstr("no carrier"));
  EXPECT_EQ(report.rows[1].change, RecableChange::moved);
  EXPECT_EQ(report.rows[1].with, "eth0");
  EXPECT_TRUE(report.degraded());
}

TEST(RecableTest, OneNetworkBehindTwoPortsIsWrongOnBothUnlessItWasSo) {
  const auto report = compare(two, {port("eth0", 1), port("eth1", 1)});
  EXPECT_TRUE(report.degraded());
  EXPECT_THAT(report.rows[0].wrong, HasSubstr("the same network as eth1"));
  EXPECT_THAT(report.rows[1].wrong, HasSubstr("the same network as eth0"));
  const RecableSnapshot always{.began = "", .ports = {port("eth0", 1), port("eth1", 1)}};
  EXPECT_FALSE(compare(always, always.ports).degraded());
}

TEST(RecableTest, TwinsWithTheSameSubnetAreToldApartByTheirGatewaysMac) {
  PortSight twin = port("eth1", 1);
  twin.gateway_mac = "02:00:00:00:0f:99";
  const auto report = compare(two, {port("eth0", 1), twin});
  EXPECT_EQ(report.rows[1].change, RecableChange::other);
  EXPECT_FALSE(report.degraded());
}

TEST(RecableTest, LeaseAndPathThatAreGoneAreWrongWithAdvice) {
  PortSight no_lease = unplugged("eth0");
  no_lease.carrier = true;
  PortSight no_path = port("eth1", 2);
  no_path.path_up = false;
  const auto report = compare(two, {no_lease, no_path});
  EXPECT_EQ(report.rows[0].change, RecableChange::waiting);
  EXPECT_THAT(report.rows[0].advice, HasSubstr("DHCP"));
  EXPECT_THAT(report.rows[1].advice, HasSubstr("uplinkctl doctor eth1"));
}

TEST(RecableTest, AnAdapterThatIsGoneAndOneThatIsNewAreNamed) {
  const auto report = compare(two, {port("eth0", 1), port("eth2", 3)});
  ASSERT_EQ(report.rows.size(), 3U);
  EXPECT_EQ(report.rows[1].change, RecableChange::plugged);
  EXPECT_EQ(report.rows[1].was, "no adapter");
  EXPECT_EQ(report.rows[2].change, RecableChange::missing);
  EXPECT_EQ(report.rows[2].port, "eth1");
}

TEST(RecableTest, ASnapshotSurvivesARestartAndADamagedOneIsNone) {
  EXPECT_EQ(recable_from_json(to_json_text(two)), two);
  for (const char* text : {"", "[]", "{}", R"({"ports":1})", R"({"ports":[1]})"}) {
    EXPECT_FALSE(recable_from_json(text)) << text;
  }
}

}  // namespace
}  // namespace edge::uplink
