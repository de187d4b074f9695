// HTTP/1.1 over Boost.Beast, with bounds: connections, header, body, idle time.
#pragma once

#include <memory>

#include <boost/asio/io_context.hpp>

#include "base/error.hpp"
#include "base/net.hpp"
#include "console/api.hpp"

namespace edge::console {

struct HttpLimits {
  /// Beyond, clients wait in the kernel's backlog. Half of them may wait for the end of a command.
  unsigned connections_max = 256;
  std::size_t body_bytes_max = 2U << 20;
  std::uint32_t header_bytes_max = 16U << 10;
  std::chrono::seconds idle{75};
  /// For the header of a connection that has not shown the token: it gets one answer.
  std::chrono::seconds stranger{10};
  /// When all seats are taken, a stranger that has had one for so long leaves it to a new one.
  std::chrono::milliseconds yields_after{1000};
  std::chrono::seconds write{30};
};

/// Time: one timer per connection. Threads: the io_context's.
class HttpServer {
 public:
  /// Errors: conflict (address in use), not_found (address not on this machine), denied. `api`
  /// outlives the io_context's last run.
  static Result<std::unique_ptr<HttpServer>> listen(boost::asio::io_context& io,
                                                    const HostPort& where, Api& api,
                                                    HttpLimits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  unsigned connections() const;
  /// No new connections; those there are end with their present answer.
  void stop();

 private:
  struct State;
  explicit HttpServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  ///< Shared with the coroutines of the connections.
};

}  // namespace edge::console
