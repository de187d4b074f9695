#include "uplink/daemon/random.hpp"

#include <sys/random.h>

#include <fmt/format.h>

#include "base/assert.hpp"

namespace edge::uplink {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  EDGE_ASSERT(::getrandom(&value, sizeof(value), 0) == sizeof(value));
  return value;
}

std::string random_uuid() {
  std::uint64_t high = random_u64();
  std::uint64_t low = random_u64();
  high = (high & ~0xf000ULL) | 0x4000ULL;            // Version 4,
  low = (low & ~(0xc0ULL << 56)) | (0x80ULL << 56);  // ... variant 1.
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffffffffffffULL);
}

}  // namespace edge::uplink
