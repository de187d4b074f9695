// Our addresses as the kernel's sockaddr, and back.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "base/net.hpp"

namespace edge::tunnel {

/// struct sockaddr_in or sockaddr_in6 with its size.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

struct AddressPort {
  IpAddress address;  ///< 0.0.0.0 when unknown.
  std::uint16_t port = 0;
};

SocketAddress to_socket_address(const IpAddress& address, std::uint16_t port);
AddressPort from_socket_address(const sockaddr_storage& storage);
/// getsockname and getpeername; an empty value on failure.
AddressPort local_address(int fd);
AddressPort remote_address(int fd);

}  // namespace edge::tunnel
