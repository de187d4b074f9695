// Everything two tunnel ends say to each other besides DATA: structs, encode and decode side by
// side.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "tunnel/core/frame.hpp"

namespace edge::tunnel {

/// Random, chosen by the Console; 0: none. On the wire 16 hex digits.
using SessionId = StrongId<struct SessionIdTag, std::uint64_t>;
/// Random, drawn by the host at each daemon start and whenever it gives a session up.
using InstanceId = StrongId<struct InstanceIdTag, std::uint64_t>;
std::string to_hex(SessionId id);
std::string to_hex(InstanceId id);

/// Index = channel; the sequence number that this end expects next (so 1 when nothing came yet).
using NextExpected = std::array<std::uint64_t, channel_count>;
inline constexpr NextExpected nothing_received{1, 1, 1, 1, 1, 1};

/// Preference between kinds of links, best first.
enum class PathClass : std::uint8_t { wired = 0, wifi = 1, mobile = 2 };
std::string_view to_string(PathClass path_class);

/// What a path is made of. Equal `adapter`: the paths share a cable. The host says it in HELLO.
struct PathFacts {
  std::uint32_t wire_id = 0;  ///< The host's number for this connection; PATH_STATUS refers to it.
  std::string label;          ///< For people: "eth0/console.example:8443".
  std::string port;           ///< "eth0"
  std::string endpoint;       ///< "console.example:8443"
  std::string adapter;  ///< Base MAC or any stable key; paths with different keys are disjoint.
  PathClass path_class = PathClass::wired;
  std::uint32_t rank = 0;  ///< Operator's order, lower is preferred; equal ranks compete by RTT.
  bool metered = false;    ///< Each byte costs: no copies on it without need.
  bool operator==(const PathFacts&) const = default;
};

/// Offered in HELLO, decided in WELCOME (the slower of both offers, like BFD).
struct HeartbeatTimers {
  std::chrono::milliseconds active{250};
  std::chrono::milliseconds standby{1000};
  std::uint32_t dead_after = 3;  ///< Silent intervals.
  bool operator==(const HeartbeatTimers&) const = default;
};
/// Clamped to 20 ms..60 s and 2..20, then the slower of both.
HeartbeatTimers negotiate(const HeartbeatTimers& a, const HeartbeatTimers& b);
/// What a host offers for this path when it offers `wired` for a cable: radio links vary, so a
/// longer silence is believed; on metered ones a standby beats a fifth as often.
HeartbeatTimers heartbeat_of(const PathFacts& path, const HeartbeatTimers& wired);

enum class Role : std::uint8_t { host, console };

/// What one end grants the other in byte streams, for a whole session.
struct StreamGrant {
  std::uint32_t window = 512U << 10;        ///< Bytes per stream before the first CREDIT.
  std::uint32_t session_window = 1U << 20;  ///< The same, over all streams.
  std::uint32_t streams = 256;              ///< That the other may have open at once.
  bool operator==(const StreamGrant&) const = default;
};

/// First frame on every connection, host to Console.
inline constexpr std::size_t hello_fill_max = 8192;

struct Hello {
  std::uint16_t version_min = protocol_version_min;
  std::uint16_t version_max = protocol_version_max;
  std::string host;  ///< Must equal the certificate's `urn:gallium:host:<id>`; the acceptor checks.
  std::string install_id;  ///< Drawn once per installation; differs on a clone.
  std::string boot_id;     ///< The kernel's; for people.
  InstanceId instance{0};
  SessionId session{0};     ///< The session the host is in; 0: none yet.
  std::uint64_t epoch = 0;  ///< Its epoch, or the highest the host ever saw.
  NextExpected next = nothing_received;
  PathFacts path;
  WallTime time{};
  HeartbeatTimers heartbeat;
  std::string last_failure;  ///< Why the previous connection of this path ended; may be empty.
  /// Sent only: the payload is filled up to so many bytes, so that a path which loses large packets
  /// gets no WELCOME. At most hello_fill_max.
  std::size_t fill = 0;
  std::string software;                ///< "uplink 0.1.0"; for people.
  std::optional<StreamGrant> streams;  ///< nullopt: this end has none.
  bool operator==(const Hello&) const = default;
};

/// The Console's answer. A path is usable only after this.
struct Welcome {
  std::uint16_t version = protocol_version_max;
  SessionId session{0};
  std::uint64_t epoch = 0;
  bool resumed = false;  ///< The Console still had this session.
  NextExpected next = nothing_received;
  WallTime time{};
  HeartbeatTimers heartbeat;
  std::chrono::seconds detach_ttl{600};
  std::optional<StreamGrant> streams;  ///< nullopt: this end has none.
  bool operator==(const Welcome&) const = default;
};

inline constexpr std::uint8_t view_active = 0x01;  ///< The sender uses this path as the active one.
inline constexpr std::uint8_t view_suspect = 0x02;  ///< The sender has heard little on this path.
inline constexpr std::uint8_t view_silent = 0x04;   ///< ... nothing for dead_after heartbeats.

/// `u64 nonce | u64 send_time_us | u32 active_serial | u8 view | u8[3] 0`: 24 bytes.
struct Ping {
  std::uint64_t nonce = 0;          ///< Grows by one on each path.
  std::uint64_t send_time_us = 0;   ///< The sender's monotonic clock; only echoed.
  std::uint32_t active_serial = 0;  ///< Number of the host's latest choice of the active path.
  std::uint8_t view = 0;
  bool operator==(const Ping&) const = default;
};
/// `u64 nonce | u64 send_time_us | u32 active_serial | u8 view | u8[3] 0 | u64 rx_frames`: 32
/// bytes.
struct Pong {
  std::uint64_t nonce = 0;         ///< From the PING.
  std::uint64_t send_time_us = 0;  ///< From the PING.
  std::uint32_t active_serial = 0;
  std::uint8_t view = 0;
  std::uint64_t rx_frames = 0;  ///< Frames the sender of this PONG received on this path.
  bool operator==(const Pong&) const = default;
};

/// `u32 wire_id | u8 view | u8[3] 0 | u64 nonce`: 16 bytes, about another path than the one it
/// comes over. In a cut of one direction TCP soon sends nothing in the other one either: after its
/// retransmission timeout the congestion window is one segment, which is never acknowledged.
struct ViewOfPath {
  std::uint32_t wire_id = 0;
  std::uint8_t view = 0;  ///< view_suspect and view_silent, as in PING.
  std::uint64_t nonce =
      0;  ///< Of the sender's last PING over that path: a later one says it newer.
  bool operator==(const ViewOfPath&) const = default;
};

/// Received sequence numbers first..last, both included.
struct SackRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool operator==(const SackRange&) const = default;
};
inline constexpr std::size_t sack_ranges_max = 8;

struct ChannelAck {
  Channel channel = Channel::control;
  std::uint64_t next_expected = 1;  ///< Everything below was received.
  std::vector<SackRange> sacks;     ///< Ascending, disjoint, above next_expected; at most 8.
  bool operator==(const ChannelAck&) const = default;
};
/// `u16 count`, then per channel `u16 channel | u16 sacks | u64 next_expected | sacks*(u64 first |
/// u64 last)`.
struct Ack {
  std::vector<ChannelAck> channels;
  bool operator==(const Ack&) const = default;
};

/// Why a path ended, as it is said to people, in events and in PATH_STATUS.
enum class PathCause : std::uint8_t {
  silence,      ///< Nothing heard for dead_after heartbeats.
  carrier,      ///< The cable or its far port is gone.
  address,      ///< Our address was removed or changed.
  eof,          ///< The peer ended the connection.
  reset,        ///< RST, or a broken TLS record.
  write_stall,  ///< The peer did not read for the write deadline.
  protocol,     ///< The peer broke the protocol.
  peer_error,   ///< The peer said ERROR.
  superseded,   ///< A newer connection or session took over.
  local_stall,  ///< This process did not run; the network is not to blame.
  drained,      ///< Asked for by an operator, or GOAWAY.
  shutdown,     ///< This end stops.
};
std::string_view to_string(PathCause cause);
std::optional<PathCause> parse_path_cause(std::string_view text);

/// About another path of the same session, sent over the living ones.
struct PathStatus {
  enum class State : std::uint8_t { down, active };
  std::uint32_t wire_id = 0;
  State state = State::down;
  PathCause cause = PathCause::silence;  ///< Only with down.
  std::uint32_t active_serial = 0;       ///< Only with active, host to Console.
  std::chrono::milliseconds last_rx_age{0};
  bool operator==(const PathStatus&) const = default;
};

/// Come again: wait reconnect_in + U(0, spread).
struct Goaway {
  std::string reason;
  std::chrono::milliseconds reconnect_in{0};
  std::chrono::milliseconds spread{0};
  std::chrono::milliseconds try_for{0};
  std::vector<std::string> endpoints;  ///< Alternatives; at most 16.
  bool operator==(const Goaway&) const = default;
};

enum class ErrorCode : std::uint8_t {
  protocol,     ///< A rule of PROTOCOL.md was broken.
  version,      ///< No common protocol version.
  identity,     ///< HELLO's host is not the certificate's.
  clone,        ///< Another installation with this host id is connected.
  quarantined,  ///< Too many protocol errors lately.
  retry_later,  ///< Overload.
  revoked,      ///< An operator withdrew this identity: nothing but an operator can mend it.
};
std::string_view to_string(ErrorCode code);
/// The connection is closed after it.
struct ErrorMessage {
  ErrorCode code = ErrorCode::protocol;
  std::string what;
  bool operator==(const ErrorMessage&) const = default;
};

/// Each encode_* gives a whole frame, each decode_* takes the payload.
/// Errors of every decode: corrupt, naming the message, the field and what is allowed.
Bytes encode(const Hello& hello);
Result<Hello> decode_hello(ByteSpan payload);
Bytes encode(const Welcome& welcome);
Result<Welcome> decode_welcome(ByteSpan payload);
Bytes encode(const Ping& ping);
Result<Ping> decode_ping(ByteSpan payload);
Bytes encode(const Pong& pong);
Result<Pong> decode_pong(ByteSpan payload);
Bytes encode(const ViewOfPath& view);
Result<ViewOfPath> decode_path_view(ByteSpan payload);
/// Pre: at most channel_count channels and sack_ranges_max ranges each.
Bytes encode(const Ack& ack);
Result<Ack> decode_ack(ByteSpan payload);
Bytes encode(const PathStatus& status);
Result<PathStatus> decode_path_status(ByteSpan payload);
Bytes encode(const Goaway& goaway);
Result<Goaway> decode_goaway(ByteSpan payload);
Bytes encode(const ErrorMessage& error);
Result<ErrorMessage> decode_error(ByteSpan payload);

}  // namespace edge::tunnel
