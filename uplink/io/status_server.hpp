// A read-only HTTP server for the local status page and /metrics.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/error.hpp"
#include "base/net.hpp"

namespace edge::uplink {

struct StatusPage {
  unsigned status = 200;
  std::string content_type = "text/html; charset=utf-8";
  std::string body;
};

/// Answers GET only. At most 32 connections, 10 s each without a request, 4 KiB of request.
/// Threads: the io_context's.
class StatusServer {
 public:
  using Handler = std::function<StatusPage(const std::string& target)>;
  static constexpr int connections_max = 32;

  /// Errors: conflict (address in use), not_found (address not on this machine), denied.
  static Result<std::unique_ptr<StatusServer>> listen(boost::asio::io_context& io,
                                                      const HostPort& where, Handler handler);
  ~StatusServer();
  StatusServer(const StatusServer&) = delete;
  StatusServer& operator=(const StatusServer&) = delete;

 private:
  struct State;
  explicit StatusServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  ///< Shared with the accept in flight.
};

}  // namespace edge::uplink
