// The assertion that stays on in release: a broken invariant aborts, systemd restarts, the journal
// recovers.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace edge::detail {
[[noreturn]] inline void assert_failed(const char* expr, const char* file, int line) {
  std::fprintf(stderr, "assertion failed: %s at %s:%d\n", expr, file, line);
  std::abort();
}
}  // namespace edge::detail

#define EDGE_ASSERT(expr) \
  ((expr) ? void(0) : ::edge::detail::assert_failed(#expr, __FILE__, __LINE__))
