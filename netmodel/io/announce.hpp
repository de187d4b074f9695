// Announces the MACs of guests on a link, so that switches learn where they are now.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/net.hpp"
#include "base/unique_fd.hpp"

namespace edge::netmodel {

/// A guest's MAC, and the VLAN in which the outside knows it; nullopt: untagged.
struct Announcement {
  MacAddress mac;
  std::optional<std::uint16_t> vlan{};
  auto operator<=>(const Announcement&) const = default;
};

/// A broadcast RARP request whose sender is the guest, as QEMU sends after a migration
/// (announce_self_create()): every switch learns, no host answers, no ARP table changes.
/// Source: RFC 903; IEEE 802.1Q for the tag. 60 or 64 bytes.
std::vector<std::byte> encode_announcement(const Announcement& announcement);

/// Time: none. Threads: one; no call blocks but close(), which waits for RCU (some 10 ms): keep it.
class Announcer {
 public:
  /// Errors: denied without CAP_NET_RAW.
  static Result<Announcer> open();

  /// Sends one frame for each, in one go, out of `link`: the bond or the adapter below the bridge,
  /// never the bridge itself, which would learn the guests to be on the host. A bond sends them out
  /// of its active member. Repeats are the caller's (facts: a frame may be lost while a switch
  /// still relearns). Returns how many were sent: fewer than asked when the link's queue is full.
  /// Errors: not_found without that link; transient when it is down.
  Result<std::size_t> announce(const std::string& link, std::span<const Announcement> list) const;

 private:
  explicit Announcer(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace edge::netmodel
