// Many requests to the Console's HTTP API over a few connections that are kept.
#pragma once

#include <boost/asio/io_context.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"

namespace edge::swarm {

struct ApiRequest {
  std::string method = "GET";
  std::string target;
  std::string body;
};
struct ApiAnswer {
  unsigned status = 0;  ///< 0: the connection broke.
  std::string body;
};

/// Time: none. Threads: the io_context's.
class ApiClient {
 public:
  ApiClient(boost::asio::io_context& io, std::uint16_t port, std::string token);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  /// Sends all over `connections` connections; `done` is called for each, in any order.
  void send(std::vector<ApiRequest> requests, unsigned connections,
            std::function<void(const ApiRequest&, const ApiAnswer&)> done);

 private:
  boost::asio::io_context& io_;
  std::uint16_t port_;
  std::string token_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace edge::swarm
