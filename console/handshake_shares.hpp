// Who may begin a TLS handshake at one door, so that one address does not take the whole rate.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::console {

/// A source alone may have all of a door's rate: a whole site comes from one address. As soon as
/// others come, and the rate is used up, one that has had more than its share is turned away at
/// once: so the kernel's backlog is not full of it, and a tenth of the rate is left to those that
/// had less. Within an IPv6 prefix of 64 bits all are one source.
///
/// It remembers the sources of at most a second: no more than handshakes begin in that time.
/// Time: passed in. Threads: none.
class HandshakeShares {
 public:
  static constexpr Duration span =
      std::chrono::milliseconds(500);  ///< This one and the last count.
  /// For so long after another source began a handshake nobody is alone.
  static constexpr Duration company = std::chrono::minutes(1);
  static constexpr double busy_from = 0.9;    ///< Of the rate.
  static constexpr double share_least = 0.1;  ///< Of the rate, however many come.

  /// Of one door. 0: no limit.
  explicit HandshakeShares(unsigned handshakes_per_s) : per_s_(handshakes_per_s) {}

  /// May this connection begin its handshake? Then it is counted.
  bool admit(const IpAddress& from, MonoTime now);

 private:
  struct Span {
    std::map<IpAddress, std::uint32_t> begun;  ///< By source.
    std::uint32_t sum = 0;
  };
  struct Seen {
    IpAddress source;
    MonoTime at;
  };
  void turn(MonoTime now);
  bool alone(const IpAddress& source, MonoTime now) const;
  std::uint32_t begun_by(const IpAddress& source) const;
  void count(const IpAddress& source, MonoTime now);

  unsigned per_s_;
  MonoTime since_{};  ///< The present span's beginning.
  Span present_;
  Span before_;
  std::size_t sources_ = 0;     ///< In either.
  std::optional<Seen> newest_;  ///< That began a handshake.
  std::optional<Seen> other_;   ///< The newest but for that source.
};

}  // namespace edge::console
