// Over what the Console stays reachable, said before a change is made.
#include "uplink/core/ways.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace edge::uplink {
namespace {

Way way(const std::string& port, const std::string& endpoint = "c:8443",
        const char* address = "203.0.113.10") {
  return {"key-" + port, port, endpoint, parse_ip(address).value()};
}
const std::vector<Way> three{way("eth0"), way("eth1"), way("eth2")};

TEST(WaysTest, WithoutTheActivePortTheNextInOrderBecomesActive) {
  const WaysAfter after = ways_after(three, {.leaving = {"key-eth0"}});
  EXPECT_TRUE(after.reachable());
  EXPECT_EQ(to_line(after),
            "the Console stays reachable over eth1/c:8443 (becomes active), eth2/c:8443");
  EXPECT_EQ(boost::json::serialize(to_json(after)),
            R"({"reachable":true,"was_active":"eth0/c:8443","active":"eth1/c:8443","paths":[)"
            R"({"path":"eth1/c:8443","port":"eth1","endpoint":"c:8443","role":"active",)"
            R"("dialled":"stays"},)"
            R"({"path":"eth2/c:8443","port":"eth2","endpoint":"c:8443","role":"standby",)"
            R"("dialled":"stays"}],)"
            R"("ended":[{"path":"eth0/c:8443","port":"eth0","endpoint":"c:8443"}]})");
}

TEST(WaysTest, WithoutAStandbyPortTheActiveOneStays) {
  EXPECT_EQ(to_line(ways_after(three, {.leaving = {"key-eth1"}})),
            "the Console stays reachable over eth0/c:8443 (active), eth2/c:8443");
}

TEST(WaysTest, APortWithTwoEndpointsEndsWithBoth) {
  const std::vector<Way> up{way("eth0"), way("eth0", "d:8443"), way("eth1", "d:8443")};
  const WaysAfter after = ways_after(up, {.leaving = {"key-eth0"}});
  EXPECT_EQ(after.ended.size(), 2U);
  EXPECT_EQ(to_line(after), "the Console stays reachable over eth1/d:8443 (becomes active)");
}

TEST(WaysTest, TheLastPortTakesTheConsoleAway) {
  const WaysAfter after = ways_after({way("eth0")}, {.leaving = {"key-eth0"}});
  EXPECT_FALSE(after.reachable());
  EXPECT_EQ(to_line(after), "the Console loses this host: no other path to it is up");
  EXPECT_TRUE(to_json(after).at("active").is_null());
}

TEST(WaysTest, WhereNoPathIsUpNothingIsPromisedAndNothingIsLost) {
  const WaysAfter after = ways_after({}, {.leaving = {"key-eth0"}});
  EXPECT_FALSE(after.reachable());
  EXPECT_EQ(to_line(after), "");
}

TEST(WaysTest, TouchedPathsAreDialledAnewAndTheActiveOneIsThatAgain) {
  EXPECT_EQ(to_line(ways_after({way("eth0"), way("eth1")}, {.affected = {"key-eth0"}})),
            "the Console stays reachable over eth0/c:8443 (active, dialled anew), eth1/c:8443");
}

TEST(WaysTest, ANetworkOverAnAddressOfTheConsoleEndsThePathsToIt) {
  const std::vector<Way> up{way("eth0"), way("eth0", "d:8443", "198.51.100.7")};
  const WaysAfter after =
      ways_after(up, {.affected = {"key-eth0"}, .covered = {parse_ip("203.0.113.10").value()}});
  EXPECT_EQ(to_line(after),
            "the Console stays reachable over eth0/d:8443 (becomes active, dialled anew)");
}

TEST(WaysTest, AnotherListOfEndpointsEndsOldPathsAndNamesTheNewOnes) {
  WayChange change{.affected = {"key-eth0", "key-eth1"}};
  change.endpoints = {"c:8443", "new:8443"};
  EXPECT_EQ(to_line(ways_after({way("eth0"), way("eth1", "old:8443")}, change)),
            "the Console stays reachable over eth0/c:8443 (active, dialled anew), "
            "eth0/new:8443 (not dialled yet), eth1/new:8443 (not dialled yet)");
  change.endpoints = {"new:8443"};
  const WaysAfter elsewhere = ways_after({way("eth0")}, change);
  EXPECT_FALSE(elsewhere.reachable());
  EXPECT_EQ(to_line(elsewhere),
            "the Console is to be reached over eth0/new:8443 (becomes active, not dialled yet)");
}

}  // namespace
}  // namespace edge::uplink
