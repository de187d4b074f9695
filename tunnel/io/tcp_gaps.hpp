// Whether a quiet connection is one whose bytes wait behind a lost segment.
#pragma once

#include <cstdint>

namespace edge::tunnel {

/// Segments with data that came behind a gap, since the connection began; 0 where nobody can tell.
/// Source: tcp(7) TCP_INFO, tcpi_rcv_ooopack (Linux 5.4). An acknowledgement is none: the kernel of
/// a peer whose process stands still acknowledges on.
std::uint32_t waiting_segments(int fd);

}  // namespace edge::tunnel
