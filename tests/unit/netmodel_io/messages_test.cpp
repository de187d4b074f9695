// What is encoded is decoded to the same value, and cut or twisted bytes are survived.
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <limits>

#include "base/random.hpp"
#include "message_bytes.hpp"
#include "netmodel/io/address.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/link_event.hpp"
#include "netmodel/io/route.hpp"
#include "netmodel/io/rule.hpp"

namespace edge::netmodel {
namespace {

Route full_route() {
  Route route;
  route.table = 20001;
  route.destination = parse_prefix("10.7.0.0/16").value();
  route.link = "br0";
  route.gateway = parse_ip("10.0.0.1").value();
  route.source = parse_ip("10.0.0.5").value();
  route.metric = 2010;
  route.on_link_gateway = true;
  route.mtu = 1400;
  return route;
}

TEST(MessagesTest, RouteComesBack) {
  for (Route route : {full_route(), Route{.destination = parse_prefix("::/0").value(),
                                          .type = RouteType::blackhole,
                                          .metric = 7}}) {
    const bool unicast = route.type == RouteType::unicast;
    const auto bytes =
        bytes_of(encode_route_add(route, unicast ? std::optional(IfIndex{42}) : std::nullopt));
    auto decoded = decode_route(view_of(bytes));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->link_index, unicast ? 42U : 0U);
    decoded->route.link = route.link;
    EXPECT_EQ(decoded->route, route);
  }
}

TEST(MessagesTest, RuleComesBack) {
  Rule rule;
  rule.priority = 10000;
  rule.family = Family::v6;
  rule.from = parse_prefix("fd00::/64").value();
  rule.to = parse_prefix("fd01::1/128").value();
  rule.in_link = "n-default";
  rule.out_link = "br0";
  rule.mark = 20001;
  rule.mark_mask = 0xffff;
  rule.table = 20001;
  const auto bytes = bytes_of(encode_rule_add(rule));
  EXPECT_EQ(decode_rule(view_of(bytes)), rule);
}

TEST(MessagesTest, AddressComesBack) {
  for (const char* text : {"10.0.0.5/24", "10.0.0.5/31", "fd00::5/64"}) {
    const Address address{.link = "br0", .prefix = parse_prefix(text).value()};
    const auto bytes = bytes_of(encode_address_add(address, IfIndex{7}, IfPresent::replace));
    auto decoded = decode_address(view_of(bytes));
    ASSERT_TRUE(decoded) << text;
    EXPECT_EQ(decoded->link_index, 7U);
    decoded->address.link = "br0";
    EXPECT_EQ(decoded->address, address);
  }
}

TEST(MessagesTest, TheFlagsOfAnAddressSayWhatItIsGoodFor) {
  const auto state = [](std::uint32_t flags) {
    ifaddrmsg fixed{};
    fixed.ifa_family = AF_INET6;
    fixed.ifa_prefixlen = 64;
    fixed.ifa_index = 7;
    MessageBuilder message(RTM_NEWADDR, 0, fixed);
    message.ip(IFA_ADDRESS, parse_ip("2001:db8::5").value()).u32(IFA_FLAGS, flags);
    const auto bytes = bytes_of(message.take());
    return decode_address(view_of(bytes)).value().address.state;
  };
  EXPECT_EQ(state(0), AddressState::ready);
  EXPECT_EQ(state(IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE), AddressState::ready);
  EXPECT_EQ(state(IFA_F_DEPRECATED), AddressState::deprecated);
  EXPECT_EQ(state(IFA_F_TENTATIVE), AddressState::unusable);
  EXPECT_EQ(state(IFA_F_DADFAILED | IFA_F_PERMANENT), AddressState::unusable);
  EXPECT_EQ(state(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC), AddressState::ready);
}

TEST(MessagesTest, OnlyAnIpv6AddressOfSomebodyElseSkipsTheSearchForDuplicates) {
  const auto flags = [](const char* text, bool ours) {
    const Address address{.link = "br0",
                          .prefix = parse_prefix(text).value(),
                          .no_prefix_route = false,
                          .ours = ours};
    const auto bytes = bytes_of(encode_address_add(address, IfIndex{7}, IfPresent::replace));
    std::uint32_t out = 0;
    for_each_attribute(attributes_after(view_of(bytes).payload, sizeof(ifaddrmsg)),
                       [&](std::uint16_t type, Bytes value) {
                         if (type == IFA_FLAGS) { out = read_or_zero<std::uint32_t>(value); }
                       });
    return out & IFA_F_NODAD;
  };
  EXPECT_NE(flags("fd00::5/64", false), 0U);
  EXPECT_EQ(flags("fd00::5/64", true), 0U);
  EXPECT_EQ(flags("10.0.0.5/24", false), 0U);
}

TEST(MessagesTest, LooseRuleRemovalHitsTheFirstOfItsPriority) {
  Rule first;
  first.priority = 12000;
  first.from = parse_prefix("10.0.0.5/32").value();
  Rule second = first;
  second.from = parse_prefix("10.0.0.6/32").value();
  const std::vector<Rule> rules{first, second};
  Rule loose = first;
  loose.from.reset();
  EXPECT_EQ(first_rule_removed(rules, loose), &rules[0]);
  EXPECT_EQ(first_rule_removed(rules, second), &rules[1]);
  loose.priority = 1;
  EXPECT_EQ(first_rule_removed(rules, loose), nullptr);
}

std::vector<MonitorEvent> decode(std::span<const std::byte> bytes, std::uint32_t own_port = 0) {
  std::vector<MonitorEvent> events;
  decode_events(bytes, {{42, "br0"}}, own_port,
                [&](MonitorEvent event) { events.push_back(std::move(event)); });
  return events;
}

TEST(DecodeEventsTest, RouteIsToldInWordsWithItsOrigin) {
  const NlMessage message = encode_route_add(full_route(), IfIndex{42});
  nlmsg_hdr(message.get())->nlmsg_pid = 4711;
  const auto bytes = bytes_of(message);
  const auto events = decode(bytes, 4711);
  ASSERT_EQ(events.size(), 1U);
  const KernelChange expected{
      .kind = ChangeKind::route,
      .removed = false,
      .ours = true,
      .by_us = true,
      .link = "br0",
      .text = "route 10.7.0.0/16 via 10.0.0.1 dev br0 table 20001 proto 117 metric 2010"};
  EXPECT_EQ(std::get<KernelChange>(events[0]), expected);
  EXPECT_FALSE(std::get<KernelChange>(decode(bytes, 4712).at(0)).by_us);
}

TEST(DecodeEventsTest, UnknownLinkIsNamedByItsIndex) {
  const auto bytes = bytes_of(encode_route_add(full_route(), IfIndex{99}));
  EXPECT_EQ(std::get<KernelChange>(decode(bytes).at(0)).link, "#99");
}

TEST(DecodeEventsTest, SeveralMessagesInOneDatagramComeInOrder) {
  auto bytes = bytes_of(encode_route_add(full_route(), IfIndex{42}));
  const auto second = bytes_of(encode_route_remove(full_route(), IfIndex{42}));
  bytes.insert(bytes.end(), second.begin(), second.end());
  const auto events = decode(bytes);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_FALSE(std::get<KernelChange>(events[0]).removed);
  EXPECT_TRUE(std::get<KernelChange>(events[1]).removed);
}

/// Nothing is ignored in silence: what cannot be read is reported as such.
TEST(DecodeEventsTest, CutAtEveryByteItReportsAndSurvives) {
  const auto bytes = bytes_of(encode_route_add(full_route(), IfIndex{42}));
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const auto events = decode(std::span(bytes).first(size));
    ASSERT_EQ(events.size(), 1U) << size;
    EXPECT_EQ(std::get<KernelChange>(events[0]).kind, ChangeKind::unknown) << size;
  }
  EXPECT_TRUE(decode({}).empty());
}

TEST(DecodeEventsTest, UnknownTypeIsReported) {
  const NlMessage message(nlmsg_alloc_simple(999, 0));
  const auto bytes = bytes_of(message);
  EXPECT_EQ(std::get<KernelChange>(decode(bytes).at(0)).text,
            "unreadable message of type 999 with 16 bytes");
}

TEST(DecodeEventsTest, ErrorThatCannotBeNegatedIsSurvived) {
  const NlMessage message(nlmsg_alloc_simple(NLMSG_ERROR, 0));
  int error = std::numeric_limits<int>::min();
  ASSERT_EQ(nlmsg_append(message.get(), &error, sizeof error, NLMSG_ALIGNTO), 0);
  const auto events = decode(bytes_of(message));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(std::get<MonitorControl>(events[0]).os_errno, std::numeric_limits<int>::max());
}

TEST(DecodeEventsTest, RandomlyTwistedBytesAreSurvived) {
  const std::uint64_t seed = 20240117;
  Random random(seed);
  const auto good = bytes_of(encode_route_add(full_route(), IfIndex{42}));
  for (int round = 0; round < 20000; ++round) {
    auto bytes = good;
    for (int twist = 0; twist < 4; ++twist) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    }
    EXPECT_LE(decode(bytes).size(), bytes.size()) << "seed " << seed << " round " << round;
  }
}

LinkEvent link_event(std::uint32_t index, const std::string& name) {
  LinkEvent event;
  event.index = IfIndex{index};
  event.name = name;
  return event;
}

TEST(LinkTableTest, KnowsAppearedRenamedAndGone) {
  LinkTable table;
  EXPECT_TRUE(table.on_link(link_event(2, "eth0"))->appeared);
  EXPECT_FALSE(table.on_link(link_event(2, "eth0"))->appeared);
  EXPECT_EQ(table.on_link(link_event(2, "lan0"))->renamed_from, "eth0");
  EXPECT_EQ(table.names().at(2), "lan0");
  LinkEvent end = link_event(2, "lan0");
  end.gone = true;
  EXPECT_TRUE(table.on_link(end)->gone);
  EXPECT_FALSE(table.on_link(end)) << "told once";
  EXPECT_TRUE(table.names().empty());
}

TEST(LinkTableTest, DumpEndsWhatNeitherItNorAnEventShowed) {
  LinkTable table;
  table.on_link(link_event(2, "eth0"));
  table.on_link(link_event(3, "eth1"));
  table.on_dump_begin();
  table.on_link(link_event(3, "eth1"));
  table.on_link(link_event(4, "eth2"));
  const auto gone = table.on_dump_end();
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].name, "eth0");
  EXPECT_TRUE(gone[0].gone);
  EXPECT_EQ(table.names().size(), 2U);
}

}  // namespace
}  // namespace edge::netmodel
