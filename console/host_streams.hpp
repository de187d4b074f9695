// Connections that people made to a forward, on their way through one host's tunnel.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "console/log_lines.hpp"
#include "tunnel/io/stream_relay.hpp"

namespace edge::console {

/// A host that is not there does not cost a person the connection at once: it waits, bounded.
///
/// Time: one steady timer per connection that is not open yet. Threads: the io_context's.
class HostStreams {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  static constexpr std::chrono::seconds open_within{30};  ///< The host's return included.
  static constexpr std::uint32_t log_lines_burst = 20;    ///< Then one a second.
  static constexpr std::size_t connections_max = 256;     ///< Of one host, waiting ones too.

  /// `on_output`: run the session, it has something to send.
  HostStreams(boost::asio::io_context& io, std::string host, std::function<void()> on_output);
  ~HostStreams();

  /// A new session: open streams are over, waiting connections are opened. nullopt: this host has
  /// no streams.
  void start(std::optional<tunnel::StreamGrant> peer, tunnel::SessionId session);
  /// The session is forgotten.
  void end();
  /// Errors: corrupt, the host broke the protocol; all streams of the session are over.
  Result<void> on_frame(tunnel::ByteSpan payload) { return relay_.on_frame(payload); }
  bool feed(tunnel::Session& session, MonoTime now) { return relay_.feed(session, now); }

  /// A connection that was accepted for a forward to `target`; closed if it cannot be carried.
  void take(Socket socket, const std::string& forward, const std::string& target);
  /// Ends all connections of a forward.
  void drop(const std::string& forward);
  std::size_t count(const std::string& forward) const;

 private:
  struct Connection {
    explicit Connection(boost::asio::io_context& io) : socket(io), deadline(io) {}
    std::string forward;
    std::string target;
    Socket socket;  ///< Until it has a stream.
    std::optional<tunnel::StreamId> stream;
    bool open = false;
    boost::asio::steady_timer deadline;
  };
  using Connections = std::list<std::shared_ptr<Connection>>;

  void open(const std::shared_ptr<Connection>& connection);
  void expire(const std::shared_ptr<Connection>& connection);
  void forget(tunnel::StreamId stream, const std::string& reason);
  std::shared_ptr<Connection> find(tunnel::StreamId stream) const;

  boost::asio::io_context& io_;
  std::string host_;
  LogLines lines_;
  bool session_ = false;
  Connections connections_;
  tunnel::StreamRelay relay_;
};

}  // namespace edge::console
