// Ports of this host that its own programs use, so that no publication takes them away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"
#include "netmodel/core/apply_operations.hpp"

namespace edge::netmodel {

/// A line of /proc/net/{tcp,tcp6,udp,udp6}.
struct HostSocket {
  Transport protocol = Transport::tcp;
  IpAddress local{};  ///< Unspecified: every address. An IPv4-mapped one is given as IPv4.
  std::uint16_t port = 0;
  bool connected = false;   ///< It has a peer.
  std::uint64_t inode = 0;  ///< 0: of the kernel itself.
  bool operator==(const HostSocket&) const = default;
};

/// Sockets that take what comes to a port (TCP: listening; UDP: without a peer), and TCP
/// connections. Lines that are none are skipped.
/// Source: Documentation/networking/proc_net_tcp.rst.
std::vector<HostSocket> parse_proc_net(std::string_view text, Transport protocol);

/// UDP sockets without a peer that a program got from the ephemeral range are questions in flight,
/// unless they last.
struct EphemeralPorts {
  std::uint16_t first = 32768;
  std::uint16_t last = 60999;
};

struct ListenerScope {
  std::vector<IpAddress> uplink_addresses{};  ///< A socket bound elsewhere is in nobody's way.
  EphemeralPorts ephemeral{};
  std::map<std::uint64_t, std::string> programs{};  ///< By inode, as far as known.
  std::vector<std::uint64_t>
      own{};  ///< Sorted; our sockets: listeners and the tunnel's connections.
  std::vector<std::uint64_t> lasting{};  ///< Sorted; were there in a much earlier reading too.
};

/// What a publication must not take: each port once, sorted, with its owner in words: `"sshd" (pid
/// 812)`, "the tunnel". Of connections only our own count: theirs are tracked and stay theirs.
std::vector<ReservedPort> reserved_ports(std::span<const HostSocket> sockets,
                                         const ListenerScope& scope);

/// Which sockets have been there for a while. A question is answered or given up within
/// `question_max`; what is older listens. Time: a parameter.
class SocketAges {
 public:
  static constexpr std::chrono::seconds question_max{15};
  /// Inodes of those that were there `question_max` ago, sorted. Forgets the ones that are gone.
  std::vector<std::uint64_t> lasting(std::span<const HostSocket> sockets, MonoTime now);

 private:
  std::map<std::uint64_t, MonoTime> first_seen_;
};

/// Reads the tables of this network namespace. Keeps names of programs between calls: /proc is
/// walked only when a listener is new. A UDP listener in the ephemeral range is known as one from
/// the second reading on that is `question_max` after the first.
/// Time: 0.1 ms on a quiet host; a walk of /proc some ms. Threads: any one at a time.
class ListenerReader {
 public:
  /// `breathe` is called between two processes of a walk of /proc, some 0.05 ms apart.
  /// Errors: those of /proc; a table that does not exist (no IPv6) is empty.
  Result<std::vector<ReservedPort>> read(
      std::vector<IpAddress> uplink_addresses, MonoTime now,
      const std::function<void()>& breathe = [] {});

 private:
  void name_programs(std::span<const HostSocket> sockets, const std::function<void()>& breathe);

  SocketAges ages_;
  std::map<std::uint64_t, std::string> programs_;
  std::vector<std::uint64_t> own_;
};

}  // namespace edge::netmodel
