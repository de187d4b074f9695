#include "uplink/core/keepalived_config.hpp"

#include <gmock/gmock.h>

namespace edge::uplink {
namespace {

using testing::HasSubstr;

netmodel::VirtualAddress address() {
  netmodel::VirtualAddress out{.link = "br020000000001",
                               .carrier = "bo020000000001",
                               .own = parse_ip("192.168.1.11").value(),
                               .address = parse_prefix("192.168.1.100/24").value()};
  out.cluster = {.id = 7, .priority = 150, .advert_ms = 250};
  out.cluster.hosts = {parse_ip("192.168.1.11").value(), parse_ip("192.168.1.12").value()};
  return out;
}

TEST(KeepalivedConfigTest, HoldsWhatTheModelSays) {
  const std::string text = keepalived_config(address(), "hv-01");
  EXPECT_THAT(text, HasSubstr("interface br020000000001\n"));
  EXPECT_THAT(text, HasSubstr("virtual_router_id 7\n"));
  EXPECT_THAT(text, HasSubstr("priority 150\n"));
  EXPECT_THAT(text, HasSubstr("advert_int 0.25\n"));
  EXPECT_THAT(text, HasSubstr("track_interface {\n    bo020000000001\n  }\n"));
  EXPECT_THAT(text, HasSubstr("192.168.1.100/24 dev br020000000001\n"));
}

TEST(KeepalivedConfigTest, PeersAreTheOthers) {
  const std::string text = keepalived_config(address(), "hv-01");
  EXPECT_THAT(text,
              HasSubstr("unicast_src_ip 192.168.1.11\n  unicast_peer {\n    192.168.1.12\n  }\n"));
}

TEST(KeepalivedConfigTest, WithoutPeersItSpeaksByMulticast) {
  auto alone = address();
  alone.cluster.hosts.clear();
  EXPECT_THAT(keepalived_config(alone, "hv-01"), Not(HasSubstr("unicast")));
}

TEST(KeepalivedConfigTest, TheAddressMovesBackOnlyByPolicy) {
  auto eager = address();
  EXPECT_THAT(keepalived_config(eager, "hv-01"), HasSubstr("nopreempt\n"));
  eager.cluster.preempt = true;
  EXPECT_THAT(keepalived_config(eager, "hv-01"), Not(HasSubstr("nopreempt")));
}

}  // namespace
}  // namespace edge::uplink
