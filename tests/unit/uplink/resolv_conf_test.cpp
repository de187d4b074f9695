#include "uplink/core/resolv_conf.hpp"

#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace edge::uplink {
namespace {

using testing::ElementsAre;

netmodel::DnsUpstream at(const char* address, const char* link) {
  return {parse_ip(address).value(), link};
}

std::vector<std::string> servers(const std::vector<netmodel::DnsUpstream>& resolvers,
                                 std::string_view active) {
  std::vector<std::string> out;
  std::istringstream text(resolv_conf(resolvers, active));
  const std::string key = "nameserver ";
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with(key)) { out.push_back(line.substr(key.size())); }
  }
  return out;
}

TEST(ResolvConfTest, ThePortThatCarriesTheTunnelIsAskedFirstAndEachPortIsAsked) {
  const std::vector<netmodel::DnsUpstream> resolvers{at("192.168.1.1", "bra"),
                                                     at("192.168.1.2", "bra"),
                                                     at("10.9.0.1", "brb"), at("10.8.0.1", "brc")};
  EXPECT_THAT(servers(resolvers, "bra"), ElementsAre("192.168.1.1", "10.9.0.1", "10.8.0.1"));
  EXPECT_THAT(servers(resolvers, "brc"), ElementsAre("10.8.0.1", "192.168.1.1", "10.9.0.1"));
  EXPECT_THAT(servers(resolvers, ""), ElementsAre("192.168.1.1", "10.9.0.1", "10.8.0.1"));
}

TEST(ResolvConfTest, ASecondResolverFillsWhatIsFreeAndNoAddressStandsTwice) {
  EXPECT_THAT(
      servers({at("192.168.1.1", "bra"), at("192.168.1.2", "bra"), at("192.168.1.1", "brb")},
              "brb"),
      ElementsAre("192.168.1.1", "192.168.1.2"));
}

TEST(ResolvConfTest, ALinkLocalResolverNamesItsLink) {
  EXPECT_THAT(servers({at("fe80::1", "bra"), at("169.254.0.53", "brb")}, "bra"),
              ElementsAre("fe80::1%bra", "169.254.0.53"));
}

TEST(ResolvConfTest, WithoutALeaseThereIsNone) {
  EXPECT_THAT(servers({}, "bra"), ElementsAre());
  EXPECT_EQ(resolv_conf({}, "").find("options"), std::string::npos);
}

}  // namespace
}  // namespace edge::uplink
