// What TCP knows of losses: bytes that wait behind a lost segment, segments that were sent again.
#pragma once

#include <cstdint>

namespace edge::tunnel {

/// Segments with data that came behind a gap, since the connection began; 0 where nobody can tell.
/// Source: tcp(7) TCP_INFO, tcpi_rcv_ooopack (Linux 5.4). An acknowledgement is none: the kernel of
/// a peer whose process stands still acknowledges on.
std::uint32_t waiting_segments(int fd);

/// Of what this end sent over the connection; both 0 where nobody can tell.
struct SegmentsSent {
  std::uint32_t data = 0;
  std::uint32_t again = 0;  ///< Taken for lost.
  bool operator==(const SegmentsSent&) const = default;
};
/// Source: TCP_INFO, tcpi_data_segs_out (Linux 4.6), tcpi_total_retrans.
SegmentsSent segments_sent(int fd);

}  // namespace edge::tunnel
