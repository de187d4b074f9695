// Canonical form, its refusals, and the elements behind a state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "base/random.hpp"
#include "netmodel/core/nft_table.hpp"
#include "netmodel/core/nft_text.hpp"

namespace edge::netmodel {
namespace {

IpAddress ip(std::string_view text) { return parse_ip(text).value(); }
IpPrefix prefix(std::string_view text) { return parse_prefix(text).value(); }
Publication publish(std::string link, std::uint16_t port, std::string_view target,
                    std::vector<IpPrefix> sources = {}) {
  return {.in_link = std::move(link),
          .transport = Transport::tcp,
          .port = port,
          .target = ip(target),
          .target_port = 80,
          .sources = std::move(sources)};
}
NftState two_uplinks() {
  NftState state;
  state.uplinks = {{"br1", 20001, {ip("192.0.2.1")}}, {"br2", 20002, {}}};
  state.nat_networks = {{"n-default", prefix("10.200.0.0/24")}};
  return state;
}

TEST(NftCanonicalTest, SortsAndDropsWhatSaysNothing) {
  NftState state = two_uplinks();
  std::ranges::reverse(state.uplinks);
  state.uplinks[1].addresses = {ip("192.0.2.9"), ip("192.0.2.1"), ip("192.0.2.9")};
  state.publications = {publish("br2", 80, "10.200.0.5"),
                        publish("br1", 81, "10.200.0.5",
                                {prefix("198.51.100.7/24"), prefix("10.1.0.0/16"),
                                 prefix("10.0.0.0/8"), prefix("198.51.100.0/24")}),
                        publish("br1", 80, "10.200.0.5")};
  const NftState clean = canonical(state).value();
  EXPECT_EQ(clean.uplinks[0].bridge, "br1");
  EXPECT_THAT(clean.uplinks[0].addresses, testing::ElementsAre(ip("192.0.2.1"), ip("192.0.2.9")));
  EXPECT_EQ(clean.publications[0].port, 80);
  EXPECT_THAT(clean.publications[1].sources,
              testing::ElementsAre(prefix("10.0.0.0/8"), prefix("198.51.100.0/24")));
  EXPECT_EQ(clean.publications[2].in_link, "br2");
  EXPECT_EQ(canonical(clean).value(), clean);
}

struct Refusal {
  const char* name;
  void (*spoil)(NftState&);
  const char* said;
};
class NftRefusalTest : public testing::TestWithParam<Refusal> {};
TEST_P(NftRefusalTest, NamesTheEntry) {
  NftState state = two_uplinks();
  GetParam().spoil(state);
  const auto clean = canonical(state);
  ASSERT_FALSE(clean.has_value());
  EXPECT_EQ(clean.error().code, Errc::invalid_input);
  EXPECT_THAT(clean.error().what, testing::HasSubstr(GetParam().said));
}
INSTANTIATE_TEST_SUITE_P(
    Nft, NftRefusalTest,
    testing::Values(
        Refusal{"UnknownUplink",
                [](NftState& s) { s.publications = {publish("br9", 80, "10.200.0.5")}; },
                "br9: tcp 80 -> 10.200.0.5:80: \"br9\" is not an uplink"},
        Refusal{"SamePortTwice",
                [](NftState& s) {
                  s.publications = {publish("br1", 80, "10.200.0.5"),
                                    publish("br1", 80, "10.200.0.6", {prefix("10.0.0.0/8")})};
                },
                "published once"},
        Refusal{"PortZero", [](NftState& s) { s.publications = {publish("br1", 0, "10.200.0.5")}; },
                "1..65535"},
        Refusal{"SourceOfAnotherFamily",
                [](NftState& s) {
                  s.publications = {publish("br1", 80, "10.200.0.5", {prefix("fd00::/8")})};
                },
                "fd00::/8 is of another family"},
        Refusal{"MarkZero", [](NftState& s) { s.uplinks[1].mark = 0; }, "uplink \"br2\": mark 0"},
        Refusal{"MarkTwice", [](NftState& s) { s.uplinks[1].mark = 20001; },
                "mark 20001 must be unique"},
        Refusal{"UplinkTwice", [](NftState& s) { s.uplinks.push_back({"br1", 20003, {}}); },
                "\"br1\" is given twice"},
        Refusal{"NameTooLong", [](NftState& s) { s.uplinks[0].bridge = "sixteen-letters-"; },
                "sixteen-letters-"},
        Refusal{"NameWithQuote", [](NftState& s) { s.nat_networks[0].bridge = "n\"; flush"; },
                "not an interface name"},
        Refusal{"IsolatedNameWithQuote", [](NftState& s) { s.isolated_bridges = {"n\"x"}; },
                "isolated network \"n\"x\": not an interface name"},
        Refusal{"RoutedSubnetsOverlap",
                [](NftState& s) {
                  s.routed_networks = {{"n-r", prefix("10.1.0.0/16")},
                                       {"n-r", prefix("10.1.2.0/24")}};
                },
                "routed network \"n-r\": 10.1.0.0/16 overlaps 10.1.2.0/24"},
        Refusal{"GuestPortTwice",
                [](NftState& s) { s.guest_ports = {{"t-1", {}, {}}, {"t-1", {{2}}, {}}}; },
                "guest port \"t-1\" is given twice"},
        Refusal{"GuestPortWithIpv6",
                [](NftState& s) { s.guest_ports = {{"t-1", {}, {ip("fd00::5")}}}; },
                "guest port \"t-1\": fd00::5 is not an IPv4 address of a guest"},
        Refusal{
            "SubnetsOverlap",
            [](NftState& s) { s.nat_networks.push_back({"n-default", prefix("10.200.0.128/25")}); },
            "10.200.0.0/24 overlaps 10.200.0.128/25"}),
    [](const auto& param) { return std::string(param.param.name); });

/// Random states, small enough that keys collide often.
NftState random_state(Random& random) {
  NftState state;
  const auto bridges = random.below(4);
  for (std::uint64_t i = 0; i < bridges; ++i) {
    UplinkPort uplink{
        "br" + std::to_string(i), static_cast<std::uint32_t>(20'000 + i + 4 * random.below(2)), {}};
    for (auto n = random.below(3); n > 0; --n) {
      uplink.addresses.push_back(
          random.chance(30) ? ip("fd00::" + std::to_string(1 + random.below(3)))
                            : IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(random.below(4))));
    }
    state.uplinks.push_back(std::move(uplink));
  }
  for (auto n = random.below(4); n > 0; --n) {
    const auto third = static_cast<std::uint8_t>(random.below(3));
    state.nat_networks.push_back(
        {"n-" + std::to_string(third), {IpAddress::v4(10, 200, third, 0), 24}});
  }
  for (auto n = random.below(3); n > 0; --n) {
    const auto third = static_cast<std::uint8_t>(random.below(3));
    const std::string name = "r-" + std::to_string(third);
    state.routed_networks.push_back({name, {IpAddress::v4(10, 60, third, 0), 24}});
    if (random.chance(50)) { state.routed_networks.push_back({name, prefix("2001:db8::/64")}); }
    state.isolated_bridges.push_back("i-" + std::to_string(third));
  }
  for (auto n = random.below(4); n > 0; --n) {
    const auto last = static_cast<std::uint8_t>(n);
    GuestPort port{"t-" + std::to_string(n), {{2, 0, 0, 0, 0, last}}, {}};
    for (auto m = random.below(3); m > 0; --m) {
      port.addresses.push_back(
          IpAddress::v4(10, 200, 0, static_cast<std::uint8_t>(1 + random.below(3))));
    }
    state.guest_ports.push_back(std::move(port));
  }
  for (auto n = bridges == 0 ? 0 : random.below(12); n > 0; --n) {
    const bool v6 = random.chance(25);
    Publication made{
        .in_link = "br" + std::to_string(random.below(bridges)),
        .transport = random.chance(50) ? Transport::tcp : Transport::udp,
        .port = static_cast<std::uint16_t>(255 + random.below(4)),
        .target = v6 ? ip("fd00::5")
                     : IpAddress::v4(10, 200, 0, static_cast<std::uint8_t>(random.below(3))),
        .target_port = static_cast<std::uint16_t>(1 + random.below(2)),
        .sources = {}};
    for (auto m = random.chance(40) ? random.below(4) : 0; m > 0; --m) {
      const auto length = static_cast<std::uint8_t>(random.below(33));
      const IpAddress base =
          v6 ? ip("2001:db8::")
             : IpAddress::v4(10, static_cast<std::uint8_t>(random.below(3)), 0, 0);
      made.sources.push_back({base, length});
    }
    state.publications.push_back(std::move(made));
  }
  std::ranges::sort(state.publications);
  const auto same_port = [](const Publication& a, const Publication& b) {
    return a.in_link == b.in_link && a.transport == b.transport && a.port == b.port &&
           a.target.family == b.target.family;
  };
  const auto rest = std::ranges::unique(state.publications, same_port);
  state.publications.erase(rest.begin(), rest.end());
  return canonical(state).value();
}

TEST(NftElementsTest, EveryStateComesBackFromItsElements) {
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    Random random(seed);
    const NftState state = random_state(random);
    ASSERT_EQ(canonical(nft::state_of(nft::elements_of(state))).value(), state)
        << "seed " << seed << "\n"
        << to_text(state);
  }
}

/// Method: what is removed was there, what is added was not, and the outcome is the wanted set.
TEST(NftElementsTest, TheDifferenceTurnsOneStateIntoTheOtherAndIsMinimal) {
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    Random random(seed);
    const NftState from = random_state(random), to = random_state(random);
    auto present = nft::elements_of(from), wanted = nft::elements_of(to);
    const auto changes = nft::difference(from, to);
    EXPECT_EQ(changes.empty(), from == to);
    for (std::size_t i = 0; i < nft::set_count; ++i) {
      std::ranges::sort(present[i]);
      std::ranges::sort(wanted[i]);
      std::vector<nft::Element> kept, result;
      std::ranges::set_difference(present[i], changes.removed[i], std::back_inserter(kept));
      ASSERT_EQ(kept.size() + changes.removed[i].size(), present[i].size()) << "seed " << seed;
      std::ranges::merge(kept, changes.added[i], std::back_inserter(result));
      ASSERT_EQ(result, wanted[i]) << "seed " << seed;
    }
  }
}

/// Method: one state is the other but for what happened to some publications; the stretch that is
/// found, put in the place of the old one, gives the wanted list.
TEST(NftStretchTest, TheStretchTurnsOneListIntoTheOther) {
  std::size_t found = 0;
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    Random random(seed);
    const NftState from = random_state(random);
    NftState to = from;
    for (auto n = random.below(3); n > 0 && !to.publications.empty(); --n) {
      Publication& some = to.publications[random.below(to.publications.size())];
      if (random.chance(50)) { some.target_port = static_cast<std::uint16_t>(1 + random.below(9)); }
      if (random.chance(30)) { some.port = static_cast<std::uint16_t>(300 + random.below(9)); }
      if (random.chance(20)) { to.publications.erase(to.publications.begin()); }
    }
    const auto clean = canonical(to);
    const auto stretch = changed_publications(from, to);
    if (!stretch) {
      EXPECT_FALSE(clean && *clean == to) << "seed " << seed;  // Only what is not canonical.
      continue;
    }
    ++found;
    ASSERT_TRUE(clean && *clean == to) << "seed " << seed;
    auto list = from.publications;
    const auto at = list.begin() + static_cast<std::ptrdiff_t>(stretch->first);
    list.erase(at, at + static_cast<std::ptrdiff_t>(stretch->known));
    const auto wanted = to.publications.begin() + static_cast<std::ptrdiff_t>(stretch->first);
    list.insert(list.begin() + static_cast<std::ptrdiff_t>(stretch->first), wanted,
                wanted + static_cast<std::ptrdiff_t>(stretch->wanted));
    ASSERT_EQ(list, to.publications) << "seed " << seed;
    const auto whole = nft::difference(from, to);
    const auto part = nft::difference(
        std::span(from.publications).subspan(stretch->first, stretch->known),
        std::span(to.publications).subspan(stretch->first, stretch->wanted), from.uplinks);
    ASSERT_EQ(part.added, whole.added) << "seed " << seed;
    ASSERT_EQ(part.removed, whole.removed) << "seed " << seed;
  }
  EXPECT_GT(found, 500U);
}

TEST(NftStretchTest, AnythingElseThatDiffersIsNoStretch) {
  const NftState state = two_uplinks();
  EXPECT_EQ(changed_publications(state, state), Stretch{});
  NftState other = state;
  other.isolated_bridges = {"n-x"};
  EXPECT_EQ(changed_publications(state, other), std::nullopt);
  other = state;
  other.publications = {publish("br9", 80, "10.200.0.5")};
  EXPECT_EQ(changed_publications(state, other), std::nullopt);
  other = state;
  other.foreign_edits = {"a rule"};
  EXPECT_EQ(changed_publications(other, state), std::nullopt);
}

TEST(NftElementsTest, MeaninglessElementsAreLeftOut) {
  nft::Elements elements = nft::elements_of(two_uplinks());
  auto& publish_map = elements[static_cast<std::size_t>(nft::SetId::publish)];
  publish_map.push_back(
      {std::string("\x01\0\0\0\x06\0\0\0\0\x50\0\0", 12), {}, std::string(8, '\x01')});  // Mark 1.
  auto& sources = elements[static_cast<std::size_t>(nft::SetId::nat_sources)];
  sources[0].key_end.back() =
      7;  // 10.200.0.0-10.200.0.7 minus one: the end of no prefix of length 24.
  sources[0].key_end[18] = 1;
  EXPECT_THAT(nft::state_of(elements).publications, testing::IsEmpty());
  EXPECT_THAT(nft::state_of(elements).nat_networks, testing::IsEmpty());
}

TEST(NftTextTest, ADifferenceIsTheCommandsOfAPerson) {
  NftState from = two_uplinks(), to = two_uplinks();
  from.publications = {publish("br1", 80, "10.200.0.5"), publish("br1", 81, "10.200.0.5")};
  to.publications = {publish("br1", 80, "10.200.0.6"), publish("br1", 81, "10.200.0.5"),
                     publish("br2", 443, "10.200.0.5", {prefix("198.51.100.0/24")})};
  to.uplinks[0].addresses = {ip("192.0.2.7")};
  EXPECT_THAT(difference_text(from, to),
              testing::ElementsAre(
                  "delete element inet uplink own_addresses { 192.0.2.1 : 0x00004e21 }",
                  "delete element inet uplink publish { 0x00004e21 . tcp . 80 : 10.200.0.5 . 80 }",
                  "add element inet uplink own_addresses { 192.0.2.7 : 0x00004e21 }",
                  "add element inet uplink publish { 0x00004e21 . tcp . 80 : 10.200.0.6 . 80 }",
                  "add element inet uplink publish_from { 0x00004e22 . tcp . 443 . 198.51.100.0/24 "
                  ": 10.200.0.5 . 80 }"));
  to.drop_dhcp_unicast_renewals = false;
  EXPECT_THAT(difference_text(from, to), testing::ElementsAre("rebuild table inet uplink"));
}

TEST(NftTextTest, ARepairSaysWhatSomeoneElseChanged) {
  NftState edited = two_uplinks();
  edited.foreign_edits = {"rule missing in chain forward: accept"};
  EXPECT_THAT(
      difference_text(edited, two_uplinks()),
      testing::ElementsAre("rebuild table inet uplink", "# rule missing in chain forward: accept"));
}

TEST(NftTextTest, APublicationReadsAsOneLine) {
  EXPECT_EQ(to_text(publish("br1", 80, "10.200.0.5")), "br1: tcp 80 -> 10.200.0.5:80");
  EXPECT_EQ(to_text(publish("br1", 80, "fd00::5", {prefix("fd00::/8"), prefix("fe80::/10")})),
            "br1: tcp 80 -> [fd00::5]:80 from fd00::/8, fe80::/10");
}

}  // namespace
}  // namespace edge::netmodel
