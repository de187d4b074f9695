// One TLS connection of a host as frames; its owner may change once, from the doorstep to the host.
#pragma once

#include <memory>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "tunnel/core/frame.hpp"
#include "tunnel/io/tls_stream.hpp"

namespace edge::console {

class Connection;

/// Port: who hears a connection. Each call may destroy the connection or give it another owner.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void on_frame(Connection& connection, tunnel::Frame frame) = 0;
  /// Bytes came, of a frame that is not complete yet.
  virtual void on_part(Connection& connection) = 0;
  /// The bytes are no frames; nothing more is delivered.
  virtual void on_garbage(Connection& connection, const Error& error) = 0;
  virtual void on_closed(Connection& connection, const tunnel::PathError& error) = 0;
  /// More than partial_bytes_told of a frame are there, and it is not complete.
  virtual void on_partial(Connection& connection) = 0;
};

/// Time: none. Threads: the io_context's.
class Connection {
 public:
  static constexpr std::size_t partial_bytes_told = tunnel::frame_bytes_max;

  explicit Connection(std::unique_ptr<tunnel::TlsStream> stream) : stream_(std::move(stream)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start(ConnectionOwner& owner);
  void set_owner(ConnectionOwner& owner) { owner_ = &owner; }
  tunnel::TlsStream& stream() { return *stream_; }
  const tunnel::PeerIdentity& peer() const { return stream_->peer(); }
  /// Held of a frame that is not complete.
  std::size_t partial_bytes() const { return decoder_.buffered_bytes(); }
  const std::string& host_id() const { return stream_->peer().host_id; }

  PathId id{0};          ///< Given by the host that owns it.
  bool closing = false;  ///< Says goodbye: nothing of it counts any more.

 private:
  void on_bytes(std::span<const std::byte> bytes);

  std::unique_ptr<tunnel::TlsStream> stream_;
  tunnel::FrameDecoder decoder_;
  ConnectionOwner* owner_ = nullptr;
  /// Watched over each call to the owner, who may destroy this object.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace edge::console
