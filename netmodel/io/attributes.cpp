// Reads netlink messages and attributes out of bytes that may be anything.
#include "netmodel/io/attributes.hpp"

namespace edge::netmodel {

std::string read_text(Bytes bytes) {
  const auto end = std::ranges::find(bytes, std::byte{0});
  return {reinterpret_cast<const char*>(bytes.data()),
          static_cast<std::size_t>(end - bytes.begin())};
}

std::optional<MacAddress> read_mac(Bytes bytes) {
  MacAddress mac;
  if (bytes.size() != mac.bytes.size()) { return std::nullopt; }
  std::memcpy(mac.bytes.data(), bytes.data(), bytes.size());
  return mac;
}

std::optional<IpAddress> read_ip(Bytes bytes) {
  IpAddress address;
  if (bytes.size() == 16) {
    address.family = Family::v6;
  } else if (bytes.size() != 4) {
    return std::nullopt;
  }
  std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
  return address;
}

}  // namespace edge::netmodel
