// Whether every member of a group hears every other: small broadcast frames of ours.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/net.hpp"

namespace edge::netmodel {

/// IEEE 802: local experimental ethertype 1.
inline constexpr std::uint16_t member_check_ethertype = 0x88b5;

/// What a frame says, big-endian after the Ethernet header: "GALM", version 1, number of the
/// sending member, two bytes 0, hash of the host, hash of the group, run. 60 bytes with padding.
struct MemberFrame {
  std::uint64_t host = 0;   ///< fnv1a64 of the host's id: another host's check is not ours.
  std::uint64_t group = 0;  ///< fnv1a64 of the group's id.
  std::uint32_t run = 0;    ///< A frame that is late belongs to another run.
  std::uint8_t member = 0;  ///< Its place in the list.
  bool operator==(const MemberFrame&) const = default;
};
/// The sender is a MAC made of host, group and member, locally administered: a switch that
/// learns it loses nothing. The bond's or the adapter's own would move the host's traffic to a
/// member that is not active.
std::vector<std::byte> encode_member_frame(const MemberFrame& frame);
/// nullopt: not one of ours. Any bytes are safe.
std::optional<MemberFrame> decode_member_frame(std::span<const std::byte> bytes);

struct MemberCheckOptions {
  std::string host_id;
  std::string group;
  /// Names of links, 2..32; admin up and with carrier, or nobody hears them.
  std::vector<std::string> members;
  /// Any number that differs from the previous run's.
  std::uint32_t run = 0;
  std::chrono::milliseconds wait{500};      ///< At most; less when all have heard all.
  std::chrono::milliseconds interval{100};  ///< Between the frames of one member.
};

/// `by` got a frame of `from`.
struct HeardMember {
  std::string from;
  std::string by;
  /// It came with a tag: the switch ports differ in their native VLAN.
  std::optional<std::uint16_t> vlan{};
  auto operator<=>(const HeardMember&) const = default;
};

struct MemberCheckResult {
  std::vector<HeardMember> heard;   ///< In order, each once.
  std::vector<HeardMember> missed;  ///< Pairs without any frame, in order.
  /// Links that could not send, with the reason ("eth1: network is down").
  std::vector<std::string> troubles;
  bool all_heard() const { return missed.empty(); }
};

/// Sends out of each member and listens on all. Works on adapters, on ports of a bridge and on
/// members of an active-backup bond, also on the one that is not active. Says nothing about a bond
/// of balance-xor or 802.3ad: a switch does not return a frame to the aggregate from which it came,
/// so check those before they are made.
///
/// Time:    blocks for at most `wait`, and some 10 ms per member (closing waits for RCU).
/// Threads: any; a worker's, in the namespace that is meant.
/// Errors:  invalid_input for fewer than 2 or more than 32 members; not_found without one of the
///          links; denied without CAP_NET_RAW.
Result<MemberCheckResult> check_members(const MemberCheckOptions& options);

}  // namespace edge::netmodel
