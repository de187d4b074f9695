#include "console/uuid.hpp"

#include <openssl/rand.h>

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace edge::console {

std::string random_uuid() {
  std::array<unsigned char, 16> b{};
  RAND_bytes(b.data(), static_cast<int>(b.size()));
  b[6] = static_cast<unsigned char>((b[6] & 0x0fU) | 0x40U);
  b[8] = static_cast<unsigned char>((b[8] & 0x3fU) | 0x80U);
  const std::string hex = fmt::format("{:02x}", fmt::join(b, ""));
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

}  // namespace edge::console
