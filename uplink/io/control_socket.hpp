// The local control socket: one JSON object per line in, one or more lines out.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/json/object.hpp>

#include "base/error.hpp"

namespace edge::uplink {

/// A question of uplinkctl: {"command":"status","args":{...}}.
struct ControlRequest {
  std::string command;
  boost::json::object args;
};

/// One client. Answers may be sent at any time while it is open; a client that does not read loses
/// the connection at `queued_bytes_max` (it can ask again, the daemon must not grow).
class ControlClient : public std::enable_shared_from_this<ControlClient> {
 public:
  static constexpr std::size_t queued_bytes_max = 4 << 20;
  static constexpr std::size_t request_bytes_max = 2 << 20;

  using Handler = std::function<void(ControlRequest, std::shared_ptr<ControlClient>)>;

  ControlClient(boost::asio::local::stream_protocol::socket socket, Handler handler);
  void start();
  bool open() const { return socket_.is_open(); }
  /// Queues one line.
  void send(const boost::json::object& answer);
  /// {"exit":0,"data":data}
  void answer(boost::json::value data, int exit = 0);
  /// {"exit":1,"error":text}
  void refuse(std::string_view text, int exit = 1);

 private:
  void read();
  void on_line(std::string_view line);
  void write();
  void close();

  boost::asio::local::stream_protocol::socket socket_;
  boost::asio::streambuf input_{request_bytes_max};
  Handler handler_;
  std::deque<std::string> output_;
  std::size_t queued_bytes_ = 0;
  bool writing_ = false;
};

/// Listens on a unix socket of mode 0600 below the runtime folder. A stale file of a dead daemon is
/// replaced. Threads: the io_context's.
class ControlSocket {
 public:
  static constexpr std::size_t clients_max = 64;

  /// Errors: denied, conflict (another daemon answers there), not_found (folder).
  static Result<std::unique_ptr<ControlSocket>> listen(boost::asio::io_context& io,
                                                       const std::string& path,
                                                       ControlClient::Handler handler);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  ControlSocket(boost::asio::io_context& io, std::string path, ControlClient::Handler handler);
  void accept();

  boost::asio::local::stream_protocol::acceptor acceptor_;
  std::string path_;
  ControlClient::Handler handler_;
  std::deque<std::weak_ptr<ControlClient>> clients_;
};

}  // namespace edge::uplink
