// Bonds, VLANs and what a bridge has learned: encoded, decoded, twisted.
#include <gtest/gtest.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/random.hpp"
#include "message_bytes.hpp"
#include "netmodel/io/bridge_vlan.hpp"
#include "netmodel/io/fdb.hpp"
#include "netmodel/io/link.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

ifinfomsg fixed_of(int index, unsigned char family = AF_UNSPEC) {
  ifinfomsg fixed{};
  fixed.ifi_index = index;
  fixed.ifi_family = family;
  return fixed;
}

Link bond_of(const BondAttributes& bond) {
  Link link;
  link.name = "bo0";
  link.kind = LinkKind::bond;
  link.bond = bond;
  return link;
}

/// As the kernel would show it: the creating message has index 0, which no link has.
std::optional<DecodedLink> decoded_creation(const Link& link, std::uint32_t other_index) {
  auto bytes = bytes_of(encode_link_create(link, other_index));
  const ifinfomsg fixed = fixed_of(7);
  std::memcpy(bytes.data() + sizeof(nlmsghdr), &fixed, sizeof fixed);
  return decode_link(view_of(bytes));
}

TEST(BondMessagesTest, OptionsOfEachModeComeBack) {
  for (const BondAttributes& bond :
       {BondAttributes{.reselect = BondReselect::better},
        BondAttributes{.mode = BondMode::balance_xor, .xmit_hash_policy = 1},
        BondAttributes{.mode = BondMode::lacp, .miimon_ms = 50, .lacp_fast = false}}) {
    const auto decoded = decoded_creation(bond_of(bond), 0);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->observed.link.kind, LinkKind::bond);
    EXPECT_EQ(decoded->observed.link.bond, bond);
  }
}

TEST(BondMessagesTest, PrimaryAndActiveMemberAreNamedWhereTheNamesAreKnown) {
  MessageBuilder message(RTM_NEWLINK, 0, fixed_of(7));
  message.text(IFLA_IFNAME, "bo0");
  message.nest(IFLA_LINKINFO, [](MessageBuilder& info) {
    info.text(IFLA_INFO_KIND, "bond");
    info.nest(IFLA_INFO_DATA, [](MessageBuilder& data) {
      data.u8(IFLA_BOND_MODE, 1).u32(IFLA_BOND_PRIMARY, 3).u32(IFLA_BOND_ACTIVE_SLAVE, 4);
    });
  });
  const auto bytes = bytes_of(message.take());
  const auto decoded = decode_link(view_of(bytes));
  ASSERT_TRUE(decoded);
  const ObservedLink link = resolved(*decoded, {{3, "eth0"}});
  EXPECT_EQ(link.link.bond->primary, "eth0");
  EXPECT_EQ(link.bond_active, "#4");
}

TEST(BondMessagesTest, ModeThatIsNeverMadeIsSeenAsOther) {
  const auto decoded = decoded_creation(bond_of({.mode = BondMode::other}), 0);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->observed.link.bond->mode, BondMode::other);
}

TEST(BondMessagesTest, BaseMacOfAMemberIsKnownFromItsBondUnlessTheDriverSaysIt) {
  const MacAddress base{{2, 0, 0, 0, 0, 1}}, permanent{{2, 0, 0, 0, 0, 2}};
  for (const bool driver_says_it : {false, true}) {
    MessageBuilder message(RTM_NEWLINK, 0, fixed_of(7));
    message.nest(IFLA_LINKINFO, [&](MessageBuilder& info) {
      info.text(IFLA_INFO_SLAVE_KIND, "bond");
      info.nest(IFLA_INFO_SLAVE_DATA,
                [&](MessageBuilder& data) { data.mac(IFLA_BOND_SLAVE_PERM_HWADDR, base); });
    });
    if (driver_says_it) { message.mac(IFLA_PERM_ADDRESS, permanent); }
    const auto bytes = bytes_of(message.take());
    const auto decoded = decode_link(view_of(bytes));
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(decoded->bond_member);
    EXPECT_EQ(decoded->observed.permanent_mac, driver_says_it ? permanent : base);
  }
}

TEST(VlanMessagesTest, VlanDeviceComesBackWithItsParent) {
  Link link;
  link.name = "mv0";
  link.kind = LinkKind::vlan;
  link.vlan = VlanAttributes{.parent = "br0", .id = 4094};
  const auto decoded = decoded_creation(link, 5);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(resolved(*decoded, {{5, "br0"}}).link.vlan, link.vlan);
}

std::vector<BridgeVlan> decoded_vlans(const std::vector<NlMessage>& messages) {
  std::vector<BridgeVlan> all;
  for (const NlMessage& message : messages) {
    auto bytes = bytes_of(message);
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), sizeof header);
    header.nlmsg_type = RTM_NEWLINK;  // As a dump has it.
    std::memcpy(bytes.data(), &header, sizeof header);
    const auto decoded = decode_vlans(view_of(bytes));
    EXPECT_TRUE(decoded);
    if (decoded) { all.insert(all.end(), decoded->vlans.begin(), decoded->vlans.end()); }
  }
  return all;
}

TEST(VlanMessagesTest, RangesAndFlagsComeBack) {
  const SetVlans change{.link = "eth0",
                        .add = {{.first = 1, .last = 1, .pvid = true, .untagged = true},
                                {.first = 10, .last = 20},
                                {.first = 30, .last = 40, .untagged = true}},
                        .remove = {}};
  EXPECT_EQ(decoded_vlans(encode_vlans(IfIndex{7}, VlanSubject::port, change)), change.add);
}

TEST(VlanMessagesTest, NoMessageCoversMoreIdsThanHoldRtnlShortly) {
  const SetVlans all{.link = "eth0", .add = {{.first = 1, .last = 4094}}, .remove = {}};
  const auto messages = encode_vlans(IfIndex{7}, VlanSubject::bridge, all);
  EXPECT_EQ(messages.size(), 16U);
  std::uint16_t next = 1;
  for (const BridgeVlan& vlan : decoded_vlans(messages)) {
    EXPECT_EQ(vlan.first, next);
    EXPECT_LE(1U + vlan.last - vlan.first, vlans_per_message_max);
    next = static_cast<std::uint16_t>(vlan.last + 1);
  }
  EXPECT_EQ(next, 4095);
}

TEST(VlanMessagesTest, EndOfARangeWithoutItsBeginningIsOneId) {
  MessageBuilder message(RTM_NEWLINK, 0, fixed_of(7, AF_BRIDGE));
  message.nest(IFLA_AF_SPEC, [](MessageBuilder& spec) {
    const bridge_vlan_info end{.flags = BRIDGE_VLAN_INFO_RANGE_END, .vid = 9};
    spec.raw(IFLA_BRIDGE_VLAN_INFO, &end, sizeof end);
  });
  const auto bytes = bytes_of(message.take());
  const auto decoded = decode_vlans(view_of(bytes));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->vlans, (std::vector<BridgeVlan>{{.first = 9, .last = 9}}));
}

NlMessage fdb_entry(std::uint16_t state, bool of_a_bridge) {
  ndmsg fixed{};
  fixed.ndm_family = AF_BRIDGE;
  fixed.ndm_ifindex = 4;
  fixed.ndm_state = state;
  MessageBuilder message(RTM_NEWNEIGH, 0, fixed);
  message.mac(NDA_LLADDR, MacAddress{{2, 0, 0, 0, 0, 9}}).u16(NDA_VLAN, 7);
  if (of_a_bridge) { message.u32(NDA_MASTER, 5); }
  return message.take();
}

TEST(FdbMessagesTest, LearnedEntryHasPortMacAndVlan) {
  const auto bytes = bytes_of(fdb_entry(NUD_REACHABLE, true));
  const auto decoded = decode_fdb_entry(view_of(bytes));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->port_index, 4U);
  EXPECT_EQ(decoded->bridge_index, 5U);
  EXPECT_EQ(decoded->learned.mac, (MacAddress{{2, 0, 0, 0, 0, 9}}));
  EXPECT_EQ(decoded->learned.vlan, 7);
  EXPECT_FALSE(decoded->local);
}

TEST(FdbMessagesTest, OwnAddressIsLocalAndAListOfALinkIsNone) {
  const auto local = bytes_of(fdb_entry(NUD_PERMANENT, true));
  EXPECT_TRUE(decode_fdb_entry(view_of(local))->local);
  const auto list = bytes_of(fdb_entry(NUD_PERMANENT, false));
  EXPECT_FALSE(decode_fdb_entry(view_of(list)));
}

TEST(LinkMessagesTest, RandomlyTwistedBytesAreSurvived) {
  const std::uint64_t seed = 20261121;
  Random random(seed);
  Link bond = bond_of({});
  bond.mac = MacAddress{{2, 0, 0, 0, 0, 1}};
  const SetVlans vlans{.link = "eth0", .add = {{.first = 10, .last = 20}}, .remove = {}};
  std::vector<std::vector<std::byte>> goods;
  goods.push_back(bytes_of(encode_link_create(bond, 3)));
  goods.push_back(bytes_of(encode_vlans(IfIndex{7}, VlanSubject::port, vlans).at(0)));
  goods.push_back(bytes_of(fdb_entry(NUD_REACHABLE, true)));
  for (int round = 0; round < 20000; ++round) {
    auto bytes = goods[random.below(goods.size())];
    for (int twist = 0; twist < 4; ++twist) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    }
    for_each_message(bytes, [&](const MessageView& view) {
      (void)decode_link(view);
      (void)decode_fdb_entry(view);
      if (const auto decoded = decode_vlans(view)) {
        EXPECT_LE(decoded->vlans.size(), bytes.size()) << "seed " << seed << " round " << round;
      }
    });
  }
}

}  // namespace
}  // namespace edge::netmodel
