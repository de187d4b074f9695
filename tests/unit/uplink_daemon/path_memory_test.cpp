// What is remembered of paths, and that it is bounded by the paths there are.
#include "uplink/daemon/path_memory.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

class PathMemoryTest : public testing::Test {
 protected:
  static store::Store open() {
    auto opened = store::Store::open(":memory:", WallTime{});
    EXPECT_TRUE(opened) << opened.error().what;
    return std::move(*opened);
  }
  static std::string name(std::size_t endpoint) { return fmt::format("c{}:8443", endpoint); }
  /// Until the store has answered all that it was asked before.
  void settle() {
    bool answered = false;
    worker.run([](store::Store&) -> Result<void> { return {}; },
               [&answered](const Result<void>&) { answered = true; });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!answered && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(100));
    }
    ASSERT_TRUE(answered);
  }

  const MacAddress mac = parse_mac("02:00:00:00:00:01").value();
  const IpAddress address = parse_ip("203.0.113.10").value();
  boost::asio::io_context io{1};
  store::StoreWorker worker{io, open()};
  PathMemory memory{worker};
};

TEST_F(PathMemoryTest, AnEndpointThatLeftBeforeTheStoreAnsweredLeavesNothing) {
  for (std::size_t endpoint = 0; endpoint < 100; ++endpoint) {  // The Console's list changes.
    memory.recall_addresses({"a", endpoint}, mac, name(endpoint));
    memory.forget_addresses([endpoint](const PathKey& key) { return key.endpoint == endpoint; });
  }
  settle();
  EXPECT_EQ(memory.path_count(), 0U);
}

TEST_F(PathMemoryTest, WhatTheStoreKnowsIsHadAgainAndOneThatIsDialledMeanwhileKnowsBetter) {
  memory.keep_addresses({"a", 0}, mac, name(0), address, {address});
  memory.forget_addresses([](const PathKey&) { return true; });
  EXPECT_TRUE(memory.addresses({"a", 0}).empty());
  memory.recall_addresses({"a", 1}, mac, name(0));
  memory.recall_addresses({"a", 2}, mac, name(0));
  const IpAddress newer = parse_ip("203.0.113.11").value();
  memory.keep_addresses({"a", 2}, mac, name(0), newer, {newer});
  settle();
  EXPECT_EQ(memory.addresses({"a", 1}), std::vector{address});
  EXPECT_EQ(memory.addresses({"a", 2}), std::vector{newer});
  EXPECT_EQ(memory.path_count(), 2U);
}

TEST_F(PathMemoryTest, WhereOtherPortsFoundAnEndpointIsKnownBehindAPortsOwnAndNotKeptAsIts) {
  const auto numbered = [](std::uint32_t n) { return IpAddress::v4_from_u32(0xCB007100U + n); };
  memory.keep_addresses({"a", 0}, mac, name(0), numbered(1), {numbered(1), numbered(2)});
  memory.keep_addresses({"a", 1}, mac, name(1), numbered(9), {numbered(9)});
  EXPECT_EQ(memory.addresses({"b", 0}), (std::vector{numbered(1), numbered(2)}));
  EXPECT_TRUE(memory.own_addresses({"b", 0}).empty());
  memory.keep_addresses({"c", 0}, mac, name(0), numbered(3), {numbered(3), numbered(2)});
  EXPECT_EQ(memory.addresses({"b", 0}), (std::vector{numbered(1), numbered(3), numbered(2)}))
      << "what answered goes first";
  memory.keep_addresses({"b", 0}, mac, name(0), numbered(2), {});  // DNS was no help.
  EXPECT_EQ(memory.own_addresses({"b", 0}), std::vector{numbered(2)});
  EXPECT_EQ(memory.addresses({"b", 0}), (std::vector{numbered(2), numbered(1), numbered(3)}));
  memory.forget_addresses([](const PathKey& key) { return key.endpoint == 0; });
  EXPECT_TRUE(memory.addresses({"b", 0}).empty());
}

TEST_F(PathMemoryTest, WhatManyPortsFoundIsBounded) {
  for (std::uint32_t n = 0; n < 30; ++n) {
    const IpAddress found = IpAddress::v4_from_u32(0xCB007100U + n);
    memory.keep_addresses({fmt::format("p{}", n), 0}, mac, name(0), found, {found});
  }
  const auto known = memory.addresses({"p29", 0});
  EXPECT_EQ(known.size(), PathMemory::known_max);
  EXPECT_EQ(known.front(), IpAddress::v4_from_u32(0xCB007100U + 29));
  EXPECT_EQ(memory.addresses({"new", 0}).size(), PathMemory::known_max);
}

TEST_F(PathMemoryTest, AddressesOfANameThatAnswersByTurnsAreHeldWhileItIsInForce) {
  const IpAddress other = parse_ip("203.0.113.11").value();
  for (const IpAddress& answered : {address, other, address}) {
    memory.keep_addresses({"a", 0}, mac, name(0), answered, {answered});
    EXPECT_EQ(memory.addresses({"a", 0}), std::vector{answered});
    EXPECT_TRUE(memory.seen().contains(address));
  }
  EXPECT_EQ(memory.seen(), (std::set{address, other}));
  memory.forget_addresses([](const PathKey& key) { return key.endpoint == 0; });
  EXPECT_TRUE(memory.seen().empty());
}

TEST_F(PathMemoryTest, AReputationIsKeptWithItsAgeAndRecalledForWhateverTheAdapterIsCalledNow) {
  std::vector<tunnel::Reputation> known;
  const auto recall = [&](const MacAddress& of) {
    memory.recall_reputation("02000000000a", of,
                             [&](const tunnel::Reputation& one) { known.push_back(one); });
    settle();
  };
  recall(mac);
  EXPECT_TRUE(known.empty()) << "nothing is known of it";
  memory.keep_reputation(mac, {"eth0", 1, std::chrono::minutes(9)});
  memory.keep_reputation(mac, {"eth0", 3, std::chrono::minutes(2)});
  recall(parse_mac("02:00:00:00:00:02").value());
  EXPECT_TRUE(known.empty()) << "of another one";
  recall(mac);
  ASSERT_EQ(known.size(), 1U);
  EXPECT_EQ(known[0].adapter, "02000000000a");
  EXPECT_EQ(known[0].failures, 3);
  EXPECT_GE(known[0].since_last, std::chrono::minutes(2) - std::chrono::milliseconds(1));
  EXPECT_LT(known[0].since_last, std::chrono::minutes(3));
}

TEST_F(PathMemoryTest, AResolverThatNamesEverOtherAddressesMakesItHoldTheNewestOnly) {
  const auto numbered = [](std::uint32_t n) { return IpAddress::v4_from_u32(0xCB007100U + n); };
  for (std::uint32_t n = 0; n < 1000; ++n) { memory.saw(0, {numbered(n), numbered(7)}); }
  EXPECT_EQ(memory.seen().size(), PathMemory::seen_max);
  EXPECT_TRUE(memory.seen().contains(numbered(7)));
  EXPECT_TRUE(memory.seen().contains(numbered(999)));
  EXPECT_FALSE(memory.seen().contains(numbered(900)));
}

}  // namespace
}  // namespace edge::uplink
