// The inside of TlsStream: the read and write loops over one engine and one socket.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>

#include "base/fifo.hpp"
#include "tunnel/io/send_gate.hpp"
#include "tunnel/io/tls_engine.hpp"
#include "tunnel/io/tls_stream.hpp"

namespace edge::tunnel {

/// Pending handlers hold a shared_ptr: the socket is closed at once when the owner lets go, the
/// memory goes when the last handler has run.
class TlsStream::Impl : public std::enable_shared_from_this<TlsStream::Impl> {
 public:
  /// Pre: the engine's handshake is done, and it works on this socket.
  Impl(asio::ip::tcp::socket socket, std::unique_ptr<TlsEngine> engine, StreamLimits limits);

  void start(StreamCallbacks callbacks);
  bool send(SharedBytes block, SendPriority priority);
  void close();
  /// Closes without callback. `reset`: with RST.
  void drop(bool reset);

  bool is_open() const { return !ended_; }
  std::size_t queued_bytes() const { return queued_bytes_; }
  const PeerIdentity& peer() const { return peer_; }
  IpAddress local() const { return local_; }
  int fd();
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  std::uint64_t bytes_received() const { return bytes_received_; }

 private:
  struct Item {
    SharedBytes block;
    SendPriority priority;
  };

  void wait_read();
  void wait_write();
  void pump_read();
  void schedule_flush();
  void flush();
  bool gated();
  void wait_gate();
  std::span<const std::byte> gather();
  void consume(std::size_t bytes);
  void on_write_failed();
  void pin(std::size_t bytes);
  void watch_write_deadline();
  void finish_close();
  void end(const PathError& why);
  void close_socket();

  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;  ///< The write deadline, or the deadline of close().
  asio::steady_timer gate_timer_;
  SendGate gate_;
  std::size_t bulk_room_ = 0;  ///< Of the record being gathered.
  std::chrono::steady_clock::time_point gate_progress_at_{};
  std::uint64_t gate_acked_ = 0;  ///< Bytes that the peer's kernel had by then.
  std::unique_ptr<TlsEngine> engine_;
  StreamLimits limits_;
  PeerIdentity peer_;
  IpAddress local_;
  std::shared_ptr<StreamCallbacks> callbacks_;  ///< Shared with a running call that may drop us.
  std::optional<PathError> early_end_;          ///< Ended before start().
  Fifo<Item> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t front_offset_ = 0;  ///< Of the first item, already taken by TLS.
  std::size_t pinned_bytes_ = 0;  ///< Offered to TLS and to be offered again unchanged.
  std::chrono::steady_clock::time_point blocked_since_{};  ///< Pre: pinned_bytes_ != 0.
  std::uint64_t blocked_at_byte_ = 0;  ///< Of the wire: progress within a record counts.
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  bool started_ = false;
  bool ended_ = false;
  bool closing_ = false;
  bool goodbye_sent_ = false;
  bool read_waiting_ = false;
  bool write_waiting_ = false;
  bool flush_scheduled_ = false;
  bool gate_waiting_ = false;
  bool deadline_watched_ = false;
  bool read_wants_write_ = false;
};

}  // namespace edge::tunnel
