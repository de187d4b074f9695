// Joins TCP sockets to streams: bytes both ways with back-pressure, half close, resets.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tunnel/core/session.hpp"
#include "tunnel/core/stream_mux.hpp"

namespace edge::tunnel {

/// Owns the multiplexer of one session and the sockets of its streams. A socket is only read while
/// its stream has room; what came for a socket is granted again only when the kernel has it.
///
/// Time: none. Threads: the executor's one thread.
class StreamRelay {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  struct Hooks {
    /// Something may be sent: call feed() from the loop that runs the session. Never from inside a
    /// call of the owner.
    std::function<void()> on_output;
    /// The peer asks for a stream: attach() a connected socket, or refuse().
    std::function<void(StreamId, const std::string& target)> on_asked;
    /// Optional: a stream without a socket is over; one that on_asked told needs no answer now.
    std::function<void(StreamId)> on_withdrawn;
    /// A stream of ours is over before it began.
    std::function<void(StreamId, const std::string& reason)> on_refused;
    /// Ours is open: bytes flow from now on.
    std::function<void(StreamId)> on_opened;
    /// The stream of an attached socket is over, for whatever reason; the socket is closed.
    std::function<void(StreamId, const std::string& reason)> on_closed;
  };
  StreamRelay(boost::asio::any_io_executor executor, Role role, StreamGrant own, Hooks hooks);
  ~StreamRelay();
  StreamRelay(const StreamRelay&) = delete;
  StreamRelay& operator=(const StreamRelay&) = delete;

  // The session's side.

  /// A new session, or none that has streams: every stream is over, its socket closed with RST.
  void start(std::optional<StreamGrant> peer, SessionId session);
  /// A payload of Channel::streams. Errors: corrupt, see StreamMux::on_frame; log it and tell the
  /// session.
  Result<void> on_frame(ByteSpan payload);
  /// Moves what there is into the session. True: something moved.
  bool feed(Session& session, MonoTime now);

  // The application's side.

  /// A stream of ours for a connected socket, which is read once the peer has opened it.
  /// Errors: as StreamMux::open.
  Result<StreamId> open(std::string_view target, Socket socket);
  /// Answers on_asked with yes.
  void attach(StreamId stream, Socket socket);
  void refuse(StreamId stream, StreamRefusal refusal, std::string_view reason);
  /// Ends a stream of ours, its socket with RST.
  void reset(StreamId stream, const std::string& reason);

  bool usable() const { return mux_.usable(); }
  std::size_t stream_count() const { return sockets_.size(); }
  /// Pieces of memory that hold what the sockets do not take.
  std::size_t waiting_blocks() const;
  std::uint64_t bytes_in() const { return bytes_in_; }    ///< From the tunnel to sockets.
  std::uint64_t bytes_out() const { return bytes_out_; }  ///< From sockets to the tunnel.

 private:
  struct Link;
  void run_actions();
  void act(StreamAction& action);
  void begin(Link& link);
  void wait_read(const std::shared_ptr<Link>& link);
  void read(const std::shared_ptr<Link>& link);
  void wait_write(const std::shared_ptr<Link>& link);
  void flush(const std::shared_ptr<Link>& link);
  void end(StreamId stream, const std::string& reason, bool with_reset);
  void end_if_done(const std::shared_ptr<Link>& link);
  void notify();

  boost::asio::any_io_executor executor_;
  Hooks hooks_;
  StreamMux mux_;
  /// Shared with pending handlers, which find a closed socket when the link has gone.
  std::map<StreamId, std::shared_ptr<Link>> sockets_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  bool notified_ = false;
  bool acting_ = false;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
};

}  // namespace edge::tunnel
