#include "tunnel/io/socket_options.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel {
namespace {

constexpr int dscp_cs6 = 0xc0;  // RFC 2474 class selector 6: network control.

Result<void> set_int(int fd, int level, int option, int value, std::string_view name) {
  if (::setsockopt(fd, level, option, &value, sizeof value) == 0) { return {}; }
  return fail_errno(errno, fmt::format("set {}={}", name, value));
}

}  // namespace

bool PathBinding::allows(Family family) const {
  if (!source4 && !source6) { return true; }
  return family == Family::v4 ? source4.has_value() : source6.has_value();
}

Result<void> bind_to_path(int fd, Family family, const PathBinding& binding) {
  if (!binding.device.empty()) {
    if (binding.device.size() >= IFNAMSIZ) {
      return fail(
          Errc::invalid_input,
          fmt::format("device \"{}\": longer than {} characters", binding.device, IFNAMSIZ - 1),
          ENODEV);
    }
    if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, binding.device.c_str(),
                     static_cast<socklen_t>(binding.device.size())) != 0) {
      return fail_errno(errno, fmt::format("bind to device {}", binding.device));
    }
  }
  if (binding.fwmark != 0 &&
      ::setsockopt(fd, SOL_SOCKET, SO_MARK, &binding.fwmark, sizeof binding.fwmark) != 0) {
    return fail_errno(errno, fmt::format("set firewall mark {}", binding.fwmark));
  }
  const auto& source = family == Family::v4 ? binding.source4 : binding.source6;
  if (!source) { return {}; }
  if (source->is_link_local() && family == Family::v6) {
    return fail(
        Errc::invalid_input,
        fmt::format("source {}: a link-local address cannot reach a Console", to_string(*source)),
        EADDRNOTAVAIL);
  }
  // The port is chosen at connect(): binding one now would exhaust them (ip(7)).
  EDGE_TRY(set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT"));
  const SocketAddress address = to_socket_address(*source, 0);
  if (::bind(fd, address.get(), address.size) != 0) {
    return fail_errno(errno, fmt::format("bind to source address {}", to_string(*source)));
  }
  return {};
}

Result<void> tune_tcp(int fd, Family family, const TcpTuning& tuning) {
  const int user_timeout = static_cast<int>(tuning.user_timeout.count());
  EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"));
  EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout, "TCP_USER_TIMEOUT"));
  EDGE_TRY(set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"));
  EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, tuning.keepalive_idle_s, "TCP_KEEPIDLE"));
  EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, tuning.keepalive_interval_s, "TCP_KEEPINTVL"));
  EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, tuning.keepalive_count, "TCP_KEEPCNT"));
  EDGE_TRY(
      set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, tuning.notsent_lowat_bytes, "TCP_NOTSENT_LOWAT"));
  EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_SYNCNT, tuning.syn_count, "TCP_SYNCNT"));
  if (tuning.segment_bytes_max > 0) {
    EDGE_TRY(set_int(fd, IPPROTO_TCP, TCP_MAXSEG, tuning.segment_bytes_max, "TCP_MAXSEG"));
  }
  return family == Family::v4 ? set_int(fd, IPPROTO_IP, IP_TOS, dscp_cs6, "IP_TOS")
                              : set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp_cs6, "IPV6_TCLASS");
}

SocketAddress to_socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress out;
  if (address.family == Family::v4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes.data(), 4);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes.data(), 16);
    std::memcpy(&out.storage, &v6, sizeof v6);
    out.size = sizeof v6;
  }
  return out;
}

AddressPort from_socket_address(const sockaddr_storage& storage) {
  AddressPort out;
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    std::memcpy(out.address.bytes.data(), &v4.sin_addr, 4);
    out.port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof v6);
    out.address.family = Family::v6;
    std::memcpy(out.address.bytes.data(), &v6.sin6_addr, 16);
    out.port = ntohs(v6.sin6_port);
  }
  return out;
}

AddressPort local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) { return {}; }
  return from_socket_address(storage);
}

AddressPort remote_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) { return {}; }
  return from_socket_address(storage);
}

}  // namespace edge::tunnel
