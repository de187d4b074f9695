// An authenticated TLS connection as bytes in, bytes out and one end.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "tunnel/io/certificate.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/tls_context.hpp"

namespace edge::tunnel {

namespace asio = boost::asio;

/// An immutable byte block, shared because one frame may be queued on two paths (mirroring).
using SharedBytes = std::shared_ptr<const std::vector<std::byte>>;

struct StreamLimits {
  std::size_t queue_bytes_max = 4U << 20;  ///< Above, send() refuses.
  Duration write_deadline =
      std::chrono::seconds(10);  ///< Without progress while something is queued.
  Duration close_deadline = std::chrono::milliseconds(500);  ///< For a graceful close().
};

/// Who is at the other end, after verification.
struct PeerIdentity {
  CertificateInfo certificate;
  std::string host_id;  ///< Server side only: from the URI SAN. Client side: empty.
  /// TlsEngine::judged_within().
  std::optional<TimeBounds> judged_within = {};
  IpAddress address;
  std::uint16_t port = 0;
};

/// What the owner hears. Any callback may destroy the stream.
struct StreamCallbacks {
  /// Decrypted bytes as they come, at most 16 KiB at a time; valid during the call.
  std::function<void(std::span<const std::byte>)> on_bytes;
  /// Once, never from inside a call of the owner; nothing is called afterwards. The peer's refusal
  /// of our certificate arrives here (tls_rejected), as the first thing after a good handshake.
  std::function<void(const PathError&)> on_closed;
  /// Optional: the queue became empty after a send().
  std::function<void()> on_drained;
};

/// A block goes ahead of all less urgent ones not yet begun; equal ones keep their order.
enum class SendPriority : std::uint8_t {
  urgent,  ///< For PING, PONG.
  normal,
  bulk,  ///< Given to the kernel only as fast as the path drains it (SendGate).
};

/// Owns the socket and the SSL of one established connection.
///
/// A read is always pending after start(); at most one write is outstanding; TLS records of up to
/// 16 KiB are filled from several small blocks. Destroying it closes the socket at once, without
/// a callback and without close_notify.
///
/// Time: steady timers of the executor. Threads: the executor's one thread.
class TlsStream {
 public:
  class Impl;
  explicit TlsStream(std::shared_ptr<Impl> impl);  ///< Made by Dial and Listener.
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Begins reading. Pre: called once. Blocks sent before are kept in order.
  void start(StreamCallbacks callbacks);

  /// Queues a block; a block must be one or more whole frames, because urgent blocks go between
  /// blocks. Returns false and takes nothing when the queue would exceed its bound or the stream
  /// has ended; the bytes are then for another path. Empty blocks are taken and ignored.
  [[nodiscard]] bool send(SharedBytes block, SendPriority priority = SendPriority::normal);

  /// Bytes accepted by send() and not yet given to the kernel.
  std::size_t queued_bytes() const;

  /// Sends what is queued, then close_notify, then on_closed(closed); at most close_deadline.
  void close();
  /// Ends at once with RST (SO_LINGER 0), without callback: for a path declared dead.
  void abort();

  bool is_open() const;
  const PeerIdentity& peer() const;
  /// Our end of the TCP connection.
  IpAddress local_address() const;
  /// For getsockopt(TCP_INFO) and tests; -1 after the end. The stream keeps owning it.
  int native_handle() const;
  std::uint64_t bytes_sent() const;      ///< Plain bytes given to TLS.
  std::uint64_t bytes_received() const;  ///< Plain bytes delivered.

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::tunnel
