// One HTTP request over a connected socket, and the head of its answer, within a deadline.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>
#include <string>

#include "base/ids.hpp"
#include "tunnel/core/http_answer.hpp"
#include "tunnel/io/path_failure.hpp"

namespace edge::tunnel {

namespace asio = boost::asio;

struct HttpQuestion {
  std::string request;    ///< As it goes on the wire; may hold a password: never logged.
  std::string whom;       ///< "the proxy 192.0.2.1:3128"; begins each error's text.
  PathFailure otherwise;  ///< The cause of a failure that is not this machine's carrier or lease.
  Duration deadline = std::chrono::seconds(5);
};

struct HttpAnswer {
  asio::ip::tcp::socket socket;
  HttpHead head;
  std::size_t surplus = 0;  ///< Bytes that came behind the head; they are lost.
};

/// One question. Destroying it closes the socket at once, without callback.
/// Time: executor's timers. Threads: the executor's one thread.
class HttpAsk {
 public:
  /// Once, never from inside the constructor.
  using Done = std::function<void(PathResult<HttpAnswer>)>;
  HttpAsk(asio::ip::tcp::socket socket, HttpQuestion question, Done done);
  ~HttpAsk();
  HttpAsk(const HttpAsk&) = delete;
  HttpAsk& operator=(const HttpAsk&) = delete;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::tunnel
