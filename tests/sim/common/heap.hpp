// How much memory the process holds.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
/// sanitizer/allocator_interface.h, which GCC 12 does not install.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();  // NOLINT
#else
#include <malloc.h>
#endif

namespace edge::sim {

/// Allocated and not freed, in bytes. Pre: one thread (mallinfo(3) counts one arena).
inline std::size_t heap_bytes() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

}  // namespace edge::sim
