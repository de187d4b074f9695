// Frames of ours on the wire: announcements and member checks, byte by byte.
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "netmodel/io/announce.hpp"
#include "netmodel/io/member_check.hpp"

namespace edge::netmodel {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[std::to_integer<unsigned>(byte) >> 4U];
    text += digits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

constexpr MacAddress guest{{0x52, 0x54, 0, 0x12, 0x34, 0x56}};

TEST(AnnouncementTest, IsTheFrameThatQemuSendsAfterAMigration) {
  EXPECT_EQ(hex(encode_announcement({.mac = guest})),
            "ffffffffffff"
            "525400123456"
            "8035"
            "0001"
            "0800"
            "06"
            "04"
            "0003"
            "525400123456"
            "00000000"
            "525400123456"
            "00000000"
            "000000000000000000000000000000000000");
}

TEST(AnnouncementTest, OfAVlanCarriesItsTag) {
  const auto frame = encode_announcement({.mac = guest, .vlan = 4094});
  EXPECT_EQ(frame.size(), 64U);
  EXPECT_EQ(hex(std::span(frame).subspan(12, 6)), "81000ffe8035");
}

MemberFrame sample() { return {.host = 0x0123456789abcdef, .group = 77, .run = 5, .member = 3}; }

TEST(MemberFrameTest, ComesBackAndIsABroadcastOfTheShortestLength) {
  const auto bytes = encode_member_frame(sample());
  EXPECT_EQ(bytes.size(), 60U);
  EXPECT_EQ(hex(std::span(bytes).first(6)), "ffffffffffff");
  EXPECT_EQ(hex(std::span(bytes).subspan(12, 6)), "88b547414c4d");
  EXPECT_EQ(decode_member_frame(bytes), sample());
}

TEST(MemberFrameTest, SenderIsLocalUnicastAndAnotherForEachMemberGroupAndHost) {
  const auto sender = [](const MemberFrame& frame) {
    const auto bytes = encode_member_frame(frame);
    return hex(std::span(bytes).subspan(6, 6));
  };
  MemberFrame other = sample();
  other.member = 4;
  EXPECT_NE(sender(other), sender(sample()));
  other = sample();
  other.group = 78;
  EXPECT_NE(sender(other), sender(sample()));
  other = sample();
  other.host = 1;
  EXPECT_NE(sender(other), sender(sample()));
  EXPECT_EQ(sender(sample()).substr(0, 2), "06");
}

TEST(MemberFrameTest, OthersOfTheEthertypeAreNotOurs) {
  const auto bytes = encode_member_frame(sample());
  for (std::size_t at = 12; at < 19; ++at) {  // Ethertype, magic, version.
    auto twisted = bytes;
    twisted[at] ^= std::byte{1};
    EXPECT_FALSE(decode_member_frame(twisted)) << at;
  }
  for (std::size_t size = 0; size < 42; ++size) {
    EXPECT_FALSE(decode_member_frame(std::span(bytes).first(size))) << size;
  }
  EXPECT_TRUE(decode_member_frame(std::span(bytes).first(42))) << "padding may be cut off";
}

}  // namespace
}  // namespace edge::netmodel
